"""What a run counted, and how it is told."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import partial

SHOWN = 20


def say(text: str) -> None:
    """Print it at once: a run takes minutes, and is followed."""
    print(text, flush=True)  # noqa: T201


@dataclass
class Totals:
    """What was done; adds up over workers."""

    blocks: int = 0
    cells: Counter[str] = field(default_factory=Counter)  # (variant, engine) as "A wasm"
    vectors: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    removals: Counter[str] = field(default_factory=Counter)
    mutants: Counter[str] = field(default_factory=Counter)
    survivors: list[str] = field(default_factory=list)
    cpu_seconds: dict[str, float] = field(default_factory=partial(defaultdict, float))
    differences: int = 0
    broken: int = 0
    words: list[str] = field(default_factory=list)

    def add(self, other: Totals) -> None:
        self.blocks += other.blocks
        for mine, theirs in (
            (self.cells, other.cells),
            (self.vectors, other.vectors),
            (self.outcomes, other.outcomes),
            (self.removals, other.removals),
            (self.mutants, other.mutants),
        ):
            mine.update(theirs)
        for name, took in other.cpu_seconds.items():
            self.cpu_seconds[name] += took
        self.survivors += other.survivors
        self.differences += other.differences
        self.broken += other.broken
        self.words += other.words[: max(0, SHOWN - len(self.words))]

    def say(self, words: str) -> None:
        if len(self.words) < SHOWN:
            self.words.append(words)

    @property
    def held(self) -> bool:
        """Nothing differed, and something was asked."""
        return not self.differences and not self.broken and bool(self.vectors or self.removals)
