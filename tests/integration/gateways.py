"""Two gateways on one PostgreSQL: one in this process, one beside it, and a proxy that picks.

Callers know one address, the issuer's, as behind a load balancer. The test says which request goes
where; the gateway in this process can be looked into, the other one can be killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from starlette.types import ASGIApp, Receive, Scope, Send
from yarl import URL

from gateway.cli.provision import gateway_environment
from gateway.cli.stack import free_ports
from tests.integration.town import Town, town

HERE, BESIDE = "here", "beside"
_START_SECONDS = 40
_NOT_FORWARDED = (b"host", b"connection", b"transfer-encoding", b"content-length")


@dataclass
class Beside:
    """A gateway in a process of its own."""

    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environment['POORT_PORT']}"

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        process = self._run()
        async with aiohttp.ClientSession() as http, asyncio.timeout(_START_SECONDS):
            while not await _is_ready(http, self.url + "/readyz"):
                assert process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.05)

    def _run(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", "serve", "gateway"],
                env={**os.environ, **self.environment},
                cwd=Path(__file__).parents[2],
                stdout=log,
                stderr=log,
            )
        return self.process

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and wait for the end."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None


@dataclass
class TwoGateways:
    """A town with a second gateway; `choose` says of each request which of the two serves it."""

    town: Town
    beside: Beside
    http: aiohttp.ClientSession
    here: ASGIApp
    choose: Callable[[Scope], str] = lambda _: HERE

    @contextmanager
    def at(self, where: str | Callable[[Scope], str]) -> Iterator[None]:
        """Send requests to one of the gateways, or to the one that a function picks."""
        before = self.choose
        self.choose = where if callable(where) else lambda _: where
        try:
            yield
        finally:
            self.choose = before

    async def front(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request as a proxy does: bytes in, bytes out."""
        if scope["type"] != "http" or self.choose(scope) == HERE:
            await self.here(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        path = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        headers = [(n.decode(), v.decode()) for n, v in scope["headers"] if n not in _NOT_FORWARDED]
        url = URL(self.beside.url + path.decode(), encoded=True)
        try:
            async with self.http.request(scope["method"], url, headers=headers, data=body) as answer:
                status, content = answer.status, await answer.read()
                back = [(n, v) for n, v in answer.raw_headers if n.lower() not in _NOT_FORWARDED]
        except aiohttp.ClientError:
            status, content, back = 502, b"", []
        await send({"type": "http.response.start", "status": status, "headers": back})
        await send({"type": "http.response.body", "body": content})


@asynccontextmanager
async def two_gateways(folder: Path, database_url: str) -> AsyncIterator[TwoGateways]:
    """Run the stack with two gateways that share nothing but the database, the keys and public files."""
    async with town(folder, database_url=database_url) as place, aiohttp.ClientSession() as http:
        environment = {
            **gateway_environment(place.deployment),
            "POORT_DATABASE_URL": database_url,
            "POORT_POLICY_ENGINE": place.services.settings.policy_engine,
            "POORT_OPA_URL": place.services.settings.opa_url,
            "POORT_PORT": str(free_ports(1)[0]),
        }
        beside = Beside(environment, folder / "beside.log")
        await beside.start()
        edge = place.gateway.middleware_stack
        assert edge is not None
        two = TwoGateways(place, beside, http, edge)
        place.gateway.middleware_stack = two.front
        try:
            yield two
        finally:
            place.gateway.middleware_stack = edge
            beside.end()


async def _is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
