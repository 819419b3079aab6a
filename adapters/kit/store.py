"""Remember orders, cancellations and sealed answers, durably: one SQLite file per source.

    received ──▶ answered                       the agency answered at once
        └──────▶ waiting ──▶ answered           it answers later; the answer is delivered to the gateway

No identifier is kept in the clear: the order holds it sealed to this source, the answer holds
documents sealed to the recipient. Every decision that two tasks could race for is one transaction.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeVar

from adapters.kit.order_refused import OrderRefused, OtherBytes
from adapters.protocol import Category

State = Literal["received", "waiting", "answered"]
_T = TypeVar("_T")

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS orders (
    exchange        TEXT PRIMARY KEY,
    order_digest    TEXT NOT NULL UNIQUE,
    request_jti     TEXT NOT NULL UNIQUE,   -- a signed request serves one exchange
    facts           TEXT NOT NULL,          -- what verification established, identifier sealed
    state           TEXT NOT NULL CHECK (state IN ('received', 'waiting', 'answered')),
    answer          TEXT,                   -- the Answer as it goes over the wire
    received_at     INTEGER NOT NULL,
    due_at          INTEGER,                -- when the agency said to ask again, or to retry
    attempts        INTEGER NOT NULL DEFAULT 0,
    expires_at      INTEGER NOT NULL,       -- the order's: nothing leaves from then on
    forget_at       INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS orders_due ON orders (state, due_at);
-- Also of orders that have not come yet: a cancellation may overtake its order.
CREATE TABLE IF NOT EXISTS cancelled (
    exchange        TEXT NOT NULL,
    category        TEXT NOT NULL,
    forget_at       INTEGER NOT NULL,
    PRIMARY KEY (exchange, category)
);
-- The newest key list seen of each party, so that a restart does not let an old one in.
CREATE TABLE IF NOT EXISTS key_lists (
    party           TEXT PRIMARY KEY,
    serial          INTEGER NOT NULL
);
-- Versions of the agreement as they were admitted, in that order: what proves each, to be verified anew.
CREATE TABLE IF NOT EXISTS agreements (
    place           INTEGER PRIMARY KEY,
    digest          TEXT NOT NULL UNIQUE,
    package         TEXT NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """One row of `orders`, with what was cancelled of it."""

    exchange: str
    digest: str
    facts: str = field(repr=False)
    state: State
    answer: str | None = field(repr=False)
    due_at: int | None
    attempts: int
    expires_at: int
    cancelled: frozenset[Category]


class OrderStore:
    """All methods are coroutines that run one transaction on a thread; durable on return."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made by us first, so that the file is never readable to others for even a moment.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._lock = threading.Lock()
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "busy_timeout=5000"):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    async def remember(
        self,
        *,
        exchange: str,
        digest: str,
        request_jti: str,
        facts: str,
        now: int,
        expires_at: int,
        forget_at: int,
    ) -> StoredOrder:
        """Insert if absent, and return what stands under this exchange.

        Raises OtherBytes when that is another order, OrderRefused `request_replayed` when the signed
        request already served another exchange.
        """

        def work(connection: sqlite3.Connection) -> StoredOrder:
            connection.execute(
                "INSERT OR IGNORE INTO orders (exchange, order_digest, request_jti, facts, state,"
                " received_at, expires_at, forget_at) VALUES (?, ?, ?, ?, 'received', ?, ?, ?)",
                (exchange, digest, request_jti, facts, now, expires_at, forget_at),
            )
            stored = _find(connection, "exchange", exchange)
            if stored is None:
                raise OrderRefused("request_replayed")
            if stored.digest != digest:
                raise OtherBytes
            return stored

        return await self._run(work)

    async def by_digest(self, digest: str) -> StoredOrder | None:
        """Find an order that was verified before, by its bytes."""
        return await self._run(lambda connection: _find(connection, "order_digest", digest))

    async def by_exchange(self, exchange: str) -> StoredOrder | None:
        """Find an order by its exchange."""
        return await self._run(lambda connection: _find(connection, "exchange", exchange))

    async def cancel(
        self, exchange: str, categories: Collection[Category], *, forget_at: int
    ) -> StoredOrder | None:
        """Remember that these categories lost their ground; return the order as it stood before."""

        def work(connection: sqlite3.Connection) -> StoredOrder | None:
            stored = _find(connection, "exchange", exchange)
            connection.executemany(
                "INSERT OR IGNORE INTO cancelled (exchange, category, forget_at) VALUES (?, ?, ?)",
                [(exchange, category.value, forget_at) for category in categories],
            )
            return stored

        return await self._run(work)

    async def keep_answer(
        self, exchange: str, answer: str, *, provided: Collection[Category], instead_of: str | None
    ) -> bool:
        """Keep an answer in the place of `instead_of`; False when the world moved on: look again.

        It moved on when another answer stands there, or when a category that the answer provides was
        cancelled meanwhile: such an answer is never kept, hence never sent.
        """

        def work(connection: sqlite3.Connection) -> bool:
            if _cancelled(connection, exchange) & set(provided):
                return False
            changed = connection.execute(
                "UPDATE orders SET answer = ?, attempts = 0,"
                " state = CASE state WHEN 'received' THEN 'answered' ELSE state END"
                " WHERE exchange = ? AND answer IS ?",
                (answer, exchange, instead_of),
            )
            return changed.rowcount == 1

        return await self._run(work)

    async def wait(self, exchange: str, *, due_at: int) -> None:
        """Note that the agency answers later, and that we told the gateway so."""
        await self._write(
            "UPDATE orders SET state = 'waiting', due_at = ? WHERE exchange = ? AND answer IS NULL",
            (due_at, exchange),
        )

    async def postpone(self, exchange: str, *, due_at: int) -> None:
        """Note a failed attempt to finish a waiting order."""
        await self._write(
            "UPDATE orders SET due_at = ?, attempts = attempts + 1 WHERE exchange = ? AND state = 'waiting'",
            (due_at, exchange),
        )

    async def settle(self, exchange: str) -> None:
        """Note that the gateway has the answer, or wants none."""
        await self._write(
            "UPDATE orders SET state = 'answered', due_at = NULL WHERE exchange = ?", (exchange,)
        )

    async def due(self, now: int, *, limit: int) -> list[str]:
        """Name the waiting orders whose moment has come, the longest due first."""
        query = "SELECT exchange FROM orders WHERE state = 'waiting' AND due_at <= ? ORDER BY due_at LIMIT ?"
        return await self._run(
            lambda connection: [row["exchange"] for row in connection.execute(query, (now, limit))]
        )

    async def forget(self, now: int) -> None:
        """Delete answers whose order has expired, and rows whose request can no longer be replayed."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE orders SET answer = NULL, state = 'answered', due_at = NULL WHERE expires_at <= ?",
                (now,),
            )
            connection.execute("DELETE FROM orders WHERE forget_at <= ?", (now,))
            connection.execute("DELETE FROM cancelled WHERE forget_at <= ?", (now,))

        await self._run(work)

    async def newest_serial(self, party: str, serial: int) -> int:
        """Remember the serial of a verified key list; return the highest seen of this party."""

        def work(connection: sqlite3.Connection) -> int:
            connection.execute(
                "INSERT INTO key_lists (party, serial) VALUES (?, ?)"
                " ON CONFLICT (party) DO UPDATE SET serial = max(serial, excluded.serial)",
                (party, serial),
            )
            found = connection.execute("SELECT serial FROM key_lists WHERE party = ?", (party,)).fetchone()
            return int(found["serial"])

        return await self._run(work)

    async def keep_agreement(self, digest: str, package: str, *, unless_kept: bool = False) -> None:
        """Keep what proves a version, in the place of what was kept of it before."""
        instead = "NOTHING" if unless_kept else "UPDATE SET package = excluded.package"
        await self._write(
            f"INSERT INTO agreements (digest, package) VALUES (?, ?) ON CONFLICT (digest) DO {instead}",  # noqa: S608 -- one of two literals
            (digest, package),
        )

    async def agreements(self) -> list[tuple[str, str]]:
        """Return digest and package of every version kept, the first admitted first."""
        query = "SELECT digest, package FROM agreements ORDER BY place"
        return await self._run(
            lambda connection: [(row["digest"], row["package"]) for row in connection.execute(query)]
        )

    async def _write(self, statement: str, values: tuple[object, ...]) -> None:
        await self._run(lambda connection: connection.execute(statement, values).rowcount)

    async def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        def locked() -> _T:
            with self._lock, _transaction(self._connection):
                return work(self._connection)

        return await asyncio.to_thread(locked)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _find(
    connection: sqlite3.Connection, column: Literal["exchange", "order_digest"], value: str
) -> StoredOrder | None:
    row = connection.execute(f"SELECT * FROM orders WHERE {column} = ?", (value,)).fetchone()  # noqa: S608 -- one of two literals
    if row is None:
        return None
    return StoredOrder(
        exchange=row["exchange"],
        digest=row["order_digest"],
        facts=row["facts"],
        state=row["state"],
        answer=row["answer"],
        due_at=row["due_at"],
        attempts=row["attempts"],
        expires_at=row["expires_at"],
        cancelled=_cancelled(connection, row["exchange"]),
    )


def _cancelled(connection: sqlite3.Connection, exchange: str) -> frozenset[Category]:
    rows = connection.execute("SELECT category FROM cancelled WHERE exchange = ?", (exchange,))
    return frozenset(Category(row["category"]) for row in rows)
