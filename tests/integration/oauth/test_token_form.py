"""What the token endpoint asks beside the assertion: one clean form, and a proof of the caller's key."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


def refused(answer: Any, error: str = "invalid_client") -> bool:
    assert set(answer.json) == {"error", "error_description"}
    assert answer.headers["API-Version"]
    assert answer.headers["Cache-Control"] == "no-store"
    return (answer.status, answer.json["error"]) == (400, error)


# --- the form ------------------------------------------------------------------------------


async def test_a_secret_is_not_a_credential_here(gate: Any) -> None:
    assert (await gate.ask_token()).status == 200
    assert refused(await gate.ask_token(client_secret="guess"), "invalid_request")
    fields = {"grant_type": "client_credentials", "client_id": "vluchtelingenwerk"}
    headers = {"DPoP": gate.proof("POST", gate.token_url)}
    assert refused(await gate.send("POST", "/oauth/token", data=fields, headers=headers))
    headers = {"DPoP": gate.proof("POST", gate.token_url), "Authorization": "Basic dnc6Z3Vlc3M="}
    basic = await gate.send("POST", "/oauth/token", data=fields, headers=headers)
    assert refused(basic, "invalid_request")


async def test_a_client_id_that_differs_from_the_assertion_is_refused(gate: Any) -> None:
    assert (await gate.ask_token(client_id="vluchtelingenwerk")).status == 200
    assert refused(await gate.ask_token(client_id="ind"))


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "unsupported_grant_type"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"client_assertion_type": "urn:other"}, "invalid_client"),
        ({"client_assertion": "not.a.jwt"}, "invalid_client"),
        ({"client_assertion": ""}, "invalid_client"),
        ({"client_assertion": "x" * 17_000}, "invalid_request"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_form_that_does_not_fit_is_refused(gate: Any, form: dict[str, str], error: str) -> None:
    assert (await gate.ask_token(scope="")).status == 200
    answer = await gate.ask_token(**form)
    assert refused(answer, error)
    assert "password" not in answer.text


async def test_a_repeated_parameter_is_refused(gate: Any) -> None:
    def fields() -> list[tuple[str, str]]:
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        return [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", kind),
            ("client_assertion", gate.assertion()),
        ]

    def headers() -> dict[str, str]:
        return {"DPoP": gate.proof("POST", gate.token_url)}

    assert (await gate.send("POST", "/oauth/token", data=fields(), headers=headers())).status == 200
    twice = [*fields(), ("client_assertion", gate.assertion("ind"))]
    answer = await gate.send("POST", "/oauth/token", data=twice, headers=headers())
    assert refused(answer, "invalid_request")


async def test_a_query_is_refused_and_uses_nothing_up(gate: Any) -> None:
    fields = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": gate.assertion(),
    }
    headers = {"DPoP": gate.proof("POST", gate.token_url)}
    for query in ("grant_type=client_credentials", "x", "client_assertion=secret"):
        answer = await gate.send("POST", f"/oauth/token?{query}", data=fields, headers=headers)
        assert refused(answer, "invalid_request")
        assert "secret" not in answer.text
    assert (await gate.send("POST", "/oauth/token", data=fields, headers=headers)).status == 200


async def test_json_is_no_form(gate: Any) -> None:
    assert (await gate.ask_token()).status == 200
    headers = {"DPoP": gate.proof("POST", gate.token_url), "Content-Type": "application/json"}
    fields = json.dumps({"grant_type": "client_credentials", "client_assertion": gate.assertion()})
    answer = await gate.send("POST", "/oauth/token", data=fields, headers=headers)
    assert refused(answer, "invalid_request")


# --- the proof -----------------------------------------------------------------------------


async def test_without_a_proof_there_is_no_token(gate: Any) -> None:
    assertion = gate.assertion()
    assert refused(await gate.ask_token(assertion, proof=""), "invalid_dpop_proof")
    assert (await gate.ask_token(assertion)).status == 200, "the assertion was not used up"


async def test_a_proof_serves_one_token(gate: Any) -> None:
    proof = gate.proof("POST", gate.token_url)
    assert (await gate.ask_token(proof=proof)).status == 200
    assert refused(await gate.ask_token(proof=proof))


@pytest.mark.parametrize(
    "override",
    [
        {"htm": "GET"},
        {"htu": "http://127.0.0.1/oauth/token"},
        {"iat": -61},
        {"iat": 61},
        {"jti": None},
        {"typ": "JWT"},
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_proof_for_something_else_is_refused(gate: Any, override: dict[str, Any]) -> None:
    assert (await gate.ask_token()).status == 200
    if "iat" in override:
        override = {"iat": gate.clock.now + override["iat"]}
    answer = await gate.ask_token(proof=gate.proof("POST", gate.token_url, **override))
    assert refused(answer, "invalid_dpop_proof")
