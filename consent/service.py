"""The law of consent: what may be recorded, who confirms it, and how it ends.

Pure rules over a `Connection`; the caller owns the transaction, the keys and the ledger.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection

from consent import repository
from consent.errors import ConsentError
from consent.model import (
    MAX_MONTHS,
    NEXT,
    AgeGroup,
    Consent,
    Decision,
    Event,
    Evidence,
    Method,
    Noted,
    State,
    TeachBack,
    Terms,
    grants_of,
    months_later,
)


def check_terms(terms: Terms, *, special: Collection[str], now: int, max_months: int = MAX_MONTHS) -> None:
    """Refuse terms that nobody may be asked to agree to; `special` are the categories of GDPR art. 9.

    `max_months`: what the parties agreed on; longer than the stay it cannot be.
    """
    if not (terms.purpose and terms.sources and terms.recipients and terms.categories):
        raise ConsentError("nothing_named")
    if not set(terms.explicit) <= set(terms.categories):
        raise ConsentError("explicit_not_named")
    if set(terms.categories) & set(special) - set(terms.explicit):
        raise ConsentError("special_without_explicit")
    if terms.valid_from > now:
        raise ConsentError("not_yet_valid")
    if terms.valid_until <= now or terms.valid_until <= terms.valid_from:
        raise ConsentError("validity_over")
    if terms.valid_until > months_later(terms.valid_from, min(max_months, MAX_MONTHS)):
        raise ConsentError("validity_too_long")


def check_evidence(evidence: Evidence, decision: Decision) -> None:
    """Refuse a yes of which the record does not show that it was given, heard and understood."""
    if evidence.method is Method.VERBAL_WITH_WITNESS and evidence.witness in (None, evidence.staff):
        raise ConsentError("evidence_incomplete")
    if decision is Decision.GRANTED and evidence.teach_back is TeachBack.NOT_UNDERSTOOD:
        raise ConsentError("not_understood")
    # UAVG art. 5. A child's no needs nobody beside it.
    alone = evidence.method is not Method.GUARDIAN_AND_CHILD
    if decision is Decision.GRANTED and evidence.age_group is AgeGroup.UNDER_16 and alone:
        raise ConsentError("guardian_missing")


def record(
    conn: Connection,
    consent: Consent,
    terms: Terms,
    *,
    content_sealed: bytes,
    statements_sealed: Mapping[str, tuple[str, bytes]],
) -> None:
    """Store what the client said: a yes waits for a second person, a no is final and opens nothing.

    `statements_sealed` maps the id of a statement to its source and its sealed bytes.
    """
    if consent.state not in (State.PENDING, State.REFUSED):
        raise ConsentError("wrong_state")
    granted = consent.state is State.PENDING
    if granted and sorted(source for source, _ in statements_sealed.values()) != sorted(terms.sources):
        raise ConsentError("statements_missing")
    repository.insert_consent(conn, consent, content_sealed)
    if granted:
        repository.insert_grants(conn, consent, grants_of(terms))
        repository.insert_statements(conn, consent.id, statements_sealed)


def confirm(conn: Connection, consent: Consent, *, worker: str, now: int) -> bool:
    """Let a second person make a pending consent active, from now on; not one that has lapsed.

    Return False, and change nothing, where this very person had done so and it is active still: whose
    answer got lost asks again, and must not be led to record a second consent.
    """
    if worker == consent.recorded_by:
        raise ConsentError("same_worker")
    if consent.valid_until <= now:
        raise ConsentError("wrong_state")
    if consent.state is State.ACTIVE and consent.confirmed_by == worker:
        return False
    if consent.state is not State.PENDING:
        raise ConsentError("wrong_state")
    _move(conn, consent, Event.GRANTED, now=now, confirmed_by=worker)
    return True


def withdraw(conn: Connection, consent: Consent, *, now: int) -> Noted | None:
    """End a consent at once; return the earlier withdrawal where there was one, else None.

    One person suffices: stopping too much is repaired by a new conversation, sharing too much is not.
    """
    if consent.state is State.WITHDRAWN:
        return next(noted for noted in repository.events(conn, consent.id) if noted.event is Event.WITHDRAWN)
    _move(conn, consent, Event.WITHDRAWN, now=now)
    return None


def _move(
    conn: Connection, consent: Consent, event: Event, *, now: int, confirmed_by: str | None = None
) -> None:
    to = NEXT.get((consent.state, event))
    if to is None or not repository.move(conn, consent, to, now=now, confirmed_by=confirmed_by):
        raise ConsentError("wrong_state")
