"""Why the law of consent says no: one error, a stable code, no words of the client.

The gateway turns each code into an error of its own; `docs/errors.md` explains them to people.
"""

from __future__ import annotations

from typing import ClassVar


class ConsentError(Exception):
    """`code` is stable snake_case; a value of the consent never gets in here."""

    codes: ClassVar[frozenset[str]] = frozenset(
        {
            "nothing_named",  # no source, no recipient or no category: empty never means everything
            "special_without_explicit",  # GDPR art. 9: each needs a yes of its own
            "explicit_not_named",  # an explicit yes to what the consent does not cover
            "not_yet_valid",
            "validity_over",
            "validity_too_long",
            "statements_missing",
            "evidence_incomplete",
            "guardian_missing",  # UAVG art. 5: under 16 a legal representative consents
            "not_understood",
            "same_worker",
            "wrong_state",
        }
    )

    def __init__(self, code: str) -> None:
        if code not in self.codes:
            raise ValueError(f"ConsentError has no code {code!r}")
        super().__init__(code)
        self.code = code
