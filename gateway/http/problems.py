"""Turn every error into a problem document (RFC 9457): the only table of status codes.

A problem says what happened and what to do, and never holds a value that the caller sent, a claim,
or the words of an inner part. NLgov API Design Rules 2.2.1, /core/error-handling: `status`, `title`
and `detail` are always there, invalid input is 400, all its errors come together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog
from starlette.responses import JSONResponse

from gateway.errors import GatewayError, NotAuthenticated, Unavailable

PROBLEM_MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:dossierpoort:error:"
# Sent with every 503 that names no moment of its own.
RETRY_AFTER_SECONDS = 5

_logger = structlog.get_logger("gateway.http")


@dataclass(frozen=True, slots=True)
class Problem:
    """One row: what the caller sees of a code where the error itself says nothing more exact."""

    status: int
    title: str
    next_step: str


PROBLEMS: Mapping[str, Problem] = {
    # --- the message itself ---
    "malformed_json": Problem(
        400, "The body is not the JSON we accept.", "Send one JSON document in UTF-8, as RFC 8259 has it."
    ),
    "duplicate_key": Problem(400, "A JSON object names the same member twice.", "Send each member once."),
    "invalid_input": Problem(
        400, "The request does not fit the API.", "Correct the fields that `errors` points at."
    ),
    "body_too_large": Problem(413, "The body is too large.", "Send a smaller body."),
    "head_too_large": Problem(
        431, "Address and headers are too large together.", "Send fewer headers, and shorter ones."
    ),
    "unsupported_media_type": Problem(
        415, "The body has another media type than this resource reads.", "Send `application/json`, in UTF-8."
    ),
    "unknown_category": Problem(
        400, "A category is not in the agreement.", "Use the categories that the agreement lists."
    ),
    "unknown_source": Problem(
        400, "The source is not in the agreement.", "Name a source that the agreement lists."
    ),
    "unknown_party": Problem(
        400, "A party is not in the register.", "Name parties by their id in the party register."
    ),
    "unknown_scheme_for_source": Problem(
        400,
        "This source does not know clients by that kind of number.",
        "Use an identifier scheme that the agreement lists for the source.",
    ),
    "idempotency_key_missing": Problem(
        400,
        "The header Idempotency-Key is missing.",
        "Send a fresh random key with each new request.",
    ),
    "invalid_signed_request": Problem(
        400, "The signed request does not verify.", "Sign it anew with a current key of your key list."
    ),
    "signed_request_mismatch": Problem(
        400,
        "The signed request says something else than the body.",
        "Build body and signed request from the same values.",
    ),
    "invalid_consent_statement": Problem(
        400, "A consent statement does not verify.", "Sign it anew with a current key of your key list."
    ),
    "consent_statement_mismatch": Problem(
        400,
        "A consent statement says something else than the body.",
        "Build body and statements from the same values, one statement for each source.",
    ),
    "agreement_invalid": Problem(
        400,
        "The document is no agreement that could come into force.",
        "Correct the places that `errors` names; `poort agreement check` names them too.",
    ),
    "agreement_signature_invalid": Problem(
        400,
        "The signature under the agreement does not verify.",
        "Sign this version's digest anew, now, with your identity key.",
    ),
    "page_not_found": Problem(
        404,
        "There is nothing at this address.",
        "Compare with /v1/openapi.json; no path ends in a slash.",
    ),
    "method_not_allowed": Problem(
        405, "This resource does not know that method.", "Use a method that the header Allow names."
    ),
    "certificate_header_refused": Problem(
        400,
        "Only the gateway's own proxy may say which certificate a client has.",
        "Leave the header Ssl-Client-Cert out; present the certificate when you connect.",
    ),
    # --- who calls ---
    "token_missing": Problem(
        401,
        "There is no access token.",
        "Get one at /oauth/token; send it as `Authorization: DPoP …`.",
    ),
    "token_invalid": Problem(401, "The access token is not accepted.", "Get a new token at /oauth/token."),
    "proof_invalid": Problem(
        401,
        "The DPoP proof is not accepted.",
        "Make a fresh proof for this method, address and token with the key that the token is bound to.",
    ),
    "proof_replayed": Problem(401, "The DPoP proof was used before.", "Make a fresh proof for each call."),
    "certificate_invalid": Problem(
        401,
        "The token is bound to another certificate than this connection's.",
        "Connect with the certificate that is in your key list now, and get a new token over it.",
    ),
    # --- not allowed, or not there ---
    "purpose_not_in_agreement": Problem(
        403, "The agreement does not list this purpose.", "Ask for a purpose that the agreement lists."
    ),
    "party_never_receives": Problem(
        403,
        "Under the agreement this party receives nothing about a person.",
        "Nothing in the request changes that; the paragraph named here says why.",
    ),
    "no_rule_in_agreement": Problem(
        403,
        "No rule of the agreement lets this party ask this source for this purpose.",
        "Ask a source that a rule for this purpose names.",
    ),
    "agreement_not_in_force": Problem(
        403, "No agreement is in force.", "Wait until the founding parties have signed the version in use."
    ),
    "agreement_not_signed": Problem(
        403,
        "Requester or source has not signed the agreement.",
        "Have both parties sign the version in use.",
    ),
    "not_for_this_party": Problem(
        403, "This is not for the party that calls.", "Call as the party that it is meant for."
    ),
    "party_suspended": Problem(
        403, "A party to this exchange is suspended.", "Ask the operator of the gateway about the suspension."
    ),
    "not_on_case": Problem(
        403,
        "The caller is not on this client's case.",
        "Open a case on the client's mandate, or be invited.",
    ),
    "role_may_not": Problem(
        403, "The worker's role does not allow this.", "Have a worker act whose role may."
    ),
    "not_found": Problem(
        404, "There is no such resource for this caller.", "Check the id; ids differ per party."
    ),
    "same_worker": Problem(
        403, "The second worker is the first one.", "Have another worker of your organisation confirm."
    ),
    # --- contradicts what is known ---
    "idempotency_key_reused": Problem(
        409, "This Idempotency-Key came before with another body.", "Use a new key for a new request."
    ),
    "request_replayed": Problem(
        409, "This signed request was used before.", "Sign a new request, with a `jti` of its own."
    ),
    "state_conflict": Problem(
        409, "The state of the resource does not allow this.", "Read the resource, then decide anew."
    ),
    "agreement_not_ready": Problem(
        409,
        "This version of the agreement cannot take that step yet, or no longer.",
        "See to each thing that it names (`missing`), then try again.",
    ),
    # --- the source ---
    "source_unavailable": Problem(
        503, "The source does not answer.", "Try again later; the request is known and nothing is lost."
    ),
    "source_answer_invalid": Problem(
        502,
        "The source's answer is not valid; nothing of it was released.",
        "Tell the source; then ask anew.",
    ),
    "source_refused_order": Problem(
        502,
        "The source refused the release order.",
        "Tell the operator; the source logged why.",
    ),
    # --- the gateway itself ---
    "policy_unavailable": Problem(
        503, "The policy engine does not answer; nothing was released.", "Try again later."
    ),
    "facts_changing": Problem(
        503, "The client's facts changed while this was decided; nothing was released.", "Ask again now."
    ),
    "overloaded": Problem(
        503,
        "The gateway has more under way than it can hold.",
        "Repeat the call after the seconds that Retry-After names, with the same Idempotency-Key.",
    ),
    "ledger_unavailable": Problem(
        503, "The ledger cannot be written; nothing was released.", "Try again later."
    ),
    "storage_unavailable": Problem(
        503, "The store does not answer; nothing was released.", "Try again later."
    ),
    "internal_error": Problem(
        500,
        "Something went wrong inside; nothing was released.",
        "Try again; if it stays, tell the operator.",
    ),
}


def problem_response(error: GatewayError) -> JSONResponse:
    """Make the problem document of an error; the code is the last part of `type`."""
    row = PROBLEMS[error.code]
    body: dict[str, object] = {
        "type": TYPE_PREFIX + error.code,
        "title": row.title,
        "status": row.status,
        "detail": error.public or row.title,
        "code": error.code,
        "next_step": row.next_step,
    }
    # What an error adds may not hide what every problem has.
    body = {**error.extra, **body}
    return JSONResponse(body, row.status, _headers(error, row), PROBLEM_MEDIA_TYPE)


def internal_error(error: Exception) -> JSONResponse:
    """Answer an error that nobody foresaw: by type name in the log, by nothing at all to the caller."""
    # The text of an unforeseen error may hold a client's identifier; its type and place cannot.
    _logger.error("unforeseen_error", error=type(error).__name__, place=_place(error))
    return problem_response(Unavailable("internal_error"))


def _place(error: Exception) -> str | None:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else None


def _headers(error: GatewayError, row: Problem) -> dict[str, str]:
    headers = {}
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = _challenge(error.code)
    if error.retry_after_seconds is not None or row.status == 503:
        headers["Retry-After"] = str(error.retry_after_seconds or RETRY_AFTER_SECONDS)
    return headers


def _challenge(code: str) -> str:
    """RFC 9449 §7.1: without a token the scheme alone, else why. RFC 8705 §3 for a certificate."""
    if code == "certificate_invalid":
        return 'Bearer error="invalid_token"'
    oauth_error = {"token_invalid": "invalid_token"}.get(code, "invalid_dpop_proof")
    return 'DPoP algs="ES256"' if code == "token_missing" else f'DPoP error="{oauth_error}", algs="ES256"'
