"""Hold a party's private keys: in memory ready to use, on disk encrypted, never in a log.

Every asymmetric key is EC P-256 (ES256, ECDH-ES) and is known by its RFC 7638 thumbprint. A seed is
32 bytes of Ed25519 (the ledger's checkpoints), a secret 32 bytes of symmetric key.
"""

from __future__ import annotations

import hashlib
import json
import secrets as random
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

from adapters.kit import key_file
from adapters.kit.key_file import KeystoreError, mapping, text
from adapters.kit.strict_json import (
    NotBase64Url,
    decode_base64url,
    encode_base64url,
)

_SECRET_BYTES = 32
_COORDINATE_CHARS = 43  # 32 bytes in base64url
_REQUIRED_MEMBERS: Final = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
}

__all__ = [
    "DecryptionKey",
    "KeyRefused",
    "Keystore",
    "KeystoreError",
    "PrivateKey",
    "SigningKey",
    "public_jwk",
    "thumbprint",
    "verification_key",
]


class KeyRefused(Exception):
    """A JWK is not the public or private P-256 key that was asked for."""


def thumbprint(jwk: Mapping[str, object]) -> str:
    """Name a key by the SHA-256 of its required members (RFC 7638 §3.1, RFC 8037 §2)."""
    members = _REQUIRED_MEMBERS.get(str(jwk.get("kty")))
    if members is None or not all(isinstance(jwk.get(member), str) for member in members):
        raise KeyRefused("not a public key")
    canonical = json.dumps({member: jwk[member] for member in members}, separators=(",", ":"), sort_keys=True)
    return encode_base64url(hashlib.sha256(canonical.encode()).digest())


def public_jwk(jwk: Mapping[str, object]) -> dict[str, str]:
    """Return the four public members of a P-256 key; raise KeyRefused if it is not on the curve."""
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise KeyRefused("not a P-256 key")
    x, y = jwk.get("x"), jwk.get("y")
    if not (isinstance(x, str) and isinstance(y, str)):
        raise KeyRefused("not a P-256 key")
    verification_key(x, y)
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


@lru_cache(maxsize=1024)
def verification_key(x: str, y: str) -> ECKey:
    """Import a public P-256 key once. Keyed by the coordinates: no other key can be in its place."""
    if len(x) != _COORDINATE_CHARS or len(y) != _COORDINATE_CHARS:
        raise KeyRefused("not a P-256 key")
    try:
        # A point off the curve would give its maker bits of our private key (RFC 7748 §7, RFC 8725 §3.4).
        decode_base64url(x), decode_base64url(y)
        return ECKey.import_key({"kty": "EC", "crv": "P-256", "x": x, "y": y})
    except (NotBase64Url, ValueError):
        raise KeyRefused("not a P-256 key") from None


class PrivateKey:
    """A private P-256 key, imported once. Its text form shows the thumbprint only."""

    def __init__(self, jwk: Mapping[str, str]) -> None:
        """Import a private JWK; raise KeyRefused when it is no P-256 key pair."""
        self.public: Final[dict[str, str]] = public_jwk(jwk)
        self.kid: Final[str] = thumbprint(self.public)
        try:
            scalar = int.from_bytes(decode_base64url(jwk["d"]))
            self.raw: Final = ec.derive_private_key(scalar, ec.SECP256R1())
        except (KeyError, NotBase64Url, ValueError):
            raise KeyRefused("not a private P-256 key") from None
        self.imported: Final[ECKey] = ECKey.import_key(self.raw)
        # A pair whose halves do not belong together signs what nobody can verify.
        derived = self.imported.as_dict(private=False)
        if (derived["x"], derived["y"]) != (self.public["x"], self.public["y"]):
            raise KeyRefused("the public half belongs to another key")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.kid})"


class SigningKey(PrivateKey):
    """Signs as ES256."""

    @classmethod
    def generate(cls) -> SigningKey:
        """Make a new key from the system's randomness."""
        return cls(_generate())


class DecryptionKey(PrivateKey):
    """Opens what was sealed to its public half by ECDH-ES."""

    @classmethod
    def generate(cls) -> DecryptionKey:
        """Make a new key from the system's randomness."""
        return cls(_generate())


