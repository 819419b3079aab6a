"""A gateway that rewrites its ledger, with its own key and a database to match, is found out by a party."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from adapters.requester import LedgerForked
from adapters.requester.continuity import KeptCheckpoint
from gateway.cli.world import VW, persona
from gateway.ledger.checkpoint import LedgerSigner
from gateway.storage.unit_of_work import Store
from tests import grounds
from tests.integration.town import Town, town

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    # A copy of the database is a copy of its file here.
    async with town(tmp_path_factory.mktemp("town"), ground=grounds.FILE) as running:
        yield running


@pytest.fixture
def kept(place: Town, tmp_path: Path) -> KeptCheckpoint:
    """What VluchtelingenWerk keeps, from a first receipt on, in a folder of its own."""
    fresh = KeptCheckpoint(place.services.register, tmp_path)
    place.world.vluchtelingenwerk._kept = fresh
    return fresh


def copied(place: Town, to: Path) -> Path:
    """Copy the database as it is now."""
    source = place.deployment.folder / "gateway.sqlite"
    with closing(sqlite3.connect(source)) as now, closing(sqlite3.connect(to)) as copy:
        now.backup(copy)
    return to


@asynccontextmanager
async def rewritten(place: Town, database: Path) -> AsyncIterator[None]:
    """Let the gateway go on from an earlier database, and sign whatever comes of it by the ledger's key."""
    honest = place.services
    signer = LedgerSigner(honest.register.ledger_origin, honest.keys.seed("checkpoint"))
    store = Store.open(f"sqlite:///{database}", ledger=signer)
    place.replace_services(replace(honest, store=store))
    try:
        yield
    finally:
        place.replace_services(honest)
        store.close()


async def proven(place: Town) -> int:
    """Ask about Amina, and have the receipt proven; return the size of the ledger that proves it."""
    asked = await place.ask(persona("amina"))
    return (await place.world.requesters[VW].receipt(asked.id)).tree_size


async def test_an_honest_ledger_is_proven_to_continue_at_each_receipt(
    place: Town, kept: KeptCheckpoint
) -> None:
    await place.open_case(persona("amina"))
    sizes = [await proven(place) for _ in range(4)]
    assert sizes == sorted(set(sizes))
    known = kept.read()
    assert known is not None
    assert known[1].size == sizes[-1]


@pytest.mark.parametrize("more", [1, 2, 6], ids=["shorter", "as long or so", "longer"])
async def test_a_ledger_that_goes_on_from_an_earlier_database_is_refused_loudly(
    place: Town, kept: KeptCheckpoint, tmp_path: Path, more: int
) -> None:
    if not await place.services.store.read(lambda conn: conn.exec_driver_sql("SELECT 1 FROM cases").first()):
        await place.open_case(persona("amina"))
    earlier = copied(place, tmp_path / "earlier.sqlite")
    for _ in range(2):
        size = await proven(place)
    async with rewritten(place, earlier):
        for _ in range(more):
            asked = await place.ask(persona("amina"))
        assert asked.state == "answered"  # nothing but the proof tells that anything is wrong
        with pytest.raises(LedgerForked) as caught:
            await place.world.vluchtelingenwerk.receipt(asked.id)
    assert caught.value.kept_size == size
    assert caught.value.evidence is not None
    assert caught.value.evidence.is_file()
    assert "other parties" in caught.value.next_step
    assert await proven(place) > size  # the honest one, again
