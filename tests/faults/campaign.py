"""The whole campaign of faults, as long as it takes: `make faults`.

    python -m tests.faults.campaign [--seed N] [--repeats N] [--lanes N] [--postgresql] [--only KIND …]

kills        every point of a day at the gate × before, within its transaction, after (R1), `repeats` times
random       kill -9 twice at drawn moments, while several clients ask (R1)
storage      every call of the store × three ways to fail (R2)
parts        disk, database, policy, keys, source: each alone and every two (R4, R5)
starts       a gateway that starts without its keys or its policy, while sources fail (R5)
hostile      a source with real keys sends each thing that it may not, to a drawn share of the orders (R6)
changes      a fact changes at a drawn moment (R7)
purpose      a purpose is dropped by a newer agreement, at points and at drawn moments (R7)
replays      every message of a day again: at once, later, after a restart (R8)
replays-two  the same across two gateways
two          one of two gateways is killed at each point, and the other goes on (R1)
two-random   either of two gateways is killed at drawn moments (R1)
database     the database server is killed, or its connections are, under two gateways (R4)

The last four need PostgreSQL; `--postgresql` puts all others on it as well. Each lane is a process with
places of its own. Every cell's result is kept in var/faults/: with the same seed and options a campaign
that was broken off goes on; cells that could not be judged, as on a machine without a moment to spare, are
done again then. Prints what is wrong as it is found, then a table; ends with a code other than 0 where
anything was wrong or not judged.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests import postgres
from tests.faults.journal import Journal, Result
from tests.faults.kinds import KINDS, Asked
from tests.faults.lanes import Batch, Lanes

GOAL_BACK_SECONDS = 2.0
_JOURNALS = Path("var/faults")
_SAY_EVERY = 25


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


@dataclass
class Count:
    """What came of the cells of one kind."""

    results: list[Result] = field(default_factory=list)
    cells: int = 0

    @property
    def wrong(self) -> list[str]:
        return [sentence for result in self.results for sentence in result.wrong]

    @property
    def back_after_seconds(self) -> list[float]:
        return sorted(seconds for result in self.results for seconds in result.back_after_seconds)


@dataclass
class Campaign:
    """What was asked for, and what came of it."""

    asked: Asked
    journal: Journal
    began: float = field(default_factory=time.monotonic)
    counts: dict[str, Count] = field(default_factory=dict)

    def run(self, names: Sequence[str], lanes: Lanes) -> None:
        """Run all cells of these kinds that the journal does not hold yet."""
        self._list_cells(names, lanes)
        batches: list[Batch] = []
        for name in names:
            cells, done = self.journal.cells[name], self.journal.results[name]
            self.counts[name] = Count(list(done.values()), len(cells))
            left = [cell for cell in cells if cell not in done]
            size = max(1, min(KINDS[name].batch, -(-len(left) // lanes.number)))
            batches += [Batch(name, tuple(left[at : at + size])) for at in range(0, len(left), size)]
            before = f", {len(done)} of them before" if done else ""
            say(f"{name}: {len(cells)} cells{before}")
        # In no order: whoever breaks it off has seen some of everything.
        random.Random(self.asked.seed).shuffle(batches)
        total = sum(count.cells for count in self.counts.values())
        for result in lanes.run(batches):
            self._note(result, total)

    def _list_cells(self, names: Sequence[str], lanes: Lanes) -> None:
        unknown = [name for name in names if name not in self.journal.cells]
        for name, cells in lanes.cells(unknown):
            self.journal.keep_cells(name, cells)

    def _note(self, result: Result, total: int) -> None:
        self.journal.keep(result)
        self.counts[result.kind].results.append(result)
        for sentence in result.wrong:
            say(f"WRONG  {result.kind}: {result.cell}: {sentence}")
        if result.broken:
            say(f"BROKEN {result.kind}: {result.cell}: {result.broken}")
        done = sum(len(count.results) for count in self.counts.values())
        if done % _SAY_EVERY == 0:
            minutes, wrong = (time.monotonic() - self.began) / 60, self.violations
            say(f"{done:6} of {total} cells, {wrong} violations, {minutes:.0f} min ({result.kind})")

    @property
    def not_judged(self) -> int:
        """Count cells that were not run, or broke before anything could be said of them."""
        judged = sum(not result.broken for count in self.counts.values() for result in count.results)
        return sum(count.cells for count in self.counts.values()) - judged

    @property
    def violations(self) -> int:
        return sum(len(count.wrong) for count in self.counts.values())

    def table(self) -> str:
        """Sum up: what was run, reached and wrong, by kind."""
        rows = [("kind", "goal", "cells", "judged", "reached", "counted", "violations", "median s")]
        for name, count in self.counts.items():
            results, seconds = count.results, sorted(result.seconds for result in count.results)
            rows.append(
                (
                    name,
                    KINDS[name].goal,
                    str(count.cells),
                    str(sum(not result.broken for result in results)),
                    str(sum(result.reached for result in results)),
                    f"{sum(result.runs for result in results)} {KINDS[name].counts}",
                    str(len(count.wrong)),
                    f"{seconds[len(seconds) // 2]:.1f}" if seconds else "-",
                )
            )
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        return "\n".join(
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )

    def back(self) -> str:
        """Say how long gateways took to come back."""
        lines = []
        for name, count in self.counts.items():
            if back := count.back_after_seconds:
                late = sum(seconds > GOAL_BACK_SECONDS for seconds in back)
                lines.append(
                    f"{name}: {len(back)} restarts, back after {back[len(back) // 2]:.2f} s in the middle,"
                    f" {back[-1]:.2f} s at most; {late} above the goal of {GOAL_BACK_SECONDS:.0f} s"
                )
        return "\n".join(lines)


def chosen(only: Sequence[str]) -> list[str]:
    """Return the kinds to run; say loudly which cannot be."""
    names = list(only or KINDS)
    if postgres.binaries() is None:
        for name in [name for name in names if KINDS[name].postgres_only]:
            say(f"!!! {name} {postgres.NOT_HERE}")
            names.remove(name)
    return names


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Break the gateway on purpose.")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--repeats", type=int, default=2, help="how often each cell; 2 fill an hour")
    parser.add_argument("--lanes", type=int, default=4, help="how many processes run cells at once")
    parser.add_argument("--postgresql", action="store_true", help="in throw-away PostgreSQL clusters")
    parser.add_argument("--only", nargs="*", choices=list(KINDS), default=[])
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asked = Asked(options.seed, options.repeats, options.postgresql)
    campaign = Campaign(asked, Journal.open(_JOURNALS, asked))
    say(f"seed {asked.seed}; what was done is kept in {campaign.journal.file}")
    try:
        with Lanes(asked, options.lanes) as lanes:
            campaign.run(chosen(options.only), lanes)
    except KeyboardInterrupt:
        say("\nBroken off.")
    minutes = (time.monotonic() - campaign.began) / 60
    say(f"\n{campaign.table()}\n\n{campaign.back()}")
    said = f"{campaign.violations} violations, {campaign.not_judged} cells not judged"
    say(f"\n{said}, {minutes:.1f} min, seed {asked.seed}")
    return 1 if campaign.violations or campaign.not_judged else 0


if __name__ == "__main__":
    sys.exit(main())
