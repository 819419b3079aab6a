"""How a question and its verdict look in Rego: the one file that knows the keys.

    Question ──document()──▶ engine (policies/dossier.rego) ──verdict()──▶ Verdict

An answer is read key by key: whatever is missing, unknown or of another type is no answer, and no answer is a
refusal. OPA's way of saying "undefined" is to leave the result out, so a misspelt rule would otherwise look
like a quiet no, or worse, a quiet yes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TypeVar, get_args

from gateway.policy.port import (
    LAST_SECOND,
    CategoryDecision,
    ConsentFact,
    Ground,
    NextStep,
    Obligations,
    PolicyUnavailable,
    Question,
    Reason,
    Refusal,
    RefusalCode,
    Verdict,
    hold_together,
)

_T = TypeVar("_T")


_REFUSALS: tuple[RefusalCode, ...] = get_args(RefusalCode)
_GROUNDS: tuple[Ground, ...] = get_args(Ground)
_REASONS: tuple[Reason, ...] = get_args(Reason)
_NEXT_STEPS: tuple[NextStep, ...] = get_args(NextStep)
_CONSENT_KEYS = tuple(field.name for field in fields(ConsentFact))
_QUESTION_KEYS = tuple(field.name for field in fields(Question))


def document(question: Question) -> dict[str, object]:
    """Return the policy's input. Consents are keyed by category, so each decision reads its own only."""
    consents: dict[str, list[dict[str, object]]] = {}
    for fact in question.consents:
        consents.setdefault(fact.category, []).append({name: getattr(fact, name) for name in _CONSENT_KEYS})
    facts: dict[str, object] = {name: getattr(question, name) for name in _QUESTION_KEYS}
    return {**facts, "categories": list(question.categories), "consents": consents}


def base_document(agreements: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """Return the policy's data: every version that may be asked about, by its digest."""
    return {"agreements": {digest: dict(agreements[digest]) for digest in sorted(agreements)}}


def verdict(unverified_result: object, question: Question) -> Verdict:
    """Read an engine's result as the answer to `question`; raise PolicyUnavailable unless it is one."""
    result = _members(unverified_result, {"refusal", "ask_source", "decisions", "obligations", "valid_until"})
    refusal = None if result["refusal"] is None else _refusal(result["refusal"])
    by_category = _members(result["decisions"], set(question.categories))
    decisions = tuple(_decision(category, by_category[category]) for category in question.categories)
    owed = _members(result["obligations"], {"retention_days", "redistribute", "notify_client"})
    read = Verdict(
        refusal=refusal,
        ask_source=_truth(result["ask_source"]),
        decisions=decisions,
        obligations=Obligations(
            retention_days=_seconds(owed["retention_days"]),
            redistribute=_truth(owed["redistribute"]),
            notify_client=_truth(owed["notify_client"]),
        ),
        valid_until=_seconds(result["valid_until"]),
    )
    hold_together(read, question)
    return read


def _refusal(unverified: object) -> Refusal:
    members = _members(unverified, {"code", "paragraph"})
    return Refusal(code=_one_of(_REFUSALS, members["code"]), paragraph=_text(members["paragraph"]))


def _decision(category: str, unverified: object) -> CategoryDecision:
    members = _members(
        unverified,
        {"outcome", "ground", "reason", "rule", "paragraph", "next_step", "consent", "valid_until"},
    )
    step = members["next_step"]
    next_step = None if step is None else _one_of(_NEXT_STEPS, step)
    rule = None if members["rule"] is None else _text(members["rule"])
    consent = None if members["consent"] is None else _text(members["consent"])
    paragraph = _text(members["paragraph"])
    if members["outcome"] == "permitted":
        ground = _one_of(_GROUNDS, members["ground"])
        rests_on_consent = ground in {"consent", "explicit_consent"}
        if members["reason"] is not None or rule is None or rests_on_consent != (consent is not None):
            raise PolicyUnavailable
        ends = _seconds(members["valid_until"])
        return CategoryDecision(
            category, "permitted", ground, None, rule, paragraph, next_step, consent, ends
        )
    nothing = (members["ground"], members["consent"], members["valid_until"])
    if members["outcome"] != "withheld" or nothing != (None, None, None):
        raise PolicyUnavailable
    reason = _one_of(_REASONS, members["reason"])
    return CategoryDecision(category, "withheld", None, reason, rule, paragraph, next_step, None, None)


def _members(unverified: object, names: set[str]) -> Mapping[str, object]:
    if not isinstance(unverified, dict) or unverified.keys() != names:
        raise PolicyUnavailable
    return unverified


def _one_of(allowed: tuple[_T, ...], unverified: object) -> _T:
    for word in allowed:
        if isinstance(unverified, str) and unverified == word:
            return word
    raise PolicyUnavailable


def _text(unverified: object) -> str:
    # Every text here is a rule's id, a paragraph or a consent's id: an empty one would explain nothing.
    if not isinstance(unverified, str) or not unverified:
        raise PolicyUnavailable
    return unverified


def _truth(unverified: object) -> bool:
    if not isinstance(unverified, bool):
        raise PolicyUnavailable
    return unverified


def _seconds(unverified: object) -> int:
    if not isinstance(unverified, int) or isinstance(unverified, bool) or not 0 <= unverified <= LAST_SECOND:
        raise PolicyUnavailable
    return unverified
