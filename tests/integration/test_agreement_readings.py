"""Check, compare and read versions over HTTP: in words, in bounds, and beside the decisions."""

from __future__ import annotations

import asyncio
import base64
import copy
import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from gateway import agreement_readings
from gateway.agreement_readings import Readings
from gateway.app import ROUTERS
from gateway.errors import Unavailable
from gateway.http.app_factory import build_app
from gateway.oauth.resource import CALLER_SCOPE_KEY
from gateway.storage.agreement_tables import agreement_versions
from tests.integration.agreeing import DPO, Agreeing
from tests.integration.gate import VW, Gate

Call = Callable[..., Awaitable[httpx2.Response]]
UNKNOWN = "sha-256:" + "A" * 43


@pytest.fixture
async def call(gate: Gate) -> AsyncIterator[Call]:
    app = build_app(gate.services, ROUTERS)

    async def as_party(scope: Any, receive: Any, send: Any) -> None:
        # Who calls is established by `gateway.oauth`, which has tests of its own.
        party = dict(scope["headers"]).get(b"x-party", b"").decode()
        if party:
            scope[CALLER_SCOPE_KEY] = gate.caller(party)
        await app(scope, receive, send)

    transport = httpx2.ASGITransport(app=as_party)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8400") as client:

        async def calls(
            method: str, path: str = "", body: object = None, *, party: str = VW
        ) -> httpx2.Response:
            return await client.request(
                method, f"/v1/agreements{path}", json=body, headers={"X-Party": party}
            )

        yield calls


