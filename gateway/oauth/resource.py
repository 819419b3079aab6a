"""Establish who calls: an access token (RFC 9068) and what shows that the caller may use it.

A token is bound to the key of a proof (RFC 9449 §7, scheme DPoP) or to the certificate of the
connection (RFC 8705 §3, scheme Bearer), and counts in no other way: sent otherwise, whoever stole it
could use it. Only the Authorization header counts.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

from fastapi import Request

from adapters.kit import jose
from gateway import parties
from gateway.errors import NotAuthenticated, Refused
from gateway.oauth import binding, dpop, replay
from gateway.oauth.binding import Binding
from gateway.oauth.certificate import presented_thumbprint
from gateway.parties import Standing
from gateway.services import Services, services
from gateway.storage.unit_of_work import Transaction

TOKEN_TYP = "at+jwt"
# Where the caller of a request is kept, so that a proof is claimed once however many ask who calls.
CALLER_SCOPE_KEY = "dossierpoort.caller"
_MAX_TOKEN_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated party. Machines of a party act as the party; the worker is in the request."""

    party: str
    kind: str
    client_id: str


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A verified token of ours: whose, bound to what, until when."""

    party: str
    binding: Binding
    expires_at: int
    client_key: str  # thumbprint of the key by which the party got it


class VerifiedTokens:
    """Remember verified tokens, by digest, until they expire or the party epoch moves on."""

    def __init__(self, *, limit: int = 1024) -> None:
        self._limit = limit
        self._tokens: OrderedDict[bytes, tuple[AccessToken, int]] = OrderedDict()

    def get(self, unverified_token: str, now: int) -> tuple[AccessToken, int] | None:
        """Return the token and the epoch in which it was verified, if it still counts."""
        known = self._tokens.get(_digest(unverified_token))
        return known if known is not None and now < known[0].expires_at else None

    def party_of(self, unverified_token: str, now: int) -> str | None:
        """Say whose token it is, if it is remembered: not that whoever sends it may use it."""
        remembered = self.get(unverified_token, now)
        return None if remembered is None else remembered[0].party

    def put(self, verified_token: str, token: AccessToken, epoch: int) -> None:
        """Remember a token that was just verified, instead of the one remembered longest."""
        self._tokens[_digest(verified_token)] = (token, epoch)
        while len(self._tokens) > self._limit:
            self._tokens.popitem(last=False)


async def authenticated(request: Request) -> Caller:
    """Return the caller of this request (a FastAPI dependency).

    Raises NotAuthenticated, or Refused `party_suspended`. A proof's single use is durable on
    return. Asked twice for one request, it answers the same without a second claim.
    """
    known = request.scope.get(CALLER_SCOPE_KEY)
    if isinstance(known, Caller):
        return known
    parts = services(request)
    cache: VerifiedTokens = request.app.state.verified_tokens
    now = parts.clock()

    # 1 The token is ours and current.
    scheme, unverified_token = _presented_token(request)
    remembered = cache.get(unverified_token, now)
    token = remembered[0] if remembered else verify_token(parts, unverified_token, now)
    # 2 The caller has what the token is bound to, and 3 this is how the party stands.
    if scheme == "bearer":
        _check_certificate(request, parts, token, now)
        standing = await parts.store.look_up(lambda conn: parties.standing(conn, token.party))
    else:
        proof = _verified_proof(request, parts, unverified_token, now)
        if token.binding != Binding(binding.PROOF_KEY, proof.jkt):
            raise _refuse("proof_invalid", "by another key than the token's")
        # In one transaction: the proof was never seen, and this is how the party stands.
        standing = await _claim(parts, token, proof)
    # 4 What was remembered from before a change among the parties is verified again.
    if remembered is not None and remembered[1] != standing.epoch:
        token = verify_token(parts, unverified_token, now)
    cache.put(unverified_token, token, standing.epoch)
    # 5 A key that its party took off the list ends what it opened within 60 seconds, not with the token.
    if token.client_key not in parts.key_lists.verified(token.party).keys("sign", now):
        raise _refuse("token_invalid", "got with a key that is not in the party's list now")
    if not standing.active:
        raise Refused("party_suspended")

    caller = Caller(token.party, parts.register.kind(token.party), token.party)
    request.scope[CALLER_SCOPE_KEY] = caller
    return caller


def verify_token(parts: Services, unverified_token: str, now: int) -> AccessToken:
    """Verify an access token of this gateway; raise NotAuthenticated (RFC 9068 §4)."""
    issuer = parts.settings.issuer
    try:
        keys = parts.key_lists.verified("gateway").keys("token", now)
        claims = jose.verify(unverified_token, keys, TOKEN_TYP, max_bytes=_MAX_TOKEN_BYTES)
        jose.check_times(claims, now, leeway=0)  # our own clock made them
    except jose.JoseError as refused:
        raise _refuse("token_invalid", refused.code) from None
    party, bound_to, expires_at = claims.get("sub"), binding.read_cnf(claims.get("cnf")), claims["exp"]
    if claims.get("iss") != issuer or claims.get("aud") != issuer:
        raise _refuse("token_invalid", "another issuer or audience")
    if not isinstance(party, str) or party not in parts.register.parties or claims.get("client_id") != party:
        raise _refuse("token_invalid", "not a party of the register")
    if bound_to is None or not isinstance(expires_at, int):
        raise _refuse("token_invalid", "bound to nothing, or to more than one thing")
    return AccessToken(party, bound_to, expires_at, str(claims.get("client_key")))


def called_url(parts: Services, request: Request) -> str:
    """Return the address of this call as callers know it: our issuer and the path, as it was sent."""
    # Not the Host header, which is the caller's, nor the decoded path, which two addresses can share.
    raw_path: bytes = request.scope["raw_path"]
    return parts.settings.issuer.rstrip("/") + raw_path.decode("latin-1")


def _presented_token(request: Request) -> tuple[str, str]:
    headers = request.headers.getlist("authorization")
    if len(headers) != 1:
        raise _refuse("token_missing", "not exactly one Authorization header")
    scheme, _, unverified_token = headers[0].partition(" ")
    if scheme.lower() not in ("dpop", "bearer"):
        raise _refuse("token_missing", "another scheme than DPoP or Bearer")
    return scheme.lower(), unverified_token


def _check_certificate(request: Request, parts: Services, token: AccessToken, now: int) -> None:
    """Raise unless the token is bound to this connection's certificate, and that is still the party's."""
    if token.binding.method != binding.CERTIFICATE:
        # The downgrade: without its proof, a stolen token would be as good as the owner's.
        raise _refuse("token_missing", "a token bound to a key, without the scheme DPoP")
    if request.headers.getlist("dpop"):
        raise _refuse("proof_invalid", "a proof beside a token that is bound to a certificate")
    if token.binding.thumbprint != presented_thumbprint(request):
        raise _refuse("certificate_invalid", "another certificate than the token's, or none")
    # A certificate that its party took off the list ends with the list, not with the token.
    if token.binding.thumbprint not in parts.key_lists.verified(token.party).tls(now):
        raise _refuse("certificate_invalid", "not in the party's key list now")


def _verified_proof(request: Request, parts: Services, unverified_token: str, now: int) -> dpop.Proof:
    try:
        return dpop.verify_proof(
            dpop.only_proof(request.headers.getlist("dpop")),
            method=request.method,
            url=called_url(parts, request),
            now=now,
            unverified_token=unverified_token,
        )
    except dpop.ProofRefused as refused:
        raise _refuse("proof_invalid", refused.reason) from None


async def _claim(parts: Services, token: AccessToken, proof: dpop.Proof) -> Standing:
    key = replay.key("proof", proof.jkt, proof.jti)

    def work(tx: Transaction) -> Standing:
        replay.claim(tx, key, proof.accepted_until)
        return parties.standing(tx.conn, token.party)

    try:
        return await parts.store.write(work)
    except replay.Replayed:
        raise _refuse("proof_replayed", "seen before") from None


def _refuse(code: str, reason: str) -> NotAuthenticated:
    """Log why, tell the caller only what: a reason would teach an attacker which check comes next."""
    return NotAuthenticated(code, cause=reason)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
