"""Everything that is SQLite's own. PostgreSQL's is in `postgresql`.

One connection writes, others read: WAL lets them not wait for each other. `synchronous=FULL` makes
COMMIT wait for the disk, so that what is committed survives a power cut.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DatabaseError, DBAPIError, InternalError, OperationalError, SQLAlchemyError

from gateway.errors import Unavailable
from gateway.ledger import LedgerDoesNotVerify
from gateway.storage.database import commit_after, only_the_store_commits

T = TypeVar("T")

# How long SQLite waits for another process (a backup, an operator's shell) before it gives up.
BUSY_TIMEOUT_MS = 10_000
# Reads that run at once; each has a thread and a connection. One connection more is for looking up.
READERS = 4

_DURABLE = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
)
# The file cannot be written or read: nothing can be recorded, so nothing may leave.
_LEDGER_LOST = ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTADB")


class SqliteDatabase:
    """A file of this machine, for one gateway (`gateway.storage.database.Database`)."""

    answers_within_seconds: float | None = None

    def __init__(self, write_engine: Engine, read_engine: Engine) -> None:
        self.write_engine = write_engine
        self.read_engine = read_engine
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")

    @classmethod
    def at(cls, url: str, *, create: bool) -> SqliteDatabase:
        """Name a database file and make it if it may be made; raise Unavailable if it is not there."""
        if not create and not database_file(url).exists():
            raise Unavailable("storage_unavailable", cause="there is no database file")
        return cls(writing_engine(url), reading_engine(url))

    def prepare(self, work: Callable[[Connection], None]) -> None:
        """Nothing limits a transaction's time here."""
        self.transact(work)

    def transact(self, work: Callable[[Connection], None]) -> None:
        """BEGIN IMMEDIATE, the work, COMMIT."""
        with self.write_engine.connect() as conn:
            try:
                commit_after(conn, work)
            except BaseException:
                # Only a closed connection is certain to hold neither a lock nor half a transaction.
                conn.invalidate()
                raise

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run the work in a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read_once, work)

    async def look_up(self, work: Callable[[Connection], T]) -> T:
        """Run the work here and now: to change threads takes as long as a few rows do."""
        return self._read_once(work)

    def in_transaction(self, conn: Connection) -> bool:
        """A full disk ends the whole transaction."""
        driver = conn.connection.driver_connection
        return isinstance(driver, sqlite3.Connection) and driver.in_transaction

    def is_outage(self, error: BaseException) -> bool:
        """A damaged file is reported as the base class itself."""
        return isinstance(error, (OperationalError, InternalError)) or type(error) is DatabaseError

    def unavailable(self, error: BaseException) -> Unavailable:
        """Name the failure as SQLite does."""
        return unavailable(error)

    def close(self) -> None:
        """Wait for the readers, then close the file."""
        self._readers.shutdown(wait=True)
        self.read_engine.dispose()
        self.write_engine.dispose()

    def _read_once(self, work: Callable[[Connection], T]) -> T:
        with self.read_engine.connect() as conn:
            return work(conn)


def database_file(url: str) -> Path:
    """Return the file of a `sqlite:///…` URL; raise ValueError for any other URL and for `:memory:`."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise ValueError("the database is a file of its own: sqlite:///<path>")
    return Path(str(parsed.database))


def writing_engine(url: str) -> Engine:
    """Make the engine of the one writer: each transaction takes the write lock when it begins."""
    path = database_file(url)
    if not path.exists():
        # SQLite gives its WAL and shared-memory files the mode of the database.
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    engine = create_engine(url, pool_size=1, max_overflow=0, connect_args={"check_same_thread": False})
    _on_connect(engine, *_DURABLE)
    event.listen(engine, "begin", lambda conn: conn.exec_driver_sql("BEGIN IMMEDIATE"))
    only_the_store_commits(engine)
    return engine


def reading_engine(url: str) -> Engine:
    """Make the engine of the readers: each transaction sees one moment, and cannot write."""
    engine = create_engine(
        url, pool_size=READERS + 1, max_overflow=0, connect_args={"check_same_thread": False}
    )
    _on_connect(engine, f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}", "PRAGMA query_only = ON")
    event.listen(engine, "begin", lambda conn: conn.exec_driver_sql("BEGIN"))
    return engine


def unavailable(error: BaseException) -> Unavailable:
    """Translate what the database or the ledger raised; `cause` is for operators and holds no value."""
    if isinstance(error, LedgerDoesNotVerify):
        return Unavailable("ledger_unavailable", cause=error.reason)
    original = error.orig if isinstance(error, DBAPIError) else error
    name = getattr(original, "sqlite_errorname", type(original).__name__)
    # Never the statement or its parameters: those are what is stored.
    cause = f"{name}: {original}" if isinstance(original, sqlite3.Error) else name
    if name.startswith(_LEDGER_LOST) or not isinstance(error, (SQLAlchemyError, sqlite3.Error)):
        return Unavailable("ledger_unavailable", cause=cause)
    return Unavailable("storage_unavailable", cause=cause)


def _on_connect(engine: Engine, *pragmas: str) -> None:
    def set_up(driver: Any, _record: object) -> None:
        driver.isolation_level = None  # else the driver begins and commits at moments of its own
        for pragma in pragmas:
            driver.execute(pragma)

    event.listen(engine, "connect", set_up)
