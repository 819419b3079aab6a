"""Stand between the database calls of one request, and see everything that it asks and answers.

A request is a row of calls to the store. A deed is done just before one of them, or a COMMIT fails: that
of the transaction that does the work, in which others may take part, and no other. What a request under
test does not do itself (the dispatcher, an adapter that fetches keys) is not counted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, event
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.ledger.proofs import ledger_size
from gateway.storage.unit_of_work import Store, Transaction
from tests.integration.town import Town

T = TypeVar("T")
Deed = Callable[[], Awaitable[None]]
AtCommit = Callable[[Connection], None]

_watched: ContextVar[bool] = ContextVar("watched", default=False)


@dataclass
class Moments:
    """A store that tells, wrapped around the gateway's own, and an edge that listens."""

    place: Town
    store: Store
    app: ASGIApp
    calls: list[str] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    _method: str = ""
    _path: str = ""
    _number: int = -1
    _deed: Deed | None = None
    _at_commit: AtCommit | None = None

    @classmethod
    @contextmanager
    def of(cls, place: Town) -> Iterator[Moments]:
        """Put it between the gateway and its store, for the length of a `with`."""
        services, edge = place.services, place.gateway.middleware_stack
        assert edge is not None
        moments = cls(place, services.store, edge)
        place.replace_services(replace(services, store=cast("Store", moments)))
        place.gateway.middleware_stack = moments.edge
        try:
            yield moments
        finally:
            place.gateway.middleware_stack = edge
            place.replace_services(services)

    def watch(
        self,
        method: str,
        path: str,
        *,
        number: int = -1,
        deed: Deed | None = None,
        at_commit: AtCommit | None = None,
    ) -> None:
        """Watch the next requests to this address; before call `number` (from 0) do the deed, once.

        `at_commit` is called just before the COMMIT of that call, which is a write, and may fail it.
        """
        self._method, self._path, self._number = method, path, number
        self._deed, self._at_commit = deed, at_commit
        self.calls.clear()
        self.statements.clear()
        self.sent.clear()

    async def ledger_size(self) -> int:
        """Count the entries, unwatched."""
        return await self.store.read(ledger_size)

    # --- the gateway's store, as the gateway sees it -----------------------------------------

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Tell, then write."""
        if not _watched.get():
            return await self.store.write(work)
        at_commit = self._at_commit if len(self.calls) == self._number else None
        await self._before("write")

        def told(tx: Transaction) -> T:
            if at_commit is not None:
                # A connection object serves one transaction, so nobody else's COMMIT is heard.
                event.listen(tx.conn, "commit", at_commit)
            with self._listening(tx.conn):
                return work(tx)

        return await self.store.write(told)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Tell, then read."""
        return await self._read(self.store.read, work)

    async def look_up(self, work: Callable[[Connection], T]) -> T:
        """Tell, then look it up."""
        return await self._read(self.store.look_up, work)

    async def _read(
        self, read: Callable[[Callable[[Connection], T]], Awaitable[T]], work: Callable[[Connection], T]
    ) -> T:
        if not _watched.get():
            return await read(work)
        await self._before("read")

        def told(conn: Connection) -> T:
            with self._listening(conn):
                return work(conn)

        return await read(told)

    async def _before(self, kind: str) -> None:
        number = len(self.calls)
        self.calls.append(kind)
        if number == self._number and self._deed is not None:
            deed, self._deed = self._deed, None
            unwatched = _watched.set(False)
            try:
                await deed()
            finally:
                _watched.reset(unwatched)

    @contextmanager
    def _listening(self, conn: Connection) -> Iterator[None]:
        def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
            self.statements.append(statement)

        event.listen(conn, "before_cursor_execute", note)
        try:
            yield
        finally:
            event.remove(conn, "before_cursor_execute", note)

    # --- the edge ----------------------------------------------------------------------------

    async def edge(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, watched if it is the one that was named."""
        wanted = (self._method, self._path)
        if scope["type"] != "http" or (scope["method"], scope["path"]) != wanted:
            await self.app(scope, receive, send)
            return

        async def send_and_note(message: Message) -> None:
            self.sent.append(message)
            await send(message)

        watched = _watched.set(True)
        try:
            await self.app(scope, receive, send_and_note)
        finally:
            _watched.reset(watched)
