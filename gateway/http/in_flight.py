"""Take on no more requests than can be answered, and hold no more of their bytes than was planned.

    without a token: a small pool, and only while the gateway works, not while a body comes or an answer goes
    with one:        the places; a quarter of them for one party, expected by a token that was verified before

Beyond a limit a request is turned away before anything is read: a quick 503 keeps the others quick.
Pure ASGI. It also sees to what a request holds until its answer is sent: bodies must arrive, and
answers be taken off, at a minimal speed, or whoever is slow on purpose would fill every place.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Final

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.kit import jose
from gateway.errors import Unavailable
from gateway.http.problems import problem_response
from gateway.limits import BETWEEN, SMALL_BYTES, Between, Full, Room, spread

# Spread over the callers, so that they do not come back together.
RETRY_AFTER_SECONDS = 2
_ROOM_RETRY_AFTER_SECONDS = 4
# Where the protocol leaves how to cut a connection: `close` waits for a client to read what it never reads.
ABORT_SCOPE_KEY: Final = "dossierpoort.abort"
# Whoever runs the gateway must be able to ask how it is when nobody else gets in.
_EXEMPT = frozenset({"/livez", "/readyz"})
_SCOPE_KEY = "dossierpoort.in_flight"
# One part of the places for one party; as many more, beside them, for all who call without a token.
_SHARE = 4
# Callers who only wait for a source (`Prefer: wait`) cost a few kilobytes each.
_WAITING_PER_PLACE = 4
_PIECE_BYTES = 256 * 1024
# The slowest line that we wait for: 2 Mbit/s, and what connections and kernels buffer anyway.
_SLOWEST_BYTES_PER_SECOND = 256 * 1024
_GRACE_SECONDS = 15.0


class _Place:
    """What one request has until it ends; of a caller nobody knows, only while the gateway works for it."""

    def __init__(
        self, edge: InFlight, until_sent: AsyncExitStack, *, presents_token: bool, expected: str | None
    ) -> None:
        """`expected`: whose token it is. It counts for that party, which is known once it has proven it."""
        self.edge, self.until_sent = edge, until_sent
        self.party: str | None = None
        self._presents_token, self._expected, self._taken = presents_token, expected, False

    def take(self) -> None:
        """Take a place; raise Unavailable if there is none. Only who is known already is never refused."""
        edge = self.edge
        if self.party is None:
            if edge.count >= edge.limit if self._presents_token else edge.unknown >= edge.share:
                raise edge.full()
            if self._expected is not None and edge.of[self._expected] >= edge.share:
                raise edge.full()
        self._count(1)

    def give_back(self) -> None:
        """Give the place back, if the request has it."""
        if self._taken:
            self._count(-1)

    def belong_to(self, party: str) -> None:
        """Count for this party from now on; raise Unavailable if it has its share already."""
        if party != self._expected and self.edge.of[party] >= self.edge.share:
            raise self.edge.full()
        self.give_back()
        self.party = party
        self._count(1)

    def _count(self, one: int) -> None:
        self._taken = one > 0
        if self.party is None and not self._presents_token:
            self.edge.unknown += one
            return
        self.edge.count += one
        if (party := self.party or self._expected) is not None:
            _add(self.edge.of, party, one)


class InFlight:
    """Counts requests, inside `RequestLog`, so that those it turns away are logged too."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limit: int,
        party_of: Callable[[str], str | None],
        between: Between = BETWEEN,
    ) -> None:
        """`limit`: requests with a token. `between` picks a number from a range, ends included.

        `party_of`: whose a token is that was verified before, from memory. To verify costs as much as to
        answer: a party that is full must be told before it, or those turned away slow down all others.
        """
        self._app, self._party_of, self._between = app, party_of, between
        self.limit, self.share = limit, max(1, limit // _SHARE)
        self.count = self.unknown = 0
        self.of: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request if there is a place."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] in _EXEMPT:
            await self._app(scope, receive, _leaving(scope, send))
            return
        tokens = [
            value.partition(b" ")[2].decode("latin-1")
            for name, value in scope["headers"]
            if name == b"authorization"
        ]
        expected = self._party_of(tokens[0]) if tokens else None
        async with AsyncExitStack() as until_sent:
            place = _Place(self, until_sent, presents_token=bool(tokens), expected=expected)
            send = _leaving(scope, send, place)
            try:
                if tokens and expected is None and self._says_it_is_full(tokens[0]):
                    raise self.full()
                place.take()
            except Unavailable as full:
                await problem_response(full)(scope, receive, send)
                return
            until_sent.callback(place.give_back)
            scope[_SCOPE_KEY] = place
            await self._app(scope, _arriving(receive, place), send)

    def full(self, seconds: int = RETRY_AFTER_SECONDS) -> Unavailable:
        """Make what a caller is told who is turned away."""
        return Unavailable("overloaded", retry_after_seconds=spread(seconds, self._between))

    def _says_it_is_full(self, unverified_token: str) -> bool:
        """Tell by what the token says itself whether it would be in vain: it names only whoever sends it."""
        full = {party for party, count in self.of.items() if count >= self.share}
        if not full:
            return False
        try:
            claims = jose.unverified_payload(unverified_token)
        except jose.JoseError:
            return False
        named = claims.get("sub")
        return isinstance(named, str) and named in full

    def wait(self, party: str) -> bool:
        """Count a caller who only waits; False if too many do, of this party or of all together."""
        most = _WAITING_PER_PLACE * self.limit
        if self._waiting.total() >= most or self._waiting[party] >= max(1, most // _SHARE):
            return False
        _add(self._waiting, party, 1)
        return True

    def wait_no_longer(self, party: str) -> None:
        """Count such a caller no longer."""
        _add(self._waiting, party, -1)


def known_as(request: Request, party: str) -> None:
    """Let a request count for the party that makes it; raise Unavailable if that has its share already."""
    place: _Place = request.scope[_SCOPE_KEY]
    if place.party is None:
        place.belong_to(party)


@contextmanager
def stepped_aside(request: Request) -> Iterator[bool]:
    """Give a place back while a caller only waits; False if too many wait already, and it should not."""
    place: _Place = request.scope[_SCOPE_KEY]
    party = place.party
    if party is None or not place.edge.wait(party):
        yield False
        return
    place.give_back()
    try:
        yield True
    finally:
        place.edge.wait_no_longer(party)
        # Taken on long ago, so not turned away now, also if others came meanwhile.
        place.take()


async def hold_room(request: Request, room: Room, party: str, size: int) -> None:
    """Have room for so many bytes until the answer is sent; raise Unavailable if there is none in time."""
    if size <= SMALL_BYTES:
        return
    place: _Place = request.scope[_SCOPE_KEY]
    try:
        await place.until_sent.enter_async_context(room.held(party, size))
    except Full:
        raise place.edge.full(_ROOM_RETRY_AFTER_SECONDS) from None


def _add(counts: Counter[str], party: str, one: int) -> None:
    counts[party] += one
    if counts[party] <= 0:
        del counts[party]


def _seconds_for(size: int) -> float:
    return _GRACE_SECONDS + size / _SLOWEST_BYTES_PER_SECOND


def _arriving(receive: Receive, place: _Place) -> Receive:
    """Treat a body that does not get on as one that breaks off. Of nobody known, it holds no place."""
    loop = asyncio.get_running_loop()
    began, got, whole = loop.time(), 0, False

    async def receive_in_time() -> Message:
        nonlocal got, whole
        if whole:
            return await receive()
        if place.party is None:
            place.give_back()
        try:
            async with asyncio.timeout_at(began + _seconds_for(got)):
                message = await receive()
        except TimeoutError:
            message = {"type": "http.disconnect"}
        if place.party is None:
            place.take()
        if message["type"] == "http.disconnect":
            return message
        got += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        return message

    return receive_in_time


def _leaving(scope: Scope, send: Send, place: _Place | None = None) -> Send:
    """Send every part of an answer in time, and a large body in pieces, or cut the connection.

    In one piece it would lie in the connection's buffer after the request is over, counted by nobody.
    The server waits before each message, the first too, until the client took what went before: also of
    the answers to requests that it sent earlier on this connection.
    """
    loop = asyncio.get_running_loop()
    began: float | None = None
    sent = 0

    async def send_in_time(message: Message) -> None:
        nonlocal began, sent
        if began is None:
            began = loop.time()
            # What somebody unknown gets is a document that is there once, or a few lines.
            if place is not None and place.party is None:
                place.give_back()
        try:
            for part in _parts(message):
                sent += len(part.get("body", b""))
                async with asyncio.timeout_at(began + _seconds_for(sent)):
                    await send(part)
        except TimeoutError:
            if (abort := scope.get(ABORT_SCOPE_KEY)) is not None:
                abort()
            # Not an error of ours: the connection is cut, so that nobody takes half for the whole.
            raise ConnectionAbortedError("the client does not take its answer") from None

    return send_in_time


def _parts(message: Message) -> Iterator[Message]:
    body = message.get("body", b"")
    if message["type"] != "http.response.body" or len(body) <= _PIECE_BYTES:
        yield message
        return
    for at in range(0, len(body), _PIECE_BYTES):
        piece = body[at : at + _PIECE_BYTES]
        yield {"type": "http.response.body", "body": piece, "more_body": True}
    yield {**message, "body": b""}
