"""Keys on disk are encrypted, private to their owner, and never replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.kit.keys import (
    DecryptionKey,
    KeyRefused,
    Keystore,
    KeystoreError,
    SigningKey,
    public_jwk,
    thumbprint,
)

NOW = 1_800_000_000


def create(folder: Path) -> Keystore:
    return Keystore.create(
        folder,
        holder="ind",
        passphrase="open",
        uses=["identity", "sign", "encrypt"],
        secrets=["lookup"],
        ed25519=["checkpoint"],
        now=NOW,
    )


def code_of(attempt: object) -> str:
    with pytest.raises(KeystoreError) as caught:
        attempt()  # type: ignore[operator]
    return caught.value.code


def test_a_keystore_gives_back_the_same_keys(tmp_path: Path) -> None:
    made = create(tmp_path / "keys")
    loaded = Keystore.load(tmp_path / "keys", "open")
    assert loaded.holder == "ind"
    assert loaded.uses == ("identity", "sign", "encrypt")
    assert loaded.public("sign") == made.public("sign")
    assert loaded.signing("sign").kid == thumbprint(made.public("sign"))
    assert loaded.decryption().kid == loaded.decryption(thumbprint(made.public("encrypt"))).kid
    assert loaded.secret("lookup") == made.secret("lookup")
    assert loaded.seed("checkpoint") == made.seed("checkpoint")
    assert len({loaded.secret("lookup"), loaded.seed("checkpoint")}) == 2


def test_the_file_and_its_folder_are_private(tmp_path: Path) -> None:
    create(tmp_path / "keys")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "keys" / "keystore.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["keystore.json"]


def test_no_private_key_is_in_the_file_in_the_clear(tmp_path: Path) -> None:
    made = create(tmp_path / "keys")
    text = (tmp_path / "keys" / "keystore.json").read_text()
    exported = made.unsafe_export_private()
    keys, secrets = exported["keys"], exported["secrets"]
    assert isinstance(keys, dict)
    assert isinstance(secrets, dict)
    for jwk in keys.values():
        assert jwk["d"] not in text
    assert secrets["lookup"] not in text


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_could_read_is_refused(tmp_path: Path, mode: int) -> None:
    create(tmp_path / "keys")
    assert Keystore.load(tmp_path / "keys", "open")
    (tmp_path / "keys" / "keystore.json").chmod(mode)
    assert code_of(lambda: Keystore.load(tmp_path / "keys", "open")) == "exposed"


def test_a_folder_that_others_could_enter_is_refused(tmp_path: Path) -> None:
    create(tmp_path / "keys")
    (tmp_path / "keys").chmod(0o755)
    assert code_of(lambda: Keystore.load(tmp_path / "keys", "open")) == "exposed"
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    assert code_of(lambda: create(tmp_path / "open")) == "exposed"


def test_keys_are_never_replaced(tmp_path: Path) -> None:
    create(tmp_path / "keys")
    before = (tmp_path / "keys" / "keystore.json").read_bytes()
    assert code_of(lambda: create(tmp_path / "keys")) == "exists"
    assert (tmp_path / "keys" / "keystore.json").read_bytes() == before
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["keystore.json"]


def test_another_passphrase_does_not_open(tmp_path: Path) -> None:
    create(tmp_path / "keys")
    assert Keystore.load(tmp_path / "keys", "open")
    assert code_of(lambda: Keystore.load(tmp_path / "keys", "Open")) == "locked"
    assert code_of(lambda: Keystore.load(tmp_path / "keys", "")) == "locked"
    assert code_of(lambda: Keystore.load(tmp_path / "elsewhere", "open")) == "missing"


@pytest.mark.parametrize(
    ("member", "value", "expected"),
    [
        ("holder", "dtv", "locked"),
        ("created_at", 1, "locked"),
        ("version", 2, "malformed"),
        ("sealed", "AAAA", "locked"),
        ("nonce", "AAAA", "malformed"),
        ("kdf", {"name": "scrypt", "n": 2, "r": 8, "p": 1, "salt": "A" * 22}, "malformed"),
        ("kdf", {"name": "scrypt", "n": 2**30, "r": 8, "p": 1, "salt": "A" * 22}, "malformed"),
        ("kdf", [], "malformed"),
        ("extra", 1, "locked"),
    ],
)
def test_a_changed_file_does_not_open(tmp_path: Path, member: str, value: object, expected: str) -> None:
    create(tmp_path / "keys")
    path = tmp_path / "keys" / "keystore.json"
    content = json.loads(path.read_text())
    assert Keystore.load(tmp_path / "keys", "open")
    path.write_text(json.dumps({**content, member: value}))
    assert code_of(lambda: Keystore.load(tmp_path / "keys", "open")) == expected


def test_a_key_has_one_use(tmp_path: Path) -> None:
    keystore = create(tmp_path / "keys")
    assert keystore.signing("sign")
    assert code_of(lambda: keystore.signing("encrypt")) == "unknown_key"
    assert code_of(lambda: keystore.signing("order")) == "unknown_key"
    assert code_of(lambda: keystore.decryption(keystore.signing("sign").kid)) == "unknown_key"
    assert code_of(lambda: keystore.secret("checkpoint")) == "unknown_key"
    assert code_of(lambda: keystore.seed("lookup")) == "unknown_key"


def test_a_key_shows_only_its_thumbprint() -> None:
    key = SigningKey.generate()
    assert repr(key) == f"SigningKey({key.kid})"
    assert set(key.public) == {"kty", "crv", "x", "y"}


def private_jwk() -> dict[str, str]:
    key = SigningKey.generate().imported.as_dict(private=True)
    return {name: str(key[name]) for name in ("kty", "crv", "x", "y", "d")}


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "RSA"},
        {"crv": "P-384"},
        {"d": ""},
        {"d": "AA"},
        {"d": "!"},
        {"x": "A" * 43},
        {"y": "A" * 42},
        {"x": 7},
    ],
)
def test_what_is_no_p256_key_pair_is_refused(change: dict[str, str]) -> None:
    jwk = private_jwk()
    assert SigningKey(jwk).kid == DecryptionKey(jwk).kid
    with pytest.raises(KeyRefused):
        SigningKey({**jwk, **change})


def test_a_pair_of_two_halves_is_refused() -> None:
    jwk, other = private_jwk(), private_jwk()
    with pytest.raises(KeyRefused):
        SigningKey({**jwk, "d": other["d"]})


def test_a_point_that_is_not_on_the_curve_is_refused() -> None:
    jwk = private_jwk()
    assert public_jwk(jwk)
    swapped = {**jwk, "x": jwk["y"], "y": jwk["x"]}
    with pytest.raises(KeyRefused):
        public_jwk(swapped)
