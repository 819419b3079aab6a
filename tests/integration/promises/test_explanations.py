"""A decision is explained to whoever made the request, by what was recorded, and to nobody any further."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.protocol import Category, ClientIdentifier, Role
from gateway import clients, receipts
from gateway.cli.world import PURPOSE, VW, worker_of
from gateway.clients import Number
from gateway.ledger.entry import Recorded
from gateway.vault import new_id
from tests.integration.promises.faces import Face, look
from tests.integration.promises.moments import Moments
from tests.integration.promises.people import nobody, someone
from tests.integration.town import BASELINE, Town

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASKV, MUNICIPALITY = "askv", "gemeente-amsterdam"
NARRATIVE, DECISIONS = Category.FLIGHT_NARRATIVE, Category.DECISIONS


async def explained(place: Town, exchange: str, by: str = VW) -> dict[str, Any]:
    """Fetch an explanation as the requester's own library does."""
    return dict(await place.world.requesters[by].explain(exchange))


def each(explanation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["category"]: one for one in explanation["decisions"]}


def without_ids(explanation: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in explanation.items() if name not in ("id", "decided_at")}


async def test_every_category_is_explained_by_rule_ground_article_and_what_would_change_it(
    place: Town,
) -> None:
    client = someone()
    await place.open_case(client)
    asked = await place.ask(client, (*BASELINE, DECISIONS, NARRATIVE))
    said = await explained(place, asked.id)
    terms = place.services.agreement.terms

    assert said["agreement"] == {"digest": place.services.agreement.digest, "version": terms.version}
    assert [*each(said)] == [*BASELINE, DECISIONS, NARRATIVE]
    for one, shown in zip(said["decisions"], asked.decisions, strict=True):
        recorded = shown.model_dump(exclude_none=True, exclude={"next_step"})
        assert {name: one.get(name) for name in recorded} == recorded
        article = terms.articles[one["paragraph"].partition(" (")[0]]
        assert one["article"] == {"nl": article.nl, "en": article.en}
        assert one["title"]["nl"] == terms.categories[one["category"]].title.nl
    perspective, decisions, narrative = (each(said)[name] for name in ("perspective", DECISIONS, NARRATIVE))
    assert (perspective["outcome"], perspective["ground"]) == ("permitted", "baseline")
    assert perspective["would_change"] == []
    assert perspective["legal_basis"] == "GDPR 6(1)(f)"
    assert (decisions["reason"], narrative["reason"]) == ("no_consent", "no_explicit_consent")
    assert [way["consent"] for way in decisions["would_change"]] == ["consent"]
    assert [way["consent"] for way in narrative["would_change"]] == ["explicit_consent"]
    assert "toestemming" in decisions["sentence"]["nl"]
    assert decisions["next_step"]["en"] == asked.decisions[2].next_step


async def test_what_would_change_it_does_when_it_is_done(place: Town) -> None:
    client = someone()
    await place.open_case(client)
    withheld = await explained(place, (await place.ask(client, (DECISIONS,))).id)
    (way,) = each(withheld)[DECISIONS]["would_change"]
    assert way["consent"] == "consent"

    consent = await place.consent(client, (DECISIONS,))
    permitted = each(await explained(place, (await place.ask(client, (DECISIONS,))).id))[DECISIONS]
    assert (permitted["outcome"], permitted["ground"], permitted["consent"]) == (
        "permitted",
        "consent",
        consent,
    )


async def test_a_consent_withdrawn_reads_like_one_that_never_was(place: Town) -> None:
    never, withdrawn = someone(), someone()
    for client in (never, withdrawn):
        await place.open_case(client)
    consent = await place.consent(withdrawn, (DECISIONS,))
    permitted = await explained(place, (await place.ask(withdrawn, (DECISIONS,))).id)
    await place.world.vluchtelingenwerk.withdraw_consent(consent, worker=worker_of(VW, Role.DESK))
    after, other = [
        await explained(place, (await place.ask(client, (DECISIONS,))).id) for client in (withdrawn, never)
    ]
    assert without_ids(after) == without_ids(other) != without_ids(permitted)


async def test_an_explanation_outlives_what_was_handed_over(place: Town) -> None:
    client = someone()
    await place.open_case(client)
    asked = await place.ask(client, BASELINE)
    before = await explained(place, asked.id)
    assert before["sentence"]["en"] == "Permitted: 2 of 2 requested categories."
    await place.world.vluchtelingenwerk.acknowledge(asked.id, worker=worker_of(VW, Role.CASEWORKER))
    assert await explained(place, asked.id) == before


