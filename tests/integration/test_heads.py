"""The head of a message, on a socket, by the server that every process of ours runs."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio
import uvicorn

from gateway.cli.serve import server_options
from gateway.http.app_factory import build_app
from gateway.http.protocol import MAX_HEAD_BYTES
from gateway.services import Services
from tests.integration.mtls.places import serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIVE = b"GET /livez HTTP/1.1\r\nHost: gate\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port() -> AsyncIterator[int]:
    parts = SimpleNamespace(
        settings=SimpleNamespace(issuer="https://gate.example", client_cert_from="", max_in_flight=256)
    )
    config = uvicorn.Config(
        build_app(cast(Services, parts), []), lifespan="off", log_config=None, **server_options({})
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        async with serving(config, listener):
            yield listener.getsockname()[1]


async def say(port: int, *pieces: bytes) -> tuple[int, Any, bool]:
    """Send pieces one after the other; return status, body and whether the connection was closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            if reader.at_eof():
                break
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.002)
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            lines = (line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
            fields = {name.lower(): value for name, value in lines}
            length = int(fields["content-length"])
            body = json.loads(await reader.readexactly(length))
            closed = "close" in fields.get("connection", "") and await reader.read(1) == b""
        return int(head.split(b" ")[1]), body, closed
    except (ConnectionResetError, BrokenPipeError):  # it closed while we were still sending
        return 0, None, True
    finally:
        writer.close()


async def lives(port: int) -> bool:
    status, body, _ = await say(port, LIVE + b"\r\n")
    return (status, body) == (200, {"status": "alive"})


async def test_a_head_as_large_as_ours_ever_are_is_read(port: int) -> None:
    headers = b"".join(b"X-Header-%d: %s\r\n" % (at, b"x" * 4_000) for at in range(7))
    status, _, closed = await say(port, LIVE + headers + b"\r\n")
    assert (status, closed) == (200, False)
    whole = LIVE + headers + b"\r\n"
    dripping = [whole[at : at + 500] for at in range(0, len(whole), 500)]
    assert (await say(port, *dripping))[0] == 200


@pytest.mark.parametrize(
    "pieces",
    {
        "one header": [LIVE + b"X: " + b"x" * 100_000 + b"\r\n\r\n"],
        "many headers": [LIVE + b"X: xxxxxx\r\n" * 10_000 + b"\r\n"],
        "a byte too many": [LIVE + b"X: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n"],
        "an address": [b"GET /livez?" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n"],
        "a header without an end": [LIVE + b"X: ", *[b"x" * 4_000] * 200],
        "headers without an end": [LIVE, *[b"X: " + b"x" * 4_000 + b"\r\n"] * 20],
        "an address without an end": [b"GET /", *[b"x" * 4_000] * 200],
        "trailers": [
            b"POST /livez HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n",
            *[b"X: " + b"x" * 4_000 + b"\r\n"] * 20,
        ],
    }.values(),
    ids=lambda pieces: f"{pieces[0][:40]!r} {len(pieces)}",
)
async def test_a_larger_one_is_refused_and_the_server_lives(port: int, pieces: list[bytes]) -> None:
    assert await lives(port)
    status, body, closed = await say(port, *pieces)
    assert closed or status == 405  # `/livez` answers a POST before its trailers come
    assert status in (0, 405, 431)
    if status == 431:
        assert body["code"] == "head_too_large"
        assert body["next_step"]
    assert await lives(port)


async def test_what_is_refused_says_so_when_the_caller_listens(port: int) -> None:
    status, body, closed = await say(port, LIVE + b"X: " + b"x" * 40_000 + b"\r\n\r\n")
    assert (status, body["code"], closed) == (431, "head_too_large", True)
    status, body, closed = await say(port, b"not HTTP at all\r\n\r\n")
    assert (status, body["code"], closed) == (400, "invalid_input", True)


async def test_a_connection_is_counted_per_message(port: int) -> None:
    message = LIVE + b"X: " + b"x" * 20_000 + b"\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(5):
        writer.write(message)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        await reader.readexactly(len(b'{"status":"alive"}'))
    writer.close()
    await writer.wait_closed()


async def test_a_large_body_is_no_head(port: int) -> None:
    """Unread by the resource, but no reason to cut the connection as a head would be."""
    size = 8 * MAX_HEAD_BYTES
    head = b"POST /livez HTTP/1.1\r\nHost: gate\r\nContent-Length: %d\r\n\r\n" % size
    status, body, _ = await say(port, head, *[b"x" * 16_000] * (size // 16_000 + 1))
    assert (status, body["code"]) == (405, "method_not_allowed")
