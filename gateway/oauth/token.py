"""Issue access tokens to parties: client credentials, private_key_jwt, bound to the caller.

To the key of a DPoP proof (RFC 9449 §5) or, where the request brings none, to the certificate of its
connection (RFC 8705 §3). RFC 6749 §4.4, RFC 9068; NL GOV OAuth profile 1.1 §2.4. Errors here are those of
RFC 6749 §5.2, not problem documents: OAuth clients read `error`.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

import structlog
from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidRequestError, OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from adapters.kit import jose
from gateway import parties
from gateway.errors import GatewayError, InputRefused
from gateway.http.strict_body import media_type, read_limited
from gateway.oauth import binding, documents, dpop, replay
from gateway.oauth.assertion import AUTH_METHOD, Assertion, AssertionRefused, PartyAssertion, PartyClient
from gateway.oauth.binding import Binding
from gateway.oauth.certificate import presented_thumbprint
from gateway.oauth.resource import CALLER_SCOPE_KEY, TOKEN_TYP, Caller, called_url
from gateway.services import Services, services
from gateway.storage.unit_of_work import Transaction
from gateway.vault import new_id

# NL profile: at most 6 hours. A suspension holds at once, whatever a token says, but short is kind
# to whoever loses one.
TOKEN_SECONDS = 15 * 60
TOKEN_PATH = "/oauth/token"
JWKS_PATH = "/oauth/jwks"
METADATA_PATH = "/.well-known/oauth-authorization-server"  # RFC 8414 §3
_MAX_FORM_BYTES = 16 * 1024
_MAX_FIELDS = 16

# error → status and the one description that it ever has. An unknown party, a wrong key, a replay and
# a suspension are one answer, or the endpoint would tell who is a party.
_ERRORS: Mapping[str, tuple[int, str]] = {
    "invalid_request": (
        400,
        "The form is malformed, repeats a parameter, or carries two credentials; or there is a query.",
    ),
    "invalid_client": (400, "The client assertion, or the certificate with it, is not accepted."),
    "unsupported_grant_type": (400, "Only client_credentials is offered."),
    "invalid_scope": (400, "There are no scopes; leave the parameter out."),
    "invalid_dpop_proof": (400, "The DPoP proof is missing, not for this call, or was used before."),
}

_logger = structlog.get_logger("gateway.oauth")
router = APIRouter(tags=["tokens"])


@router.post(
    TOKEN_PATH,
    summary="Get an access token",
    responses=documents.TOKEN_ANSWERS,
    openapi_extra=documents.TOKEN_FORM,
)
async def token(request: Request) -> JSONResponse:
    """Exchange a client assertion for a token, bound to a DPoP proof's key or to the certificate.

    Assertion and proof are claimed, for good, before a token is made: of any number of copies one
    succeeds, and after a crash in between none does again.
    """
    parts = services(request)
    now = parts.clock()
    try:
        form = await _read_form(request)
        proof, bound_to = _caller_binding(request, parts, now)
        server = TokenServer(parts, bound_to, now)
        grant = server.get_token_grant(server.create_oauth2_request(form))
        grant.validate_token_request()
        assertion = grant.client.assertion
        _check_listed(parts, assertion.party, bound_to, now)
        await _claim(parts, assertion, proof, now)
    except dpop.ProofRefused as refused:
        return _error("invalid_dpop_proof", refused.reason)
    except AssertionRefused as refused:
        return _error("invalid_client", refused.reason)
    except replay.Replayed:
        return _error("invalid_client", "assertion or proof used before, or party not active")
    except OAuth2Error as refused:
        return _error(str(refused.error))
    party = assertion.party
    request.scope[CALLER_SCOPE_KEY] = Caller(party, parts.register.kind(party), party)
    status, body, _ = grant.create_token_response()
    return JSONResponse(body, status, {"Pragma": "no-cache"})


@router.get(METADATA_PATH, summary="Get the metadata of the authorisation server")
async def metadata(request: Request) -> documents.ServerMetadata:
    """Describe this authorisation server (RFC 8414 §2)."""
    issuer = services(request).settings.issuer
    return documents.ServerMetadata(
        issuer=issuer,
        token_endpoint=issuer.rstrip("/") + TOKEN_PATH,
        jwks_uri=issuer.rstrip("/") + JWKS_PATH,
        token_endpoint_auth_methods_supported=[AUTH_METHOD],
        tls_client_certificate_bound_access_tokens=services(request).settings.sees_certificates,
    )


@router.get(JWKS_PATH, summary="Get the keys that tokens are verified with")
async def jwks(request: Request) -> documents.KeySet:
    """List the keys that tokens are verified with (RFC 7517 §5): of now, and of before a rotation."""
    parts = services(request)
    keys = parts.key_lists.verified("gateway").keys("token", parts.clock())
    return documents.KeySet(
        keys=[{**jwk, "kid": kid, "use": "sig", "alg": "ES256"} for kid, jwk in keys.items()]
    )


class PartyGrant(ClientCredentialsGrant):  # type: ignore[misc]  # Authlib ships no types
    """Client credentials, for whoever authenticates by assertion."""

    TOKEN_ENDPOINT_AUTH_METHODS = [AUTH_METHOD]  # noqa: RUF012 - Authlib's own attribute


class TokenServer(AuthorizationServer):  # type: ignore[misc]  # Authlib ships no types
    """Authlib's server for one request. It is synchronous, so the store is asked between its two steps."""

    def __init__(self, parts: Services, bound_to: Binding, now: int) -> None:
        super().__init__()
        self._parts, self._bound_to, self._now = parts, bound_to, now
        issuer = parts.settings.issuer
        audiences = {issuer}
        if parts.settings.accept_token_endpoint_audience:
            audiences.add(issuer.rstrip("/") + TOKEN_PATH)
        self.register_client_auth_method(AUTH_METHOD, PartyAssertion(frozenset(audiences), now))
        self.register_grant(PartyGrant)
        self.register_token_generator("default", self._make_token)

    def query_client(self, client_id: str) -> PartyClient:
        """Return the party with its keys of now; whoever is no party has none."""
        keys: Mapping[str, Mapping[str, object]] = {}
        try:
            if client_id != "gateway":  # not a party: it signs no assertion
                keys = self._parts.key_lists.verified(client_id).keys("sign", self._now)
        except GatewayError as trouble:
            _logger.info("no_keys", code=trouble.code, cause=trouble.cause)
        return PartyClient(client_id, keys)

    def create_oauth2_request(self, form: Mapping[str, str]) -> OAuth2Request:
        """Wrap the form for Authlib."""
        return _FormRequest(self._parts.settings.issuer.rstrip("/") + TOKEN_PATH, form)

    def save_token(self, token: Mapping[str, object], request: OAuth2Request) -> None:
        """Keep nothing: a token proves itself, and a suspension does not wait for it to expire."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Tell nobody: Authlib's signals have no listener here."""

    def _make_token(self, *, client: PartyClient, **_: object) -> dict[str, object]:
        issuer, party = self._parts.settings.issuer, client.client_id
        claims = {
            "iss": issuer,
            "sub": party,
            "client_id": party,  # RFC 9068 §2.2
            "azp": party,  # NL profile §3.2.1
            "aud": issuer,
            "iat": self._now,
            "exp": self._now + TOKEN_SECONDS,
            "jti": new_id(),
            "cnf": self._bound_to.cnf(),
            # With this key in no list any more, the token is worth nothing (DESIGN §7).
            "client_key": client.assertion.key if client.assertion else "",
        }
        signed = jose.sign(claims, self._parts.keys.signing("token"), TOKEN_TYP)
        return {
            "access_token": signed,
            "token_type": self._bound_to.scheme,
            "expires_in": TOKEN_SECONDS,
        }


