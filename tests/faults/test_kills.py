"""R1, the short form: the gateway is killed around steps of an exchange; `make faults` does all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.city import City, city
from tests.faults.kills import Cell, cells, killed_at, killed_at_random

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

# What the steps of an exchange are called, and where the outcome is least certain.
STEPS = [
    Cell("write exchange_recording.record_decision", 1, "before"),
    Cell("write exchange_recording.record_decision", 1, "after"),
    Cell("send order", 1, "before"),
    Cell("write exchange_recording.keep_and_hand_over", 1, "after"),
    Cell("write exchange_recording.record_hand_over", 1, "within"),
    Cell("write exchange_recording.record_hand_over", 1, "after"),
    Cell("write withdrawals.withdraw", 1, "after"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[City]:
    async with city(tmp_path_factory.mktemp("city")) as running:
        yield running


async def test_the_steps_that_are_named_here_are_those_that_a_day_passes(place: City) -> None:
    passed = await cells(place, hurry=True)
    assert set(STEPS) <= set(passed)
    assert place.child.kills == 0


@pytest.mark.parametrize("cell", STEPS, ids=str)
async def test_a_gateway_killed_at_a_step_comes_back_and_breaks_no_promise(place: City, cell: Cell) -> None:
    wrong, reached = await killed_at(place, cell, hurry=True)
    assert wrong == []
    assert reached, "nothing was killed: no such point"


async def test_a_gateway_killed_at_drawn_moments_while_many_ask_breaks_no_promise(place: City) -> None:
    wrong, reached = await killed_at_random(place, seed=1)
    assert wrong == []
    assert reached
