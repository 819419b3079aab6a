"""Everything that is PostgreSQL's own: one database for any number of gateways.

Writes: one connection per gateway, READ COMMITTED, every transaction beginning with the lock on the
ledger's head, so that each statement after it sees all that was committed before. Reads: a pool,
REPEATABLE READ READ ONLY, so that one read sees one moment.

asyncpg belongs to the event loop it was opened in. The writer's loop runs only while the store's
thread is in `transact`; the readers' loop runs in a thread of its own. Callers may live in any loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import Connection, event, make_url, text
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.clock import Clock, system_clock
from gateway.errors import Unavailable
from gateway.ledger import LedgerDoesNotVerify
from gateway.storage.database import commit_after, only_the_store_commits

T = TypeVar("T")

DRIVER = "postgresql+asyncpg"
# Reads that run at once per gateway; the server's `max_connections` holds this and one for all gateways.
READERS = 8
# A hanging server is noticed by its own clock first, then by ours, then a whole transaction is given up.
STATEMENT_SECONDS = 4
CLIENT_SECONDS = 5
TRANSACTION_SECONDS = 8
# Making or migrating tables at start-up, or waiting for another gateway that does.
PREPARATION_SECONDS = 600
# A caller hears of it at the latest after a transaction that hung before its own, and a new connection.
ANSWERS_WITHIN_SECONDS = 15
# What a gateway that vanished had locked is free after this long.
IDLE_IN_TRANSACTION_SECONDS = 10
# docs/decisions/0004: expiry is compared with the gateways' clocks, so they may not differ by more.
MAX_CLOCK_DIFFERENCE_SECONDS = 5

_SERVER_SETTINGS = {
    "application_name": "dossierpoort",
    "synchronous_commit": "on",
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_SECONDS}s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": "10s",
}
# What "durable on return" stands on. The first two are the server's own; the third we set for each
# connection, whatever role and database say, but a pooler in between may have lost it. Without them COMMIT
# answers before anything is on a disk: after a power cut the ledger would miss what was released.
_DURABLE = {"fsync": ("on",), "full_page_writes": ("on",), "synchronous_commit": ("on", "remote_apply")}
# Of each connection; the hundred that it has otherwise are soon as many as the works say.
_PREPARED_STATEMENTS = 1000
# The writer's loop stands still between groups. A connection closed meanwhile takes it some turns to
# hear of: what the server said last, the end of the stream, and asyncpg's own conclusion.
_LAST_WORDS = 4
_SCHEMA_LOCK = 0x706F6F7274  # "poort"

# SQLSTATE classes: data exception, integrity violation. The work asked for what it may not have.
_OF_THE_WORK = ("22", "23")
# Read-only, disk full, I/O error, damaged: nothing can be recorded, so nothing may leave.
_LEDGER_LOST = ("25006", "53100", "58030", "XX001", "XX002")


class ClockDiffers(Exception):
    """This gateway's clock and the database server's are too far apart."""


class MayForget(Exception):
    """The database server says that something is stored before it is; nobody may write to it."""


class PostgresDatabase:
    """A PostgreSQL server, for one gateway of several (`gateway.storage.database.Database`)."""

    answers_within_seconds: float | None = ANSWERS_WITHIN_SECONDS

    def __init__(self, url: str, writing: AsyncEngine, reading: AsyncEngine) -> None:
        self._url, self._writing, self._reading = url, writing, reading
        self.write_engine, self.read_engine = writing.sync_engine, reading.sync_engine
        self._write_loop = asyncio.new_event_loop()
        self._read_loop = asyncio.new_event_loop()
        self._reader = threading.Thread(target=self._read_loop.run_forever, name="store-reader", daemon=True)
        self._reader.start()

    @classmethod
    def at(cls, url: str, *, clock: Clock = system_clock) -> PostgresDatabase:
        """Name a database; nothing is connected yet. Raise ValueError for another driver."""
        if make_url(url).drivername != DRIVER:
            raise ValueError(f"the database is {DRIVER}://<user>@<host>/<name>")
        writing = _engine(url, connections=1)
        event.listen(writing.sync_engine, "connect", lambda driver, _: _compare_clocks(driver, clock))
        event.listen(writing.sync_engine, "connect", _refuse_forgetful)
        only_the_store_commits(writing.sync_engine)
        reading = _engine(
            url,
            connections=READERS,
            isolation_level="REPEATABLE READ",
            execution_options={"postgresql_readonly": True},
        )
        return cls(url, writing, reading)

    def prepare(self, work: Callable[[Connection], None]) -> None:
        """Do the same with the patience that a migration needs, on a connection of its own."""
        self._write_loop.run_until_complete(self._prepare(work))

    def transact(self, work: Callable[[Connection], None]) -> None:
        """BEGIN, the work, COMMIT, on the one connection; a broken one is replaced first."""
        self._write_loop.run_until_complete(self._transact(work))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run the work in the readers' loop."""
        reading = asyncio.run_coroutine_threadsafe(self._read(work), self._read_loop)
        return await asyncio.wrap_future(reading)

    async def look_up(self, work: Callable[[Connection], T]) -> T:
        """Run the work in the readers' loop too: the database is elsewhere, and may take its time."""
        return await self.read(work)

    def in_transaction(self, conn: Connection) -> bool:
        """A lost connection, or a server that gave up on us, has ended it."""
        if conn.closed or conn.invalidated:
            return False
        driver = conn.connection.driver_connection
        return (
            isinstance(driver, asyncpg.Connection) and not driver.is_closed() and driver.is_in_transaction()
        )

    def is_outage(self, error: BaseException) -> bool:
        """Everything of the database's is an outage but what the work itself asked for."""
        if not isinstance(error, _OF_THE_DATABASE):
            return False
        return not (_sqlstate(error) or "").startswith(_OF_THE_WORK)

    def unavailable(self, error: BaseException) -> Unavailable:
        """Name the failure by its class and SQLSTATE: PostgreSQL's messages hold what is stored."""
        if isinstance(error, LedgerDoesNotVerify):
            return Unavailable("ledger_unavailable", cause=error.reason)
        if isinstance(error, (ClockDiffers, MayForget)):
            return Unavailable("storage_unavailable", cause=str(error))
        state = _sqlstate(error)
        original = (
            error.orig.__cause__ or error.orig if isinstance(error, DBAPIError) and error.orig else error
        )
        cause = " ".join(filter(None, (type(original).__name__, state)))
        if state in _LEDGER_LOST or not isinstance(error, _OF_THE_DATABASE):
            return Unavailable("ledger_unavailable", cause=cause)
        return Unavailable("storage_unavailable", cause=cause)

    def close(self) -> None:
        """End both loops and their connections."""
        self._write_loop.run_until_complete(_dispose(self._writing))
        self._write_loop.close()
        asyncio.run_coroutine_threadsafe(_dispose(self._reading), self._read_loop).result()
        self._read_loop.call_soon_threadsafe(self._read_loop.stop)
        self._reader.join()
        self._read_loop.close()

    async def _prepare(self, work: Callable[[Connection], None]) -> None:
        engine = _engine(self._url, connections=1, patience_seconds=PREPARATION_SECONDS)
        event.listen(engine.sync_engine, "connect", _refuse_forgetful)
        only_the_store_commits(engine.sync_engine)
        try:
            async with engine.connect() as conn:
                await conn.run_sync(commit_after, work)
        finally:
            await engine.dispose()

    async def _transact(self, work: Callable[[Connection], None]) -> None:
        for _ in range(_LAST_WORDS):
            await asyncio.sleep(0)
        async with asyncio.timeout(TRANSACTION_SECONDS), self._writing.connect() as conn:
            try:
                await conn.run_sync(commit_after, work)
            except BaseException:
                # The outcome of a lost COMMIT is unknown: only a new connection knows what is stored.
                await conn.invalidate()
                raise

    async def _read(self, work: Callable[[Connection], T]) -> T:
        async with asyncio.timeout(TRANSACTION_SECONDS), self._reading.connect() as conn:
            return await conn.run_sync(work)