class _FormRequest(OAuth2Request):  # type: ignore[misc]  # Authlib ships no types
    def __init__(self, uri: str, form: Mapping[str, str]) -> None:
        super().__init__("POST", uri)
        self.payload = BasicOAuth2Payload(form)
        self._form = form

    @property
    def form(self) -> Mapping[str, str]:
        return self._form


async def _read_form(request: Request) -> dict[str, str]:
    # RFC 6749 §3.2: our address has no query, so what stands in one is a parameter in the wrong place.
    if request.scope["query_string"]:
        raise InvalidRequestError("a query")
    if media_type(request) != "application/x-www-form-urlencoded":
        raise InvalidRequestError("another media type")
    try:
        raw = await read_limited(request, _MAX_FORM_BYTES)
        fields = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except (InputRefused, ValueError):
        raise InvalidRequestError("not a form") from None
    form = dict(fields)
    # RFC 6749 §3.2: parameters must not repeat; two readers would take different ones.
    if len(form) != len(fields):
        raise InvalidRequestError("repeated parameter")
    if "client_secret" in form or "authorization" in request.headers:
        raise InvalidRequestError("a second credential")
    if form.get("scope"):
        raise OAuth2Error(error="invalid_scope")
    return form


def _caller_binding(request: Request, parts: Services, now: int) -> tuple[dpop.Proof | None, Binding]:
    """Return the verified proof, if one was sent, and what the token shall be bound to."""
    proofs, certificate = request.headers.getlist("dpop"), presented_thumbprint(request)
    if not proofs and certificate is not None:
        return None, Binding(binding.CERTIFICATE, certificate)
    # Who sends a proof means to use it, over whatever connection.
    proof = dpop.verify_proof(dpop.only_proof(proofs), method="POST", url=called_url(parts, request), now=now)
    return proof, Binding(binding.PROOF_KEY, proof.jkt)


def _check_listed(parts: Services, party: str, bound_to: Binding, now: int) -> None:
    """Raise unless a certificate is one that this very party, now verified, has in its key list."""
    if bound_to.method != binding.CERTIFICATE:
        return
    if bound_to.thumbprint not in parts.key_lists.verified(party).tls(now):
        raise AssertionRefused("certificate not in the party's key list")


async def _claim(parts: Services, assertion: Assertion, proof: dpop.Proof | None, now: int) -> None:
    """Use up assertion and proof, durably, if the party is active; raise Replayed otherwise."""
    assertion_key = replay.key("assertion", assertion.party, assertion.jti)

    def work(tx: Transaction) -> None:
        replay.forget_expired(tx, now)
        replay.claim(tx, assertion_key, assertion.expires_at)
        if proof is not None:
            replay.claim(tx, replay.key("proof", proof.jkt, proof.jti), proof.accepted_until)
        if not parties.standing(tx.conn, assertion.party).active:
            raise replay.Replayed

    await parts.store.write(work)


def _error(error: str, reason: str | None = None) -> JSONResponse:
    # Authlib's own words may quote the caller's: only the table's go out, only our reasons into the log.
    shown = error if error in _ERRORS else "invalid_request"
    status, description = _ERRORS[shown]
    _logger.info("token_refused", error=shown, reason=reason)
    body = {"error": shown, "error_description": description}
    return JSONResponse(body, status, {"Pragma": "no-cache"})
