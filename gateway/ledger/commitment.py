"""What an entry says to the public: a salted commitment, from which nothing can be guessed.

    entry      = "dossierpoort/entry/v1 " ‖ base64url(commitment) ‖ "\\n"
    commitment = HMAC-SHA-256(key = salt, JCS(detail)),  detail = {"kind": …, …}

Whoever holds salt and detail (from a receipt, or opened by the DPO) can show what the entry means.
Destroying the salt with its client's key leaves a number that stands for nothing (promise 11).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import rfc8785

SALT_BYTES = 32
_MAX_INTEGER = 2**53 - 1  # RFC 8785 §3.2.2.3: what every reader of doubles reads alike
_PREFIX = b"dossierpoort/entry/v1 "

Json: TypeAlias = "str | int | bool | Sequence[Json] | Mapping[str, Json] | None"


def canonical(detail: Mapping[str, Json]) -> bytes:
    """Return the one spelling of a detail (RFC 8785); raise ValueError for what JSON cannot say."""
    plain = _plain(detail)
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    # In ASCII the library's spelling is the canonical one, ten times sooner: the escapes are the same, and
    # only names beyond it are sorted otherwise (RFC 8785 §3.2.2.2, §3.2.3).
    return text.encode() if text.isascii() else rfc8785.dumps(plain)


def commit(salt: bytes, detail: Mapping[str, Json]) -> bytes:
    """Return the commitment to a detail; 32 bytes that tell nothing without the salt."""
    if len(salt) != SALT_BYTES:
        raise ValueError("a salt has 32 bytes")
    return hmac.digest(salt, canonical(detail), hashlib.sha256)


def entry_of(commitment: bytes) -> bytes:
    """Return the bytes that enter the ledger."""
    return _PREFIX + base64.urlsafe_b64encode(commitment).rstrip(b"=") + b"\n"


def _plain(value: Json) -> Json:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(member) for name, member in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [_plain(member) for member in value]
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) <= _MAX_INTEGER):
        return value
    # No floats, no integers beyond what a double holds: two parsers may read one number differently.
    raise ValueError(f"a detail cannot hold this {type(value).__name__}")
