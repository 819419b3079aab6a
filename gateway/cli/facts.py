"""What a step of the story found out: shown to people by the transcript, to tests as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from adapters.protocol import Worker
    from adapters.requester import Exchange, GatewayRefused, OpenedDossier


class StepFailed(Exception):
    """What a step promises did not happen; the message says what did."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One dossier request as it stood at a moment, and how long its answer took.

    `later`: the source needed longer, and this is what came of a request that was told of before.
    """

    by: str
    worker: Worker
    source: str
    purpose: str
    categories: tuple[str, ...]
    seconds: float
    exchange: Exchange
    dossier: OpenedDossier | None
    remark: str = ""
    later: bool = False

    def as_json(self) -> dict[str, Any]:
        """Say it to a machine: without the bytes of documents."""
        answer = self.exchange.answer
        return {
            "by": self.by,
            "worker": self.worker.id,
            "source": self.source,
            "purpose": self.purpose,
            "categories": list(self.categories),
            "seconds": round(self.seconds, 3),
            "id": self.exchange.id,
            "state": self.exchange.state,
            "baseline": dict(answer.baseline) if answer else {},
            "documents": [
                {"category": one.category, "name": one.name, "bytes": len(one.content)}
                for one in (self.dossier.documents if self.dossier else ())
            ],
            "withheld": {
                one.category: {"reason": one.reason, "paragraph": one.paragraph, "next_step": one.next_step}
                for one in self.exchange.decisions
                if one.outcome == "withheld"
            },
        }


@dataclass(frozen=True, slots=True)
class Denied:
    """One call that was refused, and by what."""

    by: str
    what: str
    status: int
    code: str
    message: str
    paragraph: str | None

    @classmethod
    def of(cls, by: str, what: str, refused: GatewayRefused) -> Denied:
        """Keep what the gateway's problem document said."""
        return cls(by, what, refused.status, refused.code, refused.message, refused.paragraph)

    def as_json(self) -> dict[str, Any]:
        """Say it to a machine."""
        return {
            "by": self.by,
            "what": self.what,
            "status": self.status,
            "code": self.code,
            "message": self.message,
            "paragraph": self.paragraph,
        }


Told: TypeAlias = "Asked | Denied | str"


@dataclass(slots=True)
class Facts:
    """What a step found out, in the order in which it happened; `on_told` hears of each at once."""

    told: list[Told] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    on_told: Callable[[Told], None] | None = None

    def tell(self, one: Told) -> None:
        """Note what happened."""
        self.told.append(one)
        if self.on_told is not None:
            self.on_told(one)

    def check(self, holds: bool, sentence: str) -> None:
        """Note that something was verified; raise StepFailed if it does not hold."""
        if not holds:
            raise StepFailed(f"this does not hold: {sentence}")
        self.tell(sentence)

    @property
    def asked(self) -> list[Asked]:
        """The dossier requests of this step."""
        return [one for one in self.told if isinstance(one, Asked)]

    @property
    def denied(self) -> list[Denied]:
        """The refusals of this step."""
        return [one for one in self.told if isinstance(one, Denied)]

    @property
    def checks(self) -> list[str]:
        """The sentences that were verified in this step."""
        return [one for one in self.told if isinstance(one, str)]

    def as_json(self) -> dict[str, Any]:
        """Say it to a machine."""
        return {
            "asked": [one.as_json() for one in self.asked],
            "denied": [one.as_json() for one in self.denied],
            "checks": self.checks,
            **self.values,
        }
