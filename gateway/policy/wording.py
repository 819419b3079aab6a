"""What a refusal, a reason and a next step say to a person, in plain English; pages translate by code.

The sentences never hold a fact about a client: "no consent" reads the same whether one was refused,
withdrawn, expired or never asked for (only the NGO that keeps the consents sees these apart).
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.policy.port import NextStep, Reason, RefusalCode

REFUSALS: Mapping[RefusalCode, str] = {
    "agreement_not_in_force": "The agreement is not in force at this moment.",
    "purpose_not_in_agreement": "The agreement does not list this purpose, so nothing is exchanged for it.",
    "party_never_receives": "Under the agreement, this kind of party receives nothing about a person.",
    "no_rule_in_agreement": "No rule of the agreement lets you ask this source for this purpose.",
    "agreement_not_signed": "You or the source have not signed the agreement that is in force.",
    "party_suspended": "You or the source are suspended from the exchange.",
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


def refusal_sentence(code: RefusalCode) -> str:
    """Return what a refusal from the agreement alone says to the caller."""
    return REFUSALS[code]


def reason_sentence(reason: Reason) -> str:
    """Return why a category stays behind."""
    return REASONS[reason]


def next_step_sentence(step: NextStep | None) -> str | None:
    """Return what would change the answer; None where nothing the caller does would."""
    return None if step is None else NEXT_STEPS[step]
