"""A token that is bound to a certificate counts over a connection with that certificate, and nowhere else.

RFC 8705 §3. Each attack first shows that the same thing succeeds when it is allowed.
"""

from __future__ import annotations

import ssl
import time

import aiohttp
import pytest

from adapters.kit import jose
from adapters.kit.session import GatewaySession
from gateway.cli.authority import Authority
from gateway.oauth.token import METADATA_PATH
from tests.integration.mtls.places import IND, VW, Place, trusting


async def test_a_party_with_a_listed_certificate_gets_a_token_bound_to_it(place: Place) -> None:
    issued = place.authority.issue(VW)
    place.list_certificates(VW, issued)
    party = await place.party(VW, issued)
    token = await party.token()
    assert jose.unverified_payload(token)["cnf"] == {"x5t#S256": issued.thumbprint}
    answer = await party.call(token)
    assert (answer.status, answer.json) == (200, {"party": VW, "kind": "ngo"})
    metadata = (await party.gate.send("GET", METADATA_PATH)).json
    assert metadata["tls_client_certificate_bound_access_tokens"] is True


async def test_it_is_refused_without_a_certificate_and_with_another_partys(place: Place) -> None:
    ours, theirs = place.authority.issue(VW), place.authority.issue(IND)
    place.list_certificates(VW, ours)
    place.list_certificates(IND, theirs)
    party, other = await place.party(VW, ours), await place.party(IND, theirs)
    nobody = await place.party(VW, None)
    token = await party.token()
    assert (await party.call(token)).status == 200
    assert (await other.call(await other.token())).json["party"] == IND
    for thief in (nobody, other):
        answer = await thief.call(token)
        assert answer.problem == (401, "certificate_invalid")
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert (await party.call(token)).status == 200


async def test_an_assertion_gets_no_token_over_another_partys_connection(place: Place) -> None:
    ours, theirs = place.authority.issue(VW), place.authority.issue(IND)
    place.list_certificates(VW, ours)
    place.list_certificates(IND, theirs)
    party, other = await place.party(VW, ours), await place.party(IND, theirs)
    assert (await party.ask_token()).status == 200
    stolen = await other.ask_token(party=VW)
    assert (stolen.status, stolen.json["error"]) == (400, "invalid_client")
    nobody = await (await place.party(VW, None)).ask_token()
    assert (nobody.status, nobody.json["error"]) == (400, "invalid_dpop_proof")


async def test_a_renewed_certificate_counts_once_the_key_list_has_it_and_the_old_one_no_longer(
    place: Place,
) -> None:
    old = place.authority.issue(VW)
    new = place.authority.issue(VW, key=old.key)
    assert old.certificate.public_key() == new.certificate.public_key()
    place.list_certificates(VW, old)
    before, after = await place.party(VW, old), await place.party(VW, new)
    old_token = await before.token()
    assert (await before.call(old_token)).status == 200
    # The key is the same, the certificate is not.
    assert (await after.call(old_token)).problem == (401, "certificate_invalid")
    assert (await after.ask_token()).json["error"] == "invalid_client"

    place.list_certificates(VW, old, new)
    new_token = await after.token()
    assert (await after.call(new_token)).status == 200
    assert (await before.call(old_token)).status == 200

    place.list_certificates(VW, new)
    assert (await after.call(new_token)).status == 200
    assert (await before.call(old_token)).problem == (401, "certificate_invalid")
    assert (await before.ask_token()).json["error"] == "invalid_client"


async def test_a_token_bound_to_a_key_is_not_accepted_without_its_proof(place: Place) -> None:
    issued = place.authority.issue(VW)
    place.list_certificates(VW, issued)
    party = await place.party(VW, issued)
    gate = party.gate
    # Over a connection with a certificate a proof still binds to its key.
    answer = await party.ask_token(proof=gate.proof("POST", gate.token_url))
    assert (answer.status, answer.json["token_type"]) == (200, "DPoP")
    token = answer.json["access_token"]
    assert set(jose.unverified_payload(token)["cnf"]) == {"jkt"}
    assert (await gate.call(token)).status == 200
    assert (await party.call(token)).problem == (401, "token_missing")
    assert (await party.call(token, scheme="DPoP")).problem == (401, "proof_invalid")


