"""Verify that a caller holds the key that it shows: DPoP proofs, RFC 9449 §4.3.

A proof is made for one method, one address and, at a resource, one token. Whether it was used
before is for `gateway.oauth.replay` to say: this module keeps nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import urlsplit

from joserfc import jws
from joserfc.errors import JoseError as LibraryError

from adapters.kit import jose
from adapters.kit.keys import KeyRefused, public_jwk, thumbprint, verification_key
from adapters.kit.strict_json import NotBase64Url, decode_base64url, encode_base64url

# A proof counts this long, and a caller's clock may be this far ahead of ours.
PROOF_MAX_AGE_SECONDS = 60
_MAX_PROOF_BYTES = 4096
_MAX_JTI_CHARS = 256
_DEFAULT_PORTS = {"https": 443, "http": 80}


class ProofRefused(Exception):
    """The proof is not one for this call. `reason` is for operators; it quotes nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Proof:
    """A verified proof: `jkt` names the key (RFC 7638), `jti` must not be seen again until then."""

    jkt: str
    jti: str
    accepted_until: int


def only_proof(unverified_headers: list[str]) -> str:
    """Return the one DPoP header; raise if there is none or there are two (RFC 9449 §4.3, check 1)."""
    if len(unverified_headers) != 1:
        raise ProofRefused("not exactly one DPoP header")
    return unverified_headers[0]


def verify_proof(
    unverified_proof: str, *, method: str, url: str, now: int, unverified_token: str | None = None
) -> Proof:
    """Verify a proof for this call; raise ProofRefused.

    `url` is the address as callers use it, made from our issuer and the path, never from the Host
    header. `unverified_token` is the access token that came along; None at the token endpoint.
    """
    try:
        header = jose.unverified_header(unverified_proof)
        claims = jose.unverified_payload(unverified_proof, max_bytes=_MAX_PROOF_BYTES)
    except jose.JoseError as refused:
        raise ProofRefused(refused.code) from None
    jkt = _check_signature(unverified_proof, header)
    if claims.get("htm") != method:
        raise ProofRefused("for another method")
    htu = claims.get("htu")
    if not isinstance(htu, str) or _normal(htu) != _normal(url):
        raise ProofRefused("for another address")
    if unverified_token is not None and claims.get("ath") != _token_hash(unverified_token):
        raise ProofRefused("for another token")
    jti, iat = claims.get("jti"), claims.get("iat")
    if not isinstance(jti, str) or not 1 <= len(jti) <= _MAX_JTI_CHARS:
        raise ProofRefused("no jti")
    if type(iat) is not int or abs(now - iat) > PROOF_MAX_AGE_SECONDS:
        raise ProofRefused("too old, or of the future")
    return Proof(jkt, jti, iat + PROOF_MAX_AGE_SECONDS)


def _check_signature(unverified_proof: str, header: dict[str, object]) -> str:
    """Return the thumbprint of the key that made the signature."""
    # An allow-list, so that no header member can redirect the verifier (RFC 8725 §3).
    if set(header) != {"typ", "alg", "jwk"} or header["typ"] != "dpop+jwt" or header["alg"] != "ES256":
        raise ProofRefused("another kind of header")
    jwk = header["jwk"]
    if not isinstance(jwk, dict) or "d" in jwk or "k" in jwk:
        raise ProofRefused("no public key")
    try:
        public = public_jwk(jwk)
        decode_base64url(unverified_proof.rpartition(".")[2])  # joserfc would forgive stray bits
        jws.deserialize_compact(
            unverified_proof, verification_key(public["x"], public["y"]), algorithms=["ES256"]
        )
    except (KeyRefused, NotBase64Url, LibraryError, ValueError):
        raise ProofRefused("signature does not verify") from None
    return thumbprint(public)


def _token_hash(unverified_token: str) -> str:
    return encode_base64url(hashlib.sha256(unverified_token.encode()).digest())


def _normal(url: str) -> tuple[str, str, int | None, str] | None:
    """Reduce an address to what must match (RFC 3986 §6.2.2, §6.2.3); None if it can match nothing.

    RFC 9449 §4.2 has `htu` without query and fragment: a proof with either is refused.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.query or parts.fragment or "?" in url or "#" in url or "@" in parts.netloc or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port or _DEFAULT_PORTS.get(parts.scheme), parts.path or "/"
