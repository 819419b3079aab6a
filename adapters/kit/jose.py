"""Sign and verify compact JWS: ES256, the exact type, a known key, and nothing else.

Everything that a header could talk a verifier into (RFC 8725 §2, §3) is refused before any key is
touched: the header has exactly `alg`, `typ` and `kid`, and the key comes from the caller.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from joserfc import jws
from joserfc.errors import JoseError as LibraryError

from adapters.kit.keys import KeyRefused, SigningKey, public_jwk, verification_key
from adapters.kit.strict_json import NotBase64Url, StrictJsonError, decode_base64url, loads

# Also the longest statement on the wire (`CompactJws` of adapters/protocol.py), in bytes.
MAX_TOKEN_BYTES: Final = 65_536
# Clocks of parties differ; this much is forgiven at either end of a validity.
LEEWAY_SECONDS: Final = 10
_MAX_HEADER_BYTES = 512
_SIGNATURE_BYTES = 64  # r and s of P-256, RFC 7518 §3.4


class JoseError(Exception):
    """A token was refused. `code` says by which check; the token's content is never quoted.

    malformed_token · token_too_large · header_not_allowed · algorithm_not_allowed · wrong_type
    · unknown_key · bad_signature · time_claims_invalid · expired · not_yet_valid
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def sign(payload: Mapping[str, object], key: SigningKey, typ: str) -> str:
    """Sign claims as a compact JWS with the header alg, typ, kid."""
    return _serialise(payload, key, {"alg": "ES256", "typ": typ, "kid": key.kid})


def sign_with_embedded_key(payload: Mapping[str, object], key: SigningKey, typ: str) -> str:
    """Sign a proof of possession, which carries its public key (RFC 9449 §4.2) and proves no identity."""
    return _serialise(payload, key, {"alg": "ES256", "typ": typ, "jwk": key.public})


def verify(
    unverified: str,
    keys: Mapping[str, Mapping[str, object]],
    typ: str,
    *,
    max_bytes: int = MAX_TOKEN_BYTES,
) -> dict[str, object]:
    """Return the claims of a JWS signed by one of `keys` (kid → public JWK); raise JoseError.

    Says nothing about time, issuer or audience: see `check_times` and `adapters.kit.statements`.
    """
    if len(unverified) > max_bytes:
        raise JoseError("token_too_large")
    segments = unverified.split(".")
    if len(segments) != 3:
        raise JoseError("malformed_token")
    header = _object(segments[0], _MAX_HEADER_BYTES)
    key = _key_for(header, keys, typ)
    payload = _object(segments[1], max_bytes)
    _check_signature(segments, key)
    return payload


def unverified_header(unverified: str) -> dict[str, object]:
    """Return the header as it was sent, to find out whom to ask for the key. Proves nothing."""
    return _object(unverified[: _MAX_HEADER_BYTES * 2].partition(".")[0], _MAX_HEADER_BYTES)


def unverified_payload(unverified: str, *, max_bytes: int = MAX_TOKEN_BYTES) -> dict[str, object]:
    """Return the payload as it was sent, to find out whom to ask for the key. Proves nothing."""
    if len(unverified) > max_bytes:
        raise JoseError("token_too_large")
    segments = unverified.split(".")
    if len(segments) != 3:
        raise JoseError("malformed_token")
    return _object(segments[1], max_bytes)


def check_times(claims: Mapping[str, object], now: int, leeway: int = LEEWAY_SECONDS) -> None:
    """Refuse claims without integer `iat` and `exp`, expired, or of the future. Unix seconds."""
    issued_at, expires_at = claims.get("iat"), claims.get("exp")
    not_before = claims.get("nbf", issued_at)
    # `type(...) is int`: True is an int to isinstance, and a float rounds.
    if not (type(issued_at) is int and type(expires_at) is int and type(not_before) is int):
        raise JoseError("time_claims_invalid")
    if expires_at <= issued_at or expires_at <= not_before:
        raise JoseError("time_claims_invalid")
    if now >= expires_at + leeway:
        raise JoseError("expired")
    if max(issued_at, not_before) > now + leeway:
        raise JoseError("not_yet_valid")


def _serialise(payload: Mapping[str, object], key: SigningKey, header: dict[str, object]) -> str:
    text = json.dumps(payload, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return jws.serialize_compact(header, text.encode(), key.imported, algorithms=["ES256"])


def _key_for(
    header: Mapping[str, object], keys: Mapping[str, Mapping[str, object]], typ: str
) -> Mapping[str, object]:
    # An allow-list: crit, b64, jku, x5u, jwk, x5c, zip and what comes after them.
    if set(header) - {"alg", "typ", "kid"}:
        raise JoseError("header_not_allowed")
    if header.get("alg") != "ES256":
        raise JoseError("algorithm_not_allowed")
    if header.get("typ") != typ:
        raise JoseError("wrong_type")
    kid = header.get("kid")
    if not isinstance(kid, str) or kid not in keys:
        raise JoseError("unknown_key")
    return keys[kid]


def _check_signature(segments: list[str], jwk: Mapping[str, object]) -> None:
    try:
        signature = decode_base64url(segments[2])
        public = public_jwk(jwk)
        if len(signature) != _SIGNATURE_BYTES:
            raise JoseError("bad_signature")
        message = f"{segments[0]}.{segments[1]}".encode("ascii")
        if not _ES256.verify(message, signature, verification_key(public["x"], public["y"])):
            raise JoseError("bad_signature")
    except NotBase64Url:
        raise JoseError("malformed_token") from None
    except KeyRefused:
        raise JoseError("unknown_key") from None
    except (LibraryError, ValueError):
        raise JoseError("bad_signature") from None


# joserfc's own algorithm object: its `deserialize_compact` decodes leniently and caps payloads at 128 kB.
_ES256 = jws.JWSRegistry.algorithms["ES256"]


def _object(segment: str, max_bytes: int) -> dict[str, object]:
    try:
        value = loads(decode_base64url(segment), max_bytes=max_bytes)
    except NotBase64Url:
        raise JoseError("malformed_token") from None
    except StrictJsonError as refused:
        too_large = refused.code == "body_too_large"
        raise JoseError("token_too_large" if too_large else "malformed_token") from None
    if not isinstance(value, dict):
        raise JoseError("malformed_token")
    return value