async def test_a_token_bound_to_a_certificate_is_not_accepted_with_a_proof_instead(place: Place) -> None:
    issued = place.authority.issue(VW)
    place.list_certificates(VW, issued)
    party = await place.party(VW, issued)
    token = await party.token()
    assert (await party.call(token)).status == 200
    proof = party.gate.proof("GET", party.gate.issuer + "/v1/probes/1", token=token)
    nobody = await place.party(VW, None)
    for caller in (party, nobody):
        assert (await caller.call(token, scheme="DPoP", DPoP=proof)).problem == (401, "proof_invalid")
        assert (await caller.call(token, DPoP=proof)).problem == (401, "proof_invalid")


async def test_a_token_bound_to_both_or_to_nothing_counts_in_neither_way(place: Place) -> None:
    issued = place.authority.issue(VW)
    place.list_certificates(VW, issued)
    party = await place.party(VW, issued)
    gate = party.gate
    good = await party.token()
    claims = jose.unverified_payload(good)
    key = gate.services.keys.signing("token")
    jkt = gate.proof_key.kid

    def signed(cnf: object) -> str:
        return jose.sign({**claims, "cnf": cnf}, key, "at+jwt")

    assert (await party.call(signed({"x5t#S256": issued.thumbprint}))).status == 200
    assert (await gate.call(signed({"jkt": jkt}))).status == 200
    both = {"x5t#S256": issued.thumbprint, "jkt": jkt}
    for cnf in (both, {}, None, {"x5t#S256": ""}, {"x5t#S256": 7}, {"kid": jkt}, [issued.thumbprint]):
        assert (await party.call(signed(cnf))).problem == (401, "token_invalid")
        assert (await gate.call(signed(cnf))).problem == (401, "token_invalid")


async def test_a_suspended_party_gets_nothing_with_a_token_from_before(place: Place) -> None:
    issued = place.authority.issue(VW)
    place.list_certificates(VW, issued)
    party = await place.party(VW, issued)
    token = await party.token()
    assert (await party.call(token)).status == 200
    await place.gate.set_status(VW, "suspended")
    assert (await party.call(token)).problem == (403, "party_suspended")
    assert (await party.ask_token()).json["error"] == "invalid_client"
    await place.gate.set_status(VW, "active")
    assert (await party.call(token)).status == 200


async def test_a_certificate_ends_with_its_entry_in_the_key_list(place: Place) -> None:
    issued = place.authority.issue(VW)
    place.list_certificates(VW, issued, lasting=300)
    party = await place.party(VW, issued)
    token = await party.token()
    place.gate.clock.now += 299
    assert (await party.call(token)).status == 200
    place.gate.clock.now += 1
    assert (await party.call(token)).problem == (401, "certificate_invalid")
    assert (await party.ask_token()).json["error"] == "invalid_client"


async def test_a_certificate_of_another_authority_does_not_get_through_the_handshake(place: Place) -> None:
    ours, foreign = place.authority.issue(VW), Authority(now=int(time.time())).issue(VW)
    place.list_certificates(VW, ours, foreign)
    assert (await (await place.party(VW, ours)).ask_token()).status == 200
    try:
        answer = await (await place.party(VW, foreign)).ask_token()
    except (aiohttp.ClientError, ssl.SSLError, ConnectionError):
        return
    # nginx says so in HTML, and passes nothing on.
    assert answer.status == 400
    assert "SSL certificate error" in answer.text


async def test_the_kits_session_uses_its_certificate_instead_of_proofs(place: Place) -> None:
    first = place.authority.issue(VW)
    place.list_certificates(VW, first)
    tls = (await place.party(VW, first)).tls
    gate = place.gate
    arguments = (gate.issuer, VW, gate.keys[VW], gate.clock)
    async with GatewaySession(*arguments, tls, by_certificate=True) as session:
        answer = await session.request("POST", "/v1/probes?of=query", json={"purpose": "legal_screening"})
        assert (answer.status, answer.body) == (
            200,
            {"party": VW, "kind": "ngo", "purpose": "legal_screening"},
        )
        gate.clock.now += 3600
        assert (await session.request("GET", "/v1/probes/2")).status == 200
    # By a proof, over the same front and without a certificate, it works as ever.
    async with GatewaySession(*arguments, trusting(place)) as session:
        assert (await session.request("GET", "/v1/probes/2")).status == 200
    with pytest.raises(ValueError, match="by_certificate"):
        GatewaySession(*arguments, by_certificate=True)
