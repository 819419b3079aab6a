"""More than the gateway can hold: it says so at once, goes on with what it has, and its memory is bounded."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
import pytest_asyncio
from fastapi import FastAPI
from starlette.responses import JSONResponse, Response

from adapters.kit import sealing
from adapters.protocol import Category
from adapters.requester import GatewayRefused
from gateway import release
from gateway.cli.processes import choose_addresses, processes
from gateway.cli.provision import GATEWAY, provision
from gateway.cli.stack import Stack
from gateway.cli.world import VW, inhabited, persona
from gateway.http import in_flight
from gateway.limits import LEAST_ROOM_BYTES, SMALL_BYTES
from tests.integration.edge import Answer, Edge
from tests.integration.rogue import Draft, Rogue, Stage, complete, honest, staged
from tests.integration.town import BASELINE, MovableClock, Town

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT = 16
SHARE = LIMIT // 4  # of one party
# Petros's decision, sealed and in base64: what one answer about him weighs.
LARGE_BYTES = 6_500_000
# As many bytes as three shares of the room; `make test-production` asks for twice as many.
AT_ONCE = int(os.environ.get("OVERLOAD_AT_ONCE", "16"))
# What the gateway may take beyond its memory at rest: for each party that has large answers under way its
# share of the room, three times (as read, as parsed, as stored).
SHARE_BYTES = LEAST_ROOM_BYTES // 4
ROOM_TIMES = 3
# What was freed is given back at once, as in the image that `compose/` builds: read is what the gateway
# holds, not what glibc's allocator keeps of it, which depends on how busy the machine is.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "131072"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("town"), max_in_flight=LIMIT) as running:
        yield running


@asynccontextmanager
async def every_place_taken(stage: Stage) -> AsyncIterator[list[asyncio.Task[Answer]]]:
    """Have as many requests of one party under way as there may be, at a source that says nothing."""
    let_go, under_way = asyncio.Event(), 0

    async def hangs(draft: Draft) -> Response:
        nonlocal under_way
        under_way += 1
        await let_go.wait()
        return await honest(draft)

    stage.rogue.behave = hangs
    calls = [asyncio.create_task(stage.repeat(stage.prepared())) for _ in range(SHARE)]
    try:
        async with asyncio.timeout(10):
            while under_way < SHARE:  # noqa: ASYNC110 - a count, in a server of this loop
                await asyncio.sleep(0.01)
        yield calls
    finally:
        let_go.set()
        stage.rogue.behave = honest
        await asyncio.gather(*calls)


async def test_one_request_too_many_is_turned_away_at_once_and_the_others_are_answered(stage: Stage) -> None:
    await stage.accepts()
    sent = len(stage.rogue.orders)
    async with every_place_taken(stage) as calls, aiohttp.ClientSession() as http:
        took = []
        for _ in range(10):
            began = time.perf_counter()
            answer = await stage.edge.post("/v1/dossier-requests", b"{}")
            took.append(time.perf_counter() - began)
            assert (answer.status, answer.code) == (503, "overloaded")
            assert answer.headers["Retry-After"] in ("1", "2", "3")
            assert "API-Version" in answer.headers
        assert sorted(took)[len(took) // 2] < 0.1
        # Another party is served as ever, and so is who has no token.
        async with Edge(stage.place, "askv") as another:
            assert (await another.post("/v1/dossier-requests", b"{}")).code == "invalid_input"
        assert (await stage.edge.send("GET", "/v1/openapi.json")).status == 200
        for path in ("/livez", "/readyz"):
            async with http.get(stage.edge.url + path) as health:
                assert health.status == 200
    for call in calls:
        complete(call.result())
    assert len(stage.rogue.orders) == sent + SHARE
    await stage.accepts()


async def test_who_only_waits_for_an_answer_takes_nobody_s_place(stage: Stage) -> None:
    async def accepts(draft: Draft) -> Response:
        return JSONResponse({"exchange": draft.exchange, "state": "accepted"}, 202)

    stage.rogue.behave = accepts
    key = {"Prefer": "wait=0"}
    request = stage.prepared()
    known = await stage.edge.post(
        "/v1/dossier-requests", request.body, **key, **{"Idempotency-Key": request.idempotency_key}
    )
    stage.rogue.behave = honest
    assert known.json["state"] == "forwarded"
    waiting = []
    for _ in range(3 * SHARE):
        waiting.append(asyncio.create_task(stage.get(known.json["id"], wait_seconds=4)))
        await asyncio.sleep(0.05)
    await stage.accepts()
    assert not any(call.done() for call in waiting)
    assert {answer.status for answer in await asyncio.gather(*waiting)} == {202}
    await stage.accepts()


async def test_an_answer_that_is_not_taken_off_gives_its_room_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "_GRACE_SECONDS", 0.5)
    monkeypatch.setattr(in_flight, "_SLOWEST_BYTES_PER_SECOND", 100_000_000)
    petros, place = persona("petros"), stage.place
    await place.open_case(petros)
    await place.consent(petros, (Category.DECISIONS,))
    to = stage.rogue.keystore(VW).public("encrypt")
    answered = await stage.ask(partial(_large, to=to), petros)
    assert answered.json["state"] == "answered", answered.text[:300]
    assert len(answered.text) > LARGE_BYTES
    room = place.services.room
    await _until(lambda: room.held_bytes == 0)

    path = f"/v1/dossier-requests/{answered.json['id']}"
    token = await stage.edge.token()
    reader, writer = await _connected(stage.edge, receive_buffer=4096)
    proof = stage.edge.proof("GET", path, token)
    writer.write(_get(path, token, proof))
    await _until(lambda: room.held_bytes > LARGE_BYTES)
    await _until(lambda: room.held_bytes == 0)
    writer.close()
    assert b" 200 " in await reader.readline()
    assert len((await stage.get(answered.json["id"])).text) > LARGE_BYTES


async def test_a_large_answer_is_hashed_beside_the_loop_and_a_small_one_on_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: dict[bool, set[bool]] = {True: set(), False: set()}  # large? → on the loop?

    def noted(jwe: str) -> str:
        hashed[len(jwe) > SMALL_BYTES].add(threading.current_thread() is threading.main_thread())
        return sealing.digest(jwe)

    beside = SimpleNamespace(digest=noted, sealed_to=sealing.sealed_to, SealingError=sealing.SealingError)
    monkeypatch.setattr(release, "sealing", beside)
    petros, place = persona("petros"), stage.place
    await place.open_case(petros)
    await place.consent(petros, (Category.DECISIONS,))
    to = stage.rogue.keystore(VW).public("encrypt")
    assert (await stage.ask(partial(_large, to=to), petros)).json["state"] == "answered"
    assert (await stage.ask(honest, petros)).json["state"] == "answered"
    assert hashed == {True: {False}, False: {True}}


async def _large(draft: Draft, to: dict[str, Any]) -> Response:
    """Answer with a document of five megabytes for every category that has one."""
    for document in draft.sealed:
        document["jwe"] = sealing.seal(
            os.urandom(5_000_000),
            media_type="application/pdf",
            name="decision.pdf",
            category=Category(document["category"]),
            exchange=draft.exchange,
            to=to,
        )
        digest = sealing.digest(document["jwe"])
        draft.answers[document["category"]] = {"status": "provided", "sealed": [digest]}
    return await honest(draft)


async def _connected(
    edge: Edge, *, receive_buffer: int | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.setblocking(False)
    port = int(edge.url.rpartition(":")[2])
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    return await asyncio.open_connection(sock=connection, limit=4096)


async def _until(holds: Callable[[], bool], within_seconds: float = 10.0) -> None:
    async with asyncio.timeout(within_seconds):
        while not holds():  # noqa: ASYNC110 - anything may change it
            await asyncio.sleep(0.01)


# --- memory, of a process of its own ---------------------------------------------------------------


@asynccontextmanager
async def own_process(
    folder: Path, *, sources: tuple[str, ...] = ("ind",)
) -> AsyncIterator[tuple[Town, int]]:
    """Run the gateway and these sources as processes; yield the town, and the gateway's process id."""
    deployment = provision(folder, choose_addresses(), now=int(time.time()))
    wanted = {GATEWAY: {"POORT_MAX_HELD_BYTES": str(LEAST_ROOM_BYTES), **ALLOCATOR}}
    wanted |= {f"{source}-{part}": {} for source in sources for part in ("adapter", "simulator")}
    chosen = [one for one in processes(deployment) if one.name in wanted]
    for one in chosen:
        cast("dict[str, str]", one.environment).update(wanted[one.name])
    stack = Stack(chosen, folder / "logs")
    await asyncio.to_thread(stack.start, lambda *_: None)
    try:
        async with inhabited(deployment, folder) as world:
            yield (
                Town(deployment, world, cast(FastAPI, None), MovableClock()),
                stack._running[GATEWAY].pid,
            )
    finally:
        await asyncio.to_thread(stack.stop)


