"""R7, the short form: a fact changes at a drawn moment while others ask; `make faults` draws many more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.changes import CHANGES, interleaved, purpose_dropped_amid
from tests.faults.city import city
from tests.integration.town import Town, town

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    async with town(tmp_path_factory.mktemp("changes")) as running:
        yield running


@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_at_a_drawn_moment_lets_nothing_out_that_it_forbids(place: Town, name: str) -> None:
    wrong, witness = await interleaved(place, name, seed=1, scenes=5)
    assert wrong == []
    assert witness.evidence.released, "nothing left at all: then nothing was tried"


@pytest.mark.processes
async def test_a_purpose_dropped_by_a_newer_agreement_is_over_for_what_was_under_way(tmp_path: Path) -> None:
    async with city(tmp_path) as running:
        wrong, _ = await purpose_dropped_amid(running, seed=1, scenes=10)
        assert wrong == []
