"""The line to one source: its places, its circuit, its deadlines, and what comes back, read within bounds.

    circuit closed? ──▶ a place ──▶ send, until the deadline ──▶ room for a large answer ──▶ read

The only place that sends anything to a source. What it reads is JSON, and nothing else is known of it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from math import ceil

import aiohttp

from adapters.kit.problems import PROBLEMS
from adapters.kit.strict_json import StrictJsonError, loads
from adapters.protocol import IDLE_CONNECTION_SECONDS, MAX_ANSWER_BYTES
from gateway.breaker import Attempt, Breaker, CircuitOpen
from gateway.errors import SourceTrouble
from gateway.limits import BETWEEN, SMALL_BYTES, Between, Full, Places, Room, SourceLimits, spread
from gateway.received import read_json

_RETRY_AFTER_SECONDS = 5
_CHUNK_BYTES = 64 * 1024
_MAX_PROBLEM_BYTES = 64 * 1024


class NotSent(SourceTrouble):
    """The message never left: no place was free at its source, or the circuit to it is open."""

    def __init__(self, cause: str, *, seconds: int) -> None:
        super().__init__("source_unavailable", cause=cause, retry_after_seconds=seconds)


class SourceLine:
    """One source. One persistent session; no redirects, no proxies from the environment."""

    def __init__(
        self,
        source: str,
        url: str,
        *,
        limits: SourceLimits,
        breaker: Breaker,
        room: Room,
        tls: ssl.SSLContext | None,
        between: Between = BETWEEN,
    ) -> None:
        """The circuit is this source's own; `room` is shared with all others.

        `between` picks a number from a range: who was turned away together does not return together.
        """
        self.breaker, self._between = breaker, between
        self._source, self._url, self._limits, self._room, self._tls = source, url, limits, room, tls
        self._places = Places(limits.concurrency, wait_seconds=limits.place_wait_seconds)
        self._session: aiohttp.ClientSession | None = None

    @property
    def ready_for(self) -> int:
        """Count the messages that the dispatcher may send now: half of the free places are for callers."""
        try:
            self.breaker.refuse_if_open()
        except CircuitOpen:
            return 0
        if self.breaker.state != "closed":
            return min(1, self._places.free)
        return (self._places.free + 1) // 2

    async def call(
        self, path: str, message: Mapping[str, str], until_kept: AsyncExitStack, *, about: str
    ) -> tuple[int, object]:
        """Post a message; return the status, 200 or 202, and what came with it. Raises SourceTrouble.

        `about` tells one person from another and goes no further than the circuit.
        """
        try:
            # Before the queue as well: nobody waits for a place at a source that is not asked.
            self.breaker.refuse_if_open()
            async with self._places.place():
                with self.breaker.attempt(about) as attempt:
                    return await self._attempt(attempt, path, message, until_kept)
        except CircuitOpen as circuit:
            raise NotSent("the circuit is open", seconds=self._retry_after(circuit.seconds)) from None
        except Full:
            raise NotSent("no place is free", seconds=self._retry_after()) from None

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def _attempt(
        self, attempt: Attempt, path: str, message: Mapping[str, str], until_kept: AsyncExitStack
    ) -> tuple[int, object]:
        try:
            answer = await self._post(path, message, until_kept)
        except Full:
            attempt.answered()  # it is we who cannot hold what it says
            raise self._unavailable("no room for the answer") from None
        except SourceTrouble as trouble:
            if trouble.code == "source_unavailable":
                attempt.failed()
            else:
                attempt.answered()
            raise
        attempt.answered()
        return answer

    async def _post(
        self, path: str, message: Mapping[str, str], until_kept: AsyncExitStack
    ) -> tuple[int, object]:
        try:
            async with (
                asyncio.timeout(self._limits.timeout_seconds) as deadline,
                self._connected().post(
                    self._url + path,
                    json=message,
                    allow_redirects=False,
                    ssl=True if self._tls is None else self._tls,
                ) as response,
            ):
                if response.status not in (200, 202):
                    raise await self._trouble(response)
                body = await self._read(response, deadline, until_kept)
                return response.status, await read_json(body, max_bytes=MAX_ANSWER_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError, asyncio.IncompleteReadError) as down:
            raise self._unavailable(type(down).__name__) from down
        except StrictJsonError as garbage:
            raise SourceTrouble("source_answer_invalid", cause=garbage.code) from garbage

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            connect_seconds = min(self._limits.connect_seconds, self._limits.timeout_seconds)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._limits.concurrency, keepalive_timeout=IDLE_CONNECTION_SECONDS
                ),
                # The deadline of a whole call is our own: it stands still while an answer waits for room.
                timeout=aiohttp.ClientTimeout(total=None, connect=connect_seconds),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def _read(
        self, response: aiohttp.ClientResponse, deadline: asyncio.Timeout, until_kept: AsyncExitStack
    ) -> bytes:
        """Read at most what was announced, and never more than an answer may have (promise 4)."""
        most, body, has_room = _most(response), bytearray(), False
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            body += chunk
            if len(body) > most:
                raise SourceTrouble("source_answer_invalid", cause="answer over the limit")
            if len(body) > SMALL_BYTES and not has_room:
                await self._make_room(most, deadline, until_kept)
                has_room = True
        return bytes(body)

    async def _make_room(self, size: int, deadline: asyncio.Timeout, until_kept: AsyncExitStack) -> None:
        loop, ends_at = asyncio.get_running_loop(), deadline.when()
        began = loop.time()
        # That we are full must not look like a source that is slow.
        deadline.reschedule(None)
        await until_kept.enter_async_context(self._room.held(self._source, size))
        if ends_at is not None:
            deadline.reschedule(ends_at + loop.time() - began)

    async def _trouble(self, response: aiohttp.ClientResponse) -> SourceTrouble:
        """Say what a status means; of the body only the code counts: what stands in between sends HTML."""
        code = await _known_code(response)
        cause = f"{self._source} answered {response.status} {code}".rstrip()
        if response.status >= 500 or response.status == 429:
            return self._unavailable(cause)
        return SourceTrouble("source_refused_order" if code else "source_answer_invalid", cause=cause)

    def _unavailable(self, cause: str) -> SourceTrouble:
        return SourceTrouble("source_unavailable", cause=cause, retry_after_seconds=self._retry_after())

    def _retry_after(self, seconds: float = _RETRY_AFTER_SECONDS) -> int:
        return spread(max(1, ceil(seconds)), self._between)


def _most(response: aiohttp.ClientResponse) -> int:
    length = response.content_length
    if length is None or "Content-Encoding" in response.headers:
        return MAX_ANSWER_BYTES
    return min(length, MAX_ANSWER_BYTES)


async def _known_code(response: aiohttp.ClientResponse) -> str:
    # Only a code of our own adapters goes to the log: any other word might be about a person.
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > _MAX_PROBLEM_BYTES:
            return ""
    try:
        said = loads(bytes(body), max_bytes=_MAX_PROBLEM_BYTES)
    except StrictJsonError:
        return ""
    code = said.get("code") if isinstance(said, dict) else None
    return code if isinstance(code, str) and code in PROBLEMS else ""
