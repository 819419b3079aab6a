"""What the agreement does not refuse is remembered for a minute; a refusal, and a failure, never are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from gateway.errors import Unavailable
from gateway.policy import asking
from gateway.policy.asking import Allowed
from gateway.policy.port import (
    CategoryDecision,
    Obligations,
    PolicyUnavailable,
    Question,
    Refusal,
    Verdict,
)

NOW = 1_800_000_000
NO_FACTS = Question(
    now=NOW,
    agreement="sha-256:" + "A" * 43,
    founding_signed=True,
    requester="vluchtelingenwerk",
    requester_status="active",
    requester_signed=True,
    source="ind",
    source_status="active",
    source_signed=True,
    purpose="legal_screening",
    categories=("perspective",),
    role="caseworker",
    on_case=False,
    case_basis=None,
    worker_on_case=False,
)


@dataclass
class Counting:
    """An engine that refuses what it is told to refuse, and counts how often it was asked."""

    refused: Refusal | None = None
    away: bool = False
    asked: list[Question] = field(default_factory=list)

    async def decide(self, question: Question) -> Verdict:
        self.asked.append(question)
        if self.away:
            raise PolicyUnavailable
        return _verdict(question, self.refused)


def _verdict(question: Question, refusal: Refusal | None) -> Verdict:
    decisions = tuple(
        CategoryDecision(
            category=category,
            outcome="withheld",
            ground=None,
            reason="not_on_case",
            rule="rule",
            paragraph="paragraph",
            next_step=None,
            consent=None,
            valid_until=None,
        )
        for category in question.categories
    )
    return Verdict(refusal, False, decisions, Obligations(90, False, False), 0)


async def test_within_a_minute_the_same_question_is_asked_once() -> None:
    engine, allowed = Counting(), Allowed()
    for second in range(60):
        assert await allowed.refusal(engine, replace(NO_FACTS, now=NOW + second)) is None
    assert engine.asked == [NO_FACTS]
    assert await allowed.refusal(engine, replace(NO_FACTS, now=NOW + 60)) is None
    assert len(engine.asked) == 2


async def test_when_the_clock_is_set_back_it_is_asked_again() -> None:
    engine, allowed = Counting(), Allowed()
    assert await allowed.refusal(engine, NO_FACTS) is None
    assert await allowed.refusal(engine, replace(NO_FACTS, now=NOW - 3600)) is None
    assert len(engine.asked) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"requester": "askv"},
        {"source": "dtv"},
        {"purpose": "future_orientation"},
        {"categories": ("perspective", "decisions")},
        {"role": "desk"},
        {"agreement": "sha-256:" + "B" * 43},
        {"founding_signed": False},
        {"requester_signed": False},
        {"source_signed": False},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_another_question_is_another(other: dict[str, object]) -> None:
    engine, allowed = Counting(), Allowed()
    assert await allowed.refusal(engine, NO_FACTS) is None
    engine.refused = Refusal("purpose_not_in_agreement", "1")
    assert await allowed.refusal(engine, replace(NO_FACTS, **other)) == engine.refused  # type: ignore[arg-type]


async def test_a_refusal_is_asked_for_each_time() -> None:
    engine, allowed = Counting(refused=Refusal("purpose_not_in_agreement", "1")), Allowed()
    for _ in range(3):
        assert await allowed.refusal(engine, NO_FACTS) == engine.refused
    assert len(engine.asked) == 3


async def test_no_answer_is_not_remembered_as_a_yes() -> None:
    engine, allowed = Counting(away=True), Allowed()
    for _ in range(2):
        with pytest.raises(Unavailable):
            await allowed.refusal(engine, NO_FACTS)
    assert len(engine.asked) == 2


async def test_no_more_is_remembered_than_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_REMEMBERED", 2)
    engine, allowed = Counting(), Allowed()
    for role in ("desk", "caseworker", "casemanager", "caseworker", "desk"):
        assert await allowed.refusal(engine, replace(NO_FACTS, role=role)) is None
    assert len(engine.asked) == 4
