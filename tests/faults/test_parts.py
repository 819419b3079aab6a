"""R4 and R5, the short form: parts fail alone, and some two at a time; `make faults` pairs them all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests import grounds
from tests.faults.parts import with_faults
from tests.integration.town import Town, town

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

ALONE = [
    ("the disk is full",),
    ("the disk is read-only",),
    ("the database is down",),
    ("policy is slow",),
    ("the requester's keys are over",),
    ("the source's keys are gone",),
    ("the source is down",),
]
PAIRS = [
    ("the disk is full", "the source is slow"),
    ("the database is slow", "the requester's keys are gone"),
    ("the disk is read-only", "policy answers garbage"),
    ("policy is down", "the source is down"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    async with town(tmp_path_factory.mktemp("parts")) as running:
        yield running


@pytest.mark.parametrize("names", [*ALONE, *PAIRS], ids=" and ".join)
async def test_while_parts_fail_nothing_leaves_unrecorded_and_afterwards_all_of_it_comes(
    place: Town, names: tuple[str, ...]
) -> None:
    assert await with_faults(place, *names) == []


@pytest.mark.postgres
async def test_a_server_that_lets_nobody_in_or_write_releases_nothing(
    tmp_path: Path,
) -> None:
    async with town(tmp_path, database_url=grounds.postgres().database()) as running:
        for name in ("the server is read-only", "the database is down"):
            assert await with_faults(running, name) == [], name
