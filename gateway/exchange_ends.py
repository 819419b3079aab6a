"""How an exchange ends: failed, collected, cancelled or expired, with nothing of it left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from gateway import exchange_records, orders, receipts
from gateway.ledger.entry import Kind
from gateway.storage.tables import exchanges

if TYPE_CHECKING:
    from gateway.services import Services
    from gateway.stages import Exchange, State
    from gateway.storage.unit_of_work import Transaction

_KIND: dict[State, Kind] = {
    "failed": Kind.SOURCE_FAILED,
    "collected": Kind.ANSWER_COLLECTED,
    "cancelled": Kind.REQUEST_CANCELLED,
    "expired": Kind.REQUEST_EXPIRED,
}
_FROM: dict[State, tuple[State, ...]] = {
    "failed": ("forwarded",),
    "collected": ("answered",),
    "cancelled": ("forwarded", "answered"),
    "expired": ("forwarded", "answered"),
}


async def end(services: Services, exchange: Exchange, state: State, *, failure: str | None = None) -> bool:
    """Bring an open exchange to its end and delete what the gateway still holds of it.

    Durable on return. False if it had ended otherwise before.
    """
    done = await services.store.write(lambda tx: end_in(tx, services, exchange, state, failure=failure))
    services.arrivals.ring(exchange.id)
    return done


def end_in(
    tx: Transaction, services: Services, exchange: Exchange, state: State, *, failure: str | None = None
) -> bool:
    """Do the same inside a transaction; a source that has not answered is told to stop."""
    if exchange_records.present(tx.conn, exchange.id).state not in _FROM[state]:
        return False
    now = services.clock()
    if state in ("cancelled", "expired"):
        # While it still is open: only a source that has not answered is told.
        lost = {exchange.id: tuple(exchange.ordered)}
        orders.queue_cancellations(tx, services=services, lost=lost, now=now)
    exchange_records.move(tx.conn, exchange.id, state, where=_FROM[state], failure=failure)
    exchange_records.drop_content(tx.conn, exchange.id)
    said = receipts.detail(exchange, (), {}, now=now, failure=failure)
    receipts.note(tx, services, exchange, _KIND[state], said, now=now)
    return True


def end_involvement(
    tx: Transaction, services: Services, *, client_id: str, party: str, worker: str | None = None
) -> None:
    """Cancel what a party, or one worker of it, still has under way about a client it leaves.

    Whoever is not on the case learns nothing more, and no source goes on working for them.
    """
    mine = select(exchanges.c.id).where(
        exchanges.c.client_id == client_id,
        exchanges.c.requester == party,
        exchanges.c.state.in_(_FROM["cancelled"]),
    )
    if worker is not None:
        mine = mine.where(exchanges.c.worker_id == worker)
    for exchange_id in tx.conn.execute(mine).scalars().all():
        end_in(tx, services, exchange_records.present(tx.conn, exchange_id), "cancelled")
