"""P3: what waiting for the disk costs, and how many waits one exchange needs."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.figures import Figure, Interval, mean, ratio
from bench.measuring import AT_ONCE, Measuring
from bench.postgres import waits_for_the_disk
from bench.rounds import abba
from bench.town import GATEWAY

_GOALS = {"throughput": 0.9, "fsyncs": 0.25}
_CALLS = "fsync,fdatasync,sync_file_range"
_COUNTED = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(?:fsync|fdatasync)\s*$", re.MULTILINE)


async def measure(measuring: Measuring) -> list[Figure]:
    """Measure P3 with 32 calls under way; the same gateway, restarted with and without durable commits."""
    seconds, rate = measuring.effort.counted_seconds, 60.0

    async def run(durable: bool) -> float:
        await _restart(measuring, durable=durable)
        await measuring.closed(GATEWAY, seconds=2.0, expected_rate=rate, label="P3 warm-up")
        label = "P3 durable" if durable else "P3 not durable"
        return await measuring.closed(GATEWAY, seconds=seconds, expected_rate=2 * rate, label=label)

    blocks = await abba(measuring.effort.blocks, lambda: run(True), lambda: run(False))
    await _restart(measuring, durable=True)
    durable = [rate for a, _ in blocks for rate in a]
    without = [rate for _, b in blocks for rate in b]
    figures = [
        Figure(
            "P3",
            f"throughput, durable ÷ not durable, {AT_ONCE} at once",
            ratio([(sum(a), sum(b)) for a, b in blocks]),
            _GOALS["throughput"],
            at_most=False,
            remark=f"{mean(durable).value:.1f}/s ÷ {mean(without).value:.1f}/s",
        )
    ]
    counted = await _fsyncs(measuring, seconds)
    if counted is None:
        measuring.say("P3: strace is not here or may not look, so nobody counted the fsyncs")
        return figures
    figures.append(
        Figure(
            "P3",
            f"fsyncs per answer, {AT_ONCE} at once",
            counted,
            _GOALS["fsyncs"],
            at_most=True,
            unit="",
            remark="every answer left after the COMMIT that holds its entry; counted by the kernel",
        )
    )
    return figures


async def _restart(measuring: Measuring, *, durable: bool) -> None:
    await measuring.town.restart_gateway(*(() if durable else ("-m", "bench.undurable")))


async def _fsyncs(measuring: Measuring, seconds: float) -> Interval | None:
    """Count over a few closed-loop rounds of their own: whoever is traced is slowed down."""
    per_answer: list[float] = []
    for _ in range(measuring.effort.blocks):
        before = len(measuring.rounds)
        async with _counting(measuring) as counted:
            await measuring.closed(GATEWAY, seconds=seconds, expected_rate=120.0, label="P3 fsyncs")
        if not counted:
            return None
        answers = sum(1 for one in measuring.rounds[before].everything if one.status)
        per_answer.append(counted[0] / max(answers, 1))
    return mean(per_answer)


@asynccontextmanager
async def _counting(measuring: Measuring) -> AsyncIterator[list[int]]:
    """Fill the list with the number of times that the gateway (or its database) waited for the disk."""
    counted: list[int] = []
    town = measuring.town
    if not town.database_url.startswith("sqlite"):
        before = await waits_for_the_disk(town.database_url)
        yield counted
        counted.append(await waits_for_the_disk(town.database_url) - before)
        return
    strace = shutil.which("strace")
    if strace is None:
        yield counted
        return
    table = town.folder / "fsyncs"
    tracer = await asyncio.create_subprocess_exec(
        *(strace, "-f", "-c", "-e", f"trace={_CALLS}", "-o", str(table), "-p", str(town.fleet.pid(GATEWAY))),
        stderr=asyncio.subprocess.DEVNULL,
    )
    await asyncio.sleep(0.5)
    yield counted
    if tracer.returncode is None:
        tracer.send_signal(signal.SIGINT)
        await tracer.wait()
        counted += _count(table)


def _count(table: Path) -> list[int]:
    found = [int(calls) for calls in _COUNTED.findall(table.read_text())]
    return [sum(found)] if found else []
