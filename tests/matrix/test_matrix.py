"""The short form of `make matrix`: some blocks of everything on both engines, and that it sees a fault."""

from __future__ import annotations

import copy
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests import opa
from tests.matrix import mutants, properties, removals
from tests.matrix.agreements import Variant, variants
from tests.matrix.compare import Expected, asked_of, differing, expect, explained
from tests.matrix.engines import HARNESS, RELEASING, RESULT, Batch, EngineFailed, batch_input, sources
from tests.matrix.faults import faults
from tests.matrix.run import compare_block, engines
from tests.matrix.space import Block, blocks, opened
from tests.matrix.totals import Totals

pytestmark = [pytest.mark.opa, pytest.mark.slow]
BLOCKS = 40
# One in so many faults is seeded here; `make matrix` seeds all of them.
ONE_FAULT_IN = 40
REASONS = {
    "not_on_case",
    "never_to_this_party",
    "no_rule",
    "role_may_not",
    "no_consent",
    "no_explicit_consent",
    "asking_needs_consent",
}
GROUNDS = {"baseline", "consent", "explicit_consent", "statutory"}
REFUSALS = {
    "agreement_not_in_force",
    "purpose_not_in_agreement",
    "party_never_receives",
    "no_rule_in_agreement",
    "agreement_not_signed",
    "party_suspended",
}


@dataclass(frozen=True)
class Both:
    every: tuple[Variant, ...]
    engines: tuple[Batch, Batch]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    every = variants()
    made = engines(opa.binary(), every, tmp_path_factory.mktemp("matrix"))
    try:
        yield Both(every, made)
    finally:
        made[1].close()


def few(every: Sequence[Variant], size: int = BLOCKS) -> list[Block]:
    """Return blocks of every agreement in turn; of each half open something."""
    between = {variant.name: set(opened(variant)) for variant in every}
    taken: Counter[tuple[str, bool]] = Counter()
    each = -(-size // (2 * len(every)))
    found = []
    for block in blocks(every):
        key = (block.variant.name, (block.kinds, block.purpose) in between[block.variant.name])
        if len(block.categories) > 2 and taken[key] < each:
            taken[key] += 1
            found.append(block)
    return found


def an_opened(both: Both) -> Block:
    """Return a block in which something is permitted, in every consent state."""
    whole = (block for block in blocks(both.every) if block.variant.name == "A" and len(block.categories) > 2)
    asked = next(each for each in whole if (each.kinds, each.purpose) == (("ngo", "ind"), "legal_screening"))
    return replace(asked, cases=("by mandate", "a stranger"))


def test_both_engines_agree_with_the_oracle_on_some_blocks_of_everything(both: Both) -> None:
    totals = Totals()
    chosen = few(both.every)
    for block in chosen:
        compare_block(block, both.engines, totals)
    assert totals.held, "\n".join(totals.words)
    assert {block.variant.name for block in chosen} == {variant.name for variant in both.every}
    cells = sum(block.cells for block in chosen)
    for engine in ("wasm", "opa"):
        assert sum(count for name, count in totals.cells.items() if name.endswith(engine)) == cells


def test_the_matrix_reaches_every_outcome(both: Both) -> None:
    """Guards the guard: a matrix in which nothing is ever permitted would agree as well."""
    outcomes: Counter[str] = Counter()
    for block in few(both.every, 8 * BLOCKS):
        for answer in expect(block).answers:
            refusal = answer["refusal"]
            outcomes[f"refused: {refusal['code']}" if refusal else "looked at"] += 1
            outcomes.update(str(each["ground"] or each["reason"]) for each in answer["decisions"].values())
    assert {name for name in outcomes if name in GROUNDS | REASONS} == GROUNDS | REASONS
    assert {name.removeprefix("refused: ") for name in outcomes} >= REFUSALS


def test_a_wrong_expectation_is_found_and_said_in_words(both: Both) -> None:
    block = an_opened(both)
    right = expect(block)
    planted = Expected(copy.deepcopy(right.where), (*right.answers, wrong(right)))
    planted.where[0][0][1] = len(right.answers)
    for engine in both.engines:
        assert not differing(engine, block, asked_of(block, right))
        assert differing(engine, block, asked_of(block, planted)) == [(0, 0, 1)]
        words = explained(engine, block, planted, (0, 0, 1)).words()
        assert "ngo asks ind for legal_screening" in words
        assert "decisions.decisions.outcome: the oracle says 'withheld', the engine 'permitted'" in words


def wrong(right: Expected) -> dict[str, object]:
    answer = copy.deepcopy(right.at(0, 0, 1))
    assert answer["decisions"]["decisions"]["outcome"] == "permitted"
    answer["decisions"]["decisions"]["outcome"] = "withheld"
    return answer


def test_an_engine_that_answers_fewer_questions_has_failed(both: Both) -> None:
    class Lazy:
        name = "lazy"

        def ask(self, entrypoint: str, asked: bytes) -> object:
            return {**both.engines[0].ask(entrypoint, asked), "asked": 1}

        def close(self) -> None: ...

    block = an_opened(both)
    asked = asked_of(block, expect(block))
    assert both.engines[0].ask(RESULT, asked)["differences"] == []
    with pytest.raises(EngineFailed):
        differing(Lazy(), block, asked)


def test_a_property_that_does_not_hold_is_found(both: Both) -> None:
    block = an_opened(both)
    right = expect(block)
    assert not list(properties.broken(block, right))
    stranger = block.cases.index("a stranger")
    wrongly = Expected(copy.deepcopy(right.where), right.answers)
    wrongly.where[0][stranger][1] = right.where[0][0][1]
    assert any("not on the case" in words for words in properties.broken(block, wrongly))
    more = Expected(copy.deepcopy(right.where), right.answers)
    more.where[0][0][block.states.index("withdrawn")] = right.where[0][0][block.states.index("explicit")]
    assert any("no consent says so" in words for words in properties.broken(block, more))


def test_each_fact_taken_from_what_is_permitted_refuses_it(both: Both) -> None:
    asked = 0
    for single in itertools.islice(removals.permitted_alone(both.every), 12):
        bent = list(removals.of(single))
        questions = [single.question(0, 0, 0), *(question for _, question in bent)]
        asked += len(bent)
        for engine in both.engines:
            released = engine.ask(RELEASING, batch_input({"questions": questions}))
            assert [bent[number - 1][0] for number in released if number] == []
            assert released == [0]
    assert asked > 500


def test_some_seeded_faults_are_caught(tmp_path: Path) -> None:
    binary = opa.binary()
    own = [path for path in sources() if path != HARNESS]
    by = mutants.killers()
    listed = json.loads(mutants.SURVIVORS.read_text())
    assert not by.catch(mutants.unchanged(binary, tmp_path))
    seeded = 0
    for fault in faults(binary, own)[::ONE_FAULT_IN]:
        module = mutants.faulty(fault, binary, own, tmp_path)
        if module is not None and fault.name not in listed:
            seeded += 1
            assert by.catch(module), fault.name
    assert seeded >= 5
