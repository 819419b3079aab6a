"""Keep private keys on disk: encrypted, readable by their owner only, never overwritten."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from adapters.kit.strict_json import (
    StrictJsonError,
    decode_base64url,
    encode_base64url,
    loads,
)

NAME: Final = "keystore.json"
_MAX_BYTES = 65_536
# scrypt (RFC 7914): about 20 ms. The passphrase is a random setting, not what a person remembers.
_SCRYPT: Final = {"name": "scrypt", "n": 2**14, "r": 8, "p": 1}


class KeystoreError(Exception):
    """The key file cannot be used: `code` is one of missing, exists, exposed, locked, malformed,
    unknown_key."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def write(folder: Path, content: Mapping[str, object], *, holder: str, passphrase: str, now: int) -> None:
    """Encrypt and store; durable on return. A new folder is made with mode 0700, the file has 0600.

    Raises KeystoreError `exists` rather than replace a key file, `exposed` for an existing folder
    that others may enter.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_exposed(folder)
    _write_once(folder / NAME, _encrypt(content, holder, passphrase, now))


def read(folder: Path, passphrase: str) -> dict[str, object]:
    """Decrypt what `write` stored; raise KeystoreError, also when others could have read it."""
    path = folder / NAME
    if not path.is_file():
        raise KeystoreError("missing")
    _refuse_exposed(folder)
    _refuse_exposed(path)
    return _decrypt(path.read_bytes(), passphrase)


def _encrypt(content: Mapping[str, object], holder: str, passphrase: str, now: int) -> bytes:
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    public = {
        "version": 1,
        "holder": holder,
        "created_at": now,
        "kdf": {**_SCRYPT, "salt": encode_base64url(salt)},
        "nonce": encode_base64url(nonce),
    }
    key = _derive(passphrase, salt)
    sealed = AESGCM(key).encrypt(nonce, json.dumps(content).encode(), _bound(public))
    return json.dumps({**public, "sealed": encode_base64url(sealed)}, indent=1).encode() + b"\n"


def _decrypt(data: bytes, passphrase: str) -> dict[str, object]:
    try:
        outer = dict(mapping(loads(data, max_bytes=_MAX_BYTES)))
        sealed = decode_base64url(text(outer.pop("sealed")))
        kdf = dict(mapping(outer["kdf"]))
        salt, nonce = decode_base64url(text(kdf.pop("salt"))), decode_base64url(text(outer["nonce"]))
        # Exactly our cost: a planted file must not choose it, nor exhaust memory.
        if outer["version"] != 1 or kdf != _SCRYPT or len(salt) != 16 or len(nonce) != 12:
            raise KeystoreError("malformed")
        plain = AESGCM(_derive(passphrase, salt)).decrypt(nonce, sealed, _bound(outer))
        return mapping(loads(plain, max_bytes=_MAX_BYTES))
    except InvalidTag:
        raise KeystoreError("locked") from None
    except (KeyError, TypeError, ValueError, StrictJsonError):
        raise KeystoreError("malformed") from None


def _derive(passphrase: str, salt: bytes) -> bytes:
    if not passphrase:
        raise KeystoreError("locked")
    return Scrypt(salt=salt, length=32, n=2**14, r=8, p=1).derive(passphrase.encode())


def _bound(public: Mapping[str, object]) -> bytes:
    return json.dumps(public, sort_keys=True, separators=(",", ":")).encode()


def _refuse_exposed(path: Path) -> None:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise KeystoreError("exposed")


def _write_once(path: Path, data: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # link, not rename: it fails where a key file stands, so that no keys are ever overwritten.
        os.link(unfinished, path)
    except FileExistsError:
        raise KeystoreError("exists") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            unfinished.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def text(value: object) -> str:
    """Return a text, or raise TypeError."""
    if not isinstance(value, str):
        raise TypeError("a text was expected")
    return value


def mapping(value: object) -> dict[str, object]:
    """Return a JSON object, or raise TypeError."""
    if not isinstance(value, dict):
        raise TypeError("an object was expected")
    return value
