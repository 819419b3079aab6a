"""Bring what waits in the outbox to its source, and open exchanges to their end when time is over.

Runs beside the requests, in every gateway of the database. Everything it does may be repeated: at the
source an order is idempotent by exchange, and a restarted gateway sends the same bytes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection, Row, bindparam, delete, select, update

from gateway import exchange, exchange_ends, exchange_records, parties, undelivered
from gateway.errors import GatewayError, SourceTrouble
from gateway.limits import BETWEEN, Between
from gateway.oauth import replay
from gateway.source_line import NotSent
from gateway.storage.tables import exchanges, idempotency, outbox

if TYPE_CHECKING:
    from gateway.services import Services
    from gateway.stages import Exchange
    from gateway.storage.unit_of_work import Transaction

_POLL_SECONDS = 0.25
_BATCH = 32
_LOOK_UP = 500
# A message that a gateway took is its own for this long, or for the longest call if that is more: if it
# stops half-way, another gateway or the next start sends it again.
_LEASE_SECONDS = 30
_LEASE_GRACE_SECONDS = 5
# Those who run the gateway are told, with each sweep, of a cancellation that has waited for so long.
_LATE_SECONDS = 60
_SERIALS_SECONDS = 5
_BACKOFF_SECONDS = (1, 2, 5, 15, 60, 300)

# Built once: to build a statement costs several times what it costs to run it.
_DUE = (
    select(outbox)
    .where(outbox.c.source == bindparam("at_source"), outbox.c.next_attempt_at <= bindparam("now"))
    .order_by(outbox.c.id)
    .limit(bindparam("at_once"))
)

_log = structlog.get_logger("gateway.dispatch")


class Dispatcher:
    """A loop for each source, and three more: what arrived at another gateway, what has expired, and the key
    lists that were seen."""

    def __init__(self, services: Services, *, between: Between = BETWEEN) -> None:
        """`between` picks a number from a range, ends included: what failed together is not sent together."""
        self._services, self._between = services, between
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; the loops outlive every error but cancellation."""
        sweep = self._services.settings.retention_sweep_seconds
        self._tasks = [
            *(
                # Each its own: a source that hangs keeps its loop waiting, and no other.
                asyncio.create_task(self._repeat(partial(self.send_due_to, source), _POLL_SECONDS))
                for source in self._services.settings.sources
            ),
            asyncio.create_task(self._repeat(self.ring, _POLL_SECONDS)),
            asyncio.create_task(self._repeat(self.end_expired, sweep)),
            asyncio.create_task(self._repeat(self.keep_serials, _SERIALS_SECONDS)),
        ]

    async def stop(self) -> None:
        """End the loops; what was under way is sent again after the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def send_due(self) -> None:
        """Send what is due at any source."""
        await asyncio.gather(*(self.send_due_to(source) for source in self._services.settings.sources))

    async def send_due_to(self, source: str) -> None:
        """Send as much of what is due as the source has places for, an exchange's messages in their order.

        Nothing while the circuit to it is open, one message to find out whether it is back.
        """
        at_once = min(_BATCH, self._services.sources.ready_for(source))
        if at_once == 0:
            return
        now = self._services.clock()
        due = await self._services.store.look_up(lambda conn: _due(conn, source, now, at_once))
        if due:
            longest = self._services.settings.source_limits.longest_call_seconds + _LEASE_GRACE_SECONDS
            until = now + max(_LEASE_SECONDS, longest)
            due = await self._services.store.write(lambda tx: _taken(tx, due, until))
        await asyncio.gather(*(self._send(row) for row in due))

    async def ring(self) -> None:
        """Wake who waits here for an answer that came in at another gateway."""
        waiting = self._services.arrivals.awaited()
        for at in range(0, len(waiting), _LOOK_UP):
            look = partial(_moved_on, ids=waiting[at : at + _LOOK_UP])
            for exchange_id in await self._services.store.read(look):
                self._services.arrivals.ring(exchange_id)

    async def end_expired(self) -> None:
        """Expire exchanges whose time is over and forget single-use keys that no longer matter."""
        now = self._services.clock()
        while batch := await self._services.store.read(lambda conn: _expired(conn, now)):
            for row in batch:
                await exchange_ends.end(self._services, row, "expired")
        await self._services.store.write(lambda tx: _forget(tx, now))
        late = await self._services.store.read(lambda conn: undelivered.cancellations(conn, now))
        if late.oldest_seconds >= _LATE_SECONDS:
            _log.warning(
                "cancellations.not_delivered", number=late.number, oldest_seconds=late.oldest_seconds
            )

    async def keep_serials(self) -> None:
        """Keep the serials of the key lists seen here, and refuse what is older than those seen elsewhere."""
        store, lists = self._services.store, self._services.key_lists
        seen, kept = lists.serials, await store.read(parties.kept_serials)
        if any(serial > kept.get(party, 0) for party, serial in seen.items()):
            kept = await store.write(lambda tx: parties.keep_serials(tx, seen))
        lists.remember(kept)

    async def _send(self, row: Row[Any]) -> None:
        try:
            current = await self._services.store.read(
                lambda conn: exchange_records.present(conn, row.exchange_id)
            )
            if row.topic == "order":
                if current.state == "forwarded":
                    await exchange.forward(self._services, current)
                else:
                    await self._services.store.write(lambda tx: _sent(tx, row.id))
            else:
                await self._services.sources.send_cancellation(
                    row.source, row.exchange_id, row.body, about=current.subject
                )
                await self._services.store.write(lambda tx: _sent(tx, row.id))
        except SourceTrouble as trouble:
            _log.warning("outbox.not_delivered", topic=row.topic, source=row.source, code=trouble.code)
            at, tried = self._next_attempt(row, trouble), not isinstance(trouble, NotSent)
            await self._services.store.write(lambda tx: _later(tx, row, at, tried))

    def _next_attempt(self, row: Row[Any], trouble: SourceTrouble) -> int:
        wait = _BACKOFF_SECONDS[min(row.attempts, len(_BACKOFF_SECONDS) - 1)]
        if isinstance(trouble, NotSent):
            wait = trouble.retry_after_seconds or wait
        return self._services.clock() + self._between((wait + 1) // 2, wait)

    async def _repeat(self, work: Any, seconds: float) -> None:
        while True:
            try:
                await work()
            except GatewayError as error:
                _log.error("dispatch.failed", code=error.code)
            except Exception as error:  # a loop that dies would strand orders: log the type, go on
                _log.error("dispatch.failed", error=type(error).__name__)
            await asyncio.sleep(seconds)


def _due(conn: Connection, source: str, now: int, at_once: int) -> Sequence[Row[Any]]:
    rows = conn.execute(_DUE, {"at_source": source, "now": now, "at_once": at_once}).all()
    seen: set[str] = set()
    oldest = []
    for row in rows:
        if row.exchange_id not in seen:
            seen.add(row.exchange_id)
            oldest.append(row)
    return oldest


def _taken(tx: Transaction, due: Sequence[Row[Any]], until: int) -> list[Row[Any]]:
    """Take messages that no other gateway took since they were read: compare and set."""
    ours = []
    for row in due:
        same = (outbox.c.id == row.id, outbox.c.next_attempt_at == row.next_attempt_at)
        if tx.conn.execute(update(outbox).where(*same).values(next_attempt_at=until)).rowcount == 1:
            ours.append(row)
    return ours


def _moved_on(conn: Connection, ids: Sequence[str]) -> Sequence[str]:
    found = select(exchanges.c.id).where(exchanges.c.id.in_(ids), exchanges.c.state != "forwarded")
    return conn.execute(found).scalars().all()


def _expired(conn: Connection, now: int) -> list[Exchange]:
    ids = conn.execute(
        select(exchanges.c.id)
        .where(exchanges.c.state.in_(("forwarded", "answered")), exchanges.c.expires_at <= now)
        .limit(_BATCH)
    ).scalars()
    return [exchange_records.present(conn, exchange_id) for exchange_id in ids.all()]


def _sent(tx: Transaction, row_id: int) -> None:
    tx.conn.execute(delete(outbox).where(outbox.c.id == row_id))


def _later(tx: Transaction, row: Row[Any], at: int, tried: bool) -> None:
    tx.conn.execute(
        update(outbox).where(outbox.c.id == row.id).values(attempts=row.attempts + tried, next_attempt_at=at)
    )


def _forget(tx: Transaction, now: int) -> None:
    replay.forget_expired(tx, now)
    tx.conn.execute(delete(idempotency).where(idempotency.c.expires_at <= now))
