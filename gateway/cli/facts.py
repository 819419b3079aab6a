"""What a step of the story found out: shown to people by the transcript, to tests as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.requester import Exchange, GatewayRefused, OpenedDossier


class StepFailed(Exception):
    """What a step promises did not happen; the message says what did."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One dossier request that was answered, and how long the answer took."""

    by: str
    source: str
    purpose: str
    categories: tuple[str, ...]
    seconds: float
    exchange: Exchange
    dossier: OpenedDossier | None
    remark: str = ""

    def as_json(self) -> dict[str, Any]:
        """Say it to a machine: without the bytes of documents."""
        answer = self.exchange.answer
        return {
            "by": self.by,
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
    title: str
    paragraph: str | None

    @classmethod
    def of(cls, by: str, what: str, refused: GatewayRefused) -> Denied:
        """Keep what the gateway's problem document said."""
        return cls(
            by,
            what,
            refused.status,
            refused.code,
            str(refused.problem.get("detail", refused.message)),
            refused.paragraph,
        )

    def as_json(self) -> dict[str, Any]:
        """Say it to a machine."""
        return {
            "by": self.by,
            "what": self.what,
            "status": self.status,
            "code": self.code,
            "title": self.title,
            "paragraph": self.paragraph,
        }


@dataclass(slots=True)
class Facts:
    """What a step found out, in the order in which it happened."""

    told: list[Asked | Denied | str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def check(self, holds: bool, sentence: str) -> None:
        """Note that something was verified; raise StepFailed if it does not hold."""
        if not holds:
            raise StepFailed(f"this does not hold: {sentence}")
        self.told.append(sentence)

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
