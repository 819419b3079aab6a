"""One block: what the oracle expects, and where an engine does not say so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tests.contract.oracle import Answer, Reading
from tests.matrix.engines import RESULT, SAID, Batch, EngineFailed, batch_input
from tests.matrix.space import CASES, Block

Expectation = list[list[list[int]]]


@dataclass(frozen=True)
class Expected:
    """The oracle's answers to a block; `where[role][case][state]` is an index of `answers`."""

    where: Expectation
    answers: tuple[Answer, ...]

    def at(self, role: int, case: int, state: int) -> Answer:
        return self.answers[self.where[role][case][state]]


def expect(block: Block) -> Expected:
    """Ask the oracle the whole block. What the agreement alone refuses it answers once."""
    reading = Reading(block.variant.document if block.variant.held else {}, block.asked)
    refused = reading.refused()
    if refused is not None:
        row = [[0] * len(block.states)] * len(block.cases)
        return Expected([row] * len(block.roles), (refused,))
    known: dict[bytes, int] = {}
    same: dict[int, int] = {}  # the oracle gives strangers one object
    answers: list[Answer] = []
    where: Expectation = []
    for role in block.roles:
        by_case: list[list[int]] = []
        for case in block.cases:
            indices = []
            for consents in block.consents:
                said = reading.answered(role=role, consents=consents, **CASES[case])
                index = same.get(id(said))
                if index is None:
                    index = known.setdefault(orjson.dumps(said), len(answers))
                    if index == len(answers):
                        answers.append(said)
                        same[id(said)] = index
                indices.append(index)
            by_case.append(indices)
        where.append(by_case)
    return Expected(where, tuple(answers))


@dataclass(frozen=True)
class Difference:
    """One question that an engine answers otherwise than the oracle."""

    engine: str
    block: Block
    at: tuple[int, int, int]
    expected: Answer
    found: Any

    def words(self) -> str:
        """Say which question, and the first few members in which the answers differ."""
        lines = [f"{self.engine}: {self.block.words(*self.at)}"]
        for place, right, found in list(_apart(self.expected, self.found))[:4]:
            lines.append(f"    {place}: the oracle says {right!r}, the engine {found!r}")
        return "\n".join(lines)


def asked_of(block: Block, expected: Expected) -> bytes:
    """Return the block as both engines read it."""
    return batch_input(block.document(expected.where, expected.answers))


def differing(engine: Batch, block: Block, asked: bytes) -> list[tuple[int, int, int]]:
    """Return which questions the engine answers otherwise; raise EngineFailed unless it answered all."""
    result = engine.ask(RESULT, asked)
    if not isinstance(result, dict) or result.get("asked") != block.vectors:
        raise EngineFailed(
            f"{engine.name} was asked {block.vectors} questions and answered {str(result)[:200]}"
        )
    return [(role, case, state) for role, case, state in result["differences"]]


def explained(engine: Batch, block: Block, expected: Expected, at: tuple[int, int, int]) -> Difference:
    """Ask one question again for what the engine says to it."""
    found = engine.ask(SAID, batch_input({"question": block.question(*at)}))
    return Difference(engine.name, block, at, expected.at(*at), found)


def _apart(expected: Any, found: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for name in sorted(expected.keys() | found.keys()):
            yield from _apart(
                expected.get(name, "(absent)"), found.get(name, "(absent)"), f"{place}.{name}".lstrip(".")
            )
    elif expected != found:
        yield place or "answer", expected, found
