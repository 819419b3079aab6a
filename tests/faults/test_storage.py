"""R2, the short form: calls of the store fail in three ways; `make faults` lets every one of them fail."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.storage import WAYS, FailingStorage, failing_storage

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

CALLS = (
    "write exchange_recording.record_decision",
    "write exchange_recording.keep_and_hand_over",
    "write exchange_recording.record_hand_over",
    "write withdrawals.withdraw",
    "read release.recheck",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FailingStorage]:
    async with failing_storage(tmp_path_factory.mktemp("storage")) as running:
        yield running


async def test_a_storage_call_that_fails_in_any_way_breaks_no_promise(place: FailingStorage) -> None:
    every = await place.cells(hurry=True)
    assert {cell.place for cell in every} == set(WAYS)
    chosen = [cell for cell in every if cell.name in CALLS and cell.nth == 1]
    assert {cell.name for cell in chosen} >= {call for call in CALLS if "token" not in call}
    for cell in chosen:
        wrong, reached = await place.fails_at(cell, hurry=True)
        assert wrong == [], f"{cell}: {wrong}"
        assert reached or "token" in cell.name, cell
