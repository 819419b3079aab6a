"""The whole campaign of faults, as long as it takes: `make faults`.

    python -m tests.faults.campaign [--seed N] [--repeats N] [--database URL] [--only KIND …]

kills    every point of a day at the gate × before, within its transaction, after (R1), `repeats` times
random   kill -9 at moments that the seed draws (R1)
storage  every call of the store × three ways to fail (R2)
parts    disk, policy, source: each alone and every two (R4, R5)
changes  a fact changes at a drawn moment; the purpose is dropped at each point (R7)

Prints its seed, a line per cell that is wrong, and a summary; ends with the number of wrong cells.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gateway.logs import configure_logs
from tests.faults.changes import CHANGES, interleaved, purpose_dropped
from tests.faults.city import City, city
from tests.faults.kills import Cell, cells, day, killed_at
from tests.faults.parts import FAULTS, with_faults
from tests.faults.storage import failing_storage
from tests.faults.witness import impatient
from tests.integration.town import town

GOAL_BACK_SECONDS = 2.0
_LONGEST_DAY_SECONDS = 4.0


@dataclass
class Campaign:
    """What was asked for, and what came of it."""

    seed: int
    repeats: int
    database: str
    run_cells: int = 0
    wrong: list[str] = field(default_factory=list)
    back_after_seconds: list[float] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {"POORT_DATABASE_URL": self.database} if self.database else {}

    def say(self, text: str) -> None:
        print(text, flush=True)  # noqa: T201

    async def cell(self, name: str, run: Callable[[], Awaitable[list[str]]]) -> None:
        """Run one cell; whatever goes wrong is noted, and the campaign goes on."""
        self.run_cells += 1
        try:
            found = await run()
        except Exception as error:
            found = [f"the cell itself: {type(error).__name__}: {error}"]
        self.wrong += [f"{name}: {sentence}" for sentence in found]
        for sentence in found:
            self.say(f"WRONG  {name}: {sentence}")
        if self.run_cells % 25 == 0:
            self.say(f"       {self.run_cells} cells, {len(self.wrong)} wrong")

    def note_restarts(self, running: City) -> None:
        """Remember how long the gateway took to come back; its first start is none."""
        self.back_after_seconds += running.child.back_after_seconds[1:]


async def kills(campaign: Campaign, folder: Path) -> None:
    """R1: every point × every place."""
    async with city(folder, **campaign.environment) as running:
        every = await cells(running)
        campaign.say(f"kills: {len(every)} cells x {campaign.repeats}")
        for _ in range(campaign.repeats):
            for cell in every:

                async def run(cell: Cell = cell) -> list[str]:
                    return (await killed_at(running, cell))[0]

                await campaign.cell(f"kill {cell}", run)
        campaign.note_restarts(running)


async def random_kills(campaign: Campaign, folder: Path) -> None:
    """R1: at moments that nobody chose."""
    draw = random.Random(campaign.seed)
    moments = [draw.uniform(0, _LONGEST_DAY_SECONDS) for _ in range(100 * campaign.repeats)]
    campaign.say(f"random kills: {len(moments)}")
    async with city(folder, **campaign.environment) as running:
        for moment in moments:

            async def run(moment: float = moment) -> list[str]:
                async with impatient(running.child.environment["POORT_DATABASE_URL"]):
                    living = asyncio.create_task(day(running.town))
                    await asyncio.sleep(moment)
                    running.child.kill()
                    witness, _ = await living
                return await witness.conclude()

            await campaign.cell(f"random kill after {moment:.3f} s", run)
        campaign.note_restarts(running)


async def storage(campaign: Campaign, folder: Path) -> None:
    """R2: every call × three ways."""
    settings = {"database_url": campaign.database} if campaign.database else {}
    async with failing_storage(folder, **settings) as running:
        _hush()
        every = await running.cells(hurry=False)
        campaign.say(f"storage: {len(every)} cells")
        for cell in every:

            async def run(cell: Cell = cell) -> list[str]:
                return (await running.fails_at(cell, hurry=False))[0]

            await campaign.cell(f"storage {cell}", run)


async def parts(campaign: Campaign, folder: Path) -> None:
    """R4 and R5: singly and in pairs; SQLite, whose disk can be filled by a pragma."""
    groups = [*itertools.combinations(FAULTS, 1), *itertools.combinations(FAULTS, 2)]
    campaign.say(f"parts: {len(groups)} cells")
    async with town(folder) as running:
        _hush()
        for names in groups:

            async def run(names: tuple[str, ...] = names) -> list[str]:
                return await with_faults(running, *names)

            await campaign.cell(" and ".join(names), run)


async def changes(campaign: Campaign, folder: Path) -> None:
    """R7: many interleavings of each change; then the newer agreement at each point."""
    rounds = 40 * campaign.repeats
    campaign.say(f"changes: {len(CHANGES)} x {rounds}, and a purpose that is dropped")
    async with town(folder / "town") as running:
        _hush()
        for name, number in itertools.product(CHANGES, range(rounds)):

            async def run(name: str = name, seed: int = campaign.seed + number) -> list[str]:
                return (await interleaved(running, name, seed))[0]

            await campaign.cell(f"{name}, seed {campaign.seed + number}", run)
    steps = ("record_decision", "keep_answer", "record_hand_over")
    for step, place in itertools.product(steps, ("before", "within", "after")):
        point = Cell(f"write exchange_recording.{step}", 1, place)

        async def drop(point: Cell = point) -> list[str]:
            with tempfile.TemporaryDirectory() as fresh:
                async with city(Path(fresh)) as running:
                    return await purpose_dropped(running, point)

        await campaign.cell(f"the purpose dropped at {point}", drop)


def _hush() -> None:
    """Drop what a gateway in this process logs: one that is broken a thousand times has much to say."""
    configure_logs(Path(os.devnull).open("wb"))  # noqa: SIM115  # for as long as the process lives


KINDS = {"kills": kills, "random": random_kills, "storage": storage, "parts": parts, "changes": changes}


async def run(campaign: Campaign, only: list[str]) -> int:
    """Run what was asked for; return how many cells are wrong."""
    began = time.monotonic()
    for name in only or list(KINDS):
        with tempfile.TemporaryDirectory(prefix="poort-faults-") as folder:
            await KINDS[name](campaign, Path(folder))
    campaign.say(
        f"\n{campaign.run_cells} cells in {time.monotonic() - began:.0f} s,"
        f" {len(campaign.wrong)} sentences wrong (seed {campaign.seed})"
    )
    if back := sorted(campaign.back_after_seconds):
        late = sum(seconds > GOAL_BACK_SECONDS for seconds in back)
        campaign.say(
            f"{len(back)} restarts: back after {statistics.median(back):.2f} s in the middle,"
            f" {back[-1]:.2f} s at most; {late} above the goal of {GOAL_BACK_SECONDS:.0f} s"
        )
    return len(campaign.wrong)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Break the gateway on purpose.")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--database", default="", help="an empty PostgreSQL database; SQLite if not given")
    parser.add_argument("--only", nargs="*", choices=list(KINDS), default=[])
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    campaign = Campaign(asked.seed, asked.repeats, asked.database)
    campaign.say(f"seed {campaign.seed}")
    return min(asyncio.run(run(campaign, asked.only)), 100)


if __name__ == "__main__":
    sys.exit(main())