class Keystore:
    """All private keys of one holder: a gateway, an adapter, a requester's system."""

    def __init__(self, content: Mapping[str, object]) -> None:
        """Import every key now, so that a broken file stops the start and not the first request."""
        try:
            self.holder = text(content["holder"])
            self._jwks = {use: _texts(jwk) for use, jwk in mapping(content["keys"]).items()}
            self._seeds = _bytes_by_name(content["seeds"])
            self._secrets = _bytes_by_name(content["secrets"])
            self._signing = {use: SigningKey(jwk) for use, jwk in self._jwks.items() if use != "encrypt"}
            self._decryption = {
                key.kid: key
                for key in (DecryptionKey(jwk) for use, jwk in self._jwks.items() if use == "encrypt")
            }
        except (KeyError, TypeError, ValueError, KeyRefused):
            raise KeystoreError("malformed") from None

    def __repr__(self) -> str:
        return f"Keystore({self.holder})"

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        holder: str,
        passphrase: str,
        uses: Sequence[str],
        secrets: Sequence[str] = (),
        ed25519: Sequence[str] = (),
        now: int,
    ) -> Keystore:
        """Make keys for `uses`, and secrets and seeds by name; durable and encrypted on return.

        The folder becomes mode 0700 and the file 0600. An existing key file is never replaced:
        KeystoreError `exists`. An existing folder that others may enter: `exposed`.
        """
        content: dict[str, object] = {
            "holder": holder,
            "keys": {use: _generate() for use in uses},
            "secrets": {name: encode_base64url(random.token_bytes(_SECRET_BYTES)) for name in secrets},
            "seeds": {name: encode_base64url(random.token_bytes(_SECRET_BYTES)) for name in ed25519},
        }
        keystore = cls(content)
        key_file.write(folder, content, holder=holder, passphrase=passphrase, now=now)
        return keystore

    @classmethod
    def load(cls, folder: Path, passphrase: str) -> Keystore:
        """Open the key file of a folder; raise KeystoreError, also when others could have read it."""
        return cls(key_file.read(folder, passphrase))

    @property
    def uses(self) -> tuple[str, ...]:
        """The uses for which there is a key."""
        return tuple(self._jwks)

    def public(self, use: str) -> dict[str, str]:
        """Return the public JWK for a use."""
        if use not in self._jwks:
            raise KeystoreError("unknown_key")
        return public_jwk(self._jwks[use])

    def signing(self, use: str) -> SigningKey:
        """Return the signing key for a use; never the encryption key (one key, one use)."""
        if use not in self._signing:
            raise KeystoreError("unknown_key")
        return self._signing[use]

    def decryption(self, kid: str | None = None) -> DecryptionKey:
        """Return the key to which something was sealed; None: the only one there is."""
        if kid is None and len(self._decryption) == 1:
            return next(iter(self._decryption.values()))
        if kid is None or kid not in self._decryption:
            raise KeystoreError("unknown_key")
        return self._decryption[kid]

    def secret(self, name: str) -> bytes:
        """Return a symmetric key of 32 bytes."""
        if name not in self._secrets:
            raise KeystoreError("unknown_key")
        return self._secrets[name]

    def seed(self, name: str) -> bytes:
        """Return an Ed25519 seed of 32 bytes."""
        if name not in self._seeds:
            raise KeystoreError("unknown_key")
        return self._seeds[name]

    def unsafe_export_private(self) -> dict[str, object]:
        """Return every private key in the clear. For the sandbox file of `make up`, nothing else."""
        return {
            "holder": self.holder,
            "keys": {use: dict(jwk) | {"kid": thumbprint(jwk)} for use, jwk in self._jwks.items()},
            "secrets": {name: encode_base64url(value) for name, value in self._secrets.items()},
            "seeds": {name: encode_base64url(value) for name, value in self._seeds.items()},
        }


def _generate() -> dict[str, str]:
    jwk = ECKey.generate_key("P-256").as_dict(private=True)
    return {member: str(jwk[member]) for member in ("kty", "crv", "x", "y", "d")}


def _texts(value: object) -> dict[str, str]:
    return {name: text(member) for name, member in mapping(value).items()}


def _bytes_by_name(value: object) -> dict[str, bytes]:
    found = {name: decode_base64url(text) for name, text in _texts(value).items()}
    if any(len(secret) != _SECRET_BYTES for secret in found.values()):
        raise ValueError("32 bytes were expected")
    return found
