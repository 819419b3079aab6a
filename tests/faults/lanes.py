"""Processes that run cells side by side: each opens places of its own, and sends back what it finds."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import queue
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog

from tests.faults.journal import Result
from tests.faults.kinds import KINDS, Asked, Judged, Kind, Lane, hush

_CELL_SECONDS = 300
_LOOK_SECONDS = 5
_IDLE_SECONDS = 0.1


@dataclass(frozen=True)
class Batch:
    """Cells of one kind that share a place; none: the place itself is asked which there are."""

    kind: str
    cells: tuple[str, ...]


class Lanes:
    """So many processes."""

    def __init__(self, asked: Asked, number: int) -> None:
        self._asked, self.number = asked, number
        self._context = multiprocessing.get_context("spawn")
        self._todo: Any = self._context.Queue()
        self._found: Any = self._context.Queue()
        self._processes: list[Any] = []

    def __enter__(self) -> Lanes:
        for _ in range(self.number):
            process = self._context.Process(target=_lane, args=(self._asked, self._todo, self._found))
            process.start()
            self._processes.append(process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            if error is not None:
                process.terminate()
            self._todo.put(None)
        for process in self._processes:
            process.join(60)

    def cells(self, names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
        """Ask for the cells of each kind."""
        for name in names:
            self._todo.put(Batch(name, ()))
        for _ in names:
            name, found = self._next()
            if isinstance(found, str):
                raise RuntimeError(f"{name}: its cells cannot be listed: {found}")
            yield name, found

    def run(self, batches: Sequence[Batch]) -> Iterator[Result]:
        """Run the cells, and yield each result as it comes; in no order."""
        for batch in batches:
            self._todo.put(batch)
        for _ in range(sum(len(batch.cells) for batch in batches)):
            yield self._next()

    def _next(self) -> Any:
        while True:
            try:
                return self._found.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if not all(process.is_alive() for process in self._processes):
                    raise RuntimeError("a process of the campaign has died") from None


def _lane(asked: Asked, todo: Any, found: Any) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    hush()
    # Who breaks off the campaign tells its first process, and that one tells us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(asyncio.CancelledError):
        asyncio.run(_work(asked, todo, found))


async def _work(asked: Asked, todo: Any, found: Any) -> None:
    ours = asyncio.current_task()
    assert ours is not None
    # So that no gateway and no database server outlives the campaign.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ours.cancel)
    async with AsyncExitStack() as held:
        lane = Lane(asked, Path(), held)
        while (batch := await _next(todo)) is not None:
            kind = KINDS[batch.kind]
            if not batch.cells:
                found.put((batch.kind, await _listed(kind, lane)))
                continue
            left = list(batch.cells)
            while left:
                await _together(kind, lane, left, found)


async def _next(todo: Any) -> Batch | None:
    campaign = multiprocessing.parent_process()
    while campaign is None or campaign.is_alive():
        try:
            batch: Batch | None = todo.get_nowait()
        except queue.Empty:
            await asyncio.sleep(_IDLE_SECONDS)
        else:
            return batch
    return None


async def _listed(kind: Kind, lane: Lane) -> list[str] | str:
    try:
        with tempfile.TemporaryDirectory(prefix="poort-faults-") as folder:
            lane.folder = Path(folder)
            async with kind.opened(lane) as place:
                return await kind.cells(place, lane.asked)
    except Exception as error:
        return _said(error)


async def _together(kind: Kind, lane: Lane, left: list[str], found: Any) -> None:
    """Run cells in one place, until there are none left or one of them went so wrong that it needs another.

    What only closing the place shows is said of the last cell.
    """
    last: Result | None = None
    with tempfile.TemporaryDirectory(prefix="poort-faults-", ignore_cleanup_errors=True) as folder:
        lane.folder = Path(folder)
        try:
            async with kind.opened(lane) as place:
                whole = True
                while left and whole:
                    if last is not None:
                        found.put(last)
                    last, whole = await _one(kind, place, left.pop(0))
        except Exception as error:
            if last is None:
                last = Result(kind.name, left.pop(0), [], reached=False, runs=0, seconds=0.0)
            last = replace(last, broken=f"the place: {_said(error)}")
    if last is not None:
        found.put(last)


async def _one(kind: Kind, place: Any, cell: str) -> tuple[Result, bool]:
    """Run a cell; whatever goes wrong is noted, and the campaign goes on."""
    began, children = time.monotonic(), _children(place)
    restarts = [len(child.back_after_seconds) for child in children]
    whole, broken = True, ""
    try:
        judged = await asyncio.wait_for(kind.run(place, cell), _CELL_SECONDS)
    except Exception as error:
        judged, whole, broken = Judged([], reached=False, runs=0), False, _said(error)
    back = [
        round(seconds, 3)
        for child, before in zip(children, restarts, strict=True)
        for seconds in child.back_after_seconds[before:]
    ]
    seconds = round(time.monotonic() - began, 2)
    result = Result(kind.name, cell, judged.wrong, judged.reached, judged.runs, seconds, broken, back)
    return result, whole


def _children(place: Any) -> Sequence[Any]:
    """The gateways' processes of a place."""
    city = place[0] if isinstance(place, tuple) else place
    children: Sequence[Any] = getattr(city, "children", ())
    return children


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:600]
