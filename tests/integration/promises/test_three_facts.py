"""Promise 1: without consent three closed facts leave, to whom the agreement names; nothing rides along."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest

from adapters.kit import jose, sdjwt
from adapters.kit.order_check import order_digest
from adapters.kit.session import Response
from adapters.kit.strict_json import encode_base64url
from adapters.protocol import TYP_ATTESTATION, Category, ClientIdentifier, Role
from adapters.requester.errors import GatewayRefused
from gateway import exchange_records
from gateway.cli.world import IND, VW, worker_of
from gateway.stages import Exchange as Asked
from gateway.storage.tables import sealed_documents
from tests.integration.promises.people import newcomer, someone, what_left
from tests.integration.town import BASELINE, PAPERS, Town, v_number

pytestmark = pytest.mark.asyncio(loop_scope="session")

ALL_OF_IND = (
    *BASELINE,
    *PAPERS,
    Category.IDENTITY,
    Category.RESIDENCE_STATUS,
    Category.APPLICATION_STATUS,
    Category.PROCEDURE_HISTORY,
    Category.FLIGHT_NARRATIVE,
)
STORY = "ja, want zij vreest vervolging"


async def test_without_consent_nothing_but_the_baseline_leaves(place: Town) -> None:
    client = someone()
    await place.open_case(client)
    consent = await place.consent(client, ALL_OF_IND[2:], explicit=(Category.FLIGHT_NARRATIVE,))
    assert what_left(await place.ask(client, ALL_OF_IND)).categories == set(ALL_OF_IND)

    desk = worker_of(VW, Role.DESK)
    await place.world.vluchtelingenwerk.withdraw_consent(consent, worker=desk)
    answered = await place.ask(client, ALL_OF_IND)

    assert what_left(answered).categories == {"perspective", "partners"}
    assert answered.answer is not None
    assert answered.answer.baseline == {"perspective": "yes", "partners": [VW]}
    assert answered.answer.sealed == ()
    assert {one.category for one in answered.decisions if one.outcome == "withheld"} == set(ALL_OF_IND[2:])


async def test_an_ngo_says_whether_it_guides_and_an_agency_does_not(place: Town) -> None:
    client = someone()
    await place.open_case(client)
    asked = (Category.GUIDANCE,)
    guided = await place.ask(client, asked, source=VW)
    assert guided.answer is not None
    assert guided.answer.baseline == {"guidance": "yes"}
    refused = await place.ask(client, asked, source=IND)
    assert (refused.state, refused.answer) == ("refused", None)


async def test_partners_are_those_on_the_case_that_the_agreement_lists(place: Town) -> None:
    client = someone()
    case = await place.open_case(client)
    for partner in ("goedwerk", "leger-des-heils"):
        await place.invite(case, client, partner)
    answered = await place.ask(client, (Category.PARTNERS,))
    assert answered.answer is not None
    assert answered.answer.baseline == {
        "partners": ["goedwerk", VW]
    }  # Leger des Heils asked not to be listed


@pytest.mark.parametrize("party", ["avim", "gemeente-amsterdam"])
async def test_whom_the_agreement_does_not_name_gets_not_even_the_baseline(place: Town, party: str) -> None:
    client = someone()
    await place.open_case(client)
    assert what_left(await place.ask(client, BASELINE)).categories == {"perspective", "partners"}
    with pytest.raises(GatewayRefused) as refused:
        await place.ask(client, BASELINE, by=party)
    assert refused.value.code == "party_never_receives"
    assert refused.value.paragraph


async def test_a_sentence_of_the_agency_in_the_place_of_a_yes_stays_at_the_source(place: Town) -> None:
    person = newcomer()
    client = v_number(person.v_number)
    await place.open_case(client)
    assert what_left(await place.ask(client, BASELINE)).categories == {"perspective", "partners"}
    await place.behave("ind", v_number=person.v_number, mode="free_text")
    prepared = place.prepare(client, BASELINE)
    with pytest.raises(GatewayRefused) as refused:
        await place.world.vluchtelingenwerk.send(prepared)
    assert refused.value.code == "source_unavailable"
    assert STORY not in str(refused.value.problem)


def _answer(place: Town, asked: Asked, **changes: Any) -> dict[str, Any]:
    """Sign, as IND, what IND could say; `changes` make it say more."""
    said = {
        "iss": IND,
        "aud": VW,
        "exchange": asked.id,
        "order": order_digest(str(asked.order_jws)),
        "request": asked.request_jti,
        "iat": place.clock(),
    }
    issued = sdjwt.issue(
        {**said, **changes.get("plain", {})},
        place.deployment[IND].keystore().signing("sign"),
        TYP_ATTESTATION,
        disclose_properties=changes.get("answers", {"perspective": {"status": "provided", "value": "yes"}}),
        disclose_elements={},
    )
    return {
        "exchange": asked.id,
        "attestation": issued.compact(),
        "sealed": changes.get("sealed", []),
    }


def _salted(place: Town, asked: Asked, salt: str) -> dict[str, Any]:
    """Sign an answer whose one disclosure has this salt."""
    answer = _answer(place, asked)
    jwt, _, _ = answer["attestation"].split("~")
    text = json.dumps([salt, "perspective", {"status": "provided", "value": "yes"}])
    told = encode_base64url(text.encode())
    claims = jose.unverified_payload(jwt)
    claims["_sd"] = [sdjwt.digest(told), *[secrets.token_urlsafe(32) for _ in range(7)]]
    signed = jose.sign(claims, place.deployment[IND].keystore().signing("sign"), TYP_ATTESTATION)
    return {**answer, "attestation": f"{signed}~{told}~"}


async def _waiting(place: Town, client: ClientIdentifier) -> Asked:
    """Ask, so that IND's officer still works on it; return the exchange as the gateway has it."""
    await place.behave("ind", v_number=client.value, mode="later", delay_seconds=3600)
    exchange = await place.world.vluchtelingenwerk.send(place.prepare(client, BASELINE), wait_seconds=0)
    assert exchange.state == "forwarded"
    return await place.services.store.read(lambda conn: exchange_records.present(conn, exchange.id))


