"""R1: how soon a gateway that was killed is back, from the start of its process to 200 at /readyz."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.figures import Figure, mean
from bench.measuring import Measuring
from bench.processes import MEASURED_CORE
from bench.town import GATEWAY, Town

_GOALS = {"quiet": 1.0, "busy": 2.0}
_STARTS = 4  # per block and variant


async def measure(measuring: Measuring) -> list[Figure]:
    """Kill the gateway and start it on its database, by turns alone and beside a process without rest."""
    quiet, busy = list[float](), list[float]()
    for _ in range(_STARTS * measuring.effort.blocks):
        quiet.append(await _back(measuring.town))
        with _no_core_at_rest(measuring.town):
            busy.append(await _back(measuring.town))
    measuring.note("start_seconds", {"quiet": quiet, "busy": busy})
    return [
        _figure("on a quiet machine", quiet, _GOALS["quiet"]),
        _figure("with another process computing on the same core", busy, _GOALS["busy"]),
    ]


async def _back(town: Town) -> float:
    os.kill(town.fleet.pid(GATEWAY), signal.SIGKILL)
    town.fleet.stop(GATEWAY)
    began = time.monotonic()
    await asyncio.to_thread(town.fleet.start, town.gateway())
    return time.monotonic() - began


@contextmanager
def _no_core_at_rest(town: Town) -> Iterator[None]:
    cores = {MEASURED_CORE} if town.fleet.pinned else os.sched_getaffinity(0)
    computing = [subprocess.Popen((sys.executable, "-c", "while True: pass")) for _ in cores]
    try:
        for process, core in zip(computing, sorted(cores), strict=True):
            os.sched_setaffinity(process.pid, {core})
        yield
    finally:
        for process in computing:
            process.kill()
            process.wait()


def _figure(where: str, seconds: list[float], goal: float) -> Figure:
    remark = f"slowest of {len(seconds)}: {max(seconds):.2f} s"
    return Figure(
        "R1", f"kill -9 to ready, {where}", mean(seconds), goal, at_most=True, unit="s", remark=remark
    )
