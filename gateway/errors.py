"""Errors of the gateway: a stable code, what the caller may read, and what only operators may log.

    GatewayError
    ├── InputRefused        the message itself is wrong; nothing was looked up
    ├── NotAuthenticated    token, proof or assertion
    ├── Refused             well-formed, but not allowed or not there
    ├── Conflict            the same key with another body, a state that does not allow it
    ├── SourceTrouble       a source is down, slow, or answers what it may not
    └── Unavailable         a part of the gateway does not answer; nothing was released

Every code has its status, title and next step in `gateway.http.problems` and its page section in
`docs/errors.md`; `tests/architecture/test_errors.py` holds the three together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class GatewayError(Exception):
    """`public` never holds a claim, a field's value, or the policy engine's words."""

    codes: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        code: str,
        public: str | None = None,
        *,
        cause: str | None = None,
        extra: Mapping[str, object] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        if code not in self.codes:
            raise ValueError(f"{type(self).__name__} has no code {code!r}")
        super().__init__(code)
        self.code = code
        self.public = public
        self.cause = cause
        self.extra = dict(extra or {})
        self.retry_after_seconds = retry_after_seconds


class InputRefused(GatewayError):
    """The message is malformed, or names what the agreement does not know."""

    codes = frozenset(
        {
            "malformed_json",
            "duplicate_key",
            "invalid_input",
            "body_too_large",
            "head_too_large",
            "unsupported_media_type",
            "unknown_category",
            "unknown_source",
            "unknown_party",
            "unknown_scheme_for_source",
            "idempotency_key_missing",
            "invalid_signed_request",
            "signed_request_mismatch",
            "invalid_consent_statement",
            "consent_statement_mismatch",
            "agreement_invalid",
            "agreement_signature_invalid",
            "page_not_found",
            "method_not_allowed",
            "certificate_header_refused",
        }
    )


class NotAuthenticated(GatewayError):
    """RFC 6750 §3, RFC 9449 §7, RFC 8705 §3: who calls is not proven."""

    codes = frozenset(
        {"token_missing", "token_invalid", "proof_invalid", "proof_replayed", "certificate_invalid"}
    )


class Refused(GatewayError):
    """Not allowed, or not there: for a stranger the two are one (promise 7)."""

    codes = frozenset(
        {
            "purpose_not_in_agreement",
            "party_never_receives",
            "no_rule_in_agreement",
            "agreement_not_in_force",
            "agreement_not_signed",
            "not_for_this_party",
            "party_suspended",
            "not_on_case",
            "role_may_not",
            "not_found",
            "same_worker",
        }
    )


class Conflict(GatewayError):
    """The call contradicts an earlier one or the state of the resource."""

    codes = frozenset({"idempotency_key_reused", "request_replayed", "state_conflict", "agreement_not_ready"})


class SourceTrouble(GatewayError):
    """Nothing of what the source sent is released; the request stays known."""

    codes = frozenset({"source_unavailable", "source_answer_invalid", "source_refused_order"})


class Unavailable(GatewayError):
    """Fail closed: a part does not answer, and nothing leaves."""

    codes = frozenset(
        {
            "policy_unavailable",
            "facts_changing",
            "overloaded",
            "ledger_unavailable",
            "storage_unavailable",
            "internal_error",
        }
    )
