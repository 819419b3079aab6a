"""From what is permitted, each single fact taken away or said otherwise: each must release nothing."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.matrix.agreements import Variant
from tests.matrix.compare import expect
from tests.matrix.properties import LONGEST_SECONDS
from tests.matrix.space import Block, blocks

_EACH = 12
_WITH_GUARDIAN = "minor with guardian, first second"


def permitted_alone(every: Sequence[Variant]) -> Iterator[Block]:
    """Yield blocks of one question for one category, permitted; as many of each requester and ground."""
    seen: Counter[tuple[str, str, str]] = Counter()
    for block in blocks(every):
        if len(block.categories) < 3 or "explicit" not in block.states:
            continue
        first = replace(block, roles=block.roles[:1], cases=block.cases[:1], states=("explicit",))
        if expect(first).at(0, 0, 0)["refusal"] is not None:
            continue
        for category, role, case in itertools.product(block.categories, block.roles[:2], block.cases[:2]):
            alone = replace(block, categories=(category,), roles=(role,), cases=(case,))
            single = replace(alone, states=("none",))
            ground = _ground(single)
            if ground is None:
                given = _WITH_GUARDIAN if sum(seen.values()) % 3 == 0 else "explicit"
                single = replace(alone, states=(given,))
                ground = _ground(single)
            key = (block.variant.name, block.kinds[0], str(ground))
            if ground is not None and seen[key] < _EACH:
                seen[key] += 1
                yield single
                break


def of(single: Block) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield in words and as a question: one fact gone, or otherwise."""
    question, (category,), ground = single.question(0, 0, 0), single.categories, _ground(single)
    consents = question["consents"].get(category)
    for name, value in question.items():
        if name == "consents" and not consents:
            continue
        without = copy.deepcopy(question)
        del without[name]
        yield f"without {name}", without
        for other in _otherwise(name, value):
            yield f"with {name} {other!r}", {**copy.deepcopy(question), name: other}
    if not consents:
        return
    for name in consents[0]:
        if name == "explicit" and ground != "explicit_consent":
            continue  # an ordinary category needs no explicit yes
        without = copy.deepcopy(question)
        del without["consents"][category][0][name]
        yield f"with a consent without {name}", without
        for other in _of_consent(name, consents[0], question["now"]):
            bent = copy.deepcopy(question)
            bent["consents"][category][0][name] = other
            yield f"with a consent's {name} {other!r}", bent


def _ground(single: Block) -> str | None:
    (decision,) = expect(single).at(0, 0, 0)["decisions"].values()
    ground: str | None = decision["ground"]
    return ground


def _otherwise(name: str, value: Any) -> Iterator[Any]:
    if name == "now":
        yield from (0, 9_007_199_254_740_991, str(value), None)
    elif name == "consents":
        yield from ({}, [], None)
    elif name == "categories":
        yield from ([], None, "")
    elif name == "case_basis":
        yield from ("other", None, True)
    elif isinstance(value, bool):
        yield from (not value, None, str(value).lower(), 1)
    else:
        yield from ("other", "", None, True, 1)


def _of_consent(name: str, consent: Mapping[str, Any], now: int) -> Iterator[Any]:
    value = consent[name]
    if name == "id":
        yield from (None, 1)
    elif name == "valid_from":
        yield from (now + 1, 0, str(value), None)
    elif name == "valid_until":
        yield from (now, now + LONGEST_SECONDS + 1, str(value), None)
    elif (name, value) in (("minor", True), ("guardian", False)):
        yield from (None, str(value).lower(), 1)  # an adult may have a guardian
    elif isinstance(value, bool):
        yield from (not value, None, str(value).lower(), 1)
    else:
        yield from ("other", "", None, True, 1)
