"""Why a source does not act on an order: a closed list of words, each naming what did not hold."""

from __future__ import annotations

from typing import Final

REASONS: Final = frozenset(
    {
        "order_invalid",  # not signed by the gateway's order key, not for us, not in force, malformed
        "cancellation_invalid",
        "other_agreement",
        "agreement_not_in_force",
        "agreement_not_signed",  # the recipient, the recording party or this source has not signed it
        "recipient_unknown",
        "recipient_never_receives",
        "client_not_readable",
        "unknown_scheme",  # a number by which this source knows nobody
        "request_invalid",
        "request_mismatch",
        "request_replayed",  # the signed request already served another exchange
        "category_not_requested",
        "category_never_shared",  # docs/domain.md rules 5 and 6, which no agreement overrides
        "no_rule_in_agreement",
        "ground_differs",
        "consent_invalid",
        "consent_mismatch",
        "consent_does_not_cover",
        "recording_party_unknown",
        "keys_not_verified",  # a key list, or the key to seal to, does not verify against our register
    }
)


class OrderRefused(Exception):
    """Nothing was looked up, nothing leaves. `code` is stable; `cause` is for the operator's log."""

    def __init__(self, why: str, *, cause: str | None = None) -> None:
        if why not in REASONS:
            raise ValueError(f"no reason {why!r}")
        super().__init__(why)
        self.code = f"order_refused_{why}"
        self.cause = cause


class OtherBytes(Exception):
    """Another order stands under this exchange: one exchange has one order, byte for byte."""


class KeysUnavailable(Exception):
    """The key lists cannot be fetched now. Nothing was decided; try again."""


class AgreementUnavailable(Exception):
    """The version that an order stands on cannot be fetched now. Nothing was decided; try again."""
