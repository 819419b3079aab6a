"""R6, the short form: each costly answer of a hostile source and some others; `make faults` draws all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette.responses import JSONResponse

from tests.faults.hostile import COSTLY, SENT, HostileCity, answered_with, hostile_city
from tests.integration.test_overload import needs_proc

pytestmark = [
    pytest.mark.processes,
    pytest.mark.slow,
    needs_proc,
    pytest.mark.asyncio(loop_scope="module"),
]

SEED = 6
SIGNED = ["signed, for another exchange", "signed, with papers that were not ordered"]
NO_ANSWERS = ["no answer: a member twice", "no answer: a redirect that asks to GET"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HostileCity]:
    async with hostile_city(tmp_path_factory.mktemp("city")) as running:
        yield running


@pytest.mark.parametrize("sent", [*COSTLY, *SIGNED, *NO_ANSWERS])
async def test_what_a_hostile_source_sends_takes_no_memory_and_nothing_of_it_leaves(
    place: HostileCity, sent: str
) -> None:
    wrong, reached = await answered_with(place, SENT[sent], SEED)
    assert wrong == []
    assert reached


async def test_an_answer_that_leaves_is_noticed(place: HostileCity) -> None:
    """The control: the judge is told that an honest answer is a hostile one."""
    wrong, _ = await answered_with(place, lambda _, draft: JSONResponse(draft.message), SEED)
    assert [sentence for sentence in wrong if sentence.startswith("R6: ['application_status', ")]
