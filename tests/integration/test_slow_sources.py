"""One source hangs: the others answer as before, its own callers are told quickly, and nothing is lost."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import pytest_asyncio
from starlette.responses import Response

from adapters.protocol import Category, ClientIdentifier
from gateway.cli.world import IND, VW, persona
from tests.integration.edge import Answer, check_logs, recorded_logs
from tests.integration.rogue import Draft, Stage, complete, honest, staged

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLACES, FAILURES = 4, 2  # failures about different people: Amina and Bilal
TIMEOUT_SECONDS, OPEN_SECONDS, PLACE_WAIT_SECONDS = 6.0, 1.0, 0.2
# Of a machine that does other work beside the tests; without limits it would be TIMEOUT_SECONDS.
PROMPT_SECONDS = 4.0


class CircuitClock:
    """What IND's circuit goes by: the machine's clock, which stands while IND hangs.

    Else a slow machine would find it half open where a fast one finds it open.
    """

    def __init__(self) -> None:
        self.ahead_seconds = 0.0
        self._stands_at: float | None = None

    def __call__(self) -> float:
        now = time.monotonic() if self._stands_at is None else self._stands_at
        return now + self.ahead_seconds

    def stands(self) -> None:
        self._stands_at = time.monotonic()

    def goes_on(self) -> None:
        self._stands_at = None


CIRCUIT_CLOCK = CircuitClock()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(
        tmp_path_factory.mktemp("town"),
        source_timeout_seconds=TIMEOUT_SECONDS,
        source_concurrency=PLACES,
        source_place_wait_seconds=PLACE_WAIT_SECONDS,
        source_failures_to_open=FAILURES,
        source_open_seconds=OPEN_SECONDS,
    ) as running:
        purpose, categories = "return_support", (Category.RETURN_OPTIONS,)
        await running.place.consent(persona("amina"), categories, source="dtv", purpose=purpose)
        running.place.services.sources._lines[IND].breaker._clock = CIRCUIT_CLOCK
        yield running


@pytest.fixture(autouse=True)
def logs() -> Iterator[io.BytesIO]:
    with recorded_logs() as stream:
        yield stream
        check_logs(stream)


class Hanging:
    """IND while it hangs: it takes orders and says nothing, until it is let go."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._let_go = stage, asyncio.Event()
        self.under_way = self.most = 0

    async def __call__(self, draft: Draft) -> Response:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self._let_go.wait()
            return await honest(draft)
        finally:
            self.under_way -= 1

    def begins(self) -> None:
        self._let_go.clear()
        self._stage.rogue.behave = self
        CIRCUIT_CLOCK.stands()

    def ends(self) -> None:
        self._let_go.set()
        self._stage.rogue.behave = honest
        CIRCUIT_CLOCK.goes_on()

    async def fills_every_place(self) -> list[asyncio.Task[Answer]]:
        """Send as many orders as IND has places for; return the calls that wait for them."""
        people = [persona("amina"), persona("bilal")] * (PLACES // 2)
        calls = [asyncio.create_task(ask_ind(self._stage, one)) for one in people]
        async with asyncio.timeout(10):
            while self.under_way < PLACES:  # noqa: ASYNC110 - a count, in a server of this loop
                await asyncio.sleep(0.01)
        return calls


@pytest_asyncio.fixture(loop_scope="module")
async def hanging(stage: Stage) -> AsyncIterator[Hanging]:
    source = Hanging(stage)
    yield source
    source.ends()
    async with asyncio.timeout(20):
        while (await states(stage))[IND] != "closed":
            await ask_ind(stage)
            await asyncio.sleep(0.2)


async def ask_ind(stage: Stage, client: ClientIdentifier | None = None) -> Answer:
    return await stage.repeat(stage.prepared(client))


async def states(stage: Stage) -> dict[str, str]:
    """Read what an operator reads; whatever a source does, the gateway stays ready."""
    async with aiohttp.ClientSession() as http, http.get(stage.edge.url + "/readyz") as answer:
        said = await answer.json()
        assert (answer.status, said["status"]) == (200, "ready")
        sources: dict[str, str] = said["sources"]
        return sources


async def the_others_answer(stage: Stage) -> None:
    """DT&V and the NGO's own system give their whole answer, promptly."""
    town, amina = stage.place, persona("amina")
    began = time.monotonic()
    options = (Category.RETURN_OPTIONS, Category.PERSPECTIVE)
    returned = await town.ask(amina, options, source="dtv", purpose="return_support")
    guided = await town.ask(amina, (Category.GUIDANCE, Category.PERSPECTIVE), source=VW)
    assert time.monotonic() - began < PROMPT_SECONDS
    assert (returned.state, guided.state) == ("answered", "answered")


def quickly_refused(answer: Answer, began: float) -> str:
    assert (answer.status, answer.code) == (503, "source_unavailable")
    assert time.monotonic() - began < PROMPT_SECONDS
    return str(answer.json["id"])


async def all_arrive(stage: Stage, exchanges: list[str]) -> None:
    for exchange_id in exchanges:
        async with asyncio.timeout(30):
            while (seen := await stage.get(exchange_id, wait_seconds=5)).status == 202:
                # What is due later is due now.
                stage.passes(20)
        complete(seen)
        assert not await stage.waiting(exchange_id)


async def test_while_a_source_hangs_on_all_its_places_the_others_answer_and_nothing_is_lost(
    stage: Stage, hanging: Hanging
) -> None:
    await stage.accepts()
    await the_others_answer(stage)
    hanging.begins()
    stuck = await hanging.fills_every_place()
    await the_others_answer(stage)
    sent, began = len(stage.rogue.orders), time.monotonic()
    without_a_place = [
        quickly_refused(answer, began)
        for answer in await asyncio.gather(*(ask_ind(stage) for _ in range(2 * PLACES)))
    ]
    assert len(stage.rogue.orders) == sent
    timed_out = [str((await call).json["id"]) for call in stuck]
    assert hanging.most == PLACES

    hanging.ends()
    await all_arrive(stage, [*without_a_place, *timed_out])


async def test_the_circuit_opens_is_seen_and_closes_again_once_the_source_is_back(
    stage: Stage, hanging: Hanging, logs: io.BytesIO
) -> None:
    await stage.accepts()
    assert await states(stage) == {IND: "closed", "dtv": "closed", VW: "closed"}
    hanging.begins()
    waiting = [str((await call).json["id"]) for call in await hanging.fills_every_place()]
    assert await states(stage) == {IND: "open", "dtv": "closed", VW: "closed"}
    sent, began = len(stage.rogue.orders), time.monotonic()
    waiting += [quickly_refused(await ask_ind(stage), began)]
    assert len(stage.rogue.orders) == sent
    await the_others_answer(stage)

    hanging.ends()
    await all_arrive(stage, waiting)
    assert (await states(stage))[IND] == "closed"
    events = [json.loads(line) for line in logs.getvalue().splitlines()]
    changes = [one["state"] for one in events if one["event"] == "source.circuit"]
    assert (changes[0], *changes[-2:]) == ("open", "half_open", "closed")
    assert {one["source"] for one in events if one["event"] == "source.circuit"} == {IND}


async def test_a_source_that_comes_back_is_found_out_by_one_order_and_not_run_over(
    stage: Stage, hanging: Hanging
) -> None:
    await stage.accepts()
    hanging.begins()
    waiting = [str((await call).json["id"]) for call in await hanging.fills_every_place()]
    assert (await states(stage))[IND] == "open"
    sent = len(stage.rogue.orders)
    for answer in await asyncio.gather(*(ask_ind(stage) for _ in range(12))):
        assert (answer.status, answer.code) == (503, "source_unavailable")
        waiting.append(str(answer.json["id"]))
    assert len(stage.rogue.orders) == sent

    # All of them are due, and the source still hangs: one goes, the others wait for what becomes of it.
    stage.passes(400)
    CIRCUIT_CLOCK.ahead_seconds += 2 * OPEN_SECONDS
    async with asyncio.timeout(10):
        while len(stage.rogue.orders) == sent:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    await asyncio.sleep(4 * 0.25)
    assert len(stage.rogue.orders) == sent + 1

    hanging.ends()
    await all_arrive(stage, waiting)


async def test_an_order_that_was_not_sent_does_not_count_as_tried(stage: Stage, hanging: Hanging) -> None:
    await stage.accepts()
    hanging.begins()
    stuck = await hanging.fills_every_place()
    exchange_id = quickly_refused(await ask_ind(stage), time.monotonic())
    stage.passes(60)
    await asyncio.sleep(1.0)
    assert [row.attempts for row in await stage.waiting(exchange_id)] == [0]
    hanging.ends()
    await asyncio.gather(*stuck)
    await all_arrive(stage, [exchange_id])


async def test_one_person_whose_orders_hang_does_not_cut_off_the_others(
    stage: Stage, hanging: Hanging
) -> None:
    await stage.accepts()
    hanging.begins()
    lost = await asyncio.gather(*(ask_ind(stage, persona("bilal")) for _ in range(FAILURES + 1)))
    hanging.ends()
    assert {answer.code for answer in lost} == {"source_unavailable"}
    assert (await states(stage))[IND] == "closed"
    await stage.accepts()
    await all_arrive(stage, [str(answer.json["id"]) for answer in lost])


async def test_an_order_is_not_sent_again_while_the_call_that_sent_it_may_go_on(
    stage: Stage, hanging: Hanging
) -> None:
    await stage.accepts()
    longest, sent = stage.place.services.settings.source_limits.longest_call_seconds, len(stage.rogue.orders)
    hanging.begins()
    call = asyncio.create_task(ask_ind(stage))
    async with asyncio.timeout(5):
        while not hanging.under_way:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    stage.passes(longest + 2)
    await asyncio.sleep(1.0)
    assert len(stage.rogue.orders) == sent + 1
    # The control: were the call to be lost with its gateway, the order would go again soon after.
    stage.passes(5)
    async with asyncio.timeout(5):
        while len(stage.rogue.orders) == sent + 1:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    hanging.ends()
    complete(await call)
