"""A result is read as an answer only when it is exactly one; a question holds only what policy may see."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from gateway.policy.port import CategoryDecision, ConsentFact, PolicyUnavailable, Question, Verdict
from gateway.policy.rego import base_document, document, verdict

NOW = 1_764_000_000
DIGEST = "sha-256:" + "A" * 43
CONSENT = ConsentFact(
    "consent-1",
    "decisions",
    "ind",
    "ngo-a",
    "legal_screening",
    "active",
    True,
    False,
    False,
    False,
    NOW - 1,
    NOW + 9,
)
QUESTION = Question(
    now=NOW,
    agreement=DIGEST,
    founding_signed=True,
    requester="ngo-a",
    requester_status="active",
    requester_signed=True,
    source="ind",
    source_status="active",
    source_signed=True,
    purpose="legal_screening",
    categories=("decisions", "perspective"),
    role="caseworker",
    on_case=True,
    case_basis="mandate",
    worker_on_case=True,
    consents=(CONSENT,),
)
RESULT: dict[str, Any] = {
    "refusal": None,
    "ask_source": True,
    "decisions": {
        "perspective": {
            "outcome": "withheld",
            "ground": None,
            "reason": "no_rule",
            "rule": None,
            "paragraph": "art. 2.6 (ours)",
            "next_step": "request_under_other_purpose",
            "consent": None,
            "valid_until": None,
        },
        "decisions": {
            "outcome": "permitted",
            "ground": "consent",
            "reason": None,
            "rule": "legal_screening.ngo.ind.decisions",
            "paragraph": "art. 5.2 (000 §2.1)",
            "next_step": None,
            "consent": "consent-1",
            "valid_until": NOW + 9,
        },
    },
    "obligations": {"retention_days": 90, "redistribute": False, "notify_client": True},
    "valid_until": NOW + 9,
}

MISSING = object()


def changed(place: str, value: object) -> dict[str, Any]:
    """Return the result with one value put at, or taken from, a dotted place."""
    result = copy.deepcopy(RESULT)
    *path, last = place.split(".")
    inner: Any = result
    for key in path:
        inner = inner[key]
    if value is MISSING:
        del inner[last]
    else:
        inner[last] = value
    return result


def read(result: object, question: Question = QUESTION) -> Verdict:
    return verdict(result, question)


def test_reads_decisions_in_the_order_of_the_question() -> None:
    answer = read(RESULT)
    assert [decision.category for decision in answer.decisions] == ["decisions", "perspective"]
    assert answer.permitted == (
        CategoryDecision(
            "decisions",
            "permitted",
            "consent",
            None,
            "legal_screening.ngo.ind.decisions",
            "art. 5.2 (000 §2.1)",
            None,
            "consent-1",
            NOW + 9,
        ),
    )
    assert answer.obligations.retention_days == 90


@pytest.mark.parametrize("result", [None, [], {}, "allow", True, {"result": RESULT}])
def test_no_answer_in_what_is_no_result(result: object) -> None:
    with pytest.raises(PolicyUnavailable):
        read(result)


@pytest.mark.parametrize(
    "place",
    [
        *RESULT,
        *(f"decisions.decisions.{key}" for key in RESULT["decisions"]["decisions"]),
        "decisions.perspective",
        "obligations.retention_days",
        "obligations.notify_client",
    ],
)
def test_no_answer_where_a_key_is_missing(place: str) -> None:
    read(RESULT)
    with pytest.raises(PolicyUnavailable):
        read(changed(place, MISSING))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("allow", True),
        ("ask_source", "true"),
        ("ask_source", 1),
        ("decisions", []),
        ("decisions.medical", RESULT["decisions"]["decisions"]),
        ("decisions.decisions.outcome", "allowed"),
        ("decisions.decisions.outcome", "withheld"),
        ("decisions.decisions.ground", "statute"),
        ("decisions.decisions.ground", None),
        ("decisions.decisions.ground", "baseline"),
        ("decisions.decisions.reason", "no_consent"),
        ("decisions.decisions.rule", None),
        ("decisions.decisions.rule", ""),
        ("decisions.decisions.paragraph", ""),
        ("decisions.decisions.paragraph", None),
        ("decisions.decisions.consent", None),
        ("decisions.decisions.consent", "consent-of-another"),
        ("decisions.decisions.valid_until", None),
        ("decisions.decisions.valid_until", NOW),
        ("decisions.decisions.valid_until", True),
        ("decisions.decisions.valid_until", float(NOW + 9)),
        ("decisions.decisions.extra", 1),
        ("decisions.perspective.reason", None),
        ("decisions.perspective.reason", "consent_withdrawn"),
        ("decisions.perspective.next_step", "ask_nicely"),
        ("decisions.perspective.consent", "consent-1"),
        ("decisions.perspective.ground", "baseline"),
        ("obligations.retention_days", -1),
        ("obligations.retention_days", "90"),
        ("obligations.redistribute", None),
        ("valid_until", NOW + 10),
        ("valid_until", -1),
        ("valid_until", "never"),
        ("refusal", {"code": "party_never_receives", "paragraph": "art. 4.2 (003 §5.5.5)"}),
        ("refusal", {"code": "because", "paragraph": "art. 4.2"}),
        ("refusal", False),
    ],
)
def test_no_answer_where_a_value_is_of_another_type_or_contradicts(place: str, value: object) -> None:
    read(RESULT)
    with pytest.raises(PolicyUnavailable):
        read(changed(place, value))


def test_no_answer_that_asks_a_source_for_nothing() -> None:
    withheld = changed("decisions.decisions", RESULT["decisions"]["perspective"])
    with pytest.raises(PolicyUnavailable):
        read(withheld)
    withheld["ask_source"] = False
    assert not read(withheld).permitted


@pytest.mark.parametrize("change", [{"on_case": False}, {"worker_on_case": False}])
def test_no_answer_that_permits_something_to_a_stranger(change: dict[str, Any]) -> None:
    read(RESULT)
    with pytest.raises(PolicyUnavailable):
        read(RESULT, replace(QUESTION, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"now": float(NOW)},
        {"now": True},
        {"now": -1},
        {"now": 2**53},
        {"agreement": ""},
        {"agreement": "A" * 43},
        {"agreement": DIGEST + "="},
        {"agreement": DIGEST + "\n"},
        {"agreement": None},
        {"founding_signed": 1},
        {"requester_signed": None},
        {"source_signed": "true"},
        {"requester": ""},
        {"requester": "ngo\u0430"},
        {"requester": 'ngo"'},
        {"source": "ind\x00"},
        {"purpose": "legal screening"},
        {"categories": ()},
        {"categories": ("decisions", "decisions")},
        {"categories": ("perspective",)},
        {"role": "caseworker\n"},
        {"case_basis": ""},
        {"on_case": 1},
        {"worker_on_case": None},
        {"consents": (replace(CONSENT, id="a b"),)},
        {"consents": (replace(CONSENT, confirmed="yes"),)},  # type: ignore[arg-type]
        {"consents": (replace(CONSENT, explicit=1),)},  # type: ignore[arg-type]
        {"consents": (replace(CONSENT, minor=0),)},  # type: ignore[arg-type]
        {"consents": (replace(CONSENT, guardian=None),)},  # type: ignore[arg-type]
        {"consents": (replace(CONSENT, valid_until=1e9),)},  # type: ignore[arg-type]
    ],
)
def test_a_question_with_anything_but_plain_words_seconds_and_truths_is_not_made(
    change: dict[str, Any],
) -> None:
    replace(QUESTION)
    with pytest.raises(ValueError):
        replace(QUESTION, **change)


def test_the_input_is_exactly_the_question_with_consents_by_category() -> None:
    sent = document(QUESTION)
    assert sent.keys() == set(Question.__slots__)
    assert sent["categories"] == ["decisions", "perspective"]
    (fact,) = sent["consents"]["decisions"]  # type: ignore[index]
    assert fact == {name: getattr(CONSENT, name) for name in ConsentFact.__slots__}


def test_the_data_are_the_versions_by_their_digest() -> None:
    other = "sha-256:" + "B" * 43
    assert base_document({other: {"id": "b"}, DIGEST: {"id": "a"}}) == {
        "agreements": {DIGEST: {"id": "a"}, other: {"id": "b"}}
    }
