"""docs/policy.md and docs/agreement.md follow one example: each thing they show is what is there."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.kit.register import SignedAgreement, agreement_digest
from gateway.agreement import check
from gateway.agreement_document.difference import Side, difference
from gateway.agreement_document.text import render
from gateway.cli.story_agreement import next_version
from gateway.policy.port import ConsentFact, Question
from gateway.policy.rego import document, verdict
from gateway.policy.wasm import WasmEngine
from gateway.policy.wording import NEXT_STEPS, REASONS

ROOT = Path(__file__).resolve().parents[3]
POLICIES = ROOT / "policies"
AGREEMENT: dict[str, Any] = json.loads((POLICIES / "agreement" / "agreement.json").read_text("utf-8"))
DIGEST = agreement_digest(AGREEMENT)


def _shown() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the question, the answer and the rule, as the page shows them in this order."""
    blocks = re.findall(r"^```json\n(.*?)^```", (ROOT / "docs/policy.md").read_text("utf-8"), re.M | re.S)
    question, answer, rule = (json.loads(block if block[0] == "{" else f"{{{block}}}") for block in blocks)
    return question, answer, rule


def _question(shown: dict[str, Any]) -> Question:
    consents = tuple(ConsentFact(**fact) for facts in shown["consents"].values() for fact in facts)
    return Question(**{**shown, "categories": tuple(shown["categories"]), "consents": consents})


def _engine() -> WasmEngine:
    return WasmEngine.load(POLICIES / "build", POLICIES, SignedAgreement(DIGEST, AGREEMENT, frozenset()))


def test_the_question_is_one_that_the_gateway_asks_about_the_agreement_of_this_repository() -> None:
    shown, _, _ = _shown()
    assert document(_question(shown)) == shown
    assert shown["agreement"] == DIGEST, "the agreement changed: docs/policy.md shows its former digest"


def test_the_answer_is_the_policys() -> None:
    shown, answer, _ = _shown()
    question = _question(shown)
    assert _engine().answer(question) == verdict(answer, question)


def test_without_the_consent_it_is_what_the_page_says() -> None:
    shown, _, _ = _shown()
    without = _engine().answer(replace(_question(shown), consents=()))
    withheld = next(one for one in without.decisions if one.category == "decisions")
    assert (withheld.outcome, withheld.reason, withheld.next_step) == (
        "withheld",
        "no_consent",
        "record_consent",
    )
    said = f'"outcome": "withheld", "reason": "{withheld.reason}", "next_step": "{withheld.next_step}"'
    assert said in (ROOT / "docs/policy.md").read_text("utf-8")


def test_the_rule_is_a_rule_of_the_agreement() -> None:
    _, _, shown = _shown()
    rule = shown["rules"]["legal_screening"]["ngo"]["ind"]["decisions"]
    assert rule.items() <= AGREEMENT["rules"]["legal_screening"]["ngo"]["ind"]["decisions"].items()


# --- docs/agreement.md: the same example, for lawyers --------------------------------------------


def _lawyers_page() -> str:
    """Return the page on one line, without what marks a quotation or stress."""
    text = (ROOT / "docs/agreement.md").read_text("utf-8")
    return " ".join(re.sub(r"^ *> ?|\*", "", text, flags=re.M).split())


@pytest.mark.parametrize("number", ["art. 5.2", "art. 2.3"])
def test_the_articles_are_quoted_as_they_stand(number: str) -> None:
    article = AGREEMENT["articles"][number]
    assert f"{number} {article['nl']} ({article['source']})" in _lawyers_page()


def test_the_rule_is_the_row_that_the_text_of_the_agreement_has() -> None:
    text = render(check(AGREEMENT), DIGEST, form="md")
    rows = re.findall(r"^\| beschikkingen \|.*$", text, re.M)
    shown = next(row for row in rows if "art. 5.2" in row)
    cells = [re.sub(r"\[(.*?)\]\(.*?\)", r"\1", cell).strip() for cell in shown.strip("|").split("|")]
    assert f"| {' | '.join(cells)} |" in _lawyers_page()


def test_the_answer_is_in_the_gateways_words() -> None:
    for sentence in (REASONS["no_consent"], NEXT_STEPS["record_consent"]):
        assert sentence[0].lower() + sentence[1:].rstrip(".") in _lawyers_page()


def test_the_change_is_described_as_the_comparison_describes_it() -> None:
    changed = next_version(AGREEMENT, DIGEST, 1_798_761_600)
    found = difference(Side.of(AGREEMENT, POLICIES), Side.of(changed, POLICIES))
    assert [len(part) for part in (found.permits, found.forbids)] == [1, 1]
    assert f"Nieuw toegestaan: {found.permits[0].nl}" in _lawyers_page()
    assert f"Niet meer toegestaan: {found.forbids[0].nl}" in _lawyers_page()
