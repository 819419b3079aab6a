"""R4 and R5, the short form: every part fails alone, and some two at a time; `make faults` pairs them all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.parts import FAULTS, with_faults
from tests.integration.town import Town, town

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

PAIRS = [
    ("the disk is full", "the source is slow"),
    ("the disk is read-only", "policy answers garbage"),
    ("policy is down", "the source is down"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    async with town(tmp_path_factory.mktemp("parts")) as running:
        yield running


@pytest.mark.parametrize("names", [*((name,) for name in FAULTS), *PAIRS], ids=" and ".join)
async def test_while_parts_fail_nothing_leaves_unrecorded_and_afterwards_all_of_it_comes(
    place: Town, names: tuple[str, ...]
) -> None:
    assert await with_faults(place, *names) == []
