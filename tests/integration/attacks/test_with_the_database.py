"""Whoever can write the database, and is a party: what the rows say is not believed where a key can tell."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest
from sqlalchemy import select, update

from adapters.kit.register import sign_key_list
from adapters.protocol import Category, Role
from adapters.requester import Exchange
from gateway.cli.provision import GATEWAY
from gateway.cli.world import IND, PURPOSE, VW, worker_of
from gateway.storage.tables import idempotency, ledger_details, sealed_documents
from tests.integration.attacks.conftest import members
from tests.integration.promises.people import nobody, someone
from tests.integration.town import Town

pytestmark = pytest.mark.asyncio(loop_scope="package")

REQUESTS = "/v1/dossier-requests"


async def _write(place: Town, statement: Any) -> None:
    await place.services.store.write(lambda tx: tx.conn.execute(statement).rowcount)


async def _answered(place: Town) -> Exchange:
    client = someone()
    await place.open_case(client)
    await place.consent(client)
    answered = await place.ask(client)
    assert answered.state == "answered"
    return answered


async def test_a_document_of_another_category_does_not_leave_under_a_permitted_one(place: Town) -> None:
    known = await _answered(place)
    assert (await place.call(VW, "GET", f"{REQUESTS}/{known.id}")).status == 200
    relabel = (
        update(sealed_documents)
        .where(sealed_documents.c.exchange_id == known.id, sealed_documents.c.category == "decisions")
        .values(category="dossier_documents")
    )
    await _write(place, relabel)
    answer = await place.call(VW, "GET", f"{REQUESTS}/{known.id}")
    assert (answer.status, answer.code) == (502, "source_answer_invalid")


async def test_a_retry_that_points_at_another_partys_request_brings_nothing_of_it(place: Town) -> None:
    theirs = await _answered(place)
    requester, key = place.world.requesters["askv"], secrets.token_urlsafe(12)
    prepared = requester.prepare(
        nobody(),
        purpose=PURPOSE,
        source=IND,
        categories=(Category.PERSPECTIVE,),
        worker=worker_of("askv", Role.CASEWORKER),
        idempotency_key=key,
    )
    first = await place.call("askv", "POST", REQUESTS, prepared.body, Idempotency_Key=key)
    said = members(first)
    assert (first.status, said["state"]) == (200, "nothing_to_share")
    own = str(said["id"])
    await _write(
        place, update(idempotency).where(idempotency.c.resource_id == own).values(resource_id=theirs.id)
    )
    again = await place.call("askv", "POST", REQUESTS, prepared.body, Idempotency_Key=key)
    assert again.status >= 400
    assert "answer" not in again.body


async def test_a_receipt_does_not_read_out_what_was_recorded_of_another_request(place: Town) -> None:
    theirs = await _answered(place)
    client = someone()
    await place.open_case(client, by="askv")
    own = await place.ask(client, (Category.PARTNERS,), by="askv")
    assert (await place.call("askv", "GET", f"{REQUESTS}/{own.id}/receipt")).status == 200
    entry = (
        select(ledger_details.c.index)
        .where(ledger_details.c.exchange_id == theirs.id)
        .order_by(ledger_details.c.index.desc())
        .limit(1)
        .scalar_subquery()
    )
    forget = update(ledger_details).where(ledger_details.c.exchange_id == own.id).values(exchange_id=None)
    await _write(place, forget)
    swap = update(ledger_details).where(ledger_details.c.index == entry).values(exchange_id=own.id)
    await _write(place, swap)
    answer = await place.call("askv", "GET", f"{REQUESTS}/{own.id}/receipt")
    assert answer.status >= 500


async def test_an_answer_that_waits_is_still_believed_after_its_source_renewed_its_list(place: Town) -> None:
    known = await _answered(place)
    listed = place.deployment[GATEWAY].deployment_folder / "key-lists" / f"{IND}.jws"
    keystore, serial = place.deployment[IND].keystore(), int(place.clock())
    await asyncio.sleep(1.1)  # the renewed list begins after the exchange did
    renewed = sign_key_list(
        key=keystore.signing("identity"),
        party=IND,
        serial=serial,
        now=place.clock(),
        exp=place.clock() + 3600,
        keys=[(use, keystore.public(use)) for use in ("sign", "encrypt")],
    )
    listed.write_text(renewed, "ascii")
    answer = await place.call(VW, "GET", f"{REQUESTS}/{known.id}")
    assert (answer.status, members(answer)["state"]) == (200, "answered")
