"""Fail points: named places of a gateway, around its real parts, at which something may be done to it.

The product knows nothing of them. Whoever composes the gateway for a test wraps its store, its sources
and its edge, and passes in what is to happen (`Strike`); the default is nothing.

    write <work>    before it is handed to the store | within: all done, not committed | after COMMIT
    send <message>  before it leaves for the source  | after its answer is here
    respond         before the first byte            | after the last
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Unavailable
from gateway.storage.unit_of_work import Store, Transaction

T = TypeVar("T")
Place = Literal["before", "within", "after", "late"]
_PLAIN = re.compile("[a-z0-9-]{0,20}")
Strike = Callable[[str, int, Place], None]  # the point's name, the how-manieth time, and where


class Turns:
    """Counts how often each point was passed, and lets `strike` act."""

    def __init__(self, strike: Strike) -> None:
        self.strike = strike
        self.passed: Counter[str] = Counter()

    def next(self, name: str) -> Callable[[Place], None]:
        """Begin a passage of a point; what is returned is called at each place of it."""
        self.passed[name] += 1
        return partial(self.strike, name, self.passed[name])


class PointedStore:
    """A store with a point around every write, and one around every read."""

    def __init__(self, store: Store, turns: Turns, *, late_seconds: float = 0.2) -> None:
        self._store, self._turns, self._late_seconds = store, turns, late_seconds
        self._running: set[asyncio.Task[Any]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        turn = self._turns.next(f"write {_name(work)}")
        turn("before")

        def working(tx: Transaction) -> T:
            result = work(tx)
            turn("within")
            return result

        try:
            turn("late")
        except Unavailable:
            # The caller gave up, and the database did not: it is stored when nobody waits any more.
            self._keep(asyncio.create_task(self._later(working)))
            raise
        result = await self._store.write(working)
        turn("after")
        return result

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._read(self._store.read, work)

    async def look_up(self, work: Callable[[Connection], T]) -> T:
        return await self._read(self._store.look_up, work)

    async def _read(
        self, read: Callable[[Callable[[Connection], T]], Awaitable[T]], work: Callable[[Connection], T]
    ) -> T:
        turn = self._turns.next(f"read {_name(work)}")
        turn("before")
        result = await read(work)
        turn("after")
        return result

    async def quiet(self) -> None:
        """Wait for what was stored late."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _later(self, work: Callable[[Transaction], Any]) -> None:
        await asyncio.sleep(self._late_seconds)
        await self._store.write(work)

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._running.add(task)
        task.add_done_callback(self._running.discard)


class PointedSources:
    """The way to the sources, with a point around everything that is sent."""

    def __init__(self, sources: Any, turns: Turns) -> None:
        self._sources, self._turns = sources, turns

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sources, name)

    async def send_order(self, *what: Any, **more: Any) -> Any:
        return await self._send("send order", self._sources.send_order(*what, **more))

    async def send_cancellation(self, *what: Any, **more: Any) -> Any:
        return await self._send("send cancellation", self._sources.send_cancellation(*what, **more))

    async def _send(self, name: str, sending: Awaitable[T]) -> T:
        turn = self._turns.next(name)
        turn("before")
        result = await sending
        turn("after")
        return result


class PointedEdge:
    """The gateway's application, with a point around every answer under /v1 and at the token endpoint."""

    def __init__(self, app: ASGIApp, turns: Turns) -> None:
        self._app, self._turns = app, turns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "/v1/ledger" in scope["path"]:
            await self._app(scope, receive, send)
            return
        turn = self._turns.next(f"respond {scope['method']} {_route(scope['path'])}")

        async def pointed(message: Message) -> None:
            if message["type"] == "http.response.start":
                turn("before")
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                turn("after")

        await self._app(scope, receive, pointed)


def _name(work: Callable[..., Any]) -> str:
    """Name a work by the function that made it."""
    plain = work.func if isinstance(work, partial) else work
    module = plain.__module__.rpartition(".")[2]
    return f"{module}.{plain.__qualname__.partition('.<locals>')[0]}"


def _route(path: str) -> str:
    """Leave out of a path what is of one exchange only."""
    return "/".join(part for part in path.split("/") if _PLAIN.fullmatch(part))
