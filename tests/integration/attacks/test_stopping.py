"""To stop is as strong as to ask: who calls a request off, or leaves, is obeyed at the source too."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from adapters.protocol import Category, Role
from gateway.cli.world import IND, PURPOSE, VW, worker_of
from tests.integration.attacks.conftest import members
from tests.integration.promises.people import newcomer
from tests.integration.town import PAPERS, Town, v_number

pytestmark = pytest.mark.asyncio(loop_scope="package")

REQUESTS = "/v1/dossier-requests"


async def _waiting_at_ind(place: Town) -> tuple[str, str]:
    person = newcomer()
    client = v_number(person.v_number)
    await place.open_case(client)
    await place.consent(client)
    await place.behave("ind", v_number=person.v_number, mode="later", delay_seconds=3600)
    requester = place.world.requesters[VW]
    prepared = requester.prepare(
        client,
        purpose=PURPOSE,
        source=IND,
        categories=(Category.PERSPECTIVE, *PAPERS),
        worker=worker_of(VW, Role.CASEWORKER),
    )
    asked = await requester.send(prepared, wait_seconds=0)
    assert asked.state == "forwarded"
    return asked.id, person.v_number


async def _cancelled_at_ind(place: Town, exchange_id: str) -> set[str]:
    with sqlite3.connect(place.deployment.folder / "ind-adapter.sqlite") as kept:
        rows = kept.execute("SELECT category FROM cancelled WHERE exchange = ?", (exchange_id,))
        return {str(row[0]) for row in rows}


async def test_a_request_called_off_is_stopped_at_its_source(place: Town) -> None:
    exchange_id, _ = await _waiting_at_ind(place)
    assert await _cancelled_at_ind(place, exchange_id) == set()
    worker = worker_of(VW, Role.CASEWORKER)
    ended = await place.call(VW, "POST", f"{REQUESTS}/{exchange_id}/cancellation", {"worker": worker})
    assert (ended.status, members(ended)["state"]) == (200, "cancelled")
    for _ in range(40):
        if await _cancelled_at_ind(place, exchange_id):
            break
        await asyncio.sleep(0.1)
    assert await _cancelled_at_ind(place, exchange_id) == {"perspective", "decisions", "dossier_documents"}


@pytest.mark.parametrize("how", ["the party leaves", "the worker is taken off the case"])
async def test_who_is_off_the_case_has_nothing_under_way_any_more(place: Town, how: str) -> None:
    person = newcomer()
    client = v_number(person.v_number)
    case = await place.open_case(client)
    await place.behave("ind", v_number=person.v_number, mode="later", delay_seconds=3600)
    requester, manager = place.world.requesters[VW], worker_of(VW, Role.CASEMANAGER)
    worker = worker_of(VW, Role.CASEWORKER)
    prepared = requester.prepare(
        client, purpose=PURPOSE, source=IND, categories=(Category.PERSPECTIVE,), worker=worker
    )
    asked = await requester.send(prepared, wait_seconds=0)
    assert (asked.state, len(asked.decisions)) == ("forwarded", 1)
    if how == "the party leaves":
        await requester.leave_case(case, worker=manager)
    else:
        path = f"/v1/cases/{case}/workers/{worker.id}/removal"
        assert (await place.call(VW, "POST", path, {"worker": manager})).status == 200
    seen = await requester.get(asked.id)
    assert (seen.state, seen.decisions) == ("cancelled", ())
    for _ in range(40):
        if await _cancelled_at_ind(place, asked.id):
            break
        await asyncio.sleep(0.1)
    assert await _cancelled_at_ind(place, asked.id) == {"perspective"}
