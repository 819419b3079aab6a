"""Two gateways on one PostgreSQL are one gate: what one has done, the other knows at its next step."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import Connection, func, select
from starlette.types import Scope

from adapters.kit import jose
from adapters.kit.keys import SigningKey
from adapters.kit.register import sign_key_list
from adapters.protocol import Category, ClientIdentifier, Role
from adapters.requester.errors import RequesterError
from gateway import dispatch, orders
from gateway.cli.evidence import signed_on_paper
from gateway.cli.provision import GATEWAY
from gateway.cli.world import IND, PURPOSE, VW, worker_of
from gateway.ledger.checkpoint import LedgerSigner
from gateway.ledger.proofs import latest_checkpoint
from gateway.ledger.verify import UnverifiedBundle, verify_bundle
from gateway.parties import MAX_AGE_SECONDS
from gateway.storage.tables import exchanges, ledger_entries, outbox
from gateway.storage.unit_of_work import Store
from tests.integration.edge import Edge
from tests.integration.gateways import BESIDE, HERE, TwoGateways, two_gateways
from tests.integration.promises.moments import Moments
from tests.integration.promises.people import newcomer, someone, what_left
from tests.integration.promises.test_race import CHANGES, _sweep
from tests.integration.town import Town, v_number
from tests.postgres import Cluster

pytestmark = [pytest.mark.postgres, pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]

REQUESTS = "/v1/dossier-requests"
ASKED = (Category.PERSPECTIVE, Category.PARTNERS, Category.APPLICATION_STATUS)
EVERYTHING = frozenset(map(str, ASKED))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory, postgres: Cluster) -> AsyncIterator[TwoGateways]:
    async with two_gateways(tmp_path_factory.mktemp("two"), postgres.database()) as running:
        yield running


@pytest.fixture
def place(two: TwoGateways) -> Town:
    return two.town


async def _consenting(place: Town) -> ClientIdentifier:
    client = someone()
    await place.open_case(client)
    await place.consent(client, (Category.APPLICATION_STATUS,))
    return client


def in_turn() -> Callable[[Scope], str]:
    """Pick the gateways in turn, as a load balancer does."""
    turns = itertools.cycle((HERE, BESIDE))
    return lambda _: next(turns)


async def check_ledger(place: Town, *earlier: str) -> int:
    """Verify the whole ledger offline, with every checkpoint that anyone kept; return its size."""

    def read(conn: Connection) -> UnverifiedBundle:
        entries = conn.execute(select(ledger_entries.c.entry).order_by(ledger_entries.c.index)).scalars()
        return UnverifiedBundle(latest_checkpoint(conn), [bytes(entry) for entry in entries])

    bundle = await place.services.store.read(read)
    return verify_bundle(bundle, place.services.register.ledger_vkey, earlier=earlier).checkpoint.size


async def test_a_case_a_consent_a_request_and_its_answer_may_each_meet_another_gateway(
    two: TwoGateways, place: Town
) -> None:
    for picked in (HERE, BESIDE, in_turn()):
        with two.at(picked):
            client = await _consenting(place)
            asked = await place.ask(client, ASKED)
        for where in (BESIDE, HERE):
            with two.at(where):
                again = what_left(await place.world.vluchtelingenwerk.get(asked.id))
                assert again.categories == EVERYTHING
    await check_ledger(place)


async def test_who_waits_at_one_gateway_hears_of_an_answer_that_came_in_at_the_other(
    two: TwoGateways, place: Town
) -> None:
    answers_at = {HERE: BESIDE, BESIDE: HERE}
    for asks_at in (HERE, BESIDE):
        person = newcomer()
        client = v_number(person.v_number)
        await place.open_case(client)
        await place.behave("ind", v_number=person.v_number, mode="later", delay_seconds=1)

        def choose(scope: Scope, asks_at: str = asks_at) -> str:
            return answers_at[asks_at] if scope["path"].startswith("/v1/orders") else asks_at

        with two.at(choose):
            began = time.monotonic()
            prepared = place.prepare(client, (Category.PERSPECTIVE,))
            asked = await place.world.vluchtelingenwerk.send(prepared, wait_seconds=25)
            assert asked.state == "answered"
            assert time.monotonic() - began < 15


async def test_one_key_at_both_gateways_at_once_makes_one_exchange(two: TwoGateways, place: Town) -> None:
    client = await _consenting(place)
    prepared = place.prepare(client, ASKED)

    def count(conn: Connection) -> int:
        return int(conn.execute(select(func.count()).select_from(exchanges)).scalar_one())

    before = await place.services.store.read(count)
    with two.at(in_turn()):
        sent = [place.world.vluchtelingenwerk.send(prepared) for _ in range(8)]
        answers = await asyncio.gather(*sent)
    assert len({answer.id for answer in answers}) == 1
    assert await place.services.store.read(count) == before + 1
    assert {what_left(answer).categories for answer in answers} == {EVERYTHING}


async def test_a_confirmation_lost_at_one_gateway_is_repeated_at_the_other(
    two: TwoGateways, place: Town
) -> None:
    client, vw = someone(), place.world.vluchtelingenwerk
    desk, second = worker_of(VW, Role.DESK), worker_of(VW, Role.DESK, 1)
    await place.open_case(client)
    recorded = await vw.record_consent(
        client,
        purpose=PURPOSE,
        sources=[IND],
        recipients=[VW],
        categories=(Category.APPLICATION_STATUS,),
        evidence=signed_on_paper(desk.id, "ti"),
        worker=desk,
    )
    with two.at(in_turn()):
        confirming = [vw.confirm_consent(str(recorded["id"]), worker=second) for _ in range(8)]
        answers = await asyncio.gather(*confirming)
        size = await check_ledger(place)
        answers += [await vw.confirm_consent(str(recorded["id"]), worker=second) for _ in range(2)]
    assert answers == [answers[0]] * 10
    assert answers[0]["state"] == "active"
    assert await check_ledger(place) == size


async def test_a_proof_or_an_assertion_used_at_one_gateway_is_a_replay_at_the_other(
    two: TwoGateways, place: Town
) -> None:
    path = f"{REQUESTS}/{'x' * 22}"
    async with Edge(place) as edge:
        token = await edge.token()
        for first, second in ((HERE, BESIDE), (BESIDE, HERE)):
            headers = {"Authorization": f"DPoP {token}", "DPoP": edge.proof("GET", path, token)}
            with two.at(first):
                assert (await edge.send("GET", path, headers=headers)).code == "not_found"  # it was let in
            for where in (second, first):
                with two.at(where):
                    again = await edge.send("GET", path, headers=headers)
                    assert (again.status, again.code) == (401, "proof_replayed")
            form = await _form(edge)
            for where, accepted in ((first, True), (second, False)):
                fresh = {"DPoP": edge.proof("POST", "/oauth/token", None)}
                with two.at(where):
                    async with edge._http.post(edge.url + "/oauth/token", data=form, headers=fresh) as got:
                        assert (got.status == 200) == accepted, await got.text()


async def _form(edge: Edge, key: SigningKey | None = None) -> dict[str, str]:
    now, party = edge.place.clock(), edge.party
    claims = {"iss": party, "sub": party, "aud": edge.url, "jti": f"assertion-{time.monotonic_ns()}"}
    key = key or edge.place.deployment[party].keystore().signing("sign")
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jose.sign({**claims, "iat": now, "exp": now + 60}, key, "JWT"),
    }


async def test_a_change_of_keys_is_seen_by_both(two: TwoGateways, place: Town) -> None:
    """Each is asked again and again, without a pause that would let it forget, for at most 60 seconds."""
    path, party, new = f"{REQUESTS}/{'x' * 22}", "askv", SigningKey.generate()
    keystore = place.deployment[party].keystore()
    old = keystore.signing("sign")

    def lists(key: SigningKey, serial: int) -> None:
        signed = sign_key_list(
            key=keystore.signing("identity"),
            party=party,
            serial=serial,
            now=place.clock(),
            exp=place.clock() + 3600,
            keys=[("sign", key.public), ("encrypt", keystore.public("encrypt"))],
        )
        file = place.deployment[GATEWAY].deployment_folder / "key-lists" / f"{party}.jws"
        file.with_suffix(".new").write_text(signed, "ascii")
        file.with_suffix(".new").replace(file)

    async with Edge(place, party) as edge:
        token = await edge.token()

        async def signs_in(key: SigningKey) -> bool:
            proof = {"DPoP": edge.proof("POST", "/oauth/token", None)}
            form = await _form(edge, key)
            async with edge._http.post(edge.url + "/oauth/token", data=form, headers=proof) as answer:
                return answer.status == 200

        async def seen_by(where: str) -> tuple[bool, bool, str]:
            with two.at(where):
                headers = {"Authorization": f"DPoP {token}", "DPoP": edge.proof("GET", path, token)}
                held = await edge.send("GET", path, headers=headers)
                return await signs_in(old), await signs_in(new), held.code

        for where in (HERE, BESIDE):
            assert await seen_by(where) == (True, False, "not_found")  # the token was let in
        lists(new, serial=place.clock())
        changed_at, waiting = time.monotonic(), [HERE, BESIDE]
        try:
            while waiting:
                if await seen_by(waiting[0]) == (False, True, "token_invalid"):
                    del waiting[0]
                assert time.monotonic() < changed_at + MAX_AGE_SECONDS
        finally:
            lists(old, serial=place.clock() + 1)
        for where in (HERE, BESIDE):
            assert await seen_by(where) == (True, False, "not_found")


async def test_both_write_one_ledger_and_every_head_that_was_shown_is_a_beginning_of_it(
    two: TwoGateways, place: Town
) -> None:
    shown: list[str] = []

    async def watch() -> None:
        while True:
            shown.append(await place.services.store.read(latest_checkpoint))
            await asyncio.sleep(0.01)

    before = await check_ledger(place)
    watching = asyncio.create_task(watch())
    with two.at(in_turn()):
        await asyncio.gather(*(place.open_case(someone()) for _ in range(24)))
    watching.cancel()
    assert await check_ledger(place, *shown) >= before + 48
    assert len(set(shown)) > 5


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_withdrawal_at_one_gateway_stops_the_hand_over_of_the_other(
    two: TwoGateways, place: Town, method: str
) -> None:
    """The race of promise 3: the hand-over here, the withdrawal beside it, before each database call."""
    withdrawn_at: list[str] = []

    def choose(scope: Scope) -> str:
        if not scope["path"].endswith("/withdrawal"):
            return HERE
        withdrawn_at.append(BESIDE)
        return BESIDE

    with two.at(choose), Moments.of(place) as moments:
        judged = await _sweep(place, moments, method, CHANGES["a withdrawal"])
    assert [one for one in judged if one.broken] == []
    assert judged[-1].left is not None
    assert judged[-1].left.categories == EVERYTHING
    assert len(withdrawn_at) >= len(judged)
    await check_ledger(place)


async def test_a_suspension_at_one_gateway_holds_at_the_next_call_of_the_other(
    two: TwoGateways, place: Town
) -> None:
    with two.at(BESIDE):
        client = await _consenting(place)
        asked = await place.ask(client, ASKED)
        assert asked.state == "answered"
        await place.set_status(VW, "suspended")  # here
        try:
            refused = await place.call(VW, "GET", f"{REQUESTS}/{asked.id}")
            assert (refused.status, refused.code) == (403, "party_suspended")
        finally:
            await place.set_status(VW, "active")
        assert what_left(await place.world.vluchtelingenwerk.get(asked.id)).categories == EVERYTHING


async def test_a_source_suspended_at_one_gateway_is_left_out_of_the_next_hand_over_of_the_other(
    two: TwoGateways, place: Town
) -> None:
    with two.at(BESIDE):
        asked = await place.ask(await _consenting(place), ASKED)
        assert what_left(await place.world.vluchtelingenwerk.get(asked.id)).categories == EVERYTHING
        await place.set_status(IND, "suspended")  # here
        try:
            held = await place.call(VW, "GET", f"{REQUESTS}/{asked.id}")
        finally:
            await place.set_status(IND, "active")
        assert isinstance(held.body, dict)
        assert (held.body["state"], "answer" in held.body) == ("refused", False)
        assert what_left(await place.world.vluchtelingenwerk.get(asked.id)).categories == EVERYTHING


async def test_a_suspended_source_gets_no_order_from_the_other_gateway(two: TwoGateways, place: Town) -> None:
    client = await _consenting(place)
    await place.set_status(IND, "suspended")
    try:
        with two.at(BESIDE), pytest.raises(RequesterError):
            await place.ask(client, ASKED)
    finally:
        await place.set_status(IND, "active")
    with two.at(BESIDE):
        assert what_left(await place.ask(client, ASKED)).categories == EVERYTHING


async def test_one_is_killed_and_the_other_goes_on(two: TwoGateways, place: Town) -> None:
    person = newcomer()
    client = v_number(person.v_number)
    await place.open_case(client)
    await place.behave("ind", v_number=person.v_number, mode="later", delay_seconds=1)
    prepared = place.prepare(client, (Category.PERSPECTIVE,))
    head = await place.services.store.read(latest_checkpoint)

    def asks_beside(scope: Scope) -> str:
        return BESIDE if scope["path"] == REQUESTS else HERE

    async def busy() -> None:
        while True:
            await place.open_case(someone())

    try:
        with two.at(asks_beside):
            asking = asyncio.create_task(place.world.vluchtelingenwerk.send(prepared, wait_seconds=20))
            await asyncio.sleep(0.5)
        with two.at(BESIDE):
            others = [asyncio.create_task(busy()) for _ in range(8)]  # in the middle of its transactions
            await asyncio.sleep(0.5)
            two.beside.end(signal.SIGKILL)
            with pytest.raises(RequesterError):
                await asking
            ended = await asyncio.gather(*others, return_exceptions=True)
            assert all(isinstance(one, RequesterError) for one in ended)
        with two.at(HERE):
            again = await place.world.vluchtelingenwerk.send(prepared, wait_seconds=20)
            assert what_left(again).categories == {"perspective"}
            assert (await place.ask(await _consenting(place), ASKED)).state == "answered"
        await check_ledger(place, head)
    finally:
        two.beside.end(signal.SIGKILL)
        await two.beside.start()
    with two.at(BESIDE):
        assert (await place.ask(await _consenting(place), ASKED)).state == "answered"
    await check_ledger(place, head)


async def test_two_gateways_do_not_send_the_same_order_at_once(two: TwoGateways, place: Town) -> None:
    client = await _consenting(place)
    asked = await place.ask(client, ASKED)
    services = place.services
    signer = LedgerSigner(services.register.ledger_origin, services.keys.seed("checkpoint"))
    other = Store.open(services.settings.database_url, ledger=signer)
    far = place.clock() + 10_000  # not due for the dispatchers that run
    try:
        await services.store.write(
            lambda tx: [orders._queue(tx.conn, "order", asked.id, IND, "jws", far) for _ in range(4)] and None
        )

        def due(conn: Connection) -> Any:
            return conn.execute(select(outbox).where(outbox.c.next_attempt_at == far)).all()

        seen = await services.store.read(due)
        assert len(seen) == 4
        stores = (services.store, other)
        taken = await asyncio.gather(
            *(store.write(lambda tx: dispatch._taken(tx, seen, far + 30)) for store in stores)
        )
        assert sorted(len(rows) for rows in taken) == [0, 4]
    finally:
        await services.store.write(
            lambda tx: tx.conn.execute(outbox.delete().where(outbox.c.next_attempt_at >= far)).rowcount
        )
        other.close()
