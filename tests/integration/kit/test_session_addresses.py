"""A session with a gateway that is found at several addresses: one name, one proof, no call twice."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web

from adapters.kit.certificates import connecting
from adapters.kit.session import GatewaySession
from gateway.cli.authority import Authority
from tests.integration.kit.test_session import KEY, PARTY, Gateway, code_of

NAME = "http://poort.example:8400"  # nothing resolves it


class Found:
    """A gateway that listens at several ports."""

    def __init__(self) -> None:
        self.gateway = Gateway()
        self.gateway.base_url = NAME
        app = web.Application()
        app.router.add_post("/oauth/token", self.gateway.token)
        app.router.add_route("*", "/{path:.*}", self.call)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        self.came_in_at: list[str] = []

    async def call(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self.came_in_at.append(f"http://127.0.0.1:{request.transport.get_extra_info('sockname')[1]}")
        return await self.gateway.call(request)

    async def open(self, tls: ssl.SSLContext | None = None) -> str:
        site = web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        return f"{'https' if tls else 'http'}://127.0.0.1:{self.runner.addresses[-1][1]}"

    @property
    def calls(self) -> list[web.Request]:
        return self.gateway.requests


@pytest.fixture
async def found() -> AsyncIterator[Found]:
    made = Found()
    await made.runner.setup()
    yield made
    await made.runner.cleanup()


def dead_address() -> str:
    with closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{holder.getsockname()[1]}"


async def test_where_one_address_takes_no_connection_the_next_serves_the_call_and_is_kept(
    found: Found,
) -> None:
    address = await found.open()
    addresses = [dead_address(), address]
    async with GatewaySession(NAME, PARTY, KEY, found.gateway.clock, addresses=addresses) as session:
        answer = await session.request(
            "POST", "/v1/cases?x=1", json={"n": 1}, headers={"Idempotency-Key": "k"}
        )
        assert answer.body == {"path": "/v1/cases?x=1", "method": "POST", "body": {"n": 1}}
        # Name and proof are the gateway's, wherever it was found: the server held the proof against NAME.
        assert found.calls[0].headers["Host"] == "poort.example:8400"
        assert found.calls[0].headers["Idempotency-Key"] == "k"
        await asyncio.gather(*(session.request("GET", "/v1/x") for _ in range(5)))
    assert found.came_in_at == [address] * 6
    assert found.gateway.signed_in == 1
    async with GatewaySession(
        NAME, PARTY, KEY, found.gateway.clock, addresses=[dead_address(), dead_address()]
    ) as lost:
        assert await code_of(lost.request("GET", "/v1/x")) == "gateway_unreachable"


async def test_a_call_that_was_lost_is_not_repeated_and_the_next_one_begins_elsewhere(found: Found) -> None:
    addresses = [await found.open(), await found.open()]
    async with GatewaySession(NAME, PARTY, KEY, found.gateway.clock, addresses=addresses) as session:
        assert (await session.request("POST", "/v1/x", json={})).status == 200

        async def die(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.abort()
            raise asyncio.CancelledError

        found.gateway.answer = die
        assert await code_of(session.request("POST", "/v1/x", json={})) == "gateway_unreachable"
        assert len(found.calls) == 2
        found.gateway.answer = found.gateway.echo
        assert (await session.request("POST", "/v1/x", json={})).status == 200
    assert found.came_in_at == [addresses[0], addresses[0], addresses[1]]


async def test_a_call_that_takes_too_long_is_given_up_and_the_next_one_begins_elsewhere(
    found: Found,
) -> None:
    addresses = [await found.open(), await found.open()]

    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(1)
        return await found.gateway.echo(request)

    async with GatewaySession(NAME, PARTY, KEY, found.gateway.clock, addresses=addresses) as session:
        assert (await session.request("GET", "/v1/x")).status == 200
        found.gateway.answer = hang
        assert await code_of(session.request("GET", "/v1/x", timeout_seconds=0.1)) == "gateway_timeout"
        found.gateway.answer = found.gateway.echo
        assert (await session.request("GET", "/v1/x")).status == 200
    assert found.came_in_at == [addresses[0], addresses[0], addresses[1]]


async def test_only_who_has_the_gateways_certificate_is_the_gateway_at_whatever_address(
    found: Found, tmp_path: Path
) -> None:
    authority = Authority(now=int(time.time()))
    (tmp_path / "ca.pem").write_bytes(authority.own.pem)

    def serving(name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*authority.issue(name, [name]).write(tmp_path / name))
        return context

    name = found.gateway.base_url = "https://poort.example:8400"
    other = await found.open(serving("other.example"))
    right = await found.open(serving("poort.example"))
    trusted = connecting(tmp_path / "ca.pem")
    async with GatewaySession(name, PARTY, KEY, found.gateway.clock, trusted, addresses=[right]) as session:
        assert (await session.request("GET", "/v1/x")).status == 200
    async with GatewaySession(name, PARTY, KEY, found.gateway.clock, trusted, addresses=[other]) as session:
        assert await code_of(session.request("GET", "/v1/x")) == "gateway_unreachable"
    assert len(found.calls) == 1


def test_no_address_leaves_tls() -> None:
    arguments = ("https://poort.example", PARTY, KEY, lambda: 0)
    GatewaySession(*arguments, addresses=["https://127.0.0.1:1"])
    with pytest.raises(ValueError, match="scheme"):
        GatewaySession(*arguments, addresses=["https://127.0.0.1:1", "http://127.0.0.1:1"])