_OF_THE_DATABASE = (
    DBAPIError,
    DisconnectionError,
    PoolTimeout,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,  # and TimeoutError
    ClockDiffers,
    MayForget,
)


def wait_for_turn(conn: Connection) -> None:
    """Let one gateway at a time change the tables, until its transaction ends."""
    conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _SCHEMA_LOCK})


def _engine(
    url: str, *, connections: int, patience_seconds: int = STATEMENT_SECONDS, **more: Any
) -> AsyncEngine:
    limit = f"{patience_seconds}s"
    engine = create_async_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=CLIENT_SECONDS,
        hide_parameters=True,  # an error's text is what someone may log
        connect_args={
            "timeout": CLIENT_SECONDS,
            "command_timeout": patience_seconds + CLIENT_SECONDS - STATEMENT_SECONDS,
            "server_settings": {**_SERVER_SETTINGS, "statement_timeout": limit, "lock_timeout": limit},
            "prepared_statement_cache_size": _PREPARED_STATEMENTS,
        },
        **more,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(driver: Any, _record: object, _proxy: object) -> None:
    # A server that was restarted costs a new connection, not a failed call; no round trip to find out.
    if driver.driver_connection.is_closed():
        raise DisconnectionError


def _compare_clocks(driver: Any, clock: Clock) -> None:
    cursor = driver.cursor()
    before = clock()
    cursor.execute("SELECT floor(extract(epoch FROM clock_timestamp()))::bigint")
    theirs = int(cursor.fetchone()[0])
    after = clock()
    cursor.close()
    driver.rollback()
    if not before - MAX_CLOCK_DIFFERENCE_SECONDS <= theirs <= after + MAX_CLOCK_DIFFERENCE_SECONDS:
        raise ClockDiffers(f"the database's clock differs from this machine's by {theirs - after} seconds")


def _refuse_forgetful(driver: Any, _record: object) -> None:
    cursor = driver.cursor()
    cursor.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in _DURABLE))
    found = dict(zip(_DURABLE, cursor.fetchone(), strict=True))
    cursor.close()
    driver.rollback()
    wrong = [f"{name} is {found[name]}" for name, durable in _DURABLE.items() if found[name] not in durable]
    if wrong:
        raise MayForget(f"the database does not wait for its disk: {', '.join(wrong)}")


def _sqlstate(error: BaseException) -> str | None:
    original = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(original, "sqlstate", None)
    return state if isinstance(state, str) else None


async def _dispose(engine: AsyncEngine) -> None:
    await engine.dispose()
