"""The same over HTTP: anyone reads and verifies a version, parties bring one about, no worker is shown."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from adapters.kit.agreement_chain import Chain, anchor, read_package
from adapters.protocol import Worker
from gateway.app import ROUTERS, create_app
from gateway.cli.provision import Deployment
from gateway.errors import Unavailable
from gateway.http.app_factory import build_app
from gateway.oauth.resource import CALLER_SCOPE_KEY
from gateway.settings import Settings
from tests.integration.agreeing import ADMIN, BEGINS_IN_SECONDS, DPO, DPO_2, FOUNDERS, Agreeing
from tests.integration.gate import VW, Gate

Call = Callable[..., Awaitable[httpx2.Response]]
ROOT = "/v1/agreements"
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
            return await client.request(method, ROOT + path, json=body, headers={"X-Party": party})

        yield calls


def said(worker: Worker) -> dict[str, str]:
    return {"id": worker.id, "role": worker.role.value}


async def proposed(call: Call, document: dict[str, Any]) -> str:
    answer = await call("POST", body={"agreement": document, "worker": said(DPO)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["digest"])


async def test_a_version_comes_into_force_by_calls_of_its_parties(agreeing: Agreeing, call: Call) -> None:
    document = agreeing.document()
    digest = await proposed(call, document)
    again = await call("POST", body={"agreement": document, "worker": said(ADMIN)}, party="askv")
    assert (again.status_code, again.json()["state"]) == (200, "proposed")
    approved = await call("POST", f"/{digest}/approvals", {"worker": said(DPO_2)})
    assert (approved.status_code, approved.json()["state"]) == (200, "approved")
    for party in FOUNDERS:
        body = {"signature": agreeing.signature(digest, party), "worker": said(ADMIN)}
        signed = await call("PUT", f"/{digest}/signatures/{party}", body, party=party)
        assert (signed.status_code, party in signed.json()["signed_by"]) == (200, True)
    activated = await call("POST", f"/{digest}/activation", {"worker": said(ADMIN)})
    shown = activated.json()
    assert (activated.status_code, shown["state"], shown["waits_for"]) == (200, "scheduled", [])
    assert (shown["signed"], shown["needed"], shown["proposed_by"]) == (4, 4, VW)
    assert shown["valid_from"].endswith("Z")
    coming = (await call("GET", "/in-force", party="")).json()
    assert coming == {"in_force": agreeing.anchor, "next": digest, "next_at": shown["valid_from"]}
    agreeing.gate.passes(BEGINS_IN_SECONDS)
    # Also before any gateway has written it down: under the one before it nothing is recorded any more.
    now = (await call("GET", "/in-force", party="")).json()
    assert now == {"in_force": digest, "next": None, "next_at": None}
    await agreeing.gate.services.agreements.keep_up(agreeing.gate.services)
    listed = (await call("GET", party="")).json()["agreements"]
    assert [(one["digest"], one["state"]) for one in listed] == [
        (agreeing.anchor, "superseded"),
        (digest, "in_force"),
    ]


async def test_anyone_verifies_what_anyone_may_read(
    agreeing: Agreeing, call: Call, deployment: Deployment
) -> None:
    digest = await agreeing.has_in_force()
    agreeing.gate.passes(1)
    await agreeing.withdraws(digest, "dtv")
    agreeing.gate.passes(1)
    await agreeing.signs(digest, "dtv")
    answer = await call("GET", f"/{digest}", party="")
    assert answer.headers["content-type"] == "application/json"
    package = answer.json()
    assert set(package) == {"agreement", "signatures", "withdrawals", "state"}
    assert set(package["withdrawals"]) == {"dtv"}
    register, now = agreeing.gate.services.register, agreeing.gate.now
    chain = Chain(anchor(deployment["gateway"].deployment_folder, register, now), register)
    admitted = chain.admit(read_package(package), now)
    assert (admitted.digest, admitted.founding_signed) == (digest, True)
    for worker in (DPO, DPO_2, ADMIN):
        assert worker.id not in answer.text


async def test_who_has_no_token_reads_and_does_nothing(agreeing: Agreeing, call: Call) -> None:
    digest = await agreeing.has_proposed()
    for path in ("", "/in-force", f"/{digest}"):
        assert (await call("GET", path, party="")).status_code == 200
    for method, path in (
        ("POST", ""),
        ("POST", f"/{digest}/approvals"),
        ("PUT", f"/{digest}/signatures/{VW}"),
        ("POST", f"/{digest}/withdrawals"),
        ("POST", f"/{digest}/activation"),
    ):
        refused = await call(method, path, {}, party="")
        assert (refused.status_code, refused.json()["code"]) == (401, "token_missing")


async def test_a_refusal_says_what_to_do(agreeing: Agreeing, call: Call) -> None:
    digest = await proposed(call, agreeing.document())
    own = await call("POST", f"/{digest}/approvals", {"worker": said(DPO)})
    assert (own.status_code, own.json()["code"]) == (403, "same_worker")
    desk = await call("POST", f"/{digest}/approvals", {"worker": {"id": "balie-01", "role": "desk"}})
    assert (desk.status_code, desk.json()["code"]) == (403, "role_may_not")
    stranger = await call("POST", f"/{digest}/approvals", {"worker": said(DPO_2)}, party="goedwerk")
    assert (stranger.status_code, stranger.json()["code"]) == (403, "not_for_this_party")
    early = await call("POST", f"/{digest}/activation", {"worker": said(ADMIN)})
    assert (early.status_code, early.json()["code"]) == (409, "agreement_not_ready")
    assert "0 of 4 founding parties have signed" in early.json()["missing"][1]
    await call("POST", f"/{digest}/approvals", {"worker": said(DPO_2)})
    body = {"signature": agreeing.signature(digest, VW, by="askv"), "worker": said(ADMIN)}
    forged = await call("PUT", f"/{digest}/signatures/{VW}", body)
    assert (forged.status_code, forged.json()["code"]) == (400, "agreement_signature_invalid")
    body = {"signature": agreeing.signature(digest, "ind"), "worker": said(ADMIN)}
    others = await call("PUT", f"/{digest}/signatures/ind", body)
    assert (others.status_code, others.json()["code"]) == (403, "not_for_this_party")


async def test_a_signature_is_taken_back(agreeing: Agreeing, call: Call) -> None:
    digest = await agreeing.has_in_force()
    agreeing.gate.passes(1)
    body = {"withdrawal": agreeing.withdrawal(digest, "ind"), "worker": said(ADMIN)}
    left = await call("POST", f"/{digest}/withdrawals", body, party="ind")
    assert (left.status_code, left.json()["waits_for"]) == (200, ["ind"])
    package = (await call("GET", f"/{digest}")).json()
    assert package["withdrawals"] == {"ind": body["withdrawal"]}
    replayed = {"signature": package["signatures"]["ind"], "worker": said(ADMIN)}
    refused = await call("PUT", f"/{digest}/signatures/ind", replayed, party="ind")
    assert (refused.status_code, refused.json()["code"]) == (400, "agreement_signature_invalid")


async def test_a_draft_with_faults_is_answered_with_all_of_them_in_both_languages(
    agreeing: Agreeing, call: Call
) -> None:
    document = agreeing.document(valid_until=1)
    del document["title"]
    refused = await call("POST", body={"agreement": document, "worker": said(DPO)})
    assert (refused.status_code, refused.json()["code"]) == (400, "agreement_invalid")
    assert [set(error) for error in refused.json()["errors"]] == [{"place", "nl", "en"}]
    whole = await call("POST", body={"agreement": agreeing.document(), "worker": said(DPO)})
    assert whole.status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"agreement": [], "worker": said(DPO)},
        {"agreement": {}},
        {"agreement": {}, "worker": {"id": "x y", "role": "dpo"}},
        {"agreement": {}, "worker": said(DPO), "note": "free text"},
    ],
)
async def test_a_malformed_proposal_is_a_problem(agreeing: Agreeing, call: Call, body: object) -> None:
    refused = await call("POST", body=body)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_input")
    await proposed(call, agreeing.document())


async def test_what_is_there_for_nobody_is_not_found(call: Call, agreeing: Agreeing) -> None:
    assert (await call("GET", f"/{agreeing.anchor}")).status_code == 200
    for path in (f"/{UNKNOWN}", "/sha-256:short", "/9990000101"):
        refused = await call("GET", path)
        assert refused.status_code in (400, 404)
        assert "9990000101" not in refused.text
    unknown = await call("GET", f"/{UNKNOWN}")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


async def test_what_somebody_changed_in_the_database_is_shown_as_it_is_and_believed_by_no_act(
    agreeing: Agreeing, call: Call
) -> None:
    digest = await agreeing.has_approved()
    body = {"signature": agreeing.signature(digest, VW), "worker": said(ADMIN)}
    founders = json.dumps(["goedwerk"])
    another = text(f"UPDATE agreement_versions SET founding_set = '{founders}'")
    await agreeing.gate.services.store.write(lambda tx: tx.conn.execute(another).rowcount)
    stranger = await call("POST", f"/{digest}/activation", {"worker": said(ADMIN)}, party="goedwerk")
    assert (stranger.status_code, stranger.json()["code"]) == (403, "not_for_this_party")
    assert (await call("PUT", f"/{digest}/signatures/{VW}", body)).status_code == 200


@pytest.mark.parametrize("profile", ["demo", "production"])
async def test_in_production_no_gateway_starts_with_an_open_question(
    deployment: Deployment, tmp_path: Path, profile: Any
) -> None:
    holder = deployment["gateway"]
    settings = Settings(
        profile=profile,
        issuer=deployment.addresses.gateway,
        database_url=f"sqlite:///{tmp_path / 'gateway.sqlite'}",
        keys_folder=holder.keys_folder,
        keys_passphrase=SecretStr(holder.passphrase),
        deployment_folder=holder.deployment_folder,
        sources={},
    )
    app = create_app(settings)
    if profile == "demo":
        async with app.router.lifespan_context(app):
            assert app.state.services.agreement.unanswered
        return
    with pytest.raises(Unavailable) as refusal:
        async with app.router.lifespan_context(app):
            pass
    assert "open questions without an answer: " in str(refusal.value.cause)


def test_production_is_what_holds_unless_somebody_says_otherwise() -> None:
    assert Settings.model_fields["profile"].default == "production"
