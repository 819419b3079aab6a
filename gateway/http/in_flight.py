"""Take on no more requests than can be answered, and hold no more of their bytes than was planned.

Beyond the limit a request is turned away before anything is read: a quick 503 keeps the others quick.
Pure ASGI. It also sees to what a request holds until its answer is sent: bodies must arrive, and
answers be taken off, at a minimal speed, or whoever is slow on purpose would fill every place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Unavailable
from gateway.http.problems import problem_response
from gateway.limits import SMALL_BYTES, Full, Room

MAX_IN_FLIGHT = 256
RETRY_AFTER_SECONDS = 1
_ROOM_RETRY_AFTER_SECONDS = 3
# Whoever runs the gateway must be able to ask how it is when nobody else gets in.
_EXEMPT = frozenset({"/livez", "/readyz"})
_SCOPE_KEY = "dossierpoort.in_flight"
# Callers who only wait for a source (`Prefer: wait`) cost a few kilobytes each.
_WAITING_PER_PLACE = 4
_PIECE_BYTES = 256 * 1024
# The slowest line that we wait for: 2 Mbit/s, and what connections and kernels buffer anyway.
_SLOWEST_BYTES_PER_SECOND = 256 * 1024
_GRACE_SECONDS = 15.0


class InFlight:
    """Counts requests, inside `RequestLog`, so that those it turns away are logged too."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app, self.limit = app, limit
        self.count = self.waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request if there is a place."""
        if scope["type"] != "http" or scope["path"] in _EXEMPT:
            await self._app(scope, receive, send)
            return
        if self.count >= self.limit:
            full = Unavailable("overloaded", retry_after_seconds=RETRY_AFTER_SECONDS)
            await problem_response(full)(scope, receive, send)
            return
        self.count += 1
        try:
            async with AsyncExitStack() as until_sent:
                scope[_SCOPE_KEY] = (self, until_sent)
                await self._app(scope, _arriving(receive), _leaving(send))
        finally:
            self.count -= 1


@contextmanager
def stepped_aside(request: Request) -> Iterator[bool]:
    """Give a place back while a caller only waits; False if too many wait already, and it should not."""
    edge: InFlight = request.scope[_SCOPE_KEY][0]
    if edge.waiting >= _WAITING_PER_PLACE * edge.limit:
        yield False
        return
    edge.waiting += 1
    edge.count -= 1
    try:
        yield True
    finally:
        edge.waiting -= 1
        # Taken on long ago, so not turned away now, also if others came meanwhile.
        edge.count += 1


async def hold_room(request: Request, room: Room, holder: str, size: int) -> None:
    """Have room for so many bytes until the answer is sent; raise Unavailable if there is none in time."""
    if size <= SMALL_BYTES:
        return
    until_sent: AsyncExitStack = request.scope[_SCOPE_KEY][1]
    try:
        await until_sent.enter_async_context(room.held(holder, size))
    except Full:
        raise Unavailable("overloaded", retry_after_seconds=_ROOM_RETRY_AFTER_SECONDS) from None


def _seconds_for(size: int) -> float:
    return _GRACE_SECONDS + size / _SLOWEST_BYTES_PER_SECOND


def _arriving(receive: Receive) -> Receive:
    """Treat a body that does not get on as one that breaks off."""
    loop = asyncio.get_running_loop()
    began, got, whole = loop.time(), 0, False

    async def receive_in_time() -> Message:
        nonlocal got, whole
        if whole:
            return await receive()
        try:
            async with asyncio.timeout_at(began + _seconds_for(got)):
                message = await receive()
        except TimeoutError:
            return {"type": "http.disconnect"}
        got += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        return message

    return receive_in_time


def _leaving(send: Send) -> Send:
    """Send a large body in pieces: the server waits between them until the client took what went before.

    In one piece it would lie in the connection's buffer after the request is over, counted by nobody.
    """

    async def send_in_pieces(message: Message) -> None:
        body = message.get("body", b"")
        if message["type"] != "http.response.body" or len(body) <= _PIECE_BYTES:
            await send(message)
            return
        try:
            async with asyncio.timeout(_seconds_for(len(body))):
                for at in range(0, len(body), _PIECE_BYTES):
                    piece = body[at : at + _PIECE_BYTES]
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({**message, "body": b""})
        except TimeoutError:
            # Not an error of ours: the connection is cut, so that nobody takes half for the whole.
            raise ConnectionAbortedError("the client does not take its answer") from None

    return send_in_pieces
