"""The kinds of faults that the campaign brings about: what their cells are, where they run, what is wrong."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.logs import configure_logs
from tests import postgres
from tests.faults import database, kills, replays, starts
from tests.faults.changes import CHANGES, interleaved, purpose_dropped, purpose_dropped_amid
from tests.faults.city import City, city
from tests.faults.hostile import SENT, HostileCity, answered_with, hostile_city
from tests.faults.kills import Cell
from tests.faults.parts import FAULTS, with_faults
from tests.faults.storage import FailingStorage, failing_storage
from tests.integration.town import Town, town

# Clients whose facts change at once; each is an interleaving of its own.
SCENES = 10
SCENES_AT_A_START = 25


@dataclass(frozen=True)
class Asked:
    """What the campaign was asked for."""

    seed: int
    repeats: int = 2
    on_postgres: bool = False


@dataclass
class Judged:
    """What came of one cell: sentences that should not be true, and whether its point was reached."""

    wrong: list[str]
    reached: bool = True
    runs: int = 1  # interleavings, kills, messages: what the cell counts for


@dataclass
class Lane:
    """A process of the campaign, with a database server of its own when it needs one."""

    asked: Asked
    folder: Path
    held: AsyncExitStack
    _cluster: list[postgres.Cluster] = field(default_factory=list)

    def server(self) -> postgres.Cluster:
        """Start the lane's PostgreSQL the first time."""
        if not self._cluster:
            self._cluster.append(self.held.enter_context(postgres.cluster()))
        return self._cluster[0]

    def database(self, *, shared: bool = False) -> str:
        """Make a database; "" stands for a new SQLite file."""
        return self.server().database() if shared or self.asked.on_postgres else ""


Cells = Callable[[Any, Asked], Awaitable[list[str]]]
Run = Callable[[Any, str], Awaitable[Judged]]


@dataclass(frozen=True)
class Kind:
    """One kind of fault. `batch` cells share a place, which is then made anew: ledgers grow."""

    name: str
    goal: str
    cells: Cells
    opened: Callable[[Lane], AbstractAsyncContextManager[Any]]
    run: Run
    batch: int
    postgres_only: bool = False
    counts: str = "cells"


def _repeated(cells: list[Any], times: int) -> list[str]:
    return [f"{cell}" + (f" ({turn})" if turn else "") for turn in range(times) for cell in cells]


def _cell(text: str) -> Cell:
    return Cell.read(text.partition(" (")[0])


def hush() -> None:
    """Drop what a gateway in this process logs: one that is broken a thousand times has much to say."""
    configure_logs(Path(os.devnull).open("wb"))  # noqa: SIM115  # for as long as the process lives


# --- places ------------------------------------------------------------------------------------------------


def _city(*, gateways: int = 1, wired: bool = False, shared: bool = False) -> Any:
    @asynccontextmanager
    async def opened(lane: Lane) -> AsyncIterator[City]:
        url = lane.database(shared=shared or gateways > 1)
        async with city(lane.folder, gateways=gateways, wired=wired, database_url=url) as running:
            yield running

    return opened


@asynccontextmanager
async def _town(lane: Lane) -> AsyncIterator[Town]:
    settings = {"database_url": url} if (url := lane.database()) else {}
    async with town(lane.folder, **settings) as running:
        hush()
        yield running


@asynccontextmanager
async def _storage(lane: Lane) -> AsyncIterator[FailingStorage]:
    settings = {"database_url": url} if (url := lane.database()) else {}
    async with failing_storage(lane.folder, **settings) as running:
        hush()
        yield running


@asynccontextmanager
async def _broken_server(lane: Lane) -> AsyncIterator[tuple[City, postgres.Cluster]]:
    server = lane.server()
    async with city(lane.folder, gateways=2, database_url=server.database()) as running:
        yield running, server


@asynccontextmanager
async def _hostile(lane: Lane) -> AsyncIterator[HostileCity]:
    async with hostile_city(lane.folder, lane.database()) as running:
        yield running


# --- R1 ----------------------------------------------------------------------------------------------------


async def _passed(running: City, asked: Asked) -> list[str]:
    await running.forget()
    return _repeated(await kills.cells(running), asked.repeats)


async def _passed_once(running: City, asked: Asked) -> list[str]:
    await running.forget()
    return _repeated(await kills.cells(running), 1)


async def _kill(running: City, cell: str) -> Judged:
    await running.forget()
    return Judged(*await kills.killed_at(running, _cell(cell)))


async def _kill_one_of_two(running: City, cell: str) -> Judged:
    await running.forget()
    return Judged(*await kills.one_of_two_killed_at(running, _cell(cell)))


def _seeds(number: int, *, once: bool = False) -> Cells:
    async def listed(_: Any, asked: Asked) -> list[str]:
        return [f"seed {asked.seed + turn}" for turn in range(number * (1 if once else asked.repeats))]

    return listed


async def _kill_at_random(running: City, cell: str) -> Judged:
    return Judged(*await kills.killed_at_random(running, _seed(cell)))


def _seed(cell: str) -> int:
    return int(cell.rsplit(" ", 1)[1])


# --- R2 ----------------------------------------------------------------------------------------------------


