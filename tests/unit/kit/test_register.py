"""Who is who is our own register's to say; a list or signature counts only by its identity key."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.kit import jose
from adapters.kit.agreement_chain import verify_agreement
from adapters.kit.keys import SigningKey
from adapters.kit.register import (
    Register,
    RegisterError,
    agreement_digest,
    sign_agreement,
    sign_key_list,
    verify_key_list,
)
from adapters.protocol import TYP_AGREEMENT_SIGNATURE, TYP_KEY_LIST

NOW = 1_800_000_000
DAY = 24 * 3600
PARTIES = {"ind": "ind", "askv": "ngo", "gateway": "gateway"}
IDENTITIES = {party: SigningKey.generate() for party in PARTIES}
SIGN, ENCRYPT = SigningKey.generate(), SigningKey.generate()
AGREEMENT: dict[str, Any] = {
    "version": "1",
    "valid_from": NOW - DAY,
    "valid_until": NOW + DAY,
    "founding_set": ["ind", "askv"],
    "rules": [{"n": 1}],
}


def register_data(**changes: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "agreement": agreement_digest(AGREEMENT),
        "parties": {
            party: {"kind": kind, "name": party.upper(), "identity_key": IDENTITIES[party].public}
            for party, kind in PARTIES.items()
        },
        "ledger": {"origin": "example.org/log", "vkey": "example.org/log+00000000+AAAA"},
        "issuer": "http://127.0.0.1:1",
        **changes,
    }


REGISTER = Register.read(register_data())


def key_list(**changes: Any) -> str:
    return sign_key_list(
        **{
            "key": IDENTITIES["ind"],
            "party": "ind",
            "serial": 7,
            "now": NOW,
            "exp": NOW + DAY,
            "keys": [("sign", SIGN.public), ("encrypt", ENCRYPT.public)],
            **changes,
        }
    )


def code_of(attempt: Callable[[], object]) -> str:
    with pytest.raises(RegisterError) as caught:
        attempt()
    return caught.value.code


# --- register ------------------------------------------------------------------------------


def test_a_register_is_read_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "register.json").write_text(json.dumps(register_data()))
    register = Register.load(tmp_path)
    assert set(register.parties) == set(PARTIES)
    assert register.kind("askv") == "ngo"
    assert register.name("askv") == "ASKV"
    assert register.identity_key("ind") == IDENTITIES["ind"].public
    assert register.agreement_digest == agreement_digest(AGREEMENT)
    assert register.issuer == "http://127.0.0.1:1"
    assert (register.ledger_origin, register.ledger_vkey) == (
        "example.org/log",
        "example.org/log+00000000+AAAA",
    )
    assert code_of(lambda: register.identity_key("avim")) == "unknown_party"
    assert code_of(lambda: Register.load(tmp_path / "elsewhere")) == "register_invalid"


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(version=2),
        lambda d: d.update(agreement=None),
        lambda d: d.update(parties={}),
        lambda d: d.update(parties=[]),
        lambda d: d.pop("issuer"),
        lambda d: d.pop("ledger"),
        lambda d: d.update(issuer=""),
        lambda d: d["parties"].pop("gateway"),
        lambda d: d["parties"]["ind"].pop("kind"),
        lambda d: d["parties"]["ind"].update(kind=7),
        lambda d: d["parties"]["ind"].pop("identity_key"),
        lambda d: d["parties"]["ind"]["identity_key"].update(x="A" * 43),
        # Two parties with one key could speak for each other.
        lambda d: d["parties"]["ind"].update(identity_key=d["parties"]["gateway"]["identity_key"]),
    ],
)
def test_a_register_of_another_form_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    data = copy.deepcopy(register_data())
    assert Register.read(data)
    change(data)
    (tmp_path / "register.json").write_text(json.dumps(data))
    assert code_of(lambda: Register.load(tmp_path)) == "register_invalid"


# --- key lists -----------------------------------------------------------------------------


def test_a_key_list_gives_keys_by_use() -> None:
    found = verify_key_list(key_list(), "ind", REGISTER, NOW)
    assert found.keys("sign", NOW) == {SIGN.kid: SIGN.public}
    assert found.encryption(ENCRYPT.kid, NOW) == ENCRYPT.public
    assert found.keys("order", NOW) == {}
    assert found.serial == 7
    assert code_of(lambda: found.encryption(SIGN.kid, NOW)) == "unknown_key"


def test_a_key_holds_from_its_start_to_its_end() -> None:
    found = verify_key_list(key_list(), "ind", REGISTER, NOW)
    assert found.keys("sign", NOW + DAY - 1)
    assert found.keys("sign", NOW - 1) == {}
    assert found.keys("sign", NOW + DAY) == {}
    assert code_of(lambda: found.encryption(ENCRYPT.kid, NOW + DAY)) == "unknown_key"


def test_a_gateway_cannot_slip_in_a_key_of_its_own() -> None:
    assert verify_key_list(key_list(), "ind", REGISTER, NOW)
    forged = key_list(key=IDENTITIES["gateway"])
    assert code_of(lambda: verify_key_list(forged, "ind", REGISTER, NOW)) == "key_list_invalid"
    # Nor pass off another party's list, or its own, as this party's.
    other = key_list(key=IDENTITIES["askv"], party="askv")
    assert verify_key_list(other, "askv", REGISTER, NOW)
    assert code_of(lambda: verify_key_list(other, "ind", REGISTER, NOW)) == "key_list_invalid"
    mislabelled = key_list(party="askv")
    assert code_of(lambda: verify_key_list(mislabelled, "ind", REGISTER, NOW)) == "key_list_invalid"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"now": NOW - 2 * DAY, "exp": NOW - DAY}, "key_list_expired"),
        ({"now": NOW + DAY, "exp": NOW + 2 * DAY}, "key_list_invalid"),
        ({"keys": []}, "key_list_invalid"),
        ({"keys": [("sign", SIGN.public), ("encrypt", SIGN.public)]}, "key_list_invalid"),
        ({"keys": [("sign", IDENTITIES["ind"].public)]}, "key_list_invalid"),
        ({"keys": [("order", SIGN.public)]}, "key_list_invalid"),
        ({"keys": [("anything", SIGN.public)]}, "key_list_invalid"),
        ({"serial": True}, "key_list_invalid"),
        ({"serial": "7"}, "key_list_invalid"),
    ],
)
def test_a_key_list_of_another_form_is_refused(changes: dict[str, Any], expected: str) -> None:
    assert verify_key_list(key_list(), "ind", REGISTER, NOW)
    assert code_of(lambda: verify_key_list(key_list(**changes), "ind", REGISTER, NOW)) == expected


def test_the_gateway_alone_has_keys_for_orders_receipts_and_tokens() -> None:
    keys = [("order", SIGN.public), ("receipt", ENCRYPT.public)]
    listed = key_list(key=IDENTITIES["gateway"], party="gateway", keys=keys)
    assert verify_key_list(listed, "gateway", REGISTER, NOW).keys("order", NOW)


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key["jwk"].update(d="AAAA"),
        lambda key: key.update(kid=ENCRYPT.kid),
        lambda key: key.update(nbf=True),
        lambda key: key.update(exp=str(NOW)),
        lambda key: key.update(note="x"),
        lambda key: key.pop("use"),
        lambda key: key["jwk"].update(crv="P-384"),
        lambda key: key.update(jwk="x"),
    ],
)
def test_a_listed_key_of_another_form_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    def signed(key: dict[str, Any]) -> str:
        claims = {"iss": "ind", "serial": 1, "iat": NOW, "exp": NOW + DAY, "keys": [key]}
        return jose.sign(claims, IDENTITIES["ind"], TYP_KEY_LIST)

    key: dict[str, Any] = {
        "use": "sign",
        "kid": SIGN.kid,
        "jwk": dict(SIGN.public),
        "nbf": NOW,
        "exp": NOW + DAY,
    }
    assert verify_key_list(signed(key), "ind", REGISTER, NOW)
    change(key)
    assert code_of(lambda: verify_key_list(signed(key), "ind", REGISTER, NOW)) == "key_list_invalid"


def test_a_key_list_of_an_unknown_party_is_refused() -> None:
    assert code_of(lambda: verify_key_list(key_list(), "avim", REGISTER, NOW)) == "unknown_party"


# --- agreement -----------------------------------------------------------------------------


def signatures(*parties: str, agreement: dict[str, Any] = AGREEMENT) -> dict[str, str]:
    return {
        party: sign_agreement(key=IDENTITIES[party], party=party, digest=agreement_digest(agreement), now=NOW)
        for party in parties
    }


def test_an_agreement_holds_when_its_founding_set_signed_it() -> None:
    signed = verify_agreement(AGREEMENT, signatures("ind", "askv"), REGISTER, NOW)
    assert signed.digest == agreement_digest(AGREEMENT)
    assert signed.signed_by == {"ind", "askv"}
    assert signed.data == AGREEMENT
    more = verify_agreement(AGREEMENT, signatures("ind", "askv", "gateway"), REGISTER, NOW)
    assert more.signed_by == {"ind", "askv", "gateway"}


def test_the_digest_of_an_agreement_does_not_depend_on_how_it_is_written() -> None:
    other = json.loads(json.dumps(AGREEMENT, indent=3, sort_keys=True))
    assert agreement_digest(dict(reversed(other.items()))) == agreement_digest(AGREEMENT)
    assert agreement_digest({**AGREEMENT, "version": "2"}) != agreement_digest(AGREEMENT)


def test_an_agreement_that_not_all_founders_signed_is_refused() -> None:
    assert code_of(lambda: verify_agreement(AGREEMENT, signatures("ind"), REGISTER, NOW)) == (
        "agreement_not_signed"
    )
    assert code_of(lambda: verify_agreement(AGREEMENT, {}, REGISTER, NOW)) == "agreement_not_signed"


def test_an_agreement_that_the_register_does_not_name_is_refused() -> None:
    changed = {**AGREEMENT, "rules": []}
    signed = signatures("ind", "askv", agreement=changed)
    assert code_of(lambda: verify_agreement(changed, signed, REGISTER, NOW)) == "agreement_invalid"


@pytest.mark.parametrize("founding_set", [[], None, "ind", [7], ...])
def test_an_agreement_without_founders_is_no_agreement(founding_set: Any) -> None:
    agreement = {**AGREEMENT, "founding_set": founding_set}
    if founding_set is ...:
        del agreement["founding_set"]
    register = Register.read(register_data(agreement=agreement_digest(agreement)))
    signed = signatures("ind", "askv", agreement=agreement)
    refused = code_of(lambda: verify_agreement(agreement, signed, register, NOW))
    assert refused in ("agreement_invalid", "agreement_not_signed")


def test_one_signature_that_does_not_verify_refuses_the_whole() -> None:
    good = signatures("ind", "askv")
    assert verify_agreement(AGREEMENT, good, REGISTER, NOW)
    digest = agreement_digest(AGREEMENT)
    ind = IDENTITIES["ind"]
    bad = {
        "another party's": good["askv"],
        "another key's": sign_agreement(key=SIGN, party="ind", digest=digest, now=NOW),
        "for another digest": sign_agreement(key=ind, party="ind", digest="sha-256:x", now=NOW),
        "from the future": sign_agreement(key=ind, party="ind", digest=digest, now=NOW + 11),
        "of another type": jose.sign({"iss": "ind", "agreement": digest, "iat": NOW}, ind, TYP_KEY_LIST),
        "with more said": jose.sign(
            {"iss": "ind", "agreement": digest, "iat": NOW, "but": 1}, ind, TYP_AGREEMENT_SIGNATURE
        ),
        "nothing": "",
    }
    for what, signature in bad.items():
        attempt = {**good, "ind": signature}
        refused = code_of(lambda each=attempt: verify_agreement(AGREEMENT, each, REGISTER, NOW))  # type: ignore[misc]
        assert refused == "agreement_not_signed", what
    stranger = {**good, "avim": good["ind"]}
    assert code_of(lambda: verify_agreement(AGREEMENT, stranger, REGISTER, NOW)) == "unknown_party"


def test_an_agreement_that_has_no_canonical_form_is_refused() -> None:
    assert code_of(lambda: agreement_digest({"n": float("nan")})) == "agreement_invalid"
    assert code_of(lambda: agreement_digest({"n": 2**60})) == "agreement_invalid"
