"""What stands between the processes: a load balancer, and a listener on the wire who repeats what it hears.

A `Front` passes requests to one of several gateways; where one takes no connection, to the next. It
keeps a copy of all that passes. With `copies` above one it sends each message that often, at once: what
is signed for one use may then be taken once. A `Wire` is the same before an adapter.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

import aiohttp
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send
from yarl import URL

_NOT_FORWARDED = (b"host", b"connection", b"transfer-encoding", b"content-length")
# What says that a message was used before: RFC 9449 §7.1 and, at the token endpoint, RFC 6749 §5.2.
_REPLAYED = "proof_replayed"
_AGREEMENTS = "/v1/agreements"


@dataclass(frozen=True)
class Message:
    """A request as it went over the wire."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)

    @property
    def proven(self) -> bool:
        """Carries a proof that counts once. What is public proves nothing of whoever fetches it."""
        public = self.path.endswith("/keys") or (self.method == "GET" and _AGREEMENTS in self.path)
        return any(name == "dpop" for name, _ in self.headers) and not public

    def __str__(self) -> str:
        return f"{self.method} {self.path.partition('?')[0]}"


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = field(default=b"", repr=False)

    @property
    def code(self) -> str:
        """The code of a problem document, or the error of the token endpoint."""
        try:
            said = json.loads(self.body)
        except ValueError:
            return ""
        return str(said.get("code") or said.get("error") or "") if isinstance(said, dict) else ""

    @property
    def taken(self) -> bool:
        """Not refused as one that was seen before."""
        return self.status != 401 or self.code != _REPLAYED


class Front:
    """Passes on what it receives. `urls` are tried in turn; `first` keeps to the first that stands."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = list(urls)
        self.first = False
        self.copies = 1
        # The path whose next GET goes out twice, as proxies and HTTP clients do when one brought no answer.
        self.looks_twice_at = ""
        self.heard: list[Message] = []
        self.wrong: list[str] = []
        self.repeated = 0
        self.app = FastAPI()
        self.app.middleware_stack = self._serve
        self._turns = itertools.count()
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Front:
        timeout = aiohttp.ClientTimeout(total=60)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self._http = aiohttp.ClientSession(
            timeout=timeout, auto_decompress=False, connector=connector, cookie_jar=aiohttp.DummyCookieJar()
        )
        # Else aiohttp itself would send a GET again whose connection ended.
        self._http._retry_connection = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._http is not None
        await self._http.close()

    async def send(self, message: Message) -> Reply:
        """Send a message to the gateway whose turn it is, or another; 502 where the outcome is unknown."""
        assert self._http is not None
        start = 0 if self.first else next(self._turns)
        for number in range(len(self.urls)):
            url = URL(self.urls[(start + number) % len(self.urls)] + message.path, encoded=True)
            try:
                async with self._http.request(
                    message.method, url, headers=message.headers, data=message.body, allow_redirects=False
                ) as answer:
                    kept = [(n, v) for n, v in answer.raw_headers if n.lower() not in _NOT_FORWARDED]
                    return Reply(answer.status, tuple(kept), await answer.read())
            except aiohttp.ClientConnectorError:
                continue  # it took nothing
            except (aiohttp.ClientError, TimeoutError):
                return Reply(502)
        return Reply(502)

    async def send_copies(self, message: Message, copies: int) -> list[Reply]:
        """Send a message several times at once."""
        return await asyncio.gather(*(self.send(message) for _ in range(copies)))

    def judge(self, message: Message, replies: Sequence[Reply]) -> Reply:
        """Return the one answer that counts; note where another number of copies was taken than one."""
        self.repeated += len(replies) - 1
        if "/oauth/token" in message.path:
            taken = [reply for reply in replies if reply.status == 200]
        elif message.proven:
            taken = [reply for reply in replies if reply.taken]
        else:
            return replies[0]
        if len(taken) != 1:
            said = sorted({f"{reply.status} {reply.code}" for reply in replies})
            self.wrong.append(f"R8: of {len(replies)} copies of {message}, {len(taken)} were taken ({said})")
        return (taken or list(replies))[0]

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app.router(scope, receive, send)
            return
        message = await _heard(scope, receive)
        self.heard.append(message)
        if message.method == "GET" and message.path == self.looks_twice_at:
            self.looks_twice_at = ""
            await self.send(message)
        replies = await self.send_copies(message, self.copies)
        reply = replies[0] if len(replies) == 1 else self.judge(message, replies)
        await send({"type": "http.response.start", "status": reply.status, "headers": list(reply.headers)})
        await send({"type": "http.response.body", "body": reply.body})


class Wire(Front):
    """The same before one adapter, at an address of its own."""

    def __init__(self, address: str) -> None:
        super().__init__([])
        self.address = address


async def _heard(scope: Scope, receive: Receive) -> Message:
    body = b""
    while True:
        part = await receive()
        body += part.get("body", b"")
        if not part.get("more_body"):
            break
    path = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    headers = [(n.decode(), v.decode()) for n, v in scope["headers"] if n not in _NOT_FORWARDED]
    return Message(scope["method"], path.decode(), tuple(headers), body)
