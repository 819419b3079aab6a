"""What an adapter asks of its agency's own system, and what it may get back: the seam of a new source.

A source is one folder that implements `Agency`: `client.py` speaks the agency's wire, `mapping.py`
says which of its fields is which category. Nothing here is trusted yet: the order desk checks whom
an answer is about, keeps only what was ordered, and lets no free text into a baseline value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from adapters.protocol import Category, ClientIdentifier, Scheme, SourceRefusal


class AgencyTrouble(Exception):
    """The agency's system is down (`agency_unavailable`) or answers what it may not.

    `cause` is a fixed phrase for the operator's log: never a value that the system sent.
    """

    CODES = frozenset({"agency_unavailable", "agency_answer_invalid"})

    def __init__(self, code: str, cause: str) -> None:
        if code not in self.CODES:
            raise ValueError(f"AgencyTrouble has no code {code!r}")
        super().__init__(f"{code}: {cause}")
        self.code = code
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Question:
    """What the agency's system is told: nothing that it need not know (promise 9)."""

    client: ClientIdentifier = field(repr=False)
    categories: frozenset[Category]
    purpose: str
    recipient: str
    reference: str  # the exchange: the same question asked again carries the same reference


@dataclass(frozen=True, slots=True)
class Document:
    """One document as the agency has it."""

    name: str
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the agency's record says of one category."""

    unverified_value: object = field(default=None, repr=False)  # baseline only; None: no statement
    documents: tuple[Document, ...] = ()
    refusal: SourceRefusal | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """The agency's answer. `about` is the number that the *record* carries, not the one we asked for."""

    about: ClientIdentifier = field(repr=False)
    findings: Mapping[Category, Finding]


@dataclass(frozen=True, slots=True)
class NotFound:
    """The agency knows nobody by this number."""


@dataclass(frozen=True, slots=True)
class Later:
    """A person at the agency will look; ask again after so many seconds."""

    ready_in_seconds: float


class Agency(Protocol):
    """The agency's own system."""

    # The numbers by which it knows its clients.
    schemes: frozenset[Scheme]

    async def ask(self, question: Question) -> Record | NotFound | Later:
        """Ask for one client's record; safe to repeat.

        Raises AgencyTrouble. MUST bound what it reads and how long it waits.
        """

    async def close(self) -> None:
        """Close what is open towards the agency."""
