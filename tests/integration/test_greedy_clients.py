"""Clients who take what they can: places, connections, room. They get little of it, and the others theirs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import pytest_asyncio

from adapters.protocol import MAX_ANSWER_BYTES
from gateway.cli.world import IND, VW
from gateway.http import in_flight, protocol
from gateway.http.in_flight import InFlight
from gateway.http.protocol import ProblemProtocol
from tests.integration.edge import Edge
from tests.integration.rogue import Stage, staged

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT = 16
SHARE = LIMIT // 4
SOON_SECONDS = 0.5
OPENAPI = b"GET /v1/openapi.json HTTP/1.1\r\nHost: gate\r\n\r\n"
TOKEN_HEAD = (
    b"POST /oauth/token HTTP/1.1\r\nHost: gate\r\nContent-Type: application/x-www-form-urlencoded\r\n"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("town"), max_in_flight=LIMIT) as running:
        yield running


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every patience of the gateway is half a second."""
    monkeypatch.setattr(in_flight, "_GRACE_SECONDS", SOON_SECONDS)
    monkeypatch.setattr(in_flight, "_SLOWEST_BYTES_PER_SECOND", 100_000_000)
    monkeypatch.setattr(protocol, "HEAD_SECONDS", SOON_SECONDS)
    monkeypatch.setattr(protocol, "CLOSE_SECONDS", SOON_SECONDS)


