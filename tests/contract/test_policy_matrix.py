"""The compiled policy, as the gateway asks it, agrees with a second reading of the domain; no OPA is needed.

A sample of the whole matrix, asked singly, and the removal matrix. All of it, on both engines, and policies
with a seeded fault that must be caught: `tests/matrix`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from adapters.kit.register import SignedAgreement, agreement_digest
from gateway.policy.port import ConsentFact, PolicyUnavailable, Question
from gateway.policy.wasm import WasmEngine
from tests.contract.oracle import answer
from tests.matrix import properties
from tests.matrix.agreements import NOBODY, POLICIES, Variant, as_signed, hostile, present, variants
from tests.matrix.compare import Expected, expect
from tests.matrix.product import Product, every_so_often
from tests.matrix.space import CASES, CONSENTS, Block, blocks, opened

AGREEMENT = as_signed()
HOSTILE = hostile(("legal_screening", "medical_stay", "case_conference", "aggregate_report", "review"))
NOW = present(AGREEMENT)
CATEGORIES = tuple(AGREEMENT["categories"])


def engine_for(agreement: Mapping[str, Any]) -> WasmEngine:
    signed = SignedAgreement(
        agreement_digest(dict(agreement)), dict(agreement), frozenset(agreement["parties"])
    )
    return WasmEngine.load(POLICIES / "build", POLICIES, signed)


@cache
def digest_of_the_agreement() -> str:
    return agreement_digest(AGREEMENT)


def question(**changes: Any) -> Question:
    """Ask IND for everything, on the case, without consent; `consents_in` names another state."""
    state = changes.pop("consents_in", "none")
    asked = Question(
        **{
            "agreement": digest_of_the_agreement(),
            "founding_signed": True,
            "requester_signed": True,
            "source_signed": True,
            "now": NOW,
            "requester": "vluchtelingenwerk",
            "requester_status": "active",
            "source": "ind",
            "source_status": "active",
            "purpose": "legal_screening",
            "categories": CATEGORIES,
            "role": "caseworker",
            **CASES["by mandate"],
            **changes,
        }
    )
    return replace(
        asked, consents=tuple(fact for each in asked.categories for fact in facts(asked, each, state))
    )


def facts(asked: Question, category: str, state: str) -> Iterator[ConsentFact]:
    for number, change in enumerate(CONSENTS[state]):
        good: dict[str, Any] = {
            "id": f"c{number}",
            "category": category,
            "source": asked.source,
            "recipient": asked.requester,
            "purpose": asked.purpose,
            "status": "active",
            "confirmed": True,
            "explicit": True,
            "minor": False,
            "guardian": False,
            "valid_from": NOW - 50,
            "valid_until": NOW + 50,
        }
        yield ConsentFact(**{**good, **change(NOW, Variant("", "", AGREEMENT).longest_seconds)})


# --- the oracle ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def every() -> tuple[Variant, ...]:
    return variants()


@pytest.fixture(scope="module")
def product(every: tuple[Variant, ...]) -> Product:
    return Product(every)


def sampled(every: Sequence[Variant], each_of_opened: int, size: int) -> list[Block]:
    """Return blocks between which something is opened, of each agreement in turn, and others."""
    made, between = blocks(every), {each.name: set(opened(each)) for each in every}
    whole = [block for block in made if len(block.categories) > 2]
    found: list[Block] = []
    for variant in every:
        mine = [block for block in whole if block.variant is variant]
        rich = [block for block in mine if (block.kinds, block.purpose) in between[variant.name]]
        found += rich[:each_of_opened]
    return found + whole[:size]


@pytest.mark.slow
def test_the_policy_and_the_oracle_agree_on_a_sample(every: tuple[Variant, ...], product: Product) -> None:
    counter, asked = itertools.count(), 0
    for block in sampled(every, 20, 300):
        expected = expect(block)
        for at in every_so_often(block, counter, 13):
            asked += 1
            assert product.ask(block, at) == expected.at(*at), block.words(*at)
    assert asked > 4_000


def test_the_documents_say_how_many_cells_there_are(every: tuple[Variant, ...]) -> None:
    made = blocks(every)
    cells, questions = sum(block.cells for block in made), sum(block.vectors for block in made)
    text = " ".join((POLICIES.parent / "docs" / "policy.md").read_text().split())
    assert f"{cells:,} of them, in {questions:,} questions" in text


def test_the_oracle_answers_a_question_as_it_answers_it_in_a_block(every: tuple[Variant, ...]) -> None:
    for state in ("none", "explicit", "plain", "minor alone"):
        asked = question(consents_in=state)
        block = Block(
            every[0], ("ngo", "ind"), asked.purpose, CATEGORIES, ("caseworker",), ("by mandate",), (state,)
        )
        named = {**block.base, "requester": asked.requester, "agreement": asked.agreement}
        assert named == {name: getattr(asked, name) for name in block.base} | {"categories": list(CATEGORIES)}
        mine = replace(
            asked,
            requester=block.base["requester"],
            consents=tuple(fact for each in block.consents[0].values() for fact in each),
        )
        assert answer(AGREEMENT, mine) == expect(block).at(0, 0, 0)


def test_what_must_hold_of_every_answer_holds_of_the_products(
    every: tuple[Variant, ...], product: Product
) -> None:
    """Stated without the oracle, so that a shared misreading of the two shows; here on a few blocks."""
    released = 0
    for block in sampled(every[:4], 3, 0):
        few = replace(
            block, roles=block.roles[:2], cases=block.cases[:2], states=("none", "plain", "explicit")
        )
        found = as_found(product, few)
        released += sum(bool(properties.permitted(one)) for one in found.answers)
        assert not list(properties.broken(few, found))
    assert released


def as_found(product: Product, block: Block) -> Expected:
    number, answers = itertools.count(), []
    where = []
    for role in range(len(block.roles)):
        row = []
        for case in range(len(block.cases)):
            answers += [product.ask(block, (role, case, state)) for state in range(len(block.states))]
            row.append([next(number) for _ in block.states])
        where.append(row)
    return Expected(where, tuple(answers))


# --- the removal matrix ---------------------------------------------------------------------------

REMOVALS: Mapping[str, Mapping[str, Any]] = {
    "the agreement": {"now": AGREEMENT["valid_until"]},
    "the founders' signatures": {"founding_signed": False},
    "the requester's signature": {"requester_signed": False},
    "the source's signature": {"source_signed": False},
    "the purpose": {"purpose": "supervision"},
    "the requester": {"requester": NOBODY},
    "the requester's standing": {"requester_status": "suspended"},
    "the source": {"source": "gemeente-amsterdam"},
    "the source's standing": {"source_status": "suspended"},
    "the role": {"role": None},
    "the case": {"on_case": False},
    "the basis of the case": {"case_basis": None},
    "the worker's place on it": {"worker_on_case": False},
}


@pytest.mark.parametrize("removed", REMOVALS)
def test_nothing_is_permitted_without(removed: str) -> None:
    engine = engine_for(AGREEMENT)
    asked = {
        "categories": ("perspective", "partners", "decisions", "flight_narrative"),
        "consents_in": "explicit",
    }
    assert len(engine.answer(question(**asked)).permitted) == 4
    answered = engine.answer(question(**{**asked, **REMOVALS[removed]}))
    assert not answered.permitted
    assert not answered.ask_source


def test_no_answer_is_heard_under_a_version_that_nobody_holds() -> None:
    engine = engine_for(AGREEMENT)
    assert engine.answer(question(consents_in="explicit")).permitted
    with pytest.raises(PolicyUnavailable):
        engine.answer(question(consents_in="explicit", agreement="sha-256:" + "A" * 43))


@pytest.mark.parametrize("state", sorted(properties.NO_YES))
def test_beyond_the_baseline_nothing_is_permitted_with_consent(state: str) -> None:
    engine = engine_for(AGREEMENT)
    asked = {"categories": ("perspective", "flight_narrative", "decisions")}
    assert len(engine.answer(question(**asked, consents_in="explicit")).permitted) == 3
    (perspective,) = engine.answer(question(**asked, consents_in=state)).permitted
    assert perspective.category == "perspective"


def test_a_case_conference_shares_with_a_participant_that_the_consent_names() -> None:
    engine = engine_for(AGREEMENT)
    asked = {"purpose": "case_conference", "categories": ("perspective", "measures")}
    named = engine.answer(question(**asked, consents_in="explicit"))
    assert [each.category for each in named.permitted] == ["perspective", "measures"]
    (baseline,) = engine.answer(question(**asked, consents_in="other recipient")).permitted
    assert (baseline.category, baseline.ground) == ("perspective", "baseline")