def memory(pid: int, what: str) -> int:
    """Read VmHWM (the most so far) or VmRSS of a process, in bytes."""
    found = re.search(rf"^{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="this kernel does not tell a process's memory"
)


@pytest.mark.processes
@pytest.mark.slow
@needs_proc
async def test_answers_that_nobody_takes_off_do_not_pile_up_in_memory(tmp_path: Path) -> None:
    async with own_process(tmp_path) as (place, pid), Edge(place) as edge:
        exchange_id = await _has_large_answer(place)
        # Once in full, so that what one answer needs for a moment is in the figure before.
        path = f"/v1/dossier-requests/{exchange_id}"
        assert len((await edge.call("GET", path)).text) > LARGE_BYTES
        before, token = memory(pid, "VmHWM"), await edge.token()
        readers = []
        for _ in range(32):
            reader, writer = await _connected(edge, receive_buffer=4096)
            writer.write(_get(path, token, edge.proof("GET", path, token)))
            readers.append((reader, writer))
        statuses = [await asyncio.wait_for(reader.readline(), 30) for reader, _ in readers]
        took = memory(pid, "VmHWM") - before
        for _, writer in readers:
            writer.close()
        # Some are being sent, and wait for a reader; who found no room was told so.
        assert {status.split()[1] for status in statuses} == {b"200", b"503"}
        # Of one party, and never more than a share of the room; without a bound it is three times as much.
        sys.stdout.write(f"answers that nobody takes off: {took >> 20} MB\n")
        assert took < ROOM_TIMES * SHARE_BYTES, f"{took >> 20} MB"