def refused(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def changed(agreeing: Agreeing) -> dict[str, Any]:
    """Write the version of `docs/agreement.md`: contact details with consent, family no longer."""
    document = agreeing.document()
    rows = document["rules"]["legal_screening"]["ngo"]["ind"]
    rows["contact"] = {**copy.deepcopy(rows["decisions"]), "id": "legal_screening.ngo.ind.contact"}
    del rows["family"]
    return document


# --- check -----------------------------------------------------------------------------------


async def test_a_draft_is_checked_in_words_by_any_party_and_nothing_of_it_is_kept(
    agreeing: Agreeing, call: Call
) -> None:
    document = agreeing.document()
    holds = await call("POST", "/check", {"agreement": document}, party="goedwerk")
    assert holds.status_code == 200
    told = holds.json()
    assert (told["valid"], told["faults"], told["fault_count"]) == (True, [], 0)
    assert told["warnings"][0]["nl"].startswith("is nog niet beantwoord")
    document["valid_until"] = 1
    document["kinds"]["avim"]["receives"] = True
    broken = (await call("POST", "/check", {"agreement": document}, party="goedwerk")).json()
    assert (broken["valid"], broken["fault_count"], "digest" in broken) == (False, 2, False)
    assert broken["faults"][0] == {
        "place": "Geldig tot",
        "nl": "de overeenkomst eindigt voor zij begint.",
        "en": "it ends before it begins.",
        "place_en": "Valid until",
    }
    counted = select(func.count()).select_from(agreement_versions)
    assert await agreeing.gate.reads(lambda conn: conn.execute(counted).scalar_one()) == 1
    # What is checked here is what is proposed under that digest.
    row = (await agreeing.proposes()).row
    assert row.digest == told["digest"]


async def test_the_registers_kinds_count_as_they_do_when_it_is_proposed(
    agreeing: Agreeing, call: Call
) -> None:
    document = agreeing.document()
    document["parties"]["goedwerk"]["kind"] = "ngo"
    checked = (await call("POST", "/check", {"agreement": document})).json()
    proposal = {"agreement": document, "worker": {"id": DPO.id, "role": DPO.role.value}}
    proposed = await call("POST", "", proposal)
    assert refused(proposed) == (400, "agreement_invalid")
    assert [one["nl"] for one in checked["faults"]] == [one["nl"] for one in proposed.json()["errors"]]
    assert checked["faults"]


@pytest.mark.parametrize("body", [{}, {"agreement": []}, {"agreement": {}, "note": "free text"}])
async def test_what_is_no_draft_at_all_is_a_problem(call: Call, agreeing: Agreeing, body: object) -> None:
    assert (await call("POST", "/check", {"agreement": {}})).status_code == 200
    assert refused(await call("POST", "/check", body)) == (400, "invalid_input")


async def test_a_draft_beyond_the_limit_of_bodies_is_not_read(call: Call) -> None:
    filled = {"agreement": {"title": "x" * 200_000}}
    assert (await call("POST", "/check", filled)).json()["valid"] is False
    filled["agreement"]["title"] *= 2
    assert refused(await call("POST", "/check", filled)) == (413, "body_too_large")


async def test_of_thousands_of_faults_the_first_are_told_and_all_counted(call: Call) -> None:
    told = (await call("POST", "/check", {"agreement": {f"k{n}": 1 for n in range(3000)}})).json()
    assert (len(told["faults"]), told["valid"]) == (200, False)
    assert told["fault_count"] > 3000


# --- difference ------------------------------------------------------------------------------


async def test_a_change_is_told_in_sentences_with_counts_and_told_the_same_again(
    agreeing: Agreeing, call: Call
) -> None:
    digest = (await agreeing.proposes(changed(agreeing))).row.digest
    first = await call("GET", f"/{digest}/difference", party="goedwerk")
    assert first.status_code == 200, first.text
    told = first.json()
    assert (told["agreement"], told["against"]) == (digest, agreeing.anchor)
    assert (told["permits_count"], told["forbids_count"]) == (1, 1)
    [opened], [closed] = told["permits"], told["forbids"]
    assert opened["sentence"].startswith("Juridische screening: een ngo mag van de IND krijgen")
    assert (opened["categories"], opened["ground"]) == (["contact"], "consent")
    assert (closed["categories"], closed["purpose"]) == (["family"], "legal_screening")
    assert told["otherwise_count"] == len(told["otherwise"]) > 0
    english = (await call("GET", f"/{digest}/difference?language=en")).json()
    assert "may get from" in english["permits"][0]["sentence"]
    named = (await call("GET", f"/{digest}/difference?against={agreeing.anchor}")).json()
    assert named == told
    back = (await call("GET", f"/{agreeing.anchor}/difference?against={digest}")).json()
    assert (back["permits"][0]["categories"], back["forbids"][0]["categories"]) == (["family"], ["contact"])


async def test_a_difference_that_cannot_be_told_says_why(agreeing: Agreeing, call: Call) -> None:
    digest = await agreeing.has_proposed()
    assert (await call("GET", f"/{digest}/difference")).status_code == 200
    for path in (f"/{UNKNOWN}/difference", f"/{digest}/difference?against={UNKNOWN}"):
        assert refused(await call("GET", path)) == (404, "not_found")
    for query in ("language=fr", "against=9990000101", "language=nl&language=en", "purpose=x"):
        odd = await call("GET", f"/{digest}/difference?{query}")
        assert refused(odd) == (400, "invalid_input")
        assert "9990000101" not in odd.text
    first = await call("GET", f"/{agreeing.anchor}/difference")
    assert refused(first) == (400, "invalid_input")
    assert "This version is the first" in first.json()["detail"]


async def test_who_has_no_token_has_nothing_computed_and_may_read_the_text(
    agreeing: Agreeing, call: Call
) -> None:
    digest = await agreeing.has_proposed()
    draft = {"agreement": {}}
    for method, path, body in (("GET", f"/{digest}/difference", None), ("POST", "/check", draft)):
        assert (await call(method, path, body)).status_code == 200
        assert refused(await call(method, path, body, party="")) == (401, "token_missing")
    assert (await call("GET", f"/{digest}/text", party="")).status_code == 200


async def test_while_something_is_computed_others_come_again_and_all_other_work_goes_on(
    agreeing: Agreeing, call: Call
) -> None:
    digest = (await agreeing.proposes(changed(agreeing))).row.digest
    async with agreeing.gate.services.readings._computing:
        for asked in (("POST", "/check", {"agreement": {}}), ("GET", f"/{digest}/difference")):
            busy = await call(*asked, party="askv")
            assert refused(busy) == (503, "overloaded")
            assert int(busy.headers["Retry-After"]) > 0
        # Whoever reads a text waits for nobody who has something computed.
        assert (await call("GET", f"/{digest}/text", party="")).status_code == 200
    under_way = asyncio.create_task(call("GET", f"/{digest}/difference"))
    # Computed here, it would leave the loop no turn before it ends.
    turns = 0
    while not under_way.done():
        await asyncio.sleep(0.005)
        turns += 1
    assert turns > 20
    assert (await under_way).status_code == 200
    assert (await call("POST", "/check", {"agreement": {}}, party="askv")).status_code == 200


async def test_what_takes_too_long_is_ended_and_leaves_its_place(gate: Gate) -> None:
    kinds: dict[str, str] = {}
    assert (await Readings().check({}, kinds))["valid"] is False
    hurried = Readings(longest_seconds=0.01)
    for _ in range(2):
        with pytest.raises(Unavailable) as stopped:
            await hurried.check({}, kinds)
        assert stopped.value.code == "overloaded"


async def test_what_cannot_be_computed_is_unavailable_and_says_nothing_of_what_was_sent(
    agreeing: Agreeing, call: Call, capfd: pytest.CaptureFixture[str]
) -> None:
    digest = (await agreeing.proposes(changed(agreeing))).row.digest
    document = json.dumps({"title": "9990000101"}).encode()
    readings, policies = agreeing.gate.services.readings, agreeing.gate.services.settings.policies_folder
    with pytest.raises(Unavailable) as failed:
        await readings.difference((UNKNOWN, document), (digest, document), policies)
    assert failed.value.code == "internal_error"
    assert "9990000101" not in "".join(capfd.readouterr())
    assert (await call("GET", f"/{digest}/difference")).status_code == 200


async def test_no_variable_of_the_gateway_reaches_the_process_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[dict[str, Any]] = []
    start = asyncio.create_subprocess_exec

    async def watched(*arguments: str, **how: Any) -> asyncio.subprocess.Process:
        started.append(how)
        return await start(*arguments, **how)

    monkeypatch.setattr(agreement_readings.asyncio, "create_subprocess_exec", watched)
    assert (await Readings().check({}, {}))["valid"] is False
    assert [how["env"] for how in started] == [{}]


# --- text ------------------------------------------------------------------------------------


async def test_anyone_reads_a_version_as_a_page_that_can_do_nothing(agreeing: Agreeing, call: Call) -> None:
    digest = await agreeing.has_approved()
    await agreeing.signs(digest, VW)
    answer = await call("GET", f"/{digest}/text", party="")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert '<html lang="nl">' in answer.text
    assert 'id="art-2-1"' in answer.text
    assert "(1 van 4 ondertekend)" in answer.text
    policy = answer.headers["content-security-policy"]
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{allowed}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for worker in ("fg-01", "fg-02", "beheer-01"):
        assert worker not in answer.text
    # A signature more is another text.
    await agreeing.signs(digest, "ind")
    assert "(2 van 4 ondertekend)" in (await call("GET", f"/{digest}/text")).text


async def test_the_same_text_as_markdown_and_in_english(agreeing: Agreeing, call: Call) -> None:
    answer = await call("GET", f"/{agreeing.anchor}/text?format=markdown&language=en", party="")
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert answer.text.startswith("# ")
    assert "(4 of 4 signed)" in answer.text
    assert "<html" not in answer.text


async def test_a_text_that_is_not_there_is_a_problem(agreeing: Agreeing, call: Call) -> None:
    assert (await call("GET", f"/{agreeing.anchor}/text?language=en")).status_code == 200
    assert refused(await call("GET", f"/{UNKNOWN}/text")) == (404, "not_found")
    for query in ("language=fr", "format=pdf", "format=html&format=markdown", "client=9990000101"):
        odd = await call("GET", f"/{agreeing.anchor}/text?{query}")
        assert refused(odd) == (400, "invalid_input")
        assert "9990000101" not in odd.text
