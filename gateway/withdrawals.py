"""Withdraw a consent: at once, by one person, with everything that rested on it (GDPR art. 7(3))."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, select

from adapters.protocol import Worker
from consent import service
from consent.errors import ConsentError
from consent.model import Consent, Event
from gateway import clients, consent_records, exchange_records, orders
from gateway.consent_proposals import translate
from gateway.ledger.entry import Kind
from gateway.storage.tables import exchanges, hand_overs, sealed_documents

if TYPE_CHECKING:
    from gateway.oauth.resource import Caller
    from gateway.services import Services
    from gateway.storage.unit_of_work import Transaction

# Exchanges that still wait for something, from which a withdrawal takes what rested on the consent.
_OPEN_STATES = ("received", "forwarded", "answered")


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A withdrawal: no hand-over after `ledger_index` uses the consent. `lost`: exchange → categories."""

    ledger_index: int
    effective_at: int
    lost: Mapping[str, Sequence[str]]
    handed_over_before: int


async def withdraw(services: Services, caller: Caller, consent_id: str, worker: Worker) -> Withdrawal:
    """End a consent at once, by one person, again and again: as easy as giving (GDPR art. 7(3)).

    The worker need not be on the case still: a party that left can always stop what it recorded.
    """

    def work(tx: Transaction) -> Withdrawal:
        consent = consent_records.load(tx.conn, consent_id, caller.party)
        return withdraw_in(tx, services, consent, worker=worker.id, now=services.clock())

    return await services.store.write(work)


def withdraw_in(
    tx: Transaction, services: Services, consent: Consent, *, worker: str, now: int
) -> Withdrawal:
    """Withdraw inside a transaction: state, event, revision, ledger, and what rested on it, or nothing.

    Sealed bytes that rested on the consent are deleted, and the sources of open orders are told which
    categories lost their ground.
    """
    try:
        earlier = service.withdraw(tx.conn, consent, now=now)
    except ConsentError as refused:
        raise translate(refused) from refused
    handed_over = _handed_over(tx.conn, consent.id)
    if earlier is not None:
        return Withdrawal(earlier.ledger_index, earlier.at, {}, handed_over)
    client = consent_records.client_of(tx.conn, services, consent)
    clients.raise_revision(tx, client.id)
    index = consent_records.note(
        tx, client, consent, Event.WITHDRAWN, Kind.CONSENT_WITHDRAWN, worker=worker, now=now
    )
    lost = _lost_ground(tx.conn, consent)
    for exchange_id, categories in lost.items():
        tx.conn.execute(
            delete(sealed_documents).where(
                sealed_documents.c.exchange_id == exchange_id, sealed_documents.c.category.in_(categories)
            )
        )
    orders.queue_cancellations(tx, services=services, lost=lost, now=now)
    return Withdrawal(index, now, lost, handed_over)


def _lost_ground(conn: Connection, consent: Consent) -> dict[str, list[str]]:
    """Find the exchanges that are not yet collected and which of their categories rest on this consent."""
    found = conn.execute(
        select(exchanges.c.id).where(
            exchanges.c.client_id == consent.client_id, exchanges.c.state.in_(_OPEN_STATES)
        )
    ).scalars()
    lost: dict[str, list[str]] = {}
    for exchange_id in found.all():
        exchange = exchange_records.load(conn, exchange_id)
        ordered = {} if exchange is None else exchange.ordered
        rested = [category for category, entry in ordered.items() if entry.consent == consent.id]
        if rested:
            lost[exchange_id] = rested
    return lost


def _handed_over(conn: Connection, consent_id: str) -> int:
    """Count the hand-overs that used this consent: what no gateway can call back."""
    ids = select(hand_overs.c.id).where(
        hand_overs.c.consent_id == consent_id, hand_overs.c.outcome == "permitted"
    )
    return len(set(conn.execute(ids).scalars()))
