"""Requests run through the instant at which the agreement changes: none is refused, each has its version."""

from __future__ import annotations

import asyncio
import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from adapters.kit import jose
from adapters.protocol import Category, ClientIdentifier, Role
from adapters.requester import Exchange
from gateway import clients
from gateway.cli.world import IND, VW, worker_of
from gateway.ledger.entry import open_detail
from gateway.storage.tables import ledger_details
from tests.integration.gateways import BESIDE, HERE, two_gateways
from tests.integration.promises.people import newcomer, someone, what_left
from tests.integration.promises.removals import leaving
from tests.integration.town import Town, town, v_number
from tests.postgres import Cluster

pytestmark = pytest.mark.asyncio(loop_scope="function")

# Here the first version opens residence_status and not application_status, the second the reverse.
PURPOSE, CLOSES, OPENS = "intake_check", Category.RESIDENCE_STATUS, Category.APPLICATION_STATUS
ASKED = (Category.PERSPECTIVE, CLOSES, OPENS)
BEFORE, AFTER = frozenset({"perspective", str(CLOSES)}), frozenset({"perspective", str(OPENS)})
FOUNDERS = (VW, "askv", IND, "dtv")
CALLERS = 4
SECONDS_TO_SIGN, SECONDS_AFTER = 5, 2
DECIDES = {"request_forwarded", "handed_over", "request_refused", "nothing_to_share"}


def successor(place: Town, seconds: int) -> dict[str, Any]:
    """Write the next version, to begin in so many seconds."""
    before = place.services.agreement
    document: dict[str, Any] = copy.deepcopy(dict(before.signed.data))
    document |= {"version": "later", "supersedes": before.digest, "valid_from": place.clock() + seconds}
    rules = document["rules"][PURPOSE]["ngo"]["ind"]
    rules[OPENS.value] = rules.pop(CLOSES.value) | {"id": f"{PURPOSE}.ngo.ind.{OPENS}"}
    return document


async def agree(place: Town, document: dict[str, Any]) -> str:
    """Propose a version, approve it, and have its founders sign; whoever is left does what is left to do."""
    parties = place.world.requesters
    proposed = await parties[VW].propose_agreement(document, worker=worker_of(VW, Role.DPO))
    digest = str(proposed["digest"])
    await parties["askv"].approve_agreement(digest, worker=worker_of("askv", Role.DPO))
    for party in FOUNDERS:
        await parties[party].sign_agreement(digest, worker=worker_of(party, Role.ADMIN))
    for _ in range(40):  # a policy server beside the gateway fetches it first
        body = {"worker": worker_of(VW, Role.ADMIN)}
        answered = await place.call(VW, "POST", f"/v1/agreements/{digest}/activation", body)
        if answered.status == 200:
            return digest
        await asyncio.sleep(0.2)
    raise AssertionError(f"the version was not scheduled: {answered.code}")


async def clients_of(place: Town, number: int) -> list[ClientIdentifier]:
    known = [someone() for _ in range(number)]
    for client in known:
        await place.open_case(client)
        await place.consent(client, (CLOSES, OPENS), purpose=PURPOSE)
    return known


async def stream(
    place: Town, client: ClientIdentifier, until: int
) -> list[tuple[dict[str, Any], frozenset[str]]]:
    """Ask again and again; return what each receipt discloses, and what left."""
    answers = []
    while place.clock() < until:
        prepared = place.prepare(client, ASKED, purpose=PURPOSE)
        answered = await place.call(
            VW, "POST", "/v1/dossier-requests", prepared.body, Idempotency_Key=prepared.idempotency_key
        )
        assert answered.status == 200, (answered.status, answered.code)
        assert isinstance(answered.body, dict)
        ledger: Any = jose.unverified_payload(str(answered.body["receipt"]))["ledger"]
        answers.append((ledger, leaving(answered)))
    return answers