@pytest.mark.processes
@pytest.mark.slow
@needs_proc
async def test_large_answers_asked_for_at_once_take_bounded_memory(tmp_path: Path) -> None:
    async with own_process(tmp_path) as (place, pid):
        at_rest = memory(pid, "VmRSS")
        first = await _has_large_answer(place)
        turned_away = Counter[str]()
        async with asyncio.timeout(20 * AT_ONCE):
            ids = await asyncio.gather(*(_asked_until_answered(place, turned_away) for _ in range(AT_ONCE)))
        assert len({first, *ids}) == AT_ONCE + 1
        took = memory(pid, "VmHWM") - at_rest
        sys.stdout.write(f"{AT_ONCE} large answers: {took >> 20} MB; turned away {dict(turned_away)}\n")
        # Two parties have a share each: the source, and who asks.
        assert LARGE_BYTES < took < 2 * ROOM_TIMES * SHARE_BYTES, f"{took >> 20} MB"


# What is short on the wire and long in memory: objects of two bytes each, and letters that are four bytes
# each as soon as one of them must be.
GROWING = {
    "empty objects": b"[" + b"{}," * 10_000_000 + b"{}]",
    "one wide letter": b'{"exchange": "' + b"x" * 30_000_000 + "\U0001f600".encode() + b'"}',
    "the escape of one": b'{"exchange": "' + b"x" * 30_000_000 + b'\\ud83d\\ude00"}',
}


@pytest.mark.processes
@pytest.mark.slow
@needs_proc
async def test_answers_made_to_grow_in_memory_do_not_and_hold_up_no_other_source(tmp_path: Path) -> None:
    rogue, options = Rogue(), (Category.RETURN_OPTIONS,)
    async with own_process(tmp_path, sources=("dtv",)) as (place, pid):
        amina = persona("amina")
        await place.open_case(amina)
        await place.consent(amina, options, source="dtv", purpose="return_support")
        rogue.url = place.deployment.addresses.adapters["ind"]
        async with rogue.serve(place.deployment):
            assert (await place.ask(amina, BASELINE)).state == "answered"
            assert (
                await place.ask(amina, options, source="dtv", purpose="return_support")
            ).state == "answered"
            before = memory(pid, "VmHWM")
            for body in GROWING.values():
                rogue.behave = partial(_sends, body)
                grown = asyncio.create_task(place.ask(amina, BASELINE))
                while not grown.done():
                    began = time.monotonic()
                    other = await place.ask(amina, options, source="dtv", purpose="return_support")
                    assert (other.state, time.monotonic() - began < 2.0) == ("answered", True)
                with pytest.raises(GatewayRefused) as refused:
                    await grown
                assert refused.value.code == "source_answer_invalid"
            took = memory(pid, "VmHWM") - before
            assert took < ROOM_TIMES * SHARE_BYTES, f"{took >> 20} MB"


async def _sends(body: bytes, _: Draft) -> Response:
    return Response(body, media_type="application/json")


async def _has_large_answer(place: Town) -> str:
    await place.open_case(persona("petros"))
    await place.consent(persona("petros"), (Category.DECISIONS,))
    return await _asked_until_answered(place)


async def _asked_until_answered(place: Town, turned_away: Counter[str] | None = None) -> str:
    """Ask as a client does that comes back when it is told to."""
    prepared = place.prepare(persona("petros"), (Category.DECISIONS,))
    while True:
        try:
            exchange = await place.world.vluchtelingenwerk.send(prepared, wait_seconds=20)
        except GatewayRefused as later:
            if later.code not in ("overloaded", "source_unavailable"):
                raise
            if turned_away is not None:
                turned_away[later.code] += 1
            await asyncio.sleep(2)
            continue
        if exchange.state == "answered":
            assert exchange.answer is not None
            return exchange.id
        assert exchange.state == "forwarded"


def _get(path: str, token: str, proof: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: gate\r\nAuthorization: DPoP {token}\r\nDPoP: {proof}\r\n\r\n".encode()
    )
