"""The product's own engine, asked singly: what is compared in blocks is what the gateway would hear."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from gateway.policy.port import PolicyUnavailable, Question
from gateway.policy.wasm import WasmEngine, verified_module
from tests.matrix.agreements import POLICIES, Variant
from tests.matrix.space import CASES, Block


class Product:
    """The compiled policy of this repository, holding every agreement of the matrix."""

    def __init__(self, every: Sequence[Variant]) -> None:
        """Load it; raises PolicyBuildRefused where it is not what its sources compile to."""
        module = verified_module(POLICIES / "build", POLICIES)
        self._engine = WasmEngine(module, {each.digest: each.document for each in every if each.held})

    def ask(self, block: Block, at: tuple[int, int, int]) -> Any:
        """Return the verdict in the policy's form; under a version that nobody holds, the refusal."""
        asked = question(block, at)
        try:
            verdict = self._engine.answer(asked)
        except PolicyUnavailable:
            return refused_unheard(block) if not block.variant.held else "unavailable"
        decisions = {}
        for decision in verdict.decisions:
            members = asdict(decision)
            decisions[members.pop("category")] = members
        return {
            "refusal": None if verdict.refusal is None else asdict(verdict.refusal),
            "ask_source": verdict.ask_source,
            "decisions": decisions,
            "obligations": asdict(verdict.obligations),
            "valid_until": verdict.valid_until,
        }


def question(block: Block, at: tuple[int, int, int]) -> Question:
    """Return one question of the block as the gateway puts it."""
    role, case, state = at
    return Question(
        **{
            **block.base,
            **CASES[block.cases[case]],
            "categories": block.categories,
            "role": block.roles[role],
            "consents": tuple(fact for facts in block.consents[state].values() for fact in facts),
        }
    )


def refused_unheard(block: Block) -> Any:
    """Return what policy says under a version that nobody holds; the gateway hears it as no answer."""
    nothing = {
        "outcome": "withheld",
        "ground": None,
        "reason": "no_rule",
        "rule": None,
        "paragraph": "",
        "next_step": None,
        "consent": None,
        "valid_until": None,
    }
    return {
        "refusal": {"code": "agreement_not_in_force", "paragraph": ""},
        "ask_source": False,
        "decisions": dict.fromkeys(block.categories, nothing),
        "obligations": {"retention_days": 0, "redistribute": False, "notify_client": False},
        "valid_until": 0,
    }


def every_so_often(
    block: Block, counter: itertools.count[int], one_in: int
) -> Iterator[tuple[int, int, int]]:
    """Yield one in so many of the block's questions, counted over all blocks."""
    places = itertools.product(range(len(block.roles)), range(len(block.cases)), range(len(block.states)))
    for at in places:
        if next(counter) % one_in == 0:
            yield at