async def test_what_the_agreement_alone_refuses_is_explained_for_every_category_to_anyone(
    place: Town, moments: Moments
) -> None:
    for purpose, code in (("review", "no_rule_in_agreement"), ("hobby", "purpose_not_in_agreement")):
        prepared = place.prepare(nobody(), (DECISIONS, *BASELINE), purpose=purpose)
        answer = await place.call(
            VW, "POST", "/v1/dossier-requests", prepared.body, Idempotency_Key=prepared.idempotency_key
        )
        assert isinstance(answer.body, dict)
        assert answer.body["code"] == code
        said = await explained(place, str(answer.body["id"]))
        assert (said["refusal"], said["paragraph"]) == (code, answer.body["paragraph"])
        assert [*each(said)] == [DECISIONS, *BASELINE]
        for one in said["decisions"]:
            assert (one["outcome"], one["paragraph"]) == ("withheld", answer.body["paragraph"])
            assert PURPOSE in one["would_change"][0]["purposes"]


async def _request(place: Town, client: ClientIdentifier) -> str:
    asked = await place.ask(client, (*BASELINE, DECISIONS), by=ASKV)
    return f"/v1/dossier-requests/{asked.id}/explanation"


async def _face(place: Town, moments: Moments, client: ClientIdentifier) -> Face:
    return await look(place, moments, ASKV, "GET", await _request(place, client))


async def _known_to_others(place: Town) -> ClientIdentifier:
    client = someone()
    await place.open_case(client)
    await place.consent(client, (DECISIONS,))
    return client


async def test_a_stranger_reads_the_same_whoever_was_named(place: Town, moments: Moments) -> None:
    own = someone()
    await place.open_case(own, by=ASKV)
    allowed, unknown = await _face(place, moments, own), await _face(place, moments, nobody())
    assert allowed.status == unknown.status == 200
    assert allowed != unknown
    assert "decisions" in allowed.body
    assert "decisions" not in unknown.body
    assert "Nothing can be shared with you." in unknown.body
    known = await _face(place, moments, await _known_to_others(place))
    assert known == unknown
    assert unknown.entries == 0, "an explanation decides nothing"


async def test_a_build_that_looks_the_client_up_again_is_noticed(
    place: Town, moments: Moments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the same comparison, on a gateway that says a little more about whom it knows."""
    known = await _known_to_others(place)
    assert await _face(place, moments, known) == await _face(place, moments, nobody())
    vault, honest = place.services.vault, receipts.last_decision
    numbers = {str(known.value): Number(known.scheme.value, "", known.value)}

    def leaky(conn: Any, services: Any, exchange: Any) -> Recorded:
        recorded = honest(conn, services, exchange)
        subjects = {vault.subject(one.scheme, one.owner, one.value): one for one in numbers.values()}
        if exchange.subject in subjects and clients.holder_of(conn, vault, subjects[exchange.subject]):
            object.__setattr__(recorded, "detail", {**recorded.detail, "kind": "request_refused"})
        return recorded

    monkeypatch.setattr(receipts, "last_decision", leaky)
    assert await _face(place, moments, known) != await _face(place, moments, nobody())


@pytest.mark.parametrize(
    "exchange", ["x", "a" * 21, "a" * 23, "%00", "..", "%2e%2e%2fconsents", "é" * 11, "' OR 1=1 --", "A" * 22]
)
async def test_a_malformed_id_is_answered_as_for_the_request_itself(place: Town, exchange: str) -> None:
    request, explanation = [
        await place.call(VW, "GET", f"/v1/dossier-requests/{exchange}{more}") for more in ("", "/explanation")
    ]
    assert explanation.status in (400, 404)
    if exchange != "..":  # a client or proxy resolves it: another address, with a problem of its own
        assert (explanation.status, explanation.body) == (request.status, request.body)


async def test_another_partys_is_as_absent_as_one_that_never_was(place: Town, moments: Moments) -> None:
    client = someone()
    await place.open_case(client)
    theirs = (await place.ask(client, BASELINE)).id
    assert (await place.call(VW, "GET", f"/v1/dossier-requests/{theirs}/explanation")).status == 200
    seen, never = [
        await look(place, moments, ASKV, "GET", f"/v1/dossier-requests/{one}/explanation")
        for one in (theirs, new_id())
    ]
    assert seen.status == 404
    assert seen == never
