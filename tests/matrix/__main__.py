"""Compare both engines with the oracle on the whole matrix, and see that faulty policies are caught.

    python -m tests.matrix [--only matrix|properties|mutants] [--seconds N]

Exit codes: 0 all agreed, 1 something differed or survived, 3 there is no OPA here and no Go to build it with.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests import opa
from tests.matrix import mutants
from tests.matrix.agreements import variants
from tests.matrix.engines import EngineFailed
from tests.matrix.run import WORKERS, matrix, on_every_processor, removal
from tests.matrix.space import blocks
from tests.matrix.totals import Totals, say

PARTS = ("matrix", "properties", "mutants")
_A_DAY = 86_400.0


def main() -> int:
    arguments = argparse.ArgumentParser(
        description="Ask both engines everything, and compare with the oracle."
    )
    arguments.add_argument("--only", choices=PARTS, action="append", help="this part; may be given again")
    arguments.add_argument("--seconds", type=float, default=_A_DAY, help="stop each part after so long")
    chosen = arguments.parse_args()
    found = opa.find()
    if found is None:
        say(f"THE MATRIX {opa.NOT_HERE}")
        return 3
    say(f"{_machine()}; {WORKERS} workers; {_commit()}")
    began, held = time.monotonic(), True
    parts: dict[str, Callable[[Path, float], bool]] = {
        "matrix": compared,
        "properties": removed,
        "mutants": hunted,
    }
    for part in chosen.only or PARTS:
        try:
            held = parts[part](found, chosen.seconds) and held
        except EngineFailed as error:
            say(f"{part}: an engine failed: {error}")
            held = False
    say(f"\n{'ALL HELD' if held else 'NOT ALL HELD'}, in {time.monotonic() - began:.0f} s")
    return 0 if held else 1


def compared(opa_binary: Path, seconds: float) -> bool:
    """Run the matrix and print what was counted."""
    every = variants()
    made = blocks(every)
    whole = {each.name: sum(b.cells for b in made if b.variant.name == each.name) for each in every}
    vectors = sum(block.vectors for block in made)
    say(f"\nMatrix: {sum(whole.values()):,} cells in {vectors:,} questions, on each engine.")
    progress = _Progress(
        lambda totals: f"{_of(totals.cells, 'wasm'):,} of {sum(whole.values()):,} cells on both engines"
    )
    totals = on_every_processor(matrix, opa_binary, seconds, progress)
    say(f"\n{'agreement':<40}{'cells':>14}{'on Wasm':>14}{'on OPA':>14}")
    for each in every:
        wasm, server = totals.cells[f"{each.name} wasm"], totals.cells[f"{each.name} opa"]
        say(f"{each.name:<4}{each.title:<36}{whole[each.name]:>14,}{wasm:>14,}{server:>14,}")
    cells = {name: _of(totals.cells, name) for name in ("wasm", "opa")}
    say(f"{'':<4}{'all':<36}{sum(whole.values()):>14,}{cells['wasm']:>14,}{cells['opa']:>14,}")
    asked = {name: _of(totals.vectors, name) for name in ("wasm", "opa")}
    say(f"questions: {asked['wasm']:,} on Wasm, {asked['opa']:,} on OPA")
    say(f"of them also singly on the product's own engine: {totals.vectors['product']:,}")
    say(
        "outcomes of distinct answers: " + ", ".join(f"{n} {c:,}" for n, c in sorted(totals.outcomes.items()))
    )
    _print_end(totals)
    if any(count != vectors for count in asked.values()):
        say("not the whole matrix: it was told to stop early")
    return totals.held


def removed(opa_binary: Path, seconds: float) -> bool:
    """Take single facts away and print what was counted."""
    say("\nProperties: each single fact taken from what is permitted.")
    progress = _Progress(lambda totals: f"{totals.removals['removals wasm']:,} removals on both engines")
    totals = on_every_processor(removal, opa_binary, seconds, progress)
    for name, count in sorted(totals.removals.items()):
        say(f"{name}: {count:,}")
    _print_end(totals)
    return totals.held


def hunted(opa_binary: Path, seconds: float) -> bool:
    """Seed faults into the policy and print how many are caught."""
    say("\nMutants: policies with one seeded fault each.")
    progress = _Progress(
        lambda totals: f"{sum(totals.mutants.values()):,} faults, {len(totals.survivors)} survive"
    )
    return mutants.shown(opa_binary, seconds, progress)


class _Progress:
    """Says now and then how far it is."""

    def __init__(self, words: Callable[[Totals], str], every_seconds: float = 10.0) -> None:
        self._words, self._every, self._last, self._began = (
            words,
            every_seconds,
            time.monotonic(),
            time.monotonic(),
        )

    def __call__(self, totals: Totals) -> None:
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            trouble = totals.differences + totals.broken
            say(f"  {now - self._began:4.0f} s  {self._words(totals)}; {trouble} differences")


def _print_end(totals: Totals) -> None:
    say(
        "CPU seconds: " + ", ".join(f"{name} {took:.0f}" for name, took in sorted(totals.cpu_seconds.items()))
    )
    for words in totals.words:
        say(words)
    say(f"differences: {totals.differences:,}; properties broken: {totals.broken:,}")


def _of(counted: dict[str, int], engine: str) -> int:
    return sum(count for name, count in counted.items() if name.endswith(f" {engine}"))


def _machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"


def _commit() -> str:
    root = Path(__file__).resolve().parents[2]
    asked = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    return f"commit {told.stdout.strip()}" if told.returncode == 0 else "no commit"


if __name__ == "__main__":
    sys.exit(main())
