"""What the endpoints of OAuth read and answer, as the description of the API shows it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class TokenGranted(BaseModel):
    """An access token (RFC 6749 §5.1); it counts only with what it is bound to."""

    access_token: str = Field(description="JWT, typ `at+jwt` (RFC 9068). Send it as it is.")
    token_type: Literal["DPoP", "Bearer"] = Field(
        description="The scheme to send it in: `DPoP` with a fresh proof each time (RFC 9449), or `Bearer`"
        " over connections with the certificate that it is bound to (RFC 8705)."
    )
    expires_in: int = Field(description="Seconds from now.")


class TokenRefused(BaseModel):
    """RFC 6749 §5.2: not a problem document, because OAuth clients read `error`."""

    error: Literal[
        "invalid_request",
        "invalid_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_dpop_proof",
    ] = Field(description="`docs/errors.md` says of each what to do.")
    error_description: str = Field(description="The same sentence for each `error`.")


class ServerMetadata(BaseModel):
    """The authorisation server, as RFC 8414 §2 describes one."""

    issuer: str = Field(description="The gateway's address; `aud` of every assertion.")
    token_endpoint: str = Field(description="Where tokens are had.")
    jwks_uri: str = Field(description="Where the keys are that tokens are verified with.")
    response_types_supported: list[str] = Field(default=[], description="None: nobody signs in by browser.")
    grant_types_supported: list[str] = Field(
        default=["client_credentials"], description="Parties act as themselves; workers are named in bodies."
    )
    token_endpoint_auth_methods_supported: list[str] = Field(description="How a party authenticates.")
    token_endpoint_auth_signing_alg_values_supported: list[str] = Field(
        default=["ES256"], description="How an assertion is signed."
    )
    dpop_signing_alg_values_supported: list[str] = Field(
        default=["ES256"], description="How a proof is signed."
    )
    tls_client_certificate_bound_access_tokens: bool = Field(
        description="Whether a token may be bound to a client certificate instead of a proof's key."
    )


class KeySet(BaseModel):
    """A JWK Set (RFC 7517 §5)."""

    keys: list[dict[str, Any]] = Field(description="Public keys; `kid` is the RFC 7638 thumbprint.")


TOKEN_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": TokenGranted, "description": "An access token."},
    400: {"model": TokenRefused, "description": "No token; `error` says why."},
    503: {"description": "The store does not answer, or too much is under way."},
}
_FIELDS = {
    "grant_type": {"type": "string", "const": "client_credentials", "description": "The only one."},
    "client_assertion_type": {
        "type": "string",
        "const": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "description": "RFC 7523 §2.2.",
    },
    "client_assertion": {
        "type": "string",
        "description": "JWT by your signing key: `iss` = `sub` = your party id, `aud` the issuer, `iat`,"
        " `exp` at most 120 seconds later, `jti` random. It counts once.",
    },
    "client_id": {"type": "string", "description": "Not needed; if it is there, your party id."},
}
# The form is read by hand, because no field of it may come twice; so FastAPI does not know it.
TOKEN_FORM: dict[str, Any] = {
    "parameters": [
        {
            "name": "DPoP",
            "in": "header",
            "required": False,
            "description": "The proof of the key that the token shall be bound to (RFC 9449 §5). Without one,"
            " the token is bound to the certificate of the connection.",
            "schema": {"type": "string"},
        }
    ],
    "requestBody": {
        "required": True,
        "description": "Each parameter once; no secret, no scope, and nothing in the query.",
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type", "client_assertion_type", "client_assertion"],
                    "properties": _FIELDS,
                }
            }
        },
    },
}
