"""Promise 8: a request counts only for a worker who is on the client's case, in that role, now."""

from __future__ import annotations

import pytest

from adapters.protocol import Category, ClientIdentifier, Role, Worker
from adapters.requester import Exchange
from adapters.requester.errors import GatewayRefused
from gateway.cli.world import VW, worker_of
from tests.integration.promises.moments import Moments
from tests.integration.promises.people import Left, nobody, someone, what_left
from tests.integration.town import Town

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASKED = (Category.PERSPECTIVE, Category.APPLICATION_STATUS)
NAMES = frozenset(map(str, ASKED))
JURIST, MANAGER = worker_of(VW, Role.CASEWORKER), worker_of(VW, Role.CASEMANAGER)
NEWCOMER = Worker(id="vw-jurist-99", role=Role.CASEWORKER)


async def _guided(place: Town) -> tuple[ClientIdentifier, str]:
    client = someone()
    case = await place.open_case(client)
    await place.consent(client, ASKED[1:])
    return client, case


async def _ask(place: Town, client: ClientIdentifier, worker: Worker) -> Exchange:
    return await place.world.vluchtelingenwerk.send(place.prepare(client, ASKED, worker=worker))


@pytest.mark.parametrize(
    "worker",
    [
        NEWCOMER,
        Worker(id=JURIST.id, role=Role.MEDICAL),
        Worker(id=JURIST.id, role=Role.CASEMANAGER),
        Worker(id=JURIST.id, role=Role.SOURCE_OFFICER),
        worker_of("askv", Role.CASEWORKER),
    ],
    ids=str,
)
async def test_who_is_not_on_the_case_in_that_role_gets_nothing(place: Town, worker: Worker) -> None:
    client, _ = await _guided(place)
    assert what_left(await _ask(place, client, JURIST)).categories == NAMES
    strange = await _ask(place, client, worker)
    assert (strange.state, strange.decisions, strange.answer) == ("nothing_to_share", (), None)


async def test_a_worker_off_the_case_gets_the_face_of_a_stranger(place: Town) -> None:
    client, _ = await _guided(place)
    on_it, off_it = await _ask(place, client, JURIST), await _ask(place, client, NEWCOMER)
    unknown = await _ask(place, nobody(), NEWCOMER)
    assert on_it.state == "answered"
    assert off_it.model_dump(exclude={"id", "receipt"}) == unknown.model_dump(exclude={"id", "receipt"})
    assert len(str(off_it.receipt)) == len(str(unknown.receipt))


async def test_a_worker_counts_from_when_the_casemanager_adds_them_until_they_are_removed(
    place: Town,
) -> None:
    client, case = await _guided(place)
    assert (await _ask(place, client, NEWCOMER)).state == "nothing_to_share"
    added = await place.call(VW, "POST", f"/v1/cases/{case}/workers", {"worker": MANAGER, "added": NEWCOMER})
    assert added.status == 200
    asked = await _ask(place, client, NEWCOMER)
    assert what_left(asked).categories == NAMES

    path = f"/v1/cases/{case}/workers/{NEWCOMER.id}/removal"
    assert (await place.call(VW, "POST", path, {"worker": MANAGER})).status == 200
    assert (await _ask(place, client, NEWCOMER)).state == "nothing_to_share"
    # What was asked while they were on the case does not come any more either: it was called off.
    later = await place.world.vluchtelingenwerk.get(asked.id)
    assert (later.state, later.decisions, what_left(later).categories) == ("cancelled", (), frozenset())
    # For a colleague who is on the case all is as it was.
    assert what_left(await _ask(place, client, JURIST)).categories == NAMES


async def test_nobody_but_the_casemanager_puts_a_worker_on_the_case(place: Town) -> None:
    client, case = await _guided(place)
    body = {"worker": JURIST, "added": NEWCOMER}
    refused = await place.call(VW, "POST", f"/v1/cases/{case}/workers", body)
    assert refused.status in (403, 404)
    assert (await _ask(place, client, NEWCOMER)).state == "nothing_to_share"
    allowed = await place.call(VW, "POST", f"/v1/cases/{case}/workers", {**body, "worker": MANAGER})
    assert allowed.status == 200


async def test_a_request_that_names_no_worker_is_refused_before_any_look_up(
    place: Town, moments: Moments
) -> None:
    client, _ = await _guided(place)
    prepared = place.prepare(client, ASKED)
    path, key = "/v1/dossier-requests", prepared.idempotency_key
    nameless = {name: value for name, value in prepared.body.items() if name != "worker"}
    moments.watch("POST", path)
    refused = await place.call(VW, "POST", path, nameless, Idempotency_Key=key)
    assert (refused.status, refused.code) == (400, "invalid_input")
    assert len(moments.calls) <= 1, "at most who calls was established"
    assert (await place.call(VW, "POST", path, prepared.body, Idempotency_Key=key)).status == 200


async def test_the_entry_of_a_release_names_the_worker_and_the_reason_of_each_category(place: Town) -> None:
    client, _ = await _guided(place)
    released: Left = what_left(await _ask(place, client, JURIST))
    assert released.detail["worker"] == JURIST.id
    assert {one["category"]: one["ground"] for one in released.detail["categories"]} == {
        "perspective": "baseline",
        "application_status": "consent",
    }


async def test_only_exact_identifiers_are_searched_for(place: Town) -> None:
    client, case = await _guided(place)
    search = place.world.vluchtelingenwerk.search_cases
    found = await search(client, worker=JURIST)
    assert [one["id"] for one in found["cases"]] == [case]  # type: ignore[union-attr,index,call-overload]
    for value in (client.value[:9], client.value[:9] + "%", client.value[:9] + "*", ""):
        body = {"client": {"scheme": "v-number", "value": value}, "worker": JURIST}
        answer = await place.call(VW, "POST", "/v1/cases/search", body)
        assert (answer.status, answer.code) == (400, "invalid_input")
    for path in ("/v1/cases", "/v1/consents", "/v1/dossier-requests", "/v1/clients"):
        assert (await place.call(VW, "GET", path)).status in (404, 405), "there are no lists"


async def test_only_the_worker_who_asked_closes_a_request(place: Town) -> None:
    client, case = await _guided(place)
    await place.call(VW, "POST", f"/v1/cases/{case}/workers", {"worker": MANAGER, "added": NEWCOMER})
    asked = await _ask(place, client, JURIST)
    with pytest.raises(GatewayRefused) as refused:
        await place.world.vluchtelingenwerk.acknowledge(asked.id, worker=NEWCOMER)
    assert refused.value.code == "not_found"
    collected = await place.world.vluchtelingenwerk.acknowledge(asked.id, worker=JURIST)
    assert collected.state == "collected"
