"""Make writes durable, many at a time, each with its ledger entries or not at all.

    BEGIN → lock the head → every work in its own SAVEPOINT → tiles, signed head → COMMIT → results

One thread writes. It takes what is waiting, up to `GROUP` works, into one transaction: the disk is
waited for once per group. Nobody is told of a result before COMMIT (promise 4: no record, no release).
The lock comes first, also for works that append nothing: so everything that any gateway writes or
compares happens in one order. SQLite locks the file with BEGIN IMMEDIATE, PostgreSQL the head's row.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, make_url

from gateway.errors import Unavailable
from gateway.ledger import LedgerDoesNotVerify
from gateway.ledger.append import Appender, check_edge, start
from gateway.ledger.checkpoint import LedgerSigner
from gateway.ledger.tiles import MAX_ENTRY_BYTES
from gateway.storage.database import Database
from gateway.storage.engine import SqliteDatabase
from gateway.storage.migrations import bring_up_to_date

T = TypeVar("T")

# Works per COMMIT. Beyond this the wait for the disk is a small part of the whole.
GROUP = 64
# Works that may wait. More than the writer does in a second: better refused at once than late.
MAX_WAITING = 4096


class Transaction:
    """What a work is given: a connection, and the end of the ledger. Valid only while the work runs.

    A work MUST return plain values (rows read out, no cursors). It MUST NOT commit, block on anything
    but the database, catch errors of the database except IntegrityError, go on after that one
    (PostgreSQL refuses everything up to the savepoint's end), or do anything that cannot be undone:
    it may be rolled back after it returned.
    """

    def __init__(self, conn: Connection, next_index: int) -> None:
        self.conn = conn
        self._next_index = next_index
        self._entries: list[bytes] = []
        self._open = True

    def append(self, entry: bytes) -> int:
        """Add a leaf and return its index. True only once the work is committed."""
        if not self._open:
            raise RuntimeError("this transaction is over")
        if not 0 < len(entry) <= MAX_ENTRY_BYTES:
            raise ValueError("an entry has 1 to 65535 bytes")
        self._entries.append(entry)
        return self._next_index + len(self._entries) - 1

    def _close(self) -> list[bytes]:
        self._open = False
        return self._entries


@dataclass(slots=True)
class _Waiting:
    work: Callable[[Transaction], Any]
    results: _Results
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None
    given_up: bool = False  # its caller was told that the database does not answer


class Store:
    """The database: one writer, several readers. Safe to use from any number of tasks and loops."""

    def __init__(self, database: Database, appender: Appender) -> None:
        self._database = database
        self._appender = appender
        self._waiting: queue.Queue[_Waiting | None] = queue.Queue()
        self._results: dict[asyncio.AbstractEventLoop, _Results] = {}
        self._accepting = True
        self._gate = threading.Lock()
        self._writer = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._writer.start()

    @property
    def _write_engine(self) -> Engine:
        return self._database.write_engine

    @classmethod
    def open(cls, url: str, *, ledger: LedgerSigner, create: bool = True) -> Store:
        """Open the database, bring its tables up to date, and prove the end of the ledger.

        An empty database gets all tables at once, stamped as migrated; with `create=False` it is an
        error. Several gateways may open one PostgreSQL at once: the first does the work.
        Raise LedgerDoesNotVerify where ledger and checkpoint differ: such a gateway must not start.
        Raise Unavailable where the database cannot be used, ValueError for a URL of no kind we know.
        """
        database = _database(url, create=create)
        # In a thread of its own: whoever opens a store may be running an event loop.
        with ThreadPoolExecutor(1, thread_name_prefix="store-opener") as aside:
            try:
                aside.submit(_prepare, database, ledger, create).result()
            except BaseException as error:
                aside.submit(database.close).result()
                if isinstance(error, (LedgerDoesNotVerify, Unavailable)) or not database.is_outage(error):
                    raise
                raise database.unavailable(error) from error
        return cls(database, Appender(ledger))

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on the writer's thread; on return everything it wrote and appended is durable.

        Raise what the work raised: then nothing of it remains, and others of its group are untouched.
        Raise Unavailable where the transaction could not be committed, or where the database does not
        answer in time: then nothing of the group is *released*, though it may turn out to be stored.
        Cancelling the caller does not cancel the work: it may still commit. Whoever needs to know
        makes the work idempotent and asks again.
        """
        loop = asyncio.get_running_loop()
        with self._gate:
            if not self._accepting:
                raise Unavailable("storage_unavailable", cause="the store is closed")
            if self._waiting.qsize() >= MAX_WAITING:
                cause = "too many writes are waiting"
                raise Unavailable("storage_unavailable", cause=cause, retry_after_seconds=1)
            results = self._results.setdefault(loop, _Results(loop))
            waiting = _Waiting(work, results, loop.create_future())
            self._waiting.put(waiting)
        result: T = await self._answer_to(waiting)
        return result

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` over one consistent moment of the database, not older than this call.

        It cannot write. Raise what the work raised, and Unavailable where the database cannot be read.
        """
        return await self._read(self._database.read, work)

    async def look_up(self, work: Callable[[Connection], T]) -> T:
        """Do as `read` does, sooner. The work MUST be short: a few rows, found by their keys.

        On SQLite it holds up the event loop, for less time than a change of threads and back takes.
        """
        return await self._read(self._database.look_up, work)

    async def _read(
        self,
        read: Callable[[Callable[[Connection], T]], Awaitable[T]],
        work: Callable[[Connection], T],
    ) -> T:
        if not self._accepting:
            raise Unavailable("storage_unavailable", cause="the store is closed")
        try:
            return await read(work)
        except Exception as error:
            if self._database.is_outage(error):
                raise self._database.unavailable(error) from error
            if isinstance(error, RuntimeError) and not self._accepting:
                raise Unavailable("storage_unavailable", cause="the store is closed") from error
            raise

    def close(self) -> None:
        """Finish what is waiting, then let go of the database. Later calls raise Unavailable."""
        with self._gate:
            already = not self._accepting
            self._accepting = False
            if not already:
                self._waiting.put(None)
        self._writer.join()
        if not already:
            with ThreadPoolExecutor(1, thread_name_prefix="store-closer") as aside:
                aside.submit(self._database.close).result()

    async def _answer_to(self, waiting: _Waiting) -> Any:
        if self._database.answers_within_seconds is None:
            return await waiting.future
        try:
            async with asyncio.timeout(self._database.answers_within_seconds) as scope:
                return await waiting.future
        except TimeoutError:
            if not scope.expired():
                raise  # the work's own
            waiting.given_up = True
            raise Unavailable("storage_unavailable", cause="no answer in time") from None

    # --- the writer's thread -----------------------------------------------------------------

    def _run(self) -> None:
        while group := self._next_group():
            try:
                self._commit(group)
            except BaseException as error:  # whatever happens, this thread goes on: all writes need it
                # COMMIT failed or its outcome is unknown: the next head read from the file decides.
                self._appender.forget()
                for waiting in group:
                    waiting.result, waiting.error = None, self._database.unavailable(error)
                    waiting.error.__cause__ = error
            _tell(group)

    def _next_group(self) -> list[_Waiting]:
        first = self._waiting.get()
        group: list[_Waiting] = []
        while first is not None:
            group.append(first)
            if len(group) == GROUP:
                return group
            try:
                first = self._waiting.get_nowait()
            except queue.Empty:
                return group
        # Closing: what was taken before the end mark is still done; the mark goes back for the next turn.
        if group:
            self._waiting.put(None)
        return group

    def _commit(self, group: list[_Waiting]) -> None:
        """Do the works that someone still waits for, in one transaction."""
        wanted = [waiting for waiting in group if not waiting.given_up]
        if wanted:
            self._database.transact(partial(self._transact, wanted))

    def _transact(self, group: list[_Waiting], conn: Connection) -> None:
        first = self._appender.begin(conn)
        entries: list[bytes] = []
        for waiting in group:
            entries += self._perform(conn, waiting, first + len(entries))
        if entries:
            self._appender.flush(conn, entries)

    def _perform(self, conn: Connection, waiting: _Waiting, next_index: int) -> list[bytes]:
        """Run one work in its savepoint; return the leaves that remain of it."""
        tx = Transaction(conn, next_index)
        # As text: SQLAlchemy's own compiles each anew, at the price of a row, four times in an answer.
        conn.exec_driver_sql("SAVEPOINT work")
        try:
            waiting.result = waiting.work(tx)
            conn.exec_driver_sql("RELEASE SAVEPOINT work")
            return tx._close()
        except Exception as raised:
            tx._close()
            waiting.result, waiting.error = None, raised
            if self._database.is_outage(raised):
                waiting.error = self._database.unavailable(raised)
                waiting.error.__cause__ = raised
            if not self._database.in_transaction(conn):
                raise  # a full disk ended the whole transaction, so the whole group fails
            conn.exec_driver_sql("ROLLBACK TO SAVEPOINT work")
            conn.exec_driver_sql("RELEASE SAVEPOINT work")
            return []


def _database(url: str, *, create: bool) -> Database:
    if make_url(url).get_backend_name() == "postgresql":
        # Imported only where it is used: it brings SQLAlchemy's other half, and a driver.
        from gateway.storage.postgresql import PostgresDatabase

        return PostgresDatabase.at(url)
    return SqliteDatabase.at(url, create=create)


def _prepare(database: Database, ledger: LedgerSigner, create: bool) -> None:
    # Only new tables get an empty ledger: a head that is gone is a ledger that was cut off.
    begin_ledger = (lambda conn: start(conn, ledger)) if create else None
    database.prepare(lambda conn: bring_up_to_date(conn, start=begin_ledger))
    database.prepare(lambda conn: check_edge(conn, ledger.key))


def _tell(group: list[_Waiting]) -> None:
    """Hand results to the loops that wait for them."""
    for results in {waiting.results for waiting in group}:
        results.add([waiting for waiting in group if waiting.results is results])


class _Results:
    """What one loop is told: one result in each of its turns, in the order of the commits.

    Whoever gets one goes on to compute for milliseconds. Between turns the loop hears what comes in, or all
    of it, also who only has to be told that there is too much, would wait until everybody is through.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ready: deque[_Waiting] = deque()

    def add(self, group: list[_Waiting]) -> None:
        """Tell these next; in any thread. A loop that is gone waits for nothing."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._add, group)

    def _add(self, group: list[_Waiting]) -> None:
        idle = not self._ready
        self._ready.extend(group)
        if idle:
            self._tell_one()

    def _tell_one(self) -> None:
        waiting = self._ready[0]
        if not waiting.future.done():  # unless its caller was cancelled
            if waiting.error is not None:
                waiting.future.set_exception(waiting.error)
            else:
                waiting.future.set_result(waiting.result)
        self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._ready.popleft()
        if self._ready:
            self._tell_one()
