"""The same over HTTP: what is parsed, what is answered, and that a stranger's answers are all alike."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from adapters.protocol import Worker
from gateway.app import ROUTERS
from gateway.http import consents
from gateway.http.app_factory import build_app
from gateway.oauth.resource import CALLER_SCOPE_KEY
from gateway.withdrawals import Withdrawal
from tests.integration.gate import DESK, DESK_2, DIGEST, JURIST, MANAGER, VW, Gate

Call = Callable[..., Awaitable[httpx2.Response]]
CLIENT = {"scheme": "v-number", "value": "2801234567"}
EVIDENCE = {
    "method": "signature_on_paper",
    "notice": {"language": "ti", "digest": DIGEST},
    "staff": "desk-01",
    "teach_back": "understood",
    "age_group": "from_16",
    "salt": "c2FsdC1vZi10aGlzLXRlc3Q",
}


def said(worker: Worker) -> dict[str, str]:
    return {"id": worker.id, "role": worker.role.value}


@pytest.fixture
async def call(gate: Gate) -> AsyncIterator[Call]:
    app = build_app(gate.services, ROUTERS)

    async def as_party(scope: Any, receive: Any, send: Any) -> None:
        # Who calls is established by `gateway.oauth`, which has tests of its own.
        party = dict(scope.get("headers", [])).get(b"x-party", VW.encode()).decode()
        scope[CALLER_SCOPE_KEY] = gate.caller(party)
        await app(scope, receive, send)

    transport = httpx2.ASGITransport(app=as_party)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8400") as client:

        async def calls(path: str, body: object = None, party: str = VW) -> httpx2.Response:
            headers = {"X-Party": party}
            if body is None:
                return await client.get(path, headers=headers)
            return await client.post(path, json=body, headers=headers)

        yield calls


def opening(**changes: object) -> dict[str, object]:
    body: dict[str, object] = {
        "client": CLIENT,
        "casemanager": MANAGER.id,
        "workers": [said(DESK), said(DESK_2), said(JURIST)],
        "mandate": EVIDENCE,
        "opened_by": said(DESK),
    }
    return {**body, **changes}


def recording(gate: Gate, **changes: object) -> dict[str, object]:
    proposal = gate.proposal()
    until = datetime.fromtimestamp(proposal.valid_until or 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    body: dict[str, object] = {
        "client": CLIENT,
        "purpose": proposal.purpose,
        "sources": list(proposal.sources),
        "recipients": list(proposal.recipients),
        "categories": list(proposal.categories),
        "explicit": [],
        "valid_until": until,
        "evidence": EVIDENCE,
        "worker": said(DESK),
        "statements": list(proposal.unverified_statements),
    }
    return {**body, **changes}


async def test_a_case_and_a_consent_go_their_way(gate: Gate, call: Call) -> None:
    opened = await call("/v1/cases", opening())
    assert opened.status_code == 201
    assert opened.json()["state"] == "pending"
    assert "confirmation" in opened.json()["next_step"]
    case = opened.json()["id"]

    confirmed = await call(f"/v1/cases/{case}/confirmation", {"worker": said(DESK_2)})
    assert (confirmed.status_code, confirmed.json()["state"]) == (200, "active")
    found = await call("/v1/cases/search", {"client": CLIENT, "worker": said(JURIST)})
    assert [one["id"] for one in found.json()["cases"]] == [case]

    recorded = await call("/v1/consents", recording(gate))
    assert (recorded.status_code, recorded.json()["state"]) == (201, "pending")
    consent = recorded.json()["id"]
    active = await call(f"/v1/consents/{consent}/confirmation", {"worker": said(DESK_2)})
    assert active.json()["state"] == "active"
    assert active.json()["valid_until"].endswith("Z")
    for path, first in ((f"/v1/cases/{case}", confirmed), (f"/v1/consents/{consent}", active)):
        again = await call(f"{path}/confirmation", {"worker": said(DESK_2)})
        assert (again.status_code, again.json()) == (200, first.json())
        other = await call(f"{path}/confirmation", {"worker": said(JURIST)})
        assert (other.status_code, other.json()["code"]) == (409, "state_conflict")
    receipt = await call(f"/v1/consents/{consent}/receipt")
    assert receipt.json()["record"]["@type"] == "dpv:ConsentRecord"

    withdrawn = await call(f"/v1/consents/{consent}/withdrawal", {"worker": said(DESK)})
    assert set(withdrawn.json()) == {"state", "effective_at", "ledger_index", "cannot_undo"}
    again = await call(f"/v1/consents/{consent}/withdrawal", {"worker": said(DESK)})
    assert again.json() == withdrawn.json()
    listed = await call("/v1/consents/search", {"client": CLIENT, "worker": said(JURIST)})
    assert [one["state"] for one in listed.json()["consents"]] == ["withdrawn"]


@pytest.mark.parametrize(
    ("count", "words"), [(0, "Nothing had been"), (1, "(once)"), (2, "(2 times)")], ids=str
)
def test_a_withdrawal_says_in_whole_words_how_often_it_came_too_late(count: int, words: str) -> None:
    assert words in consents._withdrawn(Withdrawal(7, 1_790_000_000, {}, count)).cannot_undo


async def test_workers_and_partners_come_and_go(call: Call) -> None:
    case = (await call("/v1/cases", opening())).json()["id"]
    await call(f"/v1/cases/{case}/confirmation", {"worker": said(DESK_2)})
    manager = said(MANAGER)
    added = {"id": "arts-001", "role": "medical"}
    with_doctor = await call(f"/v1/cases/{case}/workers", {"worker": manager, "added": added})
    assert added in with_doctor.json()["workers"]
    without = await call(f"/v1/cases/{case}/workers/arts-001/removal", {"worker": manager})
    assert added not in without.json()["workers"]

    invited = await call(f"/v1/cases/{case}/partners", {"party": "askv", "worker": manager})
    assert (invited.status_code, invited.json()["state"]) == (201, "open")
    joining = {"client": CLIENT, "casemanager": MANAGER.id, "workers": [said(JURIST)], "worker": manager}
    path = f"/v1/case-invitations/{invited.json()['invitation']}/acceptance"
    assert (await call(path, joining, party="goedwerk")).status_code == 404
    joined = await call(path, joining, party="askv")
    assert (joined.status_code, joined.json()["basis"]) == (201, "invitation")
    left = await call(f"/v1/cases/{joined.json()['id']}/departure", {"worker": manager}, party="askv")
    assert left.json()["state"] == "left"


async def test_a_stranger_cannot_tell_a_known_client_from_an_unknown_one(gate: Gate, call: Call) -> None:
    case = (await call("/v1/cases", opening())).json()["id"]
    await call(f"/v1/cases/{case}/confirmation", {"worker": said(DESK_2)})
    consent = (await call("/v1/consents", recording(gate))).json()["id"]
    known, unknown = CLIENT, {"scheme": "v-number", "value": "2899999999"}
    for path in ("/v1/cases/search", "/v1/consents/search"):
        answers = [
            await call(path, {"client": client, "worker": said(JURIST)}, party="askv")
            for client in (known, unknown)
        ]
        assert answers[0].content == answers[1].content
    opened = [await call("/v1/cases", opening(client=client), party="askv") for client in (known, unknown)]
    shapes = [(one.status_code, len(one.content), {**one.json(), "id": ""}) for one in opened]
    assert shapes[0] == shapes[1]
    for path in ("/v1/consents/{}/withdrawal", "/v1/consents/{}/confirmation"):
        answers = [
            await call(path.format(i), {"worker": said(DESK)}, party="askv") for i in (consent, "A" * 22)
        ]
        assert answers[0].content == answers[1].content
        assert answers[0].status_code == 404
    for path in ("confirmation", "departure", "workers/desk-01/removal"):
        answers = [
            await call(f"/v1/cases/{i}/{path}", {"worker": said(MANAGER)}, party="askv")
            for i in (case, "A" * 22)
        ]
        assert answers[0].content == answers[1].content
        assert answers[0].status_code == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"note": "free text"},
        {"client": {"scheme": "v-number", "value": "123"}},
        {"client": {"scheme": "name", "value": "2801234567"}},
        {"client": "2801234567"},
        {"own_number": "with space"},
        {"own_number": ""},
        {"workers": [{"id": "x", "role": "desk"}]},
        {"workers": [{"id": "desk-01", "role": "director"}]},
        {"mandate": {**EVIDENCE, "method": "fingerprint"}},
        {"mandate": {}},
        {"casemanager": 7},
        {"opened_by": None},
    ],
)
async def test_a_malformed_case_is_a_problem_that_repeats_nothing(
    call: Call, changes: dict[str, object]
) -> None:
    assert (await call("/v1/cases", opening())).status_code == 201
    refused = await call("/v1/cases", opening(**changes))
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_input")
    assert "2801234567" not in refused.text
    assert "free text" not in refused.text


@pytest.mark.parametrize(
    "changes",
    [
        {"valid_until": "2027-02-30T00:00:00Z"},
        {"valid_until": "2027-01-01T00:00:00+01:00"},
        {"valid_until": 1_800_000_000},
        {"recipients": []},
        {"evidence": {**EVIDENCE, "teach_back": "nodded"}},
        {"evidence": {**EVIDENCE, "staff": "Jan de Vries"}},
        {"decision": "maybe"},
        {"statements": ["~~~ not base64 ~~~"]},
        {"shelter": "Weesperstraat"},
    ],
)
async def test_a_malformed_consent_is_a_problem(gate: Gate, call: Call, changes: dict[str, object]) -> None:
    await gate.has_case()
    assert (await call("/v1/consents", recording(gate))).status_code == 201
    refused = await call("/v1/consents", recording(gate, **changes))
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_input")


async def test_a_refusal_needs_no_statements(gate: Gate, call: Call) -> None:
    await gate.has_case()
    refused = await call("/v1/consents", recording(gate, decision="refused", statements=[]))
    assert (refused.status_code, refused.json()["state"]) == (201, "refused")
