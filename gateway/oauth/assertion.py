"""Authenticate a party at the token endpoint by a JWT signed with its own key (RFC 7523 §2.2, §3).

The one file, with `token`, that knows Authlib. On trial Authlib took an assertion valid for a year
and one without `iat`; every claim is therefore checked here, and Authlib keeps the grant's order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from authlib.oauth2.rfc6749 import ClientMixin, InvalidClientError
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion

from adapters.kit import jose
from adapters.kit.keys import SigningKey

AUTH_METHOD = "private_key_jwt"
# A stolen assertion is worth something for no longer than this.
ASSERTION_MAX_SECONDS = 120
# rfc7523bis wants the second, so that nothing else a party signs can pass for an assertion;
# the first is what client libraries send today. A signed request or key list has neither.
ASSERTION_TYPES = ("JWT", "client-authentication+jwt")
_MAX_ASSERTION_BYTES = 4096
_MIN_JTI_CHARS = 16  # the NL profile asks for 128 bits
_MAX_JTI_CHARS = 256

# Its private half is not kept. What names no key of the party is checked against this one, so that
# an unknown party, an unknown key and a bad signature cost the same.
_NOBODY = SigningKey.generate().public


class AssertionRefused(InvalidClientError):  # type: ignore[misc]  # Authlib ships no types
    """`reason` is ours, for operators; the caller reads one sentence for every refusal."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Assertion:
    """A verified assertion: `jti` must not be accepted again before `expires_at`."""

    party: str
    jti: str
    expires_at: int
    key: str  # thumbprint of the key that signed it


@dataclass(slots=True)
class PartyClient(ClientMixin):  # type: ignore[misc]  # Authlib ships no types
    """A party as Authlib's client: one grant, one way to authenticate, no scopes."""

    client_id: str
    keys: Mapping[str, Mapping[str, object]]  # kid → public JWK, valid now, use `sign`; none: no party
    assertion: Assertion | None = field(default=None)  # once verified

    def get_client_id(self) -> str:
        """Return the party's id."""
        return self.client_id

    def get_allowed_scope(self, scope: str | None) -> str:
        """Return no scope: what a party may do follows from its kind and the agreement."""
        return ""

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Allow the assertion, nothing else."""
        return method == AUTH_METHOD

    def check_grant_type(self, grant_type: str) -> bool:
        """Allow client credentials, nothing else."""
        return grant_type == "client_credentials"


class PartyAssertion(JWTBearerClientAssertion):  # type: ignore[misc]  # Authlib ships no types
    """Authlib's step `authenticate client`, with every check our own. All refusals look the same."""

    CLIENT_AUTH_METHOD = AUTH_METHOD

    def __init__(self, audiences: frozenset[str], now: int) -> None:
        super().__init__(validate_jti=False)  # one atomic insert does that, just before the token is made
        self._audiences = audiences
        self._now = now

    def __call__(self, query_client: Callable[[str], PartyClient], request: Any) -> PartyClient | None:
        """Return the client whose assertion verifies; None when there is no assertion at all."""
        form: Mapping[str, str] = request.form
        if form.get("client_assertion_type") != self.CLIENT_ASSERTION_TYPE:
            return None
        unverified = form.get("client_assertion", "")
        try:
            unverified_claims = jose.unverified_payload(unverified, max_bytes=_MAX_ASSERTION_BYTES)
            unverified_header = jose.unverified_header(unverified)
            client = query_client(str(unverified_claims.get("sub", "")))
            claims = jose.verify(
                unverified,
                _keys_for(client, unverified_header),
                _allowed_type(unverified_header),
                max_bytes=_MAX_ASSERTION_BYTES,
            )
            jose.check_times(claims, self._now)
        except jose.JoseError as refused:
            raise AssertionRefused(refused.code) from None
        client.assertion = self._checked(claims, client.client_id, str(unverified_header["kid"]))
        # RFC 7521 §4.2: a client_id beside the assertion must name the same client.
        if form.get("client_id", client.client_id) != client.client_id:
            raise AssertionRefused("another client_id")
        request.client = client
        return client

    def _checked(self, claims: Mapping[str, object], party: str, key: str) -> Assertion:
        jti, issued_at, expires_at = claims.get("jti"), claims["iat"], claims["exp"]
        if claims.get("iss") != party or claims.get("sub") != party:
            raise AssertionRefused("iss and sub differ")
        # One exact string: a list would let an assertion made for another server count here too
        # (audience injection; docs/decisions/0001-assertion-audience.md).
        audience = claims.get("aud")
        if not isinstance(audience, str) or audience not in self._audiences:
            raise AssertionRefused("another audience")
        if not isinstance(issued_at, int) or not isinstance(expires_at, int):
            raise AssertionRefused("no times")
        if expires_at - issued_at > ASSERTION_MAX_SECONDS:
            raise AssertionRefused("valid for too long")
        if not isinstance(jti, str) or not _MIN_JTI_CHARS <= len(jti) <= _MAX_JTI_CHARS:
            raise AssertionRefused("no jti")
        return Assertion(party, jti, expires_at + jose.LEEWAY_SECONDS, key)


def _keys_for(
    client: PartyClient, unverified_header: Mapping[str, object]
) -> Mapping[str, Mapping[str, object]]:
    kid = str(unverified_header.get("kid", ""))
    return {kid: client.keys.get(kid, _NOBODY)}


def _allowed_type(unverified_header: Mapping[str, object]) -> str:
    typ = unverified_header.get("typ")
    if typ not in ASSERTION_TYPES:
        raise jose.JoseError("wrong_type")
    return str(typ)
