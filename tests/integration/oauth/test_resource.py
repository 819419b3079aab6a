"""A token counts for its party, with a fresh proof of its key, and in no other way."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from multidict import CIMultiDict

from adapters.kit import jose
from adapters.kit.keys import SigningKey, thumbprint
from adapters.kit.session import GatewaySession

JSON = {"Content-Type": "application/json"}


async def test_a_party_is_known_by_its_token_and_proof(gate: Any) -> None:
    answer = await gate.call(await gate.token())
    assert (answer.status, answer.json) == (200, {"party": "vluchtelingenwerk", "kind": "ngo"})


async def test_the_kits_session_signs_in_and_calls(gate: Any) -> None:
    async with GatewaySession(gate.issuer, "ind", gate.keys["ind"], gate.clock) as session:
        first = await session.request("POST", "/v1/probes?of=query", json={"purpose": "legal_screening"})
        assert (first.status, first.body) == (
            200,
            {"party": "ind", "kind": "ind", "purpose": "legal_screening"},
        )
        gate.clock.now += 3600
        later = await session.request("GET", "/v1/probes/2")
        assert later.status == 200
        key_list = await session.fetch_key_list("gateway")
        assert jose.unverified_payload(key_list)["iss"] == "gateway"


async def test_a_used_proof_is_refused_also_at_once(gate: Any) -> None:
    token = await gate.token()
    proof = gate.proof("GET", gate.issuer + "/v1/probes/1", token=token)
    answers = await asyncio.gather(*(gate.call(token, proof=proof) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200] + [401] * 19
    assert (await gate.call(token, proof=proof)).problem == (401, "proof_replayed")
    gate.clock.now += 59
    assert (await gate.call(token, proof=proof)).problem == (401, "proof_replayed")
    gate.clock.now += 2
    assert (await gate.call(token, proof=proof)).problem == (401, "proof_invalid")


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
    path = f"/v1/probes/1?access_token={token}"
    assert (await gate.call(token, path=path, proof=_proof(gate, token))).status == 200
    answer = await gate.send("GET", path, headers={"DPoP": _proof(gate, token)})
    assert answer.problem == (401, "token_missing")


def _proof(gate: Any, token: str) -> str:
    return str(gate.proof("GET", gate.issuer + "/v1/probes/1", token=token))


async def test_a_token_ends_also_when_it_is_remembered(gate: Any) -> None:
    token = await gate.token()
    assert (await gate.call(token)).status == 200
    gate.clock.now += 899
    assert (await gate.call(token)).status == 200
    gate.clock.now += 1
    answer = await gate.call(token)
    assert answer.problem == (401, "token_invalid")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


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


async def test_a_suspension_holds_from_the_next_call_on(gate: Any) -> None:
    token = await gate.token()
    assert (await gate.call(token)).status == 200
    await gate.set_status("vluchtelingenwerk", "suspended")
    assert (await gate.call(token)).problem == (403, "party_suspended")
    await gate.set_status("vluchtelingenwerk", "active")
    assert (await gate.call(token)).status == 200


async def test_a_token_whose_key_is_withdrawn_stops_counting_with_the_epoch(gate: Any) -> None:
    token = await gate.token()
    assert (await gate.call(token)).status == 200
    gate.write_key_list("gateway", SigningKey.generate(), serial=2, use="token")
    await gate.set_status("ind", "suspended")  # any change among the parties
    assert (await gate.call(token)).problem == (401, "token_invalid")


# --- bodies, against a resource that needs a caller ----------------------------------------


@pytest.mark.parametrize(
    ("data", "headers", "expected"),
    [
        (b'{"purpose": "a", "purpose": "b"}', JSON, (400, "duplicate_key")),
        (b'{"purpose": "a", "more": 1}', JSON, (400, "invalid_input")),
        (b'{"purpose": 1}', JSON, (400, "invalid_input")),
        (b'{"purpose": "\xff"}', JSON, (400, "malformed_json")),
        (b"[]", JSON, (400, "invalid_input")),
        (b'{"purpose": "' + b"x" * 300_000 + b'"}', JSON, (413, "body_too_large")),
        (b'{"purpose": "a"}', {"Content-Type": "text/plain"}, (415, "unsupported_media_type")),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_a_bad_body_gets_its_problem(
    gate: Any, data: bytes, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    async def post(data: bytes, headers: dict[str, str]) -> Any:
        token = await gate.token()
        return await gate.call(token, method="POST", path="/v1/probes", data=data, headers=headers)

    assert (await post(b'{"purpose": "a"}', JSON)).status == 200
    assert (await post(data, headers)).problem == expected


async def test_the_caller_is_asked_for_before_the_body_is_read(gate: Any) -> None:
    body = json.dumps({"purpose": "a"}).encode()
    answer = await gate.send("POST", "/v1/probes", data=body, headers=JSON)
    assert answer.problem == (401, "token_missing")
    broken = await gate.send("POST", "/v1/probes", data=b"{", headers=JSON)
    assert broken.problem == (401, "token_missing")


async def test_a_chunked_body_is_cut_off_at_the_limit(gate: Any) -> None:
    token = await gate.token()

    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 10_000

    answer = await gate.call(token, method="POST", path="/v1/probes", data=endless(), headers=JSON)
    assert answer.problem == (413, "body_too_large")


# --- what needs no token -------------------------------------------------------------------


async def test_anyone_may_read_a_partys_keys(gate: Any) -> None:
    answer = await gate.send("GET", "/v1/parties/ind/keys")
    stored = (gate.folder / "key-lists" / "ind.jws").read_text()
    assert (answer.status, answer.json) == (200, {"party": "ind", "key_list": stored})
    for unknown in ("nobody", "..", "IND", "ind.jws", "%2e%2e%2fregister"):
        assert (await gate.send("GET", f"/v1/parties/{unknown}/keys")).status == 404
    assert (await gate.send("GET", "/v1/parties/nobody/keys")).problem == (404, "not_found")


async def test_a_key_list_that_expired_is_not_served(gate: Any) -> None:
    assert (await gate.send("GET", "/v1/parties/ind/keys")).status == 200
    gate.clock.now += 401 * 24 * 3600
    assert (await gate.send("GET", "/v1/parties/ind/keys")).problem == (500, "internal_error")


async def test_health_tells_alive_from_ready(gate: Any, compose_again: Callable[..., Any]) -> None:
    assert (await gate.send("GET", "/livez")).json == {"status": "alive"}
    assert (await gate.send("GET", "/readyz")).problem == (503, "policy_unavailable")
    object.__setattr__(gate.services, "engine", object())
    assert (await gate.send("GET", "/readyz")).json == {"status": "ready"}
    gate.services.store.close()
    assert (await gate.send("GET", "/readyz")).problem == (503, "storage_unavailable")
    assert (await gate.send("GET", "/livez")).status == 200


async def test_when_the_store_is_gone_nobody_is_authenticated(gate: Any) -> None:
    token = await gate.token()
    assert (await gate.call(token)).status == 200
    gate.services.store.close()
    answer = await gate.call(token)
    assert answer.problem == (503, "storage_unavailable")
    assert answer.headers["Retry-After"]


async def test_half_a_request_ends_without_a_trace(gate: Any) -> None:
    host, _, port = gate.issuer.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as half:
        half.sendall(b"POST /v1/probes HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
    assert (await gate.send("GET", "/livez")).status == 200
