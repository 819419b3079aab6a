"""Everything that is SQLite's own. A second database is a second set of these functions.

One connection writes, others read: WAL lets them not wait for each other. `synchronous=FULL` makes
COMMIT wait for the disk, so that what is committed survives a power cut.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DatabaseError, DBAPIError, InternalError, OperationalError, SQLAlchemyError

from gateway.errors import Unavailable
from gateway.ledger import LedgerDoesNotVerify

# How long SQLite waits for another process (a backup, an operator's shell) before it gives up.
BUSY_TIMEOUT_MS = 10_000
# Reads that run at once; each has a thread and a connection.
READERS = 4

_DURABLE = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
)
# The file cannot be written or read: nothing can be recorded, so nothing may leave.
_LEDGER_LOST = ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTADB")
_MAY_COMMIT = "the store commits"


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
    event.listen(engine, "commit", _only_the_store_commits)
    return engine


def reading_engine(url: str) -> Engine:
    """Make the engine of the readers: each transaction sees one moment, and cannot write."""
    engine = create_engine(url, pool_size=READERS, max_overflow=0, connect_args={"check_same_thread": False})
    _on_connect(engine, f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}", "PRAGMA query_only = ON")
    event.listen(engine, "begin", lambda conn: conn.exec_driver_sql("BEGIN"))
    return engine


def allow_commit(conn: Connection) -> None:
    """Let the next COMMIT of a writing connection pass."""
    conn.info[_MAY_COMMIT] = True


def in_transaction(conn: Connection) -> bool:
    """Ask the database itself: it ends a transaction on its own when the disk fails."""
    driver = conn.connection.driver_connection
    return isinstance(driver, sqlite3.Connection) and driver.in_transaction


def is_outage(error: BaseException) -> bool:
    """Tell a database that fails from a work that asks for what its constraints forbid."""
    # A damaged file is reported as the base class itself.
    return isinstance(error, (OperationalError, InternalError)) or type(error) is DatabaseError


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


def _only_the_store_commits(conn: Connection) -> None:
    # A work that committed by itself would make its writes durable without their ledger entries.
    if not conn.info.pop(_MAY_COMMIT, False):
        raise RuntimeError("a work does not commit: the store does, for the whole group")
