"""R5, the short form: a gateway that starts without what it needs serves nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.city import City, city
from tests.faults.starts import without

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

FAULTS = [
    ("the receipt key is missing",),
    ("the lookup secret is missing", "the agreement lacks a signature"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[City]:
    async with city(tmp_path_factory.mktemp("city")) as running:
        yield running


@pytest.mark.parametrize("names", FAULTS, ids=" and ".join)
async def test_a_gateway_without_what_it_needs_does_not_serve_and_goes_on_when_it_has_it(
    place: City, names: tuple[str, ...]
) -> None:
    assert await without(place, *names) == []
