"""Everything that can be asked, in blocks: one requester, source and purpose; all roles, cases and consents.

    requester × source × purpose × categories (one vector) × role × case × consent state × agreement

A cell is one category of one such question. Blocks are made the same everywhere, so that workers can share
them out by number.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from gateway.policy.port import ConsentFact
from tests.matrix.agreements import MUNICIPAL, NOBODY, Variant, requester_of, source_of

ROLES = ("caseworker", "medical", "desk", "casemanager", "source_officer", "dpo", "admin", None)
CASES: Mapping[str, Mapping[str, Any]] = {
    "by mandate": {"on_case": True, "case_basis": "mandate", "worker_on_case": True},
    "by invitation": {"on_case": True, "case_basis": "invitation", "worker_on_case": True},
    "a stranger": {"on_case": False, "case_basis": None, "worker_on_case": False},
    "another worker": {"on_case": True, "case_basis": "mandate", "worker_on_case": False},
    "once on it": {"on_case": False, "case_basis": "mandate", "worker_on_case": True},
    "on it without a basis": {"on_case": True, "case_basis": None, "worker_on_case": True},
}
Change = Callable[[int, int], Mapping[str, Any]]  # of now and the longest a consent may last
# What the consents to one category can look like: each as what differs from a good explicit one.
CONSENTS: Mapping[str, tuple[Change, ...]] = {
    "none": (),
    "explicit": (lambda now, longest: {},),
    "plain": (lambda now, longest: {"explicit": False},),
    "pending": (lambda now, longest: {"status": "pending", "confirmed": False},),
    "unconfirmed": (lambda now, longest: {"confirmed": False},),
    "refused": (lambda now, longest: {"status": "refused"},),
    "withdrawn": (lambda now, longest: {"status": "withdrawn"},),
    "paused": (lambda now, longest: {"status": "paused"},),
    "expired": (lambda now, longest: {"valid_until": now},),
    "not yet": (lambda now, longest: {"valid_from": now + 1},),
    "longest, last second": (lambda now, longest: {"valid_from": now + 1 - longest, "valid_until": now + 1},),
    "too long": (lambda now, longest: {"valid_from": now - 1, "valid_until": now + longest},),
    "other source": (lambda now, longest: {"source": "other"},),
    "other recipient": (lambda now, longest: {"recipient": "other"},),
    "other purpose": (lambda now, longest: {"purpose": "other"},),
    "minor alone": (lambda now, longest: {"minor": True},),
    "minor with guardian, first second": (
        lambda now, longest: {"minor": True, "guardian": True, "valid_from": now},
    ),
    "several": (
        lambda now, longest: {"explicit": False, "valid_until": now + 99},
        lambda now, longest: {"id": "b"},
        lambda now, longest: {"id": "a"},
        lambda now, longest: {"id": "_", "status": "withdrawn", "valid_until": now + 200},
    ),
}
# Category i in state i modulo 18, shifted from block to block: what one category's consent does to another.
ROTATED = "rotated"
STATES = (*CONSENTS, ROTATED)
Facts = Mapping[str, tuple[ConsentFact, ...]]
_MEMBERS = tuple(field.name for field in fields(ConsentFact))


@dataclass(frozen=True)
class Block:
    """One requester, source and purpose, with every role, case and consent state that is asked."""

    variant: Variant
    kinds: tuple[str, str]
    purpose: str
    categories: tuple[str, ...]
    roles: tuple[str | None, ...]
    cases: tuple[str, ...]
    states: tuple[str, ...]
    shift: int = 0
    consented: tuple[str, ...] | None = None  # the only categories that a consent speaks of

    @property
    def vectors(self) -> int:
        return len(self.roles) * len(self.cases) * len(self.states)

    @property
    def cells(self) -> int:
        return self.vectors * len(self.categories)

    @cached_property
    def base(self) -> dict[str, Any]:
        """Return the facts that are the same in the whole block, as the policy reads them."""
        document = self.variant.document
        return {
            "agreement": self.variant.digest,
            "now": self.variant.now,
            "requester": requester_of(document, self.kinds[0]),
            "requester_status": "active",
            "requester_signed": True,
            "source": source_of(document, self.kinds[1]),
            "source_status": "active",
            "source_signed": True,
            "founding_signed": True,
            "purpose": self.purpose,
            "categories": list(self.categories),
            **self.variant.facts,
        }

    @cached_property
    def asked(self) -> Any:
        """Return the same as the oracle reads it."""
        return SimpleNamespace(**self.base)

    @cached_property
    def consents(self) -> tuple[Facts, ...]:
        """Return the consents in each state."""
        return tuple(self._facts(state) for state in self.states)

    def document(self, expected: Sequence[Sequence[Sequence[int]]], answers: Sequence[Any]) -> dict[str, Any]:
        """Return what the harness is asked; `expected` are indices of `answers`."""
        return {
            "base": self.base,
            "roles": self.roles,
            "cases": [CASES[case] for case in self.cases],
            "consents": [as_input(facts) for facts in self.consents],
            "expected": expected,
            "answers": answers,
        }

    def question(self, role: int, case: int, state: int) -> dict[str, Any]:
        """Return one question of the block, as the policy reads it."""
        return {
            **self.base,
            **CASES[self.cases[case]],
            "role": self.roles[role],
            "consents": as_input(self.consents[state]),
        }

    def words(self, role: int, case: int, state: int) -> str:
        """Say which question it is."""
        of = "" if len(self.categories) > 2 else f" of {', '.join(self.categories)}"
        return (
            f"{self.variant.name} ({self.variant.title}): {self.kinds[0]} asks {self.kinds[1]} for "
            f"{self.purpose}{of}; "
            f"role {self.roles[role] or 'none'}, on the case {self.cases[case]}, consent {self.states[state]}"
        )

    def _facts(self, state: str) -> Facts:
        order = tuple(CONSENTS)
        found = {}
        for number, category in enumerate(self.categories):
            if self.consented is not None and category not in self.consented:
                continue
            mine = order[(number + self.shift) % len(order)] if state == ROTATED else state
            if CONSENTS[mine]:
                found[category] = tuple(self._consents(category, mine))
        return found

    def _consents(self, category: str, state: str) -> Iterator[ConsentFact]:
        now, base = self.variant.now, self.base
        for number, change in enumerate(CONSENTS[state]):
            good: dict[str, Any] = {
                "id": f"c{number}",
                "category": category,
                "source": base["source"],
                "recipient": base["requester"],
                "purpose": self.purpose,
                "status": "active",
                "confirmed": True,
                "explicit": True,
                "minor": False,
                "guardian": False,
                "valid_from": now - 50,
                "valid_until": now + 50,
            }
            yield ConsentFact(**{**good, **change(now, self.variant.longest_seconds)})


def as_input(facts: Facts) -> dict[str, list[dict[str, Any]]]:
    """Return consents as the policy reads them."""
    return {
        category: [{name: getattr(fact, name) for name in _MEMBERS} for fact in each]
        for category, each in facts.items()
    }


def blocks(variants: Sequence[Variant], *, seed: int = 4) -> list[Block]:
    """Return every block of the matrix, in an order that samples all of it however early one stops."""
    named = {variant.name: variant for variant in variants}
    made = list(_whole(named["A"]))
    made += _few_categories(named["A"])
    made += [block for block in _whole(named["B"]) if _law_matters(named["A"], block)]
    made += _reduced(named["C"], (*ROLES[:3], None), _THREE_CASES, _FIVE_STATES)
    made += _reduced(named["R"], ROLES[:2], _THREE_CASES[:1], _FIVE_STATES)
    for name, variant in named.items():
        if name.startswith("D"):
            made += _reduced(variant, ROLES[:2], _TWO_CASES, ("none", "explicit"))
        elif name.startswith("M"):
            made += [
                block
                for block in _reduced(variant, ROLES[:2], _THREE_CASES[:2], _FIVE_STATES)
                if _named_in(block)
            ]
    random.Random(seed).shuffle(made)
    return made


_THREE_CASES = ("by mandate", "by invitation", "a stranger")
_TWO_CASES = ("by mandate", "a stranger")
_FIVE_STATES = ("none", "explicit", "plain", "too long", ROTATED)


def triples(variant: Variant) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield every requester kind, source kind and purpose, with one of each that does not exist."""
    kinds = (*variant.document["kinds"], NOBODY)
    for requester, source in itertools.product(kinds, repeat=2):
        for purpose in (*variant.document["purposes"], "supervision"):
            yield (requester, source), purpose


