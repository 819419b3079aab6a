"""A dossier request as its requester sees it: what to send, and what the gateway says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from adapters.kit.session import Response
from adapters.protocol import Category, SealedDocument
from adapters.requester.errors import GatewayUnreachable

# States in which nothing more is to be expected from the source.
SETTLED = frozenset(
    {"answered", "refused", "nothing_to_share", "failed", "collected", "cancelled", "expired"}
)


class _Read(BaseModel):
    """A message of the gateway: fields that we do not know are passed over, so that it may add some."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Decision(_Read):
    """Why one category came or did not, and what would change that."""

    category: Category
    outcome: Literal["permitted", "withheld"]
    ground: str | None = None
    reason: str | None = None
    rule: str | None = None
    paragraph: str | None = None
    consent: str | None = None
    next_step: str | None = None


class SealedAnswer(_Read):
    """What the source sent, as far as it was permitted. Nothing of it is verified yet."""

    baseline: dict[Category, str | list[str]] = Field(default_factory=dict)
    sealed: tuple[SealedDocument, ...] = ()
    attestation: str | None = None


class Exchange(_Read):
    """One dossier request at this moment."""

    id: str
    state: str
    answer: SealedAnswer | None = None
    decisions: tuple[Decision, ...] = ()
    obligations: dict[str, JsonValue] | None = None
    failure: str | None = None
    next_step: str | None = None
    receipt: str | None = None

    @property
    def settled(self) -> bool:
        """Whether waiting longer is of no use."""
        return self.state in SETTLED

    def decision(self, category: Category | str) -> Decision | None:
        """Find what was decided on one category; None where the gateway explains nothing."""
        return next((one for one in self.decisions if one.category == category), None)


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A signed request that may be sent as often as needed: it is one exchange.

    Repeating means the same bytes under the same key, so the signature is made once.
    """

    source: str
    jti: str  # the source's attestation names it: keep it to open the answer in another process
    idempotency_key: str
    body: Mapping[str, JsonValue] = field(repr=False)


def read_exchange(response: Response) -> Exchange:
    """Read the gateway's answer about a dossier request."""
    try:
        return Exchange.model_validate(response.body)
    except ValidationError as unreadable:
        raise GatewayUnreachable("The gateway's answer has another form than expected.") from unreadable