async def _deliver(place: Town, exchange: str, answer: dict[str, Any]) -> Response:
    return await place.call(IND, "POST", f"/v1/orders/{exchange}/answer", answer)


HOSTILE: dict[str, dict[str, Any]] = {
    "a sentence for a yes": {"answers": {"perspective": {"status": "provided", "value": STORY}}},
    "a list for a yes": {"answers": {"perspective": {"status": "provided", "value": ["yes", STORY]}}},
    "a remark beside a yes": {
        "answers": {"perspective": {"status": "provided", "value": "yes", "remark": STORY}}
    },
    "a reason of its own": {"answers": {"perspective": {"status": "refused", "refusal": STORY}}},
    "a category that was not ordered": {
        "answers": {
            "perspective": {"status": "provided", "value": "yes"},
            "identity": {"status": "nothing_held"},
        }
    },
    "a partner named by the source": {
        "answers": {"perspective": {"status": "provided", "value": "yes"}, "partners": {"status": "refused"}}
    },
    "a claim of its own": {"plain": {"note": STORY}},
    "a value in the clear": {"plain": {"perspective": {"status": "provided", "value": "yes"}}, "answers": {}},
    "a document with a baseline": {"sealed": [{"category": "perspective", "jwe": "e30.a.b.c.d"}]},
    "another recipient": {"plain": {"aud": "askv"}},
    "another order": {"plain": {"order": "A" * 43}},
    "another request": {"plain": {"request": "A" * 22}},
    "a salt that speaks": {"salt": True},
}


@pytest.mark.parametrize("form", HOSTILE)
async def test_a_source_that_signs_more_than_the_closed_form_is_not_passed_on(place: Town, form: str) -> None:
    client = someone()
    await place.open_case(client)
    asked = await _waiting(place, client)
    hostile = HOSTILE[form]
    good = _salted(place, asked, "s" * 22) if "salt" in hostile else _answer(place, asked)
    taken = await _deliver(place, asked.id, good)
    assert taken.status == 200
    assert what_left(await place.world.vluchtelingenwerk.get(asked.id)).categories == {
        "perspective",
        "partners",
    }

    asked = await _waiting(place, client)
    bad = _salted(place, asked, STORY) if "salt" in hostile else _answer(place, asked, **hostile)
    refused = await _deliver(place, asked.id, bad)
    assert refused.status >= 400
    assert STORY not in str(refused.body)
    after = await place.world.vluchtelingenwerk.get(asked.id)
    assert (after.answer, what_left(after).categories) == (None, frozenset())
    assert STORY not in after.model_dump_json()


async def test_a_document_that_someone_moved_to_another_category_does_not_leave(place: Town) -> None:
    client = someone()
    await place.open_case(client)
    await place.consent(client, PAPERS)
    exchange = await place.ask(client)
    assert what_left(exchange).categories >= set(PAPERS)
    move = (
        sealed_documents.update()
        .where(sealed_documents.c.exchange_id == exchange.id, sealed_documents.c.category == "decisions")
        .values(category="dossier_documents")
    )
    await place.services.store.write(lambda tx: tx.conn.execute(move).rowcount)
    with pytest.raises(GatewayRefused) as refused:
        await place.world.vluchtelingenwerk.get(exchange.id)
    assert refused.value.code == "source_answer_invalid"