def opened(variant: Variant) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield those between which the agreement has rules."""
    for (requester, source), purpose in triples(variant):
        if variant.document["rules"].get(purpose, {}).get(requester, {}).get(source):
            yield (requester, source), purpose


def _whole(variant: Variant) -> Iterator[Block]:
    return _reduced(variant, ROLES, tuple(CASES), STATES)


def _reduced(
    variant: Variant, roles: tuple[str | None, ...], cases: tuple[str, ...], states: tuple[str, ...]
) -> Iterator[Block]:
    categories = tuple(variant.document["categories"])
    for shift, (kinds, purpose) in enumerate(triples(variant)):
        yield Block(variant, kinds, purpose, categories, roles, cases, states, shift % len(CONSENTS))


def _few_categories(variant: Variant) -> Iterator[Block]:
    """Yield single categories, and a baseline fact beside one other that alone was consented to."""
    listed = tuple(variant.document["categories"])
    for kinds, purpose in opened(variant):
        for category in listed:
            yield Block(variant, kinds, purpose, (category,), ROLES[:2], ("by mandate",), STATES)
        for fact, category in itertools.product(("perspective", "guidance", "partners"), listed):
            if fact != category:
                pair = (fact, category)
                states = ("explicit", "plain", "expired")
                yield Block(
                    variant, kinds, purpose, pair, ROLES[:2], ("by mandate",), states, consented=(category,)
                )


def _named_in(block: Block) -> bool:
    requester, source = block.kinds
    return source in block.variant.document["rules"].get(block.purpose, {}).get(requester, {})


def _law_matters(signed: Variant, block: Block) -> bool:
    requester, source = block.kinds
    rules = [
        variant.document["rules"].get(block.purpose, {}).get(requester, {}).get(source, {})
        for variant in (signed, block.variant)
    ]
    return requester in MUNICIPAL or rules[0] != rules[1]
