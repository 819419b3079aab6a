"""Keep what the gateway must keep unreadable: pseudonyms, one data key per client, sealed columns.

Three symmetric keys live outside the database: `lookup` (HMAC of identifiers), `wrapping`
(AES-256-GCM of data keys) and `retry` (HMAC of idempotency keys and bodies). Ten digits can be
tried out, so database *plus* look-up key would reveal V-numbers: `docs/threats.md`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_KEY_BYTES = 32


class SealBroken(Exception):
    """A sealed column does not open: wrong key, moved to another row, or tampered with."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """One client's key (or one party's). `sealed` is what the database keeps; "" for a party's."""

    secret: bytes = field(repr=False)
    sealed: bytes = b""

    def seal(self, plaintext: bytes, *, place: str) -> bytes:
        """Encrypt for one place, `table.column:row`: moved elsewhere it does not open."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self.secret).encrypt(nonce, plaintext, place.encode())

    def open(self, sealed: bytes, *, place: str) -> bytes:
        """Decrypt what `seal` made for the same place; raise SealBroken otherwise."""
        try:
            return AESGCM(self.secret).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError) as broken:
            raise SealBroken(place) from broken


class Vault:
    """All uses of the gateway's symmetric keys."""

    def __init__(self, *, lookup: bytes, wrapping: bytes, retry: bytes) -> None:
        if {len(lookup), len(wrapping), len(retry)} != {_KEY_BYTES} or len({lookup, wrapping, retry}) != 3:
            raise ValueError("the vault needs three different keys of 32 bytes")
        self._lookup, self._wrapping, self._retry = lookup, wrapping, retry

    def subject(self, scheme: str, owner: str, value: str) -> str:
        """Name a client for the whole chain. `owner` is "" for a V-number, else whose number it is."""
        return _mac(self._lookup, "subject", scheme, owner, value)

    def reach_key(self, party: str, scheme: str, owner: str, value: str) -> str:
        """Name a client for one party: another party's key for the same client is unrelated."""
        return _mac(self._lookup, "reach", party, scheme, owner, value)

    def pairwise_id(self, party: str, identifier: str) -> str:
        """Name one of our ids for one party, so that two parties cannot join their lists."""
        return _mac(self._lookup, "pairwise", party, identifier)[:32]

    def fingerprint(self, *parts: str | bytes) -> str:
        """Recognise the same bytes again without keeping them (they may hold an identifier)."""
        return _mac(self._retry, "fingerprint", *parts)

    def new_data_key(self, client_id: str) -> DataKey:
        """Make a client's data key; store `sealed` with the client, nothing else."""
        secret = secrets.token_bytes(_KEY_BYTES)
        sealed = DataKey(self._wrapping).seal(secret, place=f"clients.data_key_sealed:{client_id}")
        return DataKey(secret, sealed)

    def data_key(self, client_id: str, sealed: bytes) -> DataKey:
        """Unwrap a stored data key; raise SealBroken if it is not this client's."""
        secret = DataKey(self._wrapping).open(sealed, place=f"clients.data_key_sealed:{client_id}")
        return DataKey(secret, sealed)

    def party_key(self, party: str) -> DataKey:
        """The key for what concerns a party and no client it is involved with."""
        return DataKey(hmac.digest(self._wrapping, b"party\x00" + party.encode(), hashlib.sha256))


def new_id() -> str:
    """128 random bits: the ids of clients, cases, consents, exchanges."""
    while True:
        made = base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()
        # On a command line, what starts with a hyphen is an option.
        if not made.startswith("-"):
            return made


def _mac(key: bytes, *parts: str | bytes) -> str:
    # Length-prefixed, so that no two lists of parts are the same bytes.
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    message = b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
    return hmac.new(key, message, hashlib.sha256).hexdigest()
