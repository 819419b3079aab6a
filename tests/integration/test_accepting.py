"""How connections come in: many in one turn of a busy loop, and none that never finishes its handshake."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvicorn

from gateway.cli import serve
from gateway.cli.authority import Authority
from gateway.http import accepting
from gateway.http.accepting import PER_TURN, AcceptingLoop, several

SOON_SECONDS = 0.3
T = TypeVar("T")


class Heard(asyncio.Protocol):
    """Counts connections."""

    def __init__(self, made: list[asyncio.BaseTransport]) -> None:
        self._made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._made.append(transport)


def on_our_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with asyncio.Runner(loop_factory=AcceptingLoop) as runner:
        return runner.run(work())


def test_connections_that_wait_are_taken_many_in_one_turn() -> None:
    async def take() -> list[int]:
        loop, made, after_turn = asyncio.get_running_loop(), list[asyncio.BaseTransport](), list[int]()
        async with AsyncExitStack() as open_ones:
            listening = open_ones.enter_context(socket.socket())
            listening.bind(("127.0.0.1", 0))
            for one in several(listening):
                server = await loop.create_server(lambda: Heard(made), sock=one, backlog=100)
                open_ones.callback(server.close)
            for _ in range(3 * PER_TURN):
                caller = socket.create_connection(listening.getsockname())
                open_ones.callback(caller.close)

            def turned() -> None:
                after_turn.append(len(made))
                if len(after_turn) < 5:
                    loop.call_soon(turned)

            loop.call_soon(turned)
            async with asyncio.timeout(10):
                while len(made) < 3 * PER_TURN:  # noqa: ASYNC110 - another callback counts
                    await asyncio.sleep(0.01)
            for one in made:
                one.close()
        await asyncio.sleep(0.05)  # a loop closes things in its next turns
        return [later - before for before, later in pairwise(after_turn)]

    assert max(on_our_loop(take)) == PER_TURN


def test_who_does_not_finish_a_handshake_is_cut_off_soon_and_who_does_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "HANDSHAKE_SECONDS", SOON_SECONDS)
    authority = Authority(now=int(time.time()))
    (tmp_path / "ca.pem").write_bytes(authority.own.pem)
    authority.issue("server", ["127.0.0.1"]).write(tmp_path)
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    theirs = ssl.create_default_context(cafile=tmp_path / "ca.pem")

    async def meet() -> None:
        loop, made = asyncio.get_running_loop(), list[asyncio.BaseTransport]()
        server = await loop.create_server(lambda: Heard(made), "127.0.0.1", 0, ssl=ours)
        port = server.sockets[0].getsockname()[1]
        silent, silent_writer = await asyncio.open_connection("127.0.0.1", port)
        half, half_writer = await asyncio.open_connection("127.0.0.1", port)
        half_writer.write(b"\x16\x03\x01\x02\x00\x01")  # a handshake message begins, of 512 bytes
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=theirs)
        began = loop.time()
        async with asyncio.timeout(10 * SOON_SECONDS):
            for reader in (silent, half):
                with suppress(ConnectionResetError):
                    assert await reader.read() == b""
        assert loop.time() - began > SOON_SECONDS / 2
        assert len(made) == 1
        assert not made[0].is_closing()
        for one in (silent_writer, half_writer, writer, server, made[0]):
            one.close()
        await asyncio.sleep(0.1)

    on_our_loop(meet)


def test_every_process_of_ours_takes_connections_in_like_this(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[uvicorn.Config] = []
    monkeypatch.setattr(accepting, "run", asked.append)
    serve.listen("an application", "127.0.0.1", 1, {})
    assert asked[0].get_loop_factory() is AcceptingLoop