async def _calls(running: FailingStorage, _: Asked) -> list[str]:
    return [str(cell) for cell in await running.cells(hurry=False)]


async def _fail(running: FailingStorage, cell: str) -> Judged:
    return Judged(*await running.fails_at(_cell(cell), hurry=False))


# --- R4, R5 ------------------------------------------------------------------------------------------------


async def _pairs(running: Town, _: Asked) -> list[str]:
    here = [name for name, fault in FAULTS.items() if fault.fits(running)]
    # One part fails in one way at a time.
    pairs = [
        pair for pair in itertools.combinations(here, 2) if len({FAULTS[name].part for name in pair}) == 2
    ]
    return [*here, *map(" and ".join, pairs)]


async def _fail_together(running: Town, cell: str) -> Judged:
    return Judged(await with_faults(running, *cell.split(" and ")))


async def _starts(_: City, __: Asked) -> list[str]:
    pairs = [pair for pair in itertools.combinations(starts.FAULTS, 2) if set(pair) != starts.EXCLUSIVE]
    return [*starts.FAULTS, *map(" and ".join, pairs)]


async def _start(running: City, cell: str) -> Judged:
    return Judged(await starts.without(running, *cell.split(" and ")))


# --- R6 ----------------------------------------------------------------------------------------------------


async def _sent(_: HostileCity, asked: Asked) -> list[str]:
    return [f"{name}, seed {asked.seed + turn}" for turn in range(2 * asked.repeats) for name in SENT]


async def _answer(running: HostileCity, cell: str) -> Judged:
    name = cell.rpartition(", seed ")[0]
    return Judged(*await answered_with(running, SENT[name], _seed(cell)))


# --- R7 ----------------------------------------------------------------------------------------------------


async def _changed(_: Town, asked: Asked) -> list[str]:
    rounds = -(-500 * asked.repeats // SCENES)
    return [f"{name}, seed {asked.seed + turn}" for turn in range(rounds) for name in CHANGES]


async def _change(running: Town, cell: str) -> Judged:
    name = cell.rpartition(", seed ")[0]
    wrong, witness = await interleaved(running, name, _seed(cell), scenes=SCENES)
    return Judged(wrong, reached=bool(witness.evidence.answers), runs=SCENES)


async def _dropped(_: City, asked: Asked) -> list[str]:
    steps = ("record_decision", "keep_and_hand_over", "record_hand_over")
    points = [Cell(f"write exchange_recording.{step}", 1, place) for step in steps for place in kills.PLACES]
    rounds = -(-500 * asked.repeats // SCENES_AT_A_START)
    return [*map(str, points), *(f"seed {asked.seed + turn}" for turn in range(rounds))]


async def _drop(running: City, cell: str) -> Judged:
    if not cell.startswith("seed "):
        return Judged(await purpose_dropped(running, Cell.read(cell)))
    wrong, _ = await purpose_dropped_amid(running, _seed(cell), scenes=SCENES_AT_A_START)
    return Judged(wrong, runs=SCENES_AT_A_START)


# --- R8 ----------------------------------------------------------------------------------------------------


async def _ways(_: City, asked: Asked) -> list[str]:
    return _repeated(list(replays.WAYS), asked.repeats)


async def _replay(running: City, cell: str) -> Judged:
    wrong, messages = await replays.WAYS[cell.partition(" (")[0]](running)
    return Judged(wrong, reached=messages > 0, runs=messages)


# --- a database server that breaks -------------------------------------------------------------------------


async def _breaks(_: Any, asked: Asked) -> list[str]:
    seeds = range(asked.seed, asked.seed + 10 * asked.repeats)
    return [f"{name}, seed {seed}" for seed in seeds for name in database.BREAKS]


async def _break(running: tuple[City, postgres.Cluster], cell: str) -> Judged:
    name = cell.rpartition(", seed ")[0]
    return Judged(await database.broken(*running, name, _seed(cell)))


KINDS = {
    kind.name: kind
    for kind in (
        Kind("kills", "R1", _passed, _city(), _kill, 40),
        Kind("random", "R1", _seeds(150), _city(), _kill_at_random, 20),
        Kind("storage", "R2", _calls, _storage, _fail, 40),
        Kind("parts", "R4, R5", _pairs, _town, _fail_together, 30),
        Kind("starts", "R5", _starts, _city(), _start, 30),
        Kind("hostile", "R6", _sent, _hostile, _answer, 30),
        Kind("changes", "R7", _changed, _town, _change, 8, counts="interleavings"),
        Kind("purpose", "R7", _dropped, _city(), _drop, 8, counts="interleavings"),
        Kind("replays", "R8", _ways, _city(wired=True), _replay, 6, counts="messages"),
        Kind("replays-two", "R8", _ways, _city(gateways=2, wired=True), _replay, 6, True, "messages"),
        Kind("two", "R1", _passed_once, _city(gateways=2), _kill_one_of_two, 40, True),
        Kind("two-random", "R1", _seeds(50, once=True), _city(gateways=2), _kill_at_random, 20, True),
        Kind("database", "R4", _breaks, _broken_server, _break, 20, True),
    )
}