async def through_the_instant(place: Town) -> None:
    """Change the agreement while callers ask, and judge every answer by the ledger."""
    known = await clients_of(place, CALLERS)
    was = place.services.agreement.digest
    document = successor(place, SECONDS_TO_SIGN + 4)
    until = document["valid_from"] + SECONDS_AFTER
    asking = [asyncio.create_task(stream(place, client, until)) for client in known]
    digest = await agree(place, document)
    answers = [answer for answered in await asyncio.gather(*asking) for answer in answered]

    changed, decided = await place.services.store.read(lambda conn: _ledger(conn, place))
    assert [(entry["from"], entry["to"]) for entry in changed.values()] == [(was, digest)]
    (turned,) = changed
    for index, entry in decided.items():
        assert entry["agreement"] == (digest if index > turned else was)
        assert index > turned or entry["at"] <= document["valid_from"]
    asked_under = {
        entry["exchange"]: entry["agreement"] for _, entry in sorted(decided.items(), reverse=True)
    }
    before = [left for said, left in answers if said["index"] < turned]
    after = [(said["detail"], left) for said, left in answers if said["index"] > turned]
    assert before == [BEFORE] * len(before)
    for said, left in after:
        # What was asked for under the first version and arrived under the second leaves only if both open it.
        assert left == (AFTER if asked_under[said["exchange"]] == digest else BEFORE & AFTER)
    assert len(before) >= CALLERS
    assert len(after) >= CALLERS


def _ledger(conn: Connection, place: Town) -> tuple[dict[int, Any], dict[int, Any]]:
    """Read the entries that say that the agreement changed, and those that decide, by their index."""
    vault, changed, decided = place.services.vault, {}, {}
    for row in conn.execute(select(ledger_details)).mappings().all():
        if row["kind"] == "agreement_changed":
            changed[row["index"]] = open_detail(row, vault.party_key("gateway")).detail
        elif row["kind"] in DECIDES:
            client = clients.by_id(conn, vault, row["client_id"])
            assert client is not None
            decided[row["index"]] = open_detail(row, client.key).detail
    return changed, decided


async def test_through_the_instant_no_request_is_refused_and_each_is_decided_by_its_version(
    tmp_path: Path,
) -> None:
    async with town(tmp_path, agreement_lead_seconds=1) as place:
        await through_the_instant(place)


@pytest.mark.postgres
@pytest.mark.processes
async def test_through_the_instant_two_gateways_are_one(tmp_path: Path, postgres: Cluster) -> None:
    async with two_gateways(tmp_path, postgres.database()) as two:
        turns = itertools.cycle((HERE, BESIDE))
        with two.at(lambda _: next(turns)):
            await through_the_instant(two.town)


# --- a signature that is taken back while a request is under way --------------------------------


async def test_what_waits_for_collection_stays_when_a_founder_leaves(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        person = newcomer()
        client = v_number(person.v_number)
        await place.open_case(client)
        await place.consent(client, (CLOSES,), purpose=PURPOSE)
        vw = place.world.vluchtelingenwerk
        asked = await place.ask(client, (Category.PERSPECTIVE, CLOSES), purpose=PURPOSE)
        assert leaving_of(await vw.get(asked.id)) == BEFORE
        digest = place.services.agreement.digest
        askv = place.world.requesters["askv"]
        await askv.unsign_agreement(digest, worker=worker_of("askv", Role.ADMIN))
        assert leaving_of(await vw.get(asked.id)) == frozenset()
        place.clock.ahead_seconds += 2
        await askv.sign_agreement(digest, worker=worker_of("askv", Role.ADMIN))
        assert leaving_of(await vw.get(asked.id)) == BEFORE


async def test_what_the_source_is_working_on_stays_when_a_founder_leaves(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        for leaves in (False, True):
            person = newcomer()
            client = v_number(person.v_number)
            await place.open_case(client)
            await place.consent(client, (CLOSES,), purpose=PURPOSE)
            await place.behave("ind", v_number=person.v_number, mode="later", delay_seconds=2)
            prepared = place.prepare(client, (Category.PERSPECTIVE, CLOSES), purpose=PURPOSE)
            vw = place.world.vluchtelingenwerk
            asking = asyncio.create_task(vw.send(prepared, wait_seconds=25))
            await asyncio.sleep(1)
            if leaves:
                askv, worker = place.world.requesters["askv"], worker_of("askv", Role.ADMIN)
                await askv.unsign_agreement(place.services.agreement.digest, worker=worker)
            answered = await asking
            assert leaving_of(answered) == (frozenset() if leaves else BEFORE)


def leaving_of(answered: Exchange) -> frozenset[str]:
    return what_left(answered).categories