@pytest.fixture
def open_now(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count the connections that the gateway's server has."""
    port, servers = int(stage.edge.url.rpartition(":")[2]), []
    made = ProblemProtocol.connection_made

    def noted(protocol: ProblemProtocol, transport: asyncio.Transport) -> None:
        made(protocol, transport)
        if protocol.server is not None and protocol.server[1] == port:
            servers.append(protocol.connections)

    monkeypatch.setattr(ProblemProtocol, "connection_made", noted)
    return lambda: len(servers[-1])


@contextmanager
def connections(
    stage: Stage, number: int, *, receive_buffer: int | None = None
) -> Iterator[list[socket.socket]]:
    """Connect so many times, without reading anything yet."""
    with ExitStack() as opened:
        made = []
        for _ in range(number):
            connection = opened.enter_context(socket.socket())
            if receive_buffer is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            connection.connect(("127.0.0.1", int(stage.edge.url.rpartition(":")[2])))
            connection.setblocking(False)
            made.append(connection)
        yield made


async def ended(connection: socket.socket, within_seconds: float = 5.0) -> bytes:
    """Read until the gateway ends the connection, however it does; fail if it does not."""
    loop, heard = asyncio.get_running_loop(), b""
    async with asyncio.timeout(within_seconds):
        while True:
            try:
                data = await loop.sock_recv(connection, 65_536)
            except ConnectionError:
                return heard
            if not data:
                return heard
            heard += data


async def until(holds: Callable[[], bool], within_seconds: float = 5.0) -> None:
    async with asyncio.timeout(within_seconds):
        while not holds():  # noqa: ASYNC110 - anything may change it
            await asyncio.sleep(0.01)


def edge_of(stage: Stage) -> InFlight:
    """Find the counter of the gateway that runs."""
    part = stage.place.gateway.middleware_stack
    while not isinstance(part, InFlight):
        part = getattr(part, "app", None) or part._app  # type: ignore[union-attr]
    return part


# --- places ------------------------------------------------------------------------------------


async def test_answers_that_nobody_reads_take_no_place_and_end_with_their_connection(
    stage: Stage, soon: None, open_now: Callable[[], int]
) -> None:
    with connections(stage, 1) as (patient,):
        await asyncio.get_running_loop().sock_sendall(patient, OPENAPI)
        assert b" 200 " in await asyncio.get_running_loop().sock_recv(patient, 100)
    before = open_now() - 1
    with connections(stage, 2 * SHARE, receive_buffer=4096) as readers:
        for reader in readers:
            reader.send(60 * OPENAPI)
        await until(lambda: open_now() >= before + 2 * SHARE)
        await asyncio.sleep(0.1)
        assert edge_of(stage).unknown == 0
        # Meanwhile: who has no token gets in, who has one is answered.
        assert (await stage.edge.send("GET", "/v1/openapi.json")).status == 200
        await stage.accepts()
        # And they are cut off, with what they did not take: for most of what they asked there was no answer.
        await asyncio.sleep(2 * SOON_SECONDS)
        for reader in readers:
            assert (await ended(reader)).count(b"HTTP/1.1 200 ") < 30


async def test_bodies_that_do_not_come_keep_nobody_from_a_token(stage: Stage, soon: None) -> None:
    with connections(stage, 3 * SHARE) as slow:
        for connection in slow:
            connection.send(TOKEN_HEAD + b"Content-Length: 100\r\n\r\ngrant_type=")
        await asyncio.sleep(0.1)
        assert edge_of(stage).unknown == 0
        async with Edge(stage.place, "askv") as another:
            assert await another.token()
        for connection in slow:
            async with asyncio.timeout(5):
                told = await asyncio.get_running_loop().sock_recv(connection, 1000)
            assert told.startswith(b"HTTP/1.1 400 ")


# --- connections ---------------------------------------------------------------------------------

SILENT = {
    "nothing": b"",
    "half a request line": b"GET /v1/open",
    "half a head": OPENAPI[:-2] + b"X-A: ",
    "an empty line": b"\r\n",
    "half a head after a whole request": OPENAPI + b"GET /v1/",
}


@pytest.mark.parametrize("said", SILENT)
async def test_a_connection_that_says_nothing_whole_ends(stage: Stage, soon: None, said: str) -> None:
    loop = asyncio.get_running_loop()
    with connections(stage, 2) as (silent, talking):
        silent.send(SILENT[said])
        # The control: one that goes on to ask lives on, for longer than a head may take.
        for _ in range(4):
            await loop.sock_sendall(talking, OPENAPI[:20])
            await asyncio.sleep(0.6 * SOON_SECONDS)
            await loop.sock_sendall(talking, OPENAPI[20:])
            async with asyncio.timeout(5):
                heard = b""
                while b"\r\n\r\n" not in heard or len(heard) < _whole(heard):
                    heard += await loop.sock_recv(talking, 65_536)
            assert heard.startswith(b"HTTP/1.1 200 ")
        await ended(silent)


def _whole(heard: bytes) -> int:
    head, _, _ = heard.partition(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return len(head) + 4 + int(length.partition(b":")[2])


@pytest.mark.parametrize("dripped", [b"\r\n", b"x"])
async def test_dripping_is_no_sign_of_life(stage: Stage, soon: None, dripped: bytes) -> None:
    """Byte by byte: empty lines before a head, or the rest of a body that was refused unread."""
    announced = b"POST /v1/dossier-requests HTTP/1.1\r\nHost: gate\r\nContent-Length: 100000\r\n\r\n"
    with connections(stage, 1) as (dripping,):
        dripping.send(announced if dripped == b"x" else dripped)
        async with asyncio.timeout(5):
            while await _takes(dripping, dripped):  # noqa: ASYNC110 - drop by drop
                await asyncio.sleep(0.05)


async def _takes(connection: socket.socket, data: bytes) -> bool:
    try:
        connection.send(data)
    except ConnectionError:
        return False
    return True


async def test_beyond_a_number_of_connections_there_are_no_more(
    stage: Stage, soon: None, open_now: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with connections(stage, 1) as (first,):
        await ended(first)
    monkeypatch.setattr(ProblemProtocol, "_limit", open_now() + 4)
    with connections(stage, 4) as held:
        await asyncio.sleep(0.05)
        with connections(stage, 1) as (more,):
            told = await ended(more)
            assert told.startswith(b"HTTP/1.1 503 ")
            assert b'"code":"overloaded"' in told.replace(b'": "', b'":"')
            assert b"\r\nretry-after: " in told.lower()
        for connection in held:
            await ended(connection)
        assert (await stage.edge.send("GET", "/v1/openapi.json")).status == 200
    await stage.accepts()


# --- room ------------------------------------------------------------------------------------------


async def test_who_is_no_source_gets_no_room_for_an_answer(stage: Stage) -> None:
    """A source that announces 32 MB holds room for it; another party is told what a stranger is told."""
    room, path = stage.place.services.room, "/v1/orders/exchangeOfAnother0123456/answer"
    head = "POST {} HTTP/1.1\r\nHost: gate\r\nAuthorization: DPoP {}\r\nDPoP: {}\r\n" + (
        f"Content-Type: application/json\r\nContent-Length: {MAX_ANSWER_BYTES}\r\n\r\n"
    )
    async with Edge(stage.place, IND) as source, Edge(stage.place, "askv") as stranger:
        for caller, held in ((source, MAX_ANSWER_BYTES), (stranger, 0)):
            token = await caller.token()
            with connections(stage, 1) as (announcing,):
                announcing.send(head.format(path, token, caller.proof("POST", path, token)).encode())
                await asyncio.sleep(0.3)
                assert room.held_bytes == held
            await until(lambda: room.held_bytes == 0)
        known = {"exchange": "exchangeOfAnother0123456", "attestation": "a.b.c", "sealed": []}
        answers = [await caller.post(path, known) for caller in (source, stranger)]
    assert [answer.code for answer in answers] == ["not_found", "not_found"]
    assert answers[0].text == answers[1].text


async def test_one_party_has_one_share_of_the_room_as_source_and_as_requester(stage: Stage) -> None:
    """VluchtelingenWerk is both."""
    room = stage.place.services.room
    line = stage.place.services.sources._lines[VW]
    assert line._source == VW
    async with room.held(line._source, MAX_ANSWER_BYTES), Edge(stage.place, VW) as caller:
        path = "/v1/orders/exchangeOfAnother0123456/answer"
        token, size = await caller.token(), MAX_ANSWER_BYTES
        head = (
            f"POST {path} HTTP/1.1\r\nHost: gate\r\nAuthorization: DPoP {token}\r\n"
            f"DPoP: {caller.proof('POST', path, token)}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
        )
        with connections(stage, 1) as (announcing,):
            announcing.send(head.encode())
            await asyncio.sleep(0.3)
            assert room.held_bytes == MAX_ANSWER_BYTES
