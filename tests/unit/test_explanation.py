"""An explanation: a sentence in both languages for every code, and nothing that a code does not say."""

import asyncio
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, get_args

import pytest

from gateway import explaining_words as words
from gateway.explaining_words import Said
from gateway.explanation import Decision, Explanation, compose
from gateway.policy.hypothetical import Asked, Change, Degree
from gateway.policy.port import Ground, NextStep, Reason, RefusalCode
from gateway.terms import Terms
from gateway.terms_check import check

AGREEMENT = Path(__file__).parents[2] / "policies" / "agreement" / "agreement.json"
ASKED = Asked("vluchtelingenwerk", "ind", "legal_screening", ("perspective", "decisions"), "caseworker")
DIGEST = "sha-256:" + "A" * 43
PERMITTED: dict[str, Any] = {
    "category": "perspective",
    "outcome": "permitted",
    "ground": "baseline",
    "rule": "legal_screening.ngo.ind.perspective",
    "paragraph": "art. 2.1 (000 §2.5)",
}
WITHHELD: dict[str, Any] = {
    "category": "decisions",
    "outcome": "withheld",
    "reason": "no_consent",
    "next_step": "record_consent",
    "rule": "legal_screening.ngo.ind.decisions",
    "paragraph": "art. 5.2 (000 §2.1)",
}
SAID = [PERMITTED, WITHHELD]


@pytest.fixture(scope="module")
def terms() -> Terms:
    return check(json.loads(AGREEMENT.read_bytes()))


def decision(**changes: Any) -> Decision:
    given = {"asked": ASKED, "digest": DIGEST, "at": 7, "refusal": None, "paragraph": None, "said": SAID}
    return Decision(**{**given, **changes})


def explained(terms: Terms, made_under: Terms | None, **changes: Any) -> tuple[Explanation, list[Asked]]:
    asked: list[Asked] = []

    async def permits(one: Asked, degree: Degree) -> Collection[str]:
        asked.append(one)
        return one.categories if degree != "none" else ()

    made = decision(**changes)
    return asyncio.run(compose(made, made_under, terms, permits, in_force=DIGEST)), asked


EVERY = {
    **{code: words.refusal_said(code) for code in get_args(RefusalCode)},
    **{reason: words.reason_said(reason) for reason in get_args(Reason)},
    **{step: words.step_said(step, elsewhere=True) for step in get_args(NextStep)},
    **{ground: words.ground_said(ground) for ground in get_args(Ground)},
    "nothing": words.NOTHING_TO_SHARE,
    "would": words.NOTHING_WOULD,
    "no other purpose": words.step_said("request_under_other_purpose", elsewhere=False),
}


@pytest.mark.parametrize("code", EVERY)
def test_every_code_has_a_sentence_in_both_languages(code: str) -> None:
    for sentence in (EVERY[code].nl, EVERY[code].en):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert "  " not in sentence
    assert EVERY[code].nl != EVERY[code].en


def test_no_sentence_about_what_is_withheld_tells_a_refused_from_a_withdrawn_or_expired_consent() -> None:
    withheld = [
        EVERY[code]
        for code in (*get_args(Reason), *get_args(NextStep), "nothing", "would", "no other purpose")
    ]
    said = " ".join(f"{one.nl} {one.en}" for one in withheld).lower()
    telling = "refused|withdrawn|expired|lapsed|earlier|geweigerd|ingetrokken|verlopen|eerder"
    assert re.findall(telling, said) == []
    assert re.findall(telling, EVERY["consent"].nl), "what is permitted may say how it ends"


def test_a_change_is_said_for_every_degree_of_consent_alone_by_role_and_by_purpose(terms: Terms) -> None:
    said = [
        words.change_said(Change(degree, roles=roles, purposes=purposes), terms)
        for degree in get_args(Degree)
        for roles, purposes in (((), ()), (("medical", "desk"), ()), ((), ("review", "legal_screening")))
    ]
    assert len({one.nl for one in said}) == len({one.en for one in said}) == len(said)
    assert all(one.nl.endswith(".") and one.en.endswith(".") for one in said)
    assert "health professional or desk" in said[1].en
    assert "zorgprofessional of baliemedewerker" in said[1].nl
    assert f"“{terms.purposes['review'].title.nl}” of “" in said[2].nl


def test_a_decision_is_explained_by_its_own_version(terms: Terms) -> None:
    made, asked = explained(terms, terms)
    perspective, decisions = made.decisions or ()
    article = terms.articles["art. 5.2"]
    assert decisions.article == Said(article.nl, article.en)
    assert (decisions.legal_basis, perspective.legal_basis) == ("GDPR 6(1)(f)", "GDPR 6(1)(f)")
    assert made.sentence.en == "Permitted: 1 of 2 requested categories."
    assert [way.change for way in decisions.would_change] == [Change("consent")]
    assert perspective.would_change == ()
    assert {one.categories for one in asked} == {ASKED.categories}


def test_without_its_version_nothing_is_guessed(terms: Terms) -> None:
    made, _ = explained(terms, None)
    assert made.version is None
    for one in made.decisions or ():
        assert (one.article, one.title, one.legal_basis) == (None, None, None)
        assert one.paragraph
        assert one.sentence


def test_a_rule_that_this_version_does_not_have_there_lends_no_legal_basis(terms: Terms) -> None:
    made, _ = explained(terms, terms, said=[{**WITHHELD, "rule": "another.rule"}, PERMITTED])
    assert [one.legal_basis for one in made.decisions or ()] == [None, "GDPR 6(1)(f)"]


@pytest.mark.parametrize("refusal", ["agreement_not_signed", "agreement_not_in_force", "party_suspended"])
def test_what_only_the_parties_can_change_is_said_so_and_asks_no_policy(terms: Terms, refusal: str) -> None:
    withheld = [
        {"category": name, "outcome": "withheld", "paragraph": "art. 1.4 (ours)"} for name in ASKED.categories
    ]
    made, asked = explained(terms, terms, refusal=refusal, paragraph="art. 1.4 (ours)", said=withheld)
    assert asked == []
    for one in made.decisions or ():
        (way,) = one.would_change
        assert way.change is None
        assert one.sentence == words.refusal_said(made.refusal) if made.refusal else False


def test_who_is_not_on_the_case_gets_no_decisions_and_no_policy_is_asked(terms: Terms) -> None:
    made, asked = explained(terms, terms, said=None, paragraph="art. 3.1 (ours)")
    assert (made.decisions, asked, made.sentence) == (None, [], words.NOTHING_TO_SHARE)
    assert made.as_document()["decisions"] is None
