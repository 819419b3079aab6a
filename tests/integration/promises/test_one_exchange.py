"""One signed request is one exchange: repeated, raced, waited for, collected, called off and over."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from adapters.protocol import Category, ClientIdentifier, Role
from adapters.requester.errors import GatewayRefused
from gateway import exchange_records
from gateway.cli.world import VW, worker_of
from gateway.dispatch import Dispatcher
from gateway.stages import Exchange
from gateway.storage.tables import exchanges, outbox, sealed_documents
from tests.integration.promises.people import nobody, someone, what_left
from tests.integration.town import Town

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASKED = (Category.PERSPECTIVE, Category.DECISIONS)
NAMES = frozenset(map(str, ASKED))
JURIST = worker_of(VW, Role.CASEWORKER)
REQUESTS = "/v1/dossier-requests"
_LOOKS = 200  # 50 ms apart


async def _guided(place: Town, *, slow: bool = False) -> ClientIdentifier:
    client = someone()
    await place.open_case(client)
    await place.consent(client, ASKED[1:])
    if slow:
        await place.behave("ind", v_number=client.value, mode="later", delay_seconds=3600)
    return client


async def _stored(place: Town, exchange: str) -> Exchange:
    return await place.services.store.read(lambda conn: exchange_records.present(conn, exchange))


async def _exchanges_about(place: Town, exchange: str) -> int:
    """Count the exchanges about the client of this one."""
    known = await _stored(place, exchange)
    count = select(func.count()).where(exchanges.c.subject == known.subject)
    return await place.services.store.read(lambda conn: int(conn.execute(count).scalar_one()))


async def _documents(place: Town, exchange: str) -> int:
    count = select(func.count()).where(sealed_documents.c.exchange_id == exchange)
    return await place.services.store.read(lambda conn: int(conn.execute(count).scalar_one()))


def _at_the_source(place: Town, exchange: str) -> tuple[list[str], set[str]]:
    """Read from the adapter's own file the orders of an exchange, and what was cancelled of it."""
    conn = sqlite3.connect(f"file:{place.deployment.folder / 'ind-adapter.sqlite'}?mode=ro", uri=True)
    try:
        orders = conn.execute("SELECT order_digest FROM orders WHERE exchange = ?", (exchange,)).fetchall()
        gone = conn.execute("SELECT category FROM cancelled WHERE exchange = ?", (exchange,)).fetchall()
    finally:
        conn.close()
    return [digest for (digest,) in orders], {category for (category,) in gone}


async def _cancelled_at_the_source(place: Town, exchange: str) -> set[str]:
    """Wait until the running dispatcher has told the source."""
    for _ in range(_LOOKS):
        if gone := _at_the_source(place, exchange)[1]:
            return gone
        await asyncio.sleep(0.05)
    return set()


async def test_the_same_key_and_body_are_the_same_exchange_and_one_order(place: Town) -> None:
    client, party = await _guided(place), place.world.vluchtelingenwerk
    prepared = place.prepare(client, ASKED)
    first, again = await party.send(prepared), await party.send(prepared)
    assert first.id == again.id
    assert what_left(first).categories == what_left(again).categories == NAMES
    assert first.answer is not None
    assert again.answer is not None
    assert first.answer.sealed == again.answer.sealed
    assert await _exchanges_about(place, first.id) == 1
    orders, _ = _at_the_source(place, first.id)
    assert orders == [(await _stored(place, first.id)).order_digest]


async def test_twenty_copies_at_once_are_one_exchange(place: Town) -> None:
    client, party = await _guided(place), place.world.vluchtelingenwerk
    prepared = place.prepare(client, ASKED)
    answers = await asyncio.gather(*(party.send(prepared) for _ in range(20)))
    assert len({answer.id for answer in answers}) == 1
    assert {what_left(answer).categories for answer in answers} == {NAMES}
    assert len({what_left(answer).index for answer in answers}) == 20, "each hand-over has its own entry"
    assert await _exchanges_about(place, answers[0].id) == 1
    assert len(_at_the_source(place, answers[0].id)[0]) == 1


async def test_the_same_key_with_another_body_is_refused(place: Town) -> None:
    client, party = await _guided(place), place.world.vluchtelingenwerk
    prepared = place.prepare(client, ASKED)
    first = await party.send(prepared)
    other = replace(place.prepare(client, ASKED[:1]), idempotency_key=prepared.idempotency_key)
    with pytest.raises(GatewayRefused) as refused:
        await party.send(other)
    assert (refused.value.status, refused.value.code) == (409, "idempotency_key_reused")
    assert await _exchanges_about(place, first.id) == 1
    # Another party's keys are its own.
    strange = replace(place.prepare(client, ASKED, by="askv"), idempotency_key=prepared.idempotency_key)
    assert (await place.world.requesters["askv"].send(strange)).state == "nothing_to_share"


async def test_the_same_signed_request_under_another_key_is_refused(place: Town) -> None:
    client, party = await _guided(place), place.world.vluchtelingenwerk
    prepared = place.prepare(client, ASKED)
    first = await party.send(prepared)
    with pytest.raises(GatewayRefused) as refused:
        await party.send(replace(prepared, idempotency_key=prepared.idempotency_key + "-2"))
    assert (refused.value.status, refused.value.code) == (409, "request_replayed")
    assert await _exchanges_about(place, first.id) == 1


async def test_without_a_key_there_is_no_request(place: Town) -> None:
    client = await _guided(place)
    prepared = place.prepare(client, ASKED)
    refused = await place.call(VW, "POST", REQUESTS, prepared.body)
    assert (refused.status, refused.code) == (400, "idempotency_key_missing")
    assert what_left(await place.world.vluchtelingenwerk.send(prepared)).categories == NAMES


