"""A key list names certificates by thumbprint, exactly, and for as long as it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.kit import jose
from adapters.kit.certificates import certificate_thumbprint, connecting, read_listed
from adapters.kit.keys import SigningKey
from adapters.kit.register import Register, RegisteredParty, RegisterError, sign_key_list, verify_key_list
from gateway.cli.authority import Authority

NOW = 1_800_000_000
IDENTITY, SIGN = SigningKey.generate(), SigningKey.generate()
NAMED = certificate_thumbprint(b"a certificate")
REGISTER = Register(
    {"vw": RegisteredParty("vw", "ngo", "VW", IDENTITY.public)}, "sha-256:a", "log.example", "", "https://g"
)


def signed(*, tls: tuple[str, ...] = (NAMED,), **override: Any) -> str:
    compact = sign_key_list(
        key=IDENTITY, party="vw", serial=1, now=NOW, exp=NOW + 100, keys=[("sign", SIGN.public)], tls=tls
    )
    claims: dict[str, Any] = jose.unverified_payload(compact)
    entries = [{**each, **override} if each["use"] == "tls" else each for each in claims["keys"]]
    return jose.sign({**claims, "keys": entries}, IDENTITY, "key-list+jwt")


def test_a_listed_certificate_holds_within_its_times_and_those_of_the_list() -> None:
    listed = verify_key_list(signed(nbf=NOW + 10, exp=NOW + 20), "vw", REGISTER, NOW)
    assert [listed.tls(NOW + at) for at in (9, 10, 19, 20)] == [set(), {NAMED}, {NAMED}, set()]
    beyond = verify_key_list(signed(exp=NOW + 500), "vw", REGISTER, NOW)
    assert [beyond.tls(NOW + at) for at in (99, 100)] == [{NAMED}, set()]
    assert listed.keys("tls", NOW + 15) == {}, "a certificate is no key"


def test_a_list_without_certificates_knows_the_party_by_none() -> None:
    assert verify_key_list(signed(tls=()), "vw", REGISTER, NOW).tls(NOW) == frozenset()


@pytest.mark.parametrize(
    "override",
    [
        {"x5t#S256": NAMED + "="},
        {"x5t#S256": NAMED[:-1]},
        {"x5t#S256": NAMED[:-1] + "B"},  # stray bits: another text for the same bytes
        {"x5t#S256": ""},
        {"x5t#S256": 7},
        {"nbf": "0"},
        {"exp": True},
        {"exp": 1.5},
        {"kid": NAMED},
        {"jwk": dict(SIGN.public)},
    ],
)
def test_an_entry_of_another_form_refuses_the_whole_list(override: dict[str, Any]) -> None:
    assert verify_key_list(signed(), "vw", REGISTER, NOW).tls(NOW) == {NAMED}
    with pytest.raises(RegisterError, match="key_list_invalid"):
        verify_key_list(signed(**override), "vw", REGISTER, NOW)


def test_an_entry_with_a_member_less_is_refused() -> None:
    whole = {"use": "tls", "x5t#S256": NAMED, "nbf": 0, "exp": 1}
    assert read_listed(whole).thumbprint == NAMED
    for member in whole:
        with pytest.raises(TypeError):
            read_listed({name: value for name, value in whole.items() if name != member})


def test_certificates_alone_make_no_key_list() -> None:
    compact = sign_key_list(key=IDENTITY, party="vw", serial=1, now=NOW, exp=NOW + 100, keys=[], tls=[NAMED])
    with pytest.raises(RegisterError, match="key_list_invalid"):
        verify_key_list(compact, "vw", REGISTER, NOW)


def test_a_connection_is_made_of_the_files_that_are_named(tmp_path: Path) -> None:
    authority = Authority(now=NOW)
    certificate, key = authority.issue("vw").write(tmp_path / "vw")
    (tmp_path / "ca.pem").write_bytes(authority.own.pem)
    assert connecting(None) is None
    assert key.stat().st_mode & 0o777 == 0o600
    made = connecting(tmp_path / "ca.pem", certificate, key)
    assert made is not None
    assert made.check_hostname
    with pytest.raises(ValueError, match="without its certificate"):
        connecting(tmp_path / "ca.pem", None, key)
    with pytest.raises(OSError, match="No such file"):
        connecting(tmp_path / "none.pem")
