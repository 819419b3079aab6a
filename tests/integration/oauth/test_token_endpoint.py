"""Only a party itself gets a token, once per assertion, and only for a key that it holds."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import OctKey

from adapters.kit import jose
from adapters.kit.keys import SigningKey, thumbprint
from gateway.oauth import replay

pytestmark = pytest.mark.asyncio(loop_scope="module")

YEAR = 365 * 24 * 3600


def refused(answer: Any, error: str = "invalid_client") -> bool:
    assert set(answer.json) == {"error", "error_description"}
    assert answer.headers["API-Version"]
    assert answer.headers["Cache-Control"] == "no-store"
    return (answer.status, answer.json["error"]) == (400, error)


def unsecured(header: dict[str, object], claims: str, signature: str = "") -> str:
    text = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return f"{text}.{claims}.{signature}"


async def test_a_party_gets_a_token_bound_to_its_key(gate: Any) -> None:
    answer = await gate.ask_token()
    assert answer.status == 200
    assert answer.json["token_type"] == "DPoP"
    assert answer.json["expires_in"] == 900
    header = jose.unverified_header(answer.json["access_token"])
    claims = jose.unverified_payload(answer.json["access_token"])
    assert header == {"alg": "ES256", "typ": "at+jwt", "kid": gate.keys["gateway"].kid}
    jti = claims.pop("jti")
    assert len(str(jti)) >= 22, "128 bits"
    assert claims == {
        "iss": gate.issuer,
        "aud": gate.issuer,
        "sub": "vluchtelingenwerk",
        "client_id": "vluchtelingenwerk",
        "azp": "vluchtelingenwerk",
        "iat": gate.clock.now,
        "exp": gate.clock.now + 900,
        "cnf": {"jkt": thumbprint(gate.proof_key.public)},
        "client_key": gate.keys["vluchtelingenwerk"].kid,
    }


async def test_metadata_and_keys_say_what_is_offered(gate: Any) -> None:
    metadata = (await gate.send("GET", "/.well-known/oauth-authorization-server")).json
    assert metadata["issuer"] == gate.issuer
    assert metadata["token_endpoint"] == gate.token_url
    assert metadata["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert metadata["dpop_signing_alg_values_supported"] == ["ES256"]
    keys = (await gate.send("GET", metadata["jwks_uri"].removeprefix(gate.issuer))).json["keys"]
    expected = {**gate.keys["gateway"].public, "kid": gate.keys["gateway"].kid, "use": "sig", "alg": "ES256"}
    assert keys == [expected]


async def test_the_same_assertion_twice_is_refused(gate: Any) -> None:
    assertion = gate.assertion()
    assert (await gate.ask_token(assertion)).status == 200
    assert refused(await gate.ask_token(assertion))


async def test_of_fifty_copies_at_once_exactly_one_gets_a_token(gate: Any) -> None:
    assertion = gate.assertion()
    answers = await asyncio.gather(*(gate.ask_token(assertion) for _ in range(50)))
    assert sorted(answer.status for answer in answers) == [200] + [400] * 49


async def test_an_assertion_stays_used_after_a_restart(
    own_gate: Any, compose_again: Callable[..., Any]
) -> None:
    assertion = own_gate.assertion()
    assert (await own_gate.ask_token(assertion)).status == 200
    own_gate.services.store.close()
    url = own_gate.services.settings.database_url
    reopened = compose_again(own_gate.folder, own_gate.issuer, own_gate.clock, database_url=url).store
    try:
        jti = str(jose.unverified_payload(assertion)["jti"])
        key = replay.key("assertion", "vluchtelingenwerk", jti)
        with pytest.raises(replay.Replayed):
            await reopened.write(lambda tx: replay.claim(tx, key, own_gate.clock.now + 60))
        other = replay.key("assertion", "ind", jti)
        await reopened.write(lambda tx: replay.claim(tx, other, own_gate.clock.now + 60))
    finally:
        reopened.close()


async def test_used_assertions_are_forgotten_when_they_are_refused_for_age_anyway(own_gate: Any) -> None:
    old = own_gate.assertion()
    assert (await own_gate.ask_token(old)).status == 200
    own_gate.clock.now += 3600
    assert refused(await own_gate.ask_token(old))
    assert (await own_gate.ask_token()).status == 200
    count = await own_gate.services.store.read(
        lambda conn: conn.exec_driver_sql("SELECT count(*) FROM replay").scalar_one()
    )
    assert count == 2, "of the last assertion and its proof"


@pytest.mark.parametrize(
    "override",
    [
        {"exp": YEAR},
        {"exp": -20},
        {"iat": None},
        {"iat": 600, "exp": 660},
        {"exp": None},
        {"nbf": 600},
        {"iat": 0.5},
        {"exp": "60"},
        {"jti": None},
        {"jti": "short"},
        {"jti": 12345678901234567},
        {"aud": None},
        {"aud": "https://elsewhere.example"},
        {"iss": "ind"},
        {"sub": "ind"},
        {"sub": "nobody"},
        {"sub": ["vluchtelingenwerk"]},
        {"iss": None},
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_claim_that_does_not_fit_is_refused(gate: Any, override: dict[str, Any]) -> None:
    assert (await gate.ask_token(gate.assertion())).status == 200
    # Instants are given as distances from now.
    near = {name: value for name, value in override.items() if name in ("iat", "exp", "nbf")}
    instants = {
        name: gate.clock.now + value for name, value in near.items() if isinstance(value, int | float)
    }
    assert refused(await gate.ask_token(gate.assertion(**{**override, **instants})))


@pytest.mark.parametrize("seconds", [120, 121])
async def test_an_assertion_may_be_valid_for_two_minutes_and_no_more(gate: Any, seconds: int) -> None:
    answer = await gate.ask_token(gate.assertion(exp=gate.clock.now + seconds))
    assert answer.status == (200 if seconds == 120 else 400)


async def test_the_audience_is_our_issuer_as_one_string(gate: Any) -> None:
    assert (await gate.ask_token(gate.assertion(aud=gate.issuer))).status == 200
    for audience in (gate.token_url, gate.issuer + "/", [gate.issuer], [gate.issuer, "https://b.example"]):
        assert refused(await gate.ask_token(gate.assertion(aud=audience)))


async def test_the_token_endpoint_as_audience_is_a_setting(
    tmp_path: Path, open_gate: Callable[..., Any]
) -> None:
    async with open_gate(tmp_path, accept_token_endpoint_audience=True) as lenient:
        assert (await lenient.ask_token(lenient.assertion(aud=lenient.token_url))).status == 200
        assert refused(await lenient.ask_token(lenient.assertion(aud=[lenient.token_url])))


async def test_an_assertion_by_another_key_is_refused(gate: Any) -> None:
    assert (await gate.ask_token(gate.assertion())).status == 200
    assert refused(await gate.ask_token(gate.assertion(key=gate.keys["ind"])))
    assert refused(await gate.ask_token(gate.assertion(key=gate.identities["vluchtelingenwerk"])))
    assert refused(await gate.ask_token(gate.assertion(key=SigningKey.generate())))


async def test_another_algorithm_is_refused(gate: Any) -> None:
    right = gate.assertion()
    header, claims, signature = right.split(".")
    for alg in ("none", "None", "nOnE", "ES384", "RS256", ""):
        named = {"alg": alg, "typ": "JWT", "kid": gate.keys["vluchtelingenwerk"].kid}
        assert refused(await gate.ask_token(unsecured(named, claims)))
        assert refused(await gate.ask_token(unsecured(named, claims, signature)))
    # HS256 with what everybody knows of the key as the secret.
    public = json.dumps(gate.keys["vluchtelingenwerk"].public).encode()
    kid = gate.keys["vluchtelingenwerk"].kid
    text = json.dumps(jose.unverified_payload(right)).encode()
    forged = jws.serialize_compact(
        {"alg": "HS256", "typ": "JWT", "kid": kid}, text, OctKey.import_key(public), algorithms=["HS256"]
    )
    assert refused(await gate.ask_token(forged))
    assert (await gate.ask_token(right)).status == 200, f"what was forged from was right: {header}"


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip"])
async def test_a_header_that_would_redirect_us_is_refused(gate: Any, member: str) -> None:
    key = gate.keys["vluchtelingenwerk"]
    claims = json.dumps(jose.unverified_payload(gate.assertion())).encode()
    plain = {"alg": "ES256", "typ": "JWT", "kid": key.kid}
    sound = jws.serialize_compact(plain, claims, key.imported, algorithms=["ES256"])
    content = f"{json.dumps({**plain, member: key.public})}".encode()
    text = base64.urlsafe_b64encode(content).rstrip(b"=").decode()
    assert refused(await gate.ask_token(".".join([text, *sound.split(".")[1:]])))
    assert (await gate.ask_token(sound)).status == 200


@pytest.mark.parametrize("typ", ["at+jwt", "dpop+jwt", "key-list+jwt", "dossier-request+sd-jwt"])
async def test_another_signed_thing_of_the_party_is_no_assertion(gate: Any, typ: str) -> None:
    assert (await gate.ask_token(gate.assertion(typ="client-authentication+jwt"))).status == 200
    assert refused(await gate.ask_token(gate.assertion(typ=typ)))


async def test_whoever_is_no_active_party_gets_the_same_answer(own_gate: Any) -> None:
    stranger = SigningKey.generate()
    bad_signature = await own_gate.ask_token(own_gate.assertion(key=stranger))
    unknown = await own_gate.ask_token(own_gate.assertion("nobody", key=stranger))
    path = await own_gate.ask_token(own_gate.assertion("../register", key=stranger))
    gateway = await own_gate.ask_token(own_gate.assertion("gateway"))
    assert (await own_gate.ask_token()).status == 200
    await own_gate.set_status("vluchtelingenwerk", "suspended")
    suspended = await own_gate.ask_token()
    for answer in (bad_signature, unknown, path, gateway, suspended):
        assert (answer.status, answer.text) == (bad_signature.status, bad_signature.text)
    await own_gate.set_status("vluchtelingenwerk", "active")
    assert (await own_gate.ask_token()).status == 200


async def test_a_new_key_list_counts_and_an_older_one_does_not(own_gate: Any) -> None:
    old, new = own_gate.keys["vluchtelingenwerk"], SigningKey.generate()
    assert (await own_gate.ask_token(own_gate.assertion(key=old))).status == 200
    own_gate.write_key_list("vluchtelingenwerk", new, serial=2)
    assert (await own_gate.ask_token(own_gate.assertion(key=new))).status == 200
    assert refused(await own_gate.ask_token(own_gate.assertion(key=old)))
    own_gate.write_key_list("vluchtelingenwerk", old, serial=1)
    assert refused(await own_gate.ask_token(own_gate.assertion(key=old)))


async def test_a_key_list_that_another_party_signed_does_not_count(own_gate: Any) -> None:
    assert (await own_gate.ask_token()).status == 200
    foreign = (own_gate.folder / "key-lists" / "ind.jws").read_text()
    (own_gate.folder / "key-lists" / "vluchtelingenwerk.jws").write_text(foreign)
    assert refused(await own_gate.ask_token(own_gate.assertion(key=own_gate.keys["ind"])))
    assert refused(await own_gate.ask_token())