async def test_a_call_waits_as_long_as_it_prefers_and_no_longer(place: Town) -> None:
    client, party = await _guided(place, slow=True), place.world.vluchtelingenwerk
    began = time.monotonic()
    response = await party.send_for_response(place.prepare(client, ASKED), wait_seconds=0)
    assert response.status == 202
    assert isinstance(response.body, dict)
    exchange = str(response.body["id"])
    assert response.headers["Location"] == f"{REQUESTS}/{exchange}"
    assert response.body["state"] == "forwarded"
    assert "answer" not in response.body
    at_once = time.monotonic() - began

    began = time.monotonic()
    waited = await place.call(VW, "GET", f"{REQUESTS}/{exchange}", Prefer="wait=1")
    assert waited.status == 202
    assert 1 <= time.monotonic() - began < 10
    assert at_once < 5


async def test_a_call_that_waits_is_woken_by_the_answer(place: Town) -> None:
    client, party = await _guided(place), place.world.vluchtelingenwerk
    await place.behave("ind", v_number=client.value, mode="later", delay_seconds=1)
    began = time.monotonic()
    answered = await party.send(place.prepare(client, ASKED), wait_seconds=20)
    assert what_left(answered).categories == NAMES
    assert time.monotonic() - began < 15


async def test_an_acknowledgement_deletes_the_sealed_bytes(place: Town) -> None:
    client, party = await _guided(place), place.world.vluchtelingenwerk
    exchange = await party.send(place.prepare(client, ASKED))
    assert await _documents(place, exchange.id) == 1
    assert (await _stored(place, exchange.id)).attestation_sealed is not None
    for _ in range(2):
        collected = await party.acknowledge(exchange.id, worker=JURIST)
        assert (collected.state, collected.answer) == ("collected", None)
    assert await _documents(place, exchange.id) == 0
    assert (await _stored(place, exchange.id)).attestation_sealed is None
    assert what_left(await party.get(exchange.id)).categories == frozenset()


async def test_a_cancellation_reaches_the_source(place: Town) -> None:
    client, party = await _guided(place, slow=True), place.world.vluchtelingenwerk
    exchange = await party.send(place.prepare(client, ASKED), wait_seconds=0)
    assert _at_the_source(place, exchange.id)[1] == set()
    cancelled = await party.cancel(exchange.id, worker=JURIST)
    assert (cancelled.state, cancelled.answer) == ("cancelled", None)
    assert await _cancelled_at_the_source(place, exchange.id) == NAMES


async def test_a_withdrawal_reaches_the_source_that_still_works(place: Town) -> None:
    client, party = await _guided(place), place.world.vluchtelingenwerk
    consent = await place.consent(client, (Category.IDENTITY,))
    await place.behave("ind", v_number=client.value, mode="later", delay_seconds=1.5)
    exchange = await party.send(place.prepare(client, (*ASKED, Category.IDENTITY)), wait_seconds=0)
    await party.withdraw_consent(consent, worker=worker_of(VW, Role.DESK))
    assert await _cancelled_at_the_source(place, exchange.id) == {"identity"}
    answered = await party.follow(exchange.id)
    assert what_left(answered).categories == NAMES, "the rest still comes"


async def test_an_order_ends_when_its_time_is_over_and_the_source_is_told(place: Town) -> None:
    client, party = await _guided(place, slow=True), place.world.vluchtelingenwerk
    waiting = await party.send(place.prepare(client, ASKED), wait_seconds=0)
    ready = await party.send(place.prepare(await _guided(place), ASKED))
    assert await _documents(place, ready.id) == 1
    await Dispatcher(place.services).end_expired()
    assert (await party.get(waiting.id)).state == "forwarded"
    over = (await _stored(place, waiting.id)).expires_at - place.clock()

    await place.dispatch(after_seconds=over + 1)

    for exchange in (waiting, ready):
        ended = await party.get(exchange.id)
        assert (ended.state, ended.answer) == ("expired", None)
    assert await _documents(place, ready.id) == 0
    assert await _cancelled_at_the_source(place, waiting.id) == NAMES
    left = select(func.count()).where(outbox.c.exchange_id == waiting.id)
    assert await place.services.store.read(lambda conn: conn.execute(left).scalar_one()) == 0


async def test_what_was_over_when_it_was_fetched_is_not_handed_over(place: Town) -> None:
    """Also in the seconds before the sweep comes by."""
    party = place.world.vluchtelingenwerk
    exchange = await party.send(place.prepare(await _guided(place), ASKED))
    assert what_left(await party.get(exchange.id)).categories == NAMES
    place.clock.ahead_seconds = (await _stored(place, exchange.id)).expires_at - place.clock() + 1
    try:
        late = await party.get(exchange.id)
    finally:
        place.clock.ahead_seconds = 0
    assert what_left(late).categories == frozenset()


async def test_another_partys_request_is_as_absent_as_one_that_never_was(place: Town) -> None:
    exchange = await place.world.vluchtelingenwerk.send(place.prepare(await _guided(place), ASKED))
    assert (await place.call(VW, "GET", f"{REQUESTS}/{exchange.id}")).status == 200
    theirs = await place.call("askv", "GET", f"{REQUESTS}/{exchange.id}")
    never = await place.call("askv", "GET", f"{REQUESTS}/{exchange.id[::-1]}")
    assert (theirs.status, theirs.body) == (never.status, never.body)
    assert theirs.status == 404
    assert (await place.ask(nobody(), ASKED, by="askv")).state == "nothing_to_share"
