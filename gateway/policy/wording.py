"""What a refusal, a reason and a next step say to a person, in plain English; pages translate by code.

The sentences never hold a fact about a client: "no consent" reads the same whether one was refused,
withdrawn, expired or never asked for (only the NGO that keeps the consents sees these apart).
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.policy.port import NextStep, Reason, RefusalCode

# The `detail` of the problem; what happened stands in its `title` (`gateway.http.problems`).
REFUSALS: Mapping[RefusalCode, str] = {
    "agreement_not_in_force": "Before its first day, after its last, or unsigned, it opens nothing.",
    "purpose_not_in_agreement": "Nothing is exchanged for a purpose that the parties did not agree on.",
    "party_never_receives": "That goes for every party of this kind, whatever the client consents to.",
    "no_rule_in_agreement": "What no rule opens stays closed, whatever the client consents to.",
    "agreement_not_signed": "A rule works between two parties only once both have signed this version.",
    "party_suspended": "While it is, nothing goes to it or comes from it, not even what was under way.",
}

REASONS: Mapping[Reason, str] = {
    "not_on_case": "You are not on this case.",
    "never_to_this_party": "This never goes to your organisation, whatever the client consents to.",
    "no_rule": "No rule of the agreement opens this category to you from this source for this purpose.",
    "role_may_not": "The rule opens this category to another role than yours.",
    "no_consent": "No consent in force covers this category for this purpose, source and recipient.",
    "no_explicit_consent": "No consent in force names this sensitive category explicitly.",
    "asking_needs_consent": "Asking this source discloses something, so it needs the client's consent.",
    "not_ordered": "The source was asked before this was permitted, or on a ground that is gone.",
}

NEXT_STEPS: Mapping[NextStep, str] = {
    "record_consent": (
        "If the client agrees, record a consent for this purpose, source, recipient and category, "
        "and have it confirmed."
    ),
    "record_explicit_consent": (
        "If the client agrees, record a consent that names this category explicitly, and have it confirmed."
    ),
    "ask_with_medical_role": "Only a health professional may ask for this; let one on the case ask.",
    "ask_with_other_role": "Let a worker on the case ask whose role the rule names.",
    "request_under_other_purpose": (
        "If you need it for another purpose of the agreement, request it under that one."
    ),
    "ask_again": "Make a new request: it is permitted now, but this one was decided before.",
}

# Said for `request_under_other_purpose` where the agreement in force has no such purpose.
NO_OTHER_PURPOSE = (
    "No other purpose opens this category to you from this source: nothing that you or the client can do"
    " changes this."
)


def refusal_sentence(code: str) -> str | None:
    """Return what a refusal from the agreement alone adds to its title; None for any other code."""
    return next((sentence for known, sentence in REFUSALS.items() if known == code), None)


def next_step_sentence(step: NextStep | None, *, elsewhere: bool) -> str | None:
    """Return what would change the answer; None where nothing the caller does would.

    `elsewhere`: another purpose of the agreement in force opens the category between these two.
    """
    if step == "request_under_other_purpose" and not elsewhere:
        return NO_OTHER_PURPOSE
    return None if step is None else NEXT_STEPS[step]
