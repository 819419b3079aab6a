"""R1 and R4 on PostgreSQL, the short form: one of two gateways is killed, or the database is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.city import City, city
from tests.faults.database import broken
from tests.faults.kills import Cell, one_of_two_killed_at
from tests.postgres import Cluster, cluster

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.processes,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]

STEPS = [
    Cell("write exchange_recording.record_hand_over", 1, "after"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[City, Cluster]]:
    with cluster() as server:
        async with city(
            tmp_path_factory.mktemp("two"), gateways=2, database_url=server.database()
        ) as running:
            yield running, server


@pytest.mark.parametrize("cell", STEPS, ids=str)
async def test_one_of_two_gateways_is_killed_at_a_step_and_the_other_finishes_the_day(
    two: tuple[City, Cluster], cell: Cell
) -> None:
    await two[0].forget()
    wrong, reached = await one_of_two_killed_at(two[0], cell)
    assert wrong == []
    assert reached, "nothing was killed: no such point"


@pytest.mark.parametrize("name", ["the server dies"])
async def test_a_database_server_that_breaks_while_many_ask_costs_nothing_but_time(
    two: tuple[City, Cluster], name: str
) -> None:
    assert await broken(*two, name, seed=1) == []
