"""R8, the short form: every message of a day comes again; `make faults` repeats it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests import grounds
from tests.faults.city import City, city
from tests.faults.invariants import Answered
from tests.faults.kills import ASKED, CONSENTED
from tests.faults.replays import WAYS
from tests.faults.witness import Witness
from tests.integration.promises.people import someone

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[City]:
    async with city(tmp_path_factory.mktemp("city"), wired=True) as running:
        yield running


@pytest.mark.parametrize("way", ["at once", "after a restart", "by the party itself"])
async def test_a_message_that_comes_again_counts_once(place: City, way: str) -> None:
    wrong, messages = await WAYS[way](place)
    assert wrong == []
    assert messages > 10


async def test_a_look_that_a_proxy_has_sent_twice_is_answered_all_the_same(place: City) -> None:
    assert place.front is not None
    witness = Witness(place.town)
    await witness.arrive()
    client = someone()
    await place.town.open_case(client)
    await witness.consent(client, CONSENTED)
    prepared, request = witness.prepare(client, ASKED)
    asked = await witness.send(prepared, request)
    assert isinstance(asked, Answered)
    place.front.looks_twice_at = f"/v1/dossier-requests/{asked.exchange}"
    seen = await witness.get(request, asked.exchange)
    assert not place.front.looks_twice_at
    assert isinstance(seen, Answered)
    assert seen.categories == frozenset(map(str, ASKED))
    assert await witness.conclude() == []


@pytest.mark.postgres
async def test_a_message_that_reaches_two_gateways_at_once_counts_once(
    tmp_path: Path,
) -> None:
    async with city(tmp_path, gateways=2, wired=True, database_url=grounds.postgres().database()) as running:
        wrong, messages = await WAYS["at once"](running)
    assert wrong == []
    assert messages > 10
