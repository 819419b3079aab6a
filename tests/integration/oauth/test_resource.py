"""A token counts for its party, with a fresh proof of its key, and in no other way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from multidict import CIMultiDict

from adapters.kit import jose
from adapters.kit.keys import SigningKey, thumbprint
from adapters.kit.session import GatewaySession

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_party_is_known_by_its_token_and_proof(gate: Any) -> None:
    answer = await gate.call(await gate.token())
    assert (answer.status, answer.json) == (200, {"party": "vluchtelingenwerk", "kind": "ngo"})


async def test_the_kits_session_signs_in_and_calls(own_gate: Any) -> None:
    async with GatewaySession(own_gate.issuer, "ind", own_gate.keys["ind"], own_gate.clock) as session:
        first = await session.request("POST", "/v1/probes?of=query", json={"purpose": "legal_screening"})
        assert (first.status, first.body) == (
            200,
            {"party": "ind", "kind": "ind", "purpose": "legal_screening"},
        )
        own_gate.clock.now += 3600
        later = await session.request("GET", "/v1/probes/2")
        assert later.status == 200
        key_list = await session.fetch_key_list("gateway")
        assert jose.unverified_payload(key_list)["iss"] == "gateway"


async def test_a_used_proof_is_refused_also_at_once(own_gate: Any) -> None:
    token = await own_gate.token()
    proof = own_gate.proof("GET", own_gate.issuer + "/v1/probes/1", token=token)
    answers = await asyncio.gather(*(own_gate.call(token, proof=proof) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200] + [401] * 19
    assert (await own_gate.call(token, proof=proof)).problem == (401, "proof_replayed")
    own_gate.clock.now += 59
    assert (await own_gate.call(token, proof=proof)).problem == (401, "proof_replayed")
    own_gate.clock.now += 2
    assert (await own_gate.call(token, proof=proof)).problem == (401, "proof_invalid")


@pytest.mark.parametrize(
    "override",
    [
        {"htm": "POST"},
        {"htm": "get"},
        {"htm": None},
        {"htu": "/v1/probes/1"},
        {"htu": "https://elsewhere.example/v1/probes/1"},
        {"htu": None},
        {"htu": 7},
        {"htu": "http://[::1/v1/probes/1"},
        {"ath": "A" * 43},
        {"ath": None},
        {"iat": -61},
        {"iat": 61},
        {"iat": None},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 257},
        {"jti": 7},
        {"typ": "JWT"},
        {"typ": "at+jwt"},
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_proof_for_something_else_is_refused(gate: Any, override: dict[str, Any]) -> None:
    token = await gate.token()
    url = gate.issuer + "/v1/probes/1"
    assert (await gate.call(token, proof=gate.proof("GET", url, token=token))).status == 200
    if isinstance(override.get("iat"), int):
        override = {"iat": gate.clock.now + override["iat"]}
    answer = await gate.call(token, proof=gate.proof("GET", url, token=token, **override))
    assert answer.problem == (401, "proof_invalid")
    assert 'error="invalid_dpop_proof"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("suffix", ["?x=1", "#x", "/", "/../1", "%2F"])
async def test_a_proof_for_another_spelling_of_the_address_is_refused(gate: Any, suffix: str) -> None:
    token = await gate.token()
    url = gate.issuer + "/v1/probes/1"
    assert (await gate.call(token, proof=gate.proof("GET", url, token=token))).status == 200
    answer = await gate.call(token, proof=gate.proof("GET", url + suffix, token=token))
    assert answer.problem == (401, "proof_invalid")


async def test_the_query_is_not_part_of_what_is_proven(gate: Any) -> None:
    token = await gate.token()
    proof = gate.proof("GET", gate.issuer + "/v1/probes/1", token=token)
    assert (await gate.call(token, path="/v1/probes/1?page=2", proof=proof)).status == 200


async def test_a_proof_by_another_key_than_the_tokens_is_refused(gate: Any) -> None:
    token = await gate.token()
    assert (await gate.call(token)).status == 200
    thief = SigningKey.generate()
    proof = gate.proof("GET", gate.issuer + "/v1/probes/1", token=token, key=thief)
    assert (await gate.call(token, proof=proof)).problem == (401, "proof_invalid")


async def test_a_proof_with_a_private_key_or_a_broken_signature_is_refused(gate: Any) -> None:
    token = await gate.token()
    right = gate.proof("GET", gate.issuer + "/v1/probes/1", token=token)
    header, claims, signature = right.split(".")
    for broken in (f"{header}.{claims}.", f"{header}.{claims}.{'A' * 86}", f"{header}.{claims}", "", "...."):
        assert (await gate.call(token, proof=broken)).problem == (401, "proof_invalid")
    other = gate.proof("GET", gate.issuer + "/v1/probes/1", token=token).split(".")[2]
    answer = await gate.call(token, proof=f"{header}.{claims}.{other}")
    assert answer.problem == (401, "proof_invalid")
    assert (await gate.call(token, proof=f"{header}.{claims}.{signature}")).status == 200


async def test_two_proofs_or_two_tokens_are_refused(gate: Any) -> None:
    token = await gate.token()

    def headers(proofs: int, tokens: int) -> CIMultiDict[str]:
        url = gate.issuer + "/v1/probes/1"
        sent: CIMultiDict[str] = CIMultiDict()
        for _ in range(proofs):
            sent.add("DPoP", gate.proof("GET", url, token=token))
        for _ in range(tokens):
            sent.add("Authorization", f"DPoP {token}")
        return sent

    assert (await gate.send("GET", "/v1/probes/1", headers=headers(1, 1))).status == 200
    assert (await gate.send("GET", "/v1/probes/1", headers=headers(2, 1))).problem == (401, "proof_invalid")
    assert (await gate.send("GET", "/v1/probes/1", headers=headers(0, 1))).problem == (401, "proof_invalid")
    assert (await gate.send("GET", "/v1/probes/1", headers=headers(1, 2))).problem == (401, "token_missing")
    assert (await gate.send("GET", "/v1/probes/1", headers=headers(1, 0))).problem == (401, "token_missing")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Basic", ""])
async def test_a_bound_token_in_another_scheme_is_refused(gate: Any, scheme: str) -> None:
    token = await gate.token()
    assert (await gate.call(token, scheme="dpop")).status == 200, "schemes have no case"
    answer = await gate.call(token, scheme=scheme)
    assert answer.problem == (401, "token_missing")
    assert answer.headers["WWW-Authenticate"].startswith("DPoP ")


async def test_a_token_in_the_query_is_not_looked_at(gate: Any) -> None:
    token = await gate.token()
    assert (await gate.call(token, path="/v1/probes/1?page=1", proof=_proof(gate, token))).status == 200
    path = f"/v1/probes/1?access_token={token}"
    answer = await gate.send("GET", path, headers={"DPoP": _proof(gate, token)})
    assert answer.problem == (401, "token_missing")
    beside = await gate.call(token, path=path, proof=_proof(gate, token))
    assert beside.problem == (400, "invalid_input")
    assert token not in beside.text


def _proof(gate: Any, token: str) -> str:
    return str(gate.proof("GET", gate.issuer + "/v1/probes/1", token=token))


async def test_a_token_ends_also_when_it_is_remembered(own_gate: Any) -> None:
    token = await own_gate.token()
    assert (await own_gate.call(token)).status == 200
    own_gate.clock.now += 899
    assert (await own_gate.call(token)).status == 200
    own_gate.clock.now += 1
    answer = await own_gate.call(token)
    assert answer.problem == (401, "token_invalid")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


async def test_a_token_ends_with_the_key_it_was_got_by(own_gate: Any) -> None:
    token = await own_gate.token()
    assert (await own_gate.call(token)).status == 200
    own_gate.write_key_list("vluchtelingenwerk", SigningKey.generate(), serial=2)
    own_gate.clock.now += 60
    assert (await own_gate.call(token)).problem == (401, "token_invalid")


def forged(gate: Any, *, typ: str = "at+jwt", key: SigningKey | None = None, **override: Any) -> str:
    claims = {
        "iss": gate.issuer,
        "aud": gate.issuer,
        "sub": "vluchtelingenwerk",
        "client_id": "vluchtelingenwerk",
        "azp": "vluchtelingenwerk",
        "iat": gate.clock.now,
        "exp": gate.clock.now + 900,
        "jti": "0123456789abcdef",
        "cnf": {"jkt": thumbprint(gate.proof_key.public)},
        "client_key": gate.keys["vluchtelingenwerk"].kid,
        **override,
    }
    present = {name: value for name, value in claims.items() if value is not None}
    return jose.sign(present, key or gate.keys["gateway"], typ)


@pytest.mark.parametrize(
    "change",
    [
        {"typ": "JWT"},
        {"typ": "receipt+jwt"},
        {"typ": "AT+JWT"},
        {"iss": "https://elsewhere.example"},
        {"aud": "https://elsewhere.example"},
        {"aud": None},
        {"client_key": "ind"},
        {"client_key": None},
        {"sub": "nobody"},
        {"sub": None},
        {"client_id": "ind"},
        {"exp": None},
        {"exp": 0},
        {"cnf": None},
        {"cnf": {}},
        {"cnf": {"jkt": 7}},
        {"cnf": "key"},
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_token_that_is_not_quite_ours_is_refused(gate: Any, change: dict[str, Any]) -> None:
    assert (await gate.call(forged(gate))).status == 200
    assert (await gate.call(forged(gate, **change))).problem == (401, "token_invalid")


async def test_a_token_by_another_key_is_refused(gate: Any) -> None:
    for key in (SigningKey.generate(), gate.keys["vluchtelingenwerk"], gate.identities["gateway"]):
        assert (await gate.call(forged(gate, key=key))).problem == (401, "token_invalid")
    for token in ("", "x", "a.b.c", "x" * 5000):
        assert (await gate.call(token)).problem == (401, "token_invalid")


async def test_a_suspension_holds_from_the_next_call_on(own_gate: Any) -> None:
    token = await own_gate.token()
    assert (await own_gate.call(token)).status == 200
    await own_gate.set_status("vluchtelingenwerk", "suspended")
    assert (await own_gate.call(token)).problem == (403, "party_suspended")
    await own_gate.set_status("vluchtelingenwerk", "active")
    assert (await own_gate.call(token)).status == 200


async def test_a_token_whose_key_is_withdrawn_stops_counting_with_the_epoch(own_gate: Any) -> None:
    token = await own_gate.token()
    assert (await own_gate.call(token)).status == 200
    own_gate.write_key_list("gateway", SigningKey.generate(), serial=2, use="token")
    await own_gate.set_status("ind", "suspended")  # any change among the parties
    assert (await own_gate.call(token)).problem == (401, "token_invalid")
