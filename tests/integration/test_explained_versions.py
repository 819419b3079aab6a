"""An old decision is explained by the version that it was made under, and what would change it by today's."""

import json
import secrets
from typing import Any

from sqlalchemy import update

from gateway import exchange
from gateway.explaining import explain
from gateway.http.dossier_requests import _shape
from gateway.policy.wording import NEXT_STEPS, NO_OTHER_PURPOSE
from gateway.services import Services
from gateway.stages import Delivery, Exchange, SubmittedRequest
from gateway.storage.agreement_tables import agreement_versions
from tests.integration.agreeing import Agreeing
from tests.integration.gate import JURIST, VW, Gate, v_number
from tests.integration.test_agreement_turn import another_gateway


async def withheld(gate: Gate, *categories: str) -> Exchange:
    """Ask for decisions, or what else is named, about a client of one's own, without their consent."""
    now = gate.now
    request = SubmittedRequest(
        party=VW,
        client=v_number(),
        purpose="legal_screening",
        source="ind",
        categories=categories or ("decisions",),
        worker=JURIST,
        signed_request="",
        jti=secrets.token_urlsafe(16),
        signed_at=now,
        expires_at=now + 3600,
        idempotency_key=secrets.token_hex(32),
        fingerprint=secrets.token_hex(32),
    )
    asked = await exchange.ask(gate.services, request)
    assert not isinstance(asked, Delivery)
    assert asked.state == "refused"
    return asked


async def said(services: Services, asked: Exchange) -> dict[str, Any]:
    return (await explain(services, asked)).as_document()


async def closes_decisions(agreeing: Agreeing) -> str:
    """Bring a version into force that drops the rule, and words its article otherwise."""
    document = agreeing.document()
    del document["rules"]["legal_screening"]["ngo"]["ind"]["decisions"]
    document["articles"]["art. 5.2"]["en"] = "Legal screening, in other words."
    document["purposes"]["legal_guidance"]["title"]["en"] = "guidance, in other words"
    changed = {name: document[name] for name in ("rules", "articles", "purposes")}
    return await agreeing.has_in_force(**changed)


async def test_an_old_decision_keeps_its_article_and_is_told_what_helps_today(agreeing: Agreeing) -> None:
    gate = agreeing.gate
    await gate.has_case()
    asked = await withheld(gate)
    before = await said(gate.services, asked)
    (decision,) = before["decisions"]
    assert (decision["reason"], decision["rule"]) == ("no_consent", "legal_screening.ngo.ind.decisions")
    assert [way["consent"] for way in decision["would_change"]] == ["consent"]

    digest = await closes_decisions(agreeing)
    after = await said(gate.services, asked)
    assert (after["agreement"], after["in_force"]) == (before["agreement"], digest)
    (still,) = after["decisions"]
    assert {**still, "would_change": []} == {**decision, "would_change": []}
    (way,) = still["would_change"]
    assert "legal_guidance" in way["purposes"]
    assert "guidance, in other words" in way["sentence"]["en"]

    (today,) = (await said(gate.services, await withheld(gate)))["decisions"]
    assert (today["reason"], today.get("rule")) == ("no_rule", None)


async def test_who_is_sent_to_another_purpose_finds_a_rule_there(agreeing: Agreeing) -> None:
    gate = agreeing.gate
    await gate.has_case()
    await closes_decisions(agreeing)
    asked = await withheld(gate, "decisions", "shelter_location", "contact")
    answer = _shape(gate.services, await exchange.hand_over(gate.services, asked))
    assert answer.decisions is not None
    assert {one.reason for one in answer.decisions} == {"no_rule"}
    steps = {one.category: one.next_step for one in answer.decisions}
    # Decisions are opened for the legal guidance; the other two by no rule between an NGO and IND.
    assert steps["decisions"] == NEXT_STEPS["request_under_other_purpose"]
    assert steps["shelter_location"] == steps["contact"] == NO_OTHER_PURPOSE
    # The explanation, which asks policy itself, sends everyone the same way.
    explained = (await said(gate.services, asked))["decisions"]
    assert {one["category"]: one["next_step"]["en"] for one in explained} == steps
    assert {one["category"] for one in explained if one["would_change"]} == {"decisions"}


async def test_after_a_restart_too(agreeing: Agreeing) -> None:
    gate = agreeing.gate
    await gate.has_case()
    asked = await withheld(gate)
    await closes_decisions(agreeing)
    after = await said(gate.services, asked)
    async with another_gateway(gate) as started:
        assert await said(started, asked) == after


async def test_a_version_that_was_touched_in_the_database_explains_nothing(agreeing: Agreeing) -> None:
    gate = agreeing.gate
    await gate.has_case()
    first, between = await withheld(gate), await closes_decisions(agreeing)
    second = await withheld(gate)
    await agreeing.has_in_force(version="2026.3")
    (known,) = (await said(gate.services, second))["decisions"]
    assert known["article"]

    touched = {**agreeing.document(), "version": "2026.2"}
    row = agreement_versions.c.digest == between
    forged = update(agreement_versions).where(row).values(document=json.dumps(touched).encode())
    await gate.services.store.write(lambda tx: tx.conn.execute(forged).rowcount)
    explained = await said(gate.services, second)
    (decision,) = explained["decisions"]
    assert (explained["agreement"]["digest"], explained["agreement"]["version"]) == (between, None)
    assert (decision["article"], decision["title"]) == (None, None)
    assert decision["paragraph"] == known["paragraph"]
    (other,) = (await said(gate.services, first))["decisions"]
    assert other["article"], "the others are explained as before"
