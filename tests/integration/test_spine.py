"""The spine on real parts: what leaves, what does not, and what every call does again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.cli.world import persona
from tests.integration.town import Town, town

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    async with town(tmp_path_factory.mktemp("town")) as running:
        yield running


async def test_an_answer_brings_the_baseline_and_nothing_else_without_consent(place: Town) -> None:
    await place.open_case(persona("amina"))
    answered = await place.ask(persona("amina"))
    assert answered.state == "answered"
    assert set(answered.answer.baseline) == {"perspective", "partners"}
