"""What each step of an exchange hands to the next: frozen, and named for how far it is trusted.

SubmittedRequest ──▶ Facts ──▶ Decided ──▶ Exchange ──▶ ReleasePermit ──▶ Release ──▶ Delivery
the party signed it  fresh     by policy   recorded     only `recheck`    only        may leave
                                                                          `minimise`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from adapters.protocol import ClientIdentifier, Worker
    from gateway.cases import Involvement
    from gateway.clients import ClientRef
    from gateway.ledger.entry import Recorded
    from gateway.policy.port import CategoryDecision, ConsentFact, Ground, Obligations, Verdict

State = Literal[
    "received",
    "refused",
    "nothing_to_share",
    "forwarded",
    "answered",
    "failed",
    "collected",
    "cancelled",
    "expired",
]


@dataclass(frozen=True, slots=True)
class SubmittedRequest:
    """A request whose body is exactly what the authenticated party signed."""

    party: str
    client: ClientIdentifier
    purpose: str
    source: str
    categories: tuple[str, ...]
    worker: Worker
    signed_request: str = field(repr=False)  # verified, with every disclosure
    jti: str
    signed_at: int
    expires_at: int
    idempotency_key: str  # HMAC of the caller's key
    fingerprint: str  # HMAC of the body


@dataclass(frozen=True, slots=True)
class Footing:
    """The version of every fact that a decision stands on (DESIGN §2, the record and the race)."""

    client_id: str | None
    revision: int
    party_epoch: int
    agreement_digest: str


@dataclass(frozen=True, slots=True)
class Signed:
    """Who has signed the version of the agreement that the question is asked under."""

    founding: bool  # every party of its founding set
    requester: bool
    source: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What policy may know of one request, read in one snapshot."""

    footing: Footing
    client: ClientRef | None  # None: the party is on no case of whoever was named
    involvement: Involvement
    requester_status: str
    source_status: str
    signed: Signed
    consents: tuple[ConsentFact, ...]
    partners: tuple[str, ...]  # parties on the case that the agreement lists
    consent_names: Mapping[str, str]  # our id of a consent → the id that the requester knows it by


@dataclass(frozen=True, slots=True)
class Decided:
    """A verdict with the facts that it stands on."""

    facts: Facts
    verdict: Verdict

    @property
    def permitted(self) -> tuple[CategoryDecision, ...]:
        """The categories that may be asked for, in the order of the request."""
        return self.verdict.permitted

    def holds(self, at: int) -> bool:
        """Say whether time alone has not ended what is permitted."""
        return not self.permitted or at < self.verdict.valid_until


@dataclass(frozen=True, slots=True)
class Ordered:
    """One category of a recorded order. `lost` once a withdrawal took its ground away."""

    ground: Ground
    consent: str | None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """One row of `exchanges`: a dossier request from its decision on."""

    id: str
    requester: str
    worker_id: str
    worker_role: str
    request_jti: str  # of the signed request; the source's attestation names it
    purpose: str
    source: str
    categories: tuple[str, ...]
    subject: str
    client_id: str | None
    state: State
    agreement_digest: str
    ordered: Mapping[str, Ordered]
    order_jws: str | None = field(repr=False)
    order_digest: str | None
    attestation_sealed: bytes | None = field(repr=False)
    failure: str | None
    created_at: int
    expires_at: int
    ledger_index: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one call may answer. `recorded` says why and is proof of it; the rest is what leaves."""

    exchange: Exchange
    state: State
    recorded: Recorded
    receipt: str = field(repr=False)
    baseline: Mapping[str, object] | None = field(default=None, repr=False)
    sealed: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # (category, JWE)
    attestation: str | None = field(default=None, repr=False)
    obligations: Obligations | None = None
