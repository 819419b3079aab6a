"""Whoever is told no is told in a sentence, for every code there is."""

from typing import get_args

from gateway.policy import wording
from gateway.policy.port import NextStep, Reason, RefusalCode


def test_every_code_has_its_sentence() -> None:
    assert set(wording.REFUSALS) == set(get_args(RefusalCode))
    assert set(wording.REASONS) == set(get_args(Reason))
    assert set(wording.NEXT_STEPS) == set(get_args(NextStep))
    for sentence in (*wording.REFUSALS.values(), *wording.REASONS.values(), *wording.NEXT_STEPS.values()):
        assert sentence[0].isupper()
        assert sentence.endswith(".")


def test_no_sentence_tells_a_refused_from_a_withdrawn_or_expired_consent() -> None:
    said = " ".join([*wording.REASONS.values(), *wording.NEXT_STEPS.values()]).lower()
    assert not [word for word in ("refused", "withdrawn", "expired", "lapsed", "earlier") if word in said]


def test_a_step_that_does_not_exist_has_no_sentence() -> None:
    for elsewhere in (True, False):
        assert wording.next_step_sentence(None, elsewhere=elsewhere) is None
        found = wording.next_step_sentence("record_consent", elsewhere=elsewhere)
        assert found == wording.NEXT_STEPS["record_consent"]
    assert wording.refusal_sentence("not_found") is None
    assert wording.refusal_sentence("party_suspended") == wording.REFUSALS["party_suspended"]


def test_who_is_sent_to_another_purpose_finds_one_there() -> None:
    step: NextStep = "request_under_other_purpose"
    assert wording.next_step_sentence(step, elsewhere=True) == wording.NEXT_STEPS[step]
    nowhere = wording.next_step_sentence(step, elsewhere=False)
    assert nowhere == wording.NO_OTHER_PURPOSE
    assert "request it" not in nowhere
