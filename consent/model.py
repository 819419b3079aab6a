"""What a consent is: its terms, its evidence, its states, and which event leads to which state.

    pending ──granted──▶ active ──paused──▶ paused ──granted──▶ active
       │                   ├──expired──▶ expired
       │                   └──replaced─▶ replaced
       └── withdrawn from any of these ──▶ withdrawn            refused: recorded as such, and final

Instants are integer Unix seconds (UTC). Identifiers of clients do not occur here.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

# The rhythm in which a plan is evaluated (003 §5.5.2): what holds when the client names no date.
DEFAULT_MONTHS = 6
# The longest stay in the shelter programme (003 §3.2).
MAX_MONTHS = 18


class State(StrEnum):
    """Where a consent is now. Only `active` opens anything."""

    PENDING = "pending"
    ACTIVE = "active"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    PAUSED = "paused"
    EXPIRED = "expired"
    REPLACED = "replaced"


class Event(StrEnum):
    """What happened to a consent; the list of these is only ever appended to."""

    RECORDED = "recorded"
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    PAUSED = "paused"
    EXPIRED = "expired"
    REPLACED = "replaced"


class Decision(StrEnum):
    """What the client said."""

    GRANTED = "granted"
    REFUSED = "refused"


class Method(StrEnum):
    """How the client said it."""

    SIGNATURE_ON_PAPER = "signature_on_paper"
    CLIENT_PIN = "client_pin"
    VERBAL_WITH_WITNESS = "verbal_with_witness"
    GUARDIAN_AND_CHILD = "guardian_and_child"


class AgeGroup(StrEnum):
    """What the law of consent needs of an age, and no more: never the age itself."""

    UNDER_16 = "under_16"
    FROM_16 = "from_16"


class TeachBack(StrEnum):
    """What came of asking the client to say it back. The client's words are not kept."""

    UNDERSTOOD = "understood"
    EXPLAINED_AGAIN = "explained_again"
    NOT_UNDERSTOOD = "not_understood"


_WITHDRAWABLE = (State.PENDING, State.ACTIVE, State.PAUSED, State.EXPIRED, State.REPLACED)
NEXT: Mapping[tuple[State, Event], State] = {
    (State.PENDING, Event.GRANTED): State.ACTIVE,
    (State.PAUSED, Event.GRANTED): State.ACTIVE,
    (State.ACTIVE, Event.PAUSED): State.PAUSED,
    (State.ACTIVE, Event.EXPIRED): State.EXPIRED,
    (State.ACTIVE, Event.REPLACED): State.REPLACED,
    **{(state, Event.WITHDRAWN): State.WITHDRAWN for state in _WITHDRAWABLE},
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What the client was asked: who may pass what to whom, for which purpose, until when."""

    purpose: str
    sources: tuple[str, ...]
    recipients: tuple[str, ...]
    categories: tuple[str, ...]
    explicit: tuple[str, ...]
    valid_from: int
    valid_until: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """How the conversation went; people by pseudonym or number, never by name."""

    method: Method
    notice_language: str
    notice_digest: str
    staff: str
    teach_back: TeachBack
    age_group: AgeGroup
    # Random, base64url: the digest travels to a source, which must not try out pseudonyms on it (promise 9).
    salt: str
    interpreter: str | None = None
    witness: str | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """One row of `consents`. What the client said in full is sealed beside it."""

    id: str
    client_id: str
    recorded_by_party: str
    recorded_by: str
    confirmed_by: str | None
    purpose: str
    state: State
    # Another matter than consent, and required beside it: consent never becomes the legal basis.
    legal_basis: str
    minor: bool
    guardian: bool
    valid_from: int
    valid_until: int
    evidence_digest: str
    created_at: int
    changed_at: int


@dataclass(frozen=True, slots=True)
class Grant:
    """One line of a consent: this source may pass this category to this recipient."""

    source: str
    recipient: str
    category: str
    explicit: bool


@dataclass(frozen=True, slots=True)
class Noted:
    """One event of a consent and the ledger entry that proves it."""

    event: Event
    at: int
    worker: str
    ledger_index: int


def grants_of(terms: Terms) -> tuple[Grant, ...]:
    """Spell the terms out, one line per source, recipient and category."""
    return tuple(
        Grant(source, recipient, category, category in terms.explicit)
        for source in terms.sources
        for recipient in terms.recipients
        for category in terms.categories
    )


def state_at(consent: Consent, now: int) -> State:
    """Say where a consent is at this moment: one whose time is over has expired, noted or not."""
    lapsed = consent.state in (State.ACTIVE, State.PENDING, State.PAUSED) and consent.valid_until <= now
    return State.EXPIRED if lapsed else consent.state


def months_later(at: int, months: int) -> int:
    """Return the same moment so many calendar months on; the 31st becomes a shorter month's last day."""
    moment = datetime.fromtimestamp(at, UTC)
    years, month = divmod(moment.month - 1 + months, 12)
    year, month = moment.year + years, month + 1
    day = min(moment.day, calendar.monthrange(year, month)[1])
    return int(moment.replace(year=year, month=month, day=day).timestamp())
