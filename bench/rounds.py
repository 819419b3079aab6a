"""One round: so many seconds of traffic at one rate, with what each process spent on it.

Rounds of two variants alternate A B B A, so that whatever changes slowly on the machine changes for both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp

from bench.figures import percentile
from bench.load import Call, Sample, closed_loop, open_loop
from bench.processes import cpu_seconds, machine_seconds
from bench.proof import good

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how often to measure."""

    blocks: int  # of A B B A
    seconds: float  # per round, warm-up included
    warm_up_seconds: float

    @property
    def counted_seconds(self) -> float:
        """The part of a round that counts."""
        return self.seconds - self.warm_up_seconds


@dataclass(slots=True)
class Round:
    """What one round showed; `samples` are those after the warm-up."""

    variant: str
    samples: list[Sample] = field(repr=False)
    everything: list[Sample] = field(repr=False)
    cpu: dict[str, float]  # process → seconds, over the whole round
    machine: float  # CPU seconds of the whole machine, over the whole round
    seconds: float

    def latencies(self, *kinds: str) -> list[float]:
        """Return the latencies of good answers of these kinds, in seconds."""
        return [one.latency for one in good(self.samples) if one.call.kind in kinds]

    def cpu_per_request(self, *processes: str) -> float:
        """Return CPU seconds of these processes per good answer, all kinds of the mix together."""
        return sum(self.cpu[name] for name in processes) / max(len(good(self.everything)), 1)

    @property
    def foreign(self) -> float:
        """CPU seconds per second that somebody else's processes took meanwhile."""
        return max(self.machine - sum(self.cpu.values()), 0.0) / self.seconds

    def as_json(self) -> dict[str, Any]:
        """Keep a round for later: all latencies, in tenths of milliseconds."""
        kinds = sorted({one.call.kind for one in self.samples})
        return {
            "variant": self.variant,
            "seconds": round(self.seconds, 3),
            "cpu_seconds": {name: round(used, 3) for name, used in self.cpu.items()},
            "foreign_cpu_share": round(self.foreign, 3),
            "lag_p99_ms": round(1000 * percentile([one.lag for one in self.everything], 0.99), 2),
            "failures": _failures(self.everything),
            "latencies_0.1ms": {k: sorted(round(x * 10_000) for x in self.latencies(k)) for k in kinds},
        }


def _failures(samples: Sequence[Sample]) -> dict[str, int]:
    found: dict[str, int] = {}
    kept = {id(one) for one in good(samples)}
    for one in samples:
        if id(one) not in kept:
            why = one.failure or str(one.status)
            found[why] = found.get(why, 0) + 1
    return found


class Stopwatch:
    """Reads the CPU time of processes over a round. The generator is one of them."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._before = self._now()
        self._machine = machine_seconds()

    def _now(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self._pids.items()}

    def stop(self) -> tuple[dict[str, float], float]:
        """Return CPU seconds per process, and of the whole machine."""
        machine = machine_seconds() - self._machine
        return {name: used - self._before[name] for name, used in self._now().items()}, machine


async def open_round(
    session: aiohttp.ClientSession,
    variant: str,
    calls: Sequence[Call],
    arrivals: Sequence[float],
    effort: Effort,
    pids: dict[str, int],
    *,
    timeout_seconds: float = 30.0,
) -> Round:
    """Run one open-loop round."""
    watch = Stopwatch(pids)
    samples = await open_loop(session, calls, arrivals, timeout_seconds=timeout_seconds)
    cpu, machine = watch.stop()
    first = min(one.intended_at for one in samples)
    seconds = max(one.done_at for one in samples) - first
    counted = [one for one in samples if one.intended_at - first >= effort.warm_up_seconds]
    return Round(variant, counted, samples, cpu, machine, seconds)


async def closed_round(
    session: aiohttp.ClientSession,
    variant: str,
    calls: Sequence[Call],
    pids: dict[str, int],
    *,
    at_once: int,
    seconds: float,
) -> Round:
    """Run one closed-loop round: only its throughput means anything."""
    watch = Stopwatch(pids)
    samples, took = await closed_loop(session, calls, at_once=at_once, seconds=seconds, timeout_seconds=30.0)
    cpu, machine = watch.stop()
    return Round(variant, samples, samples, cpu, machine, took)


async def abba(
    blocks: int, first: Callable[[], Awaitable[T]], second: Callable[[], Awaitable[T]]
) -> list[tuple[list[T], list[T]]]:
    """Run two variants alternately; return each block's rounds of the first and of the second."""
    done: list[tuple[list[T], list[T]]] = []
    for _ in range(blocks):
        a1, b1, b2, a2 = await first(), await second(), await second(), await first()
        done.append(([a1, a2], [b1, b2]))
    return done


def together(rounds: Sequence[Round], *kinds: str) -> list[float]:
    """Pool the latencies of several rounds."""
    return [latency for one in rounds for latency in one.latencies(*kinds)]


def per_request(rounds: Sequence[Round], *processes: str) -> float:
    """Return CPU seconds of these processes per good answer, over several rounds."""
    used = sum(one.cpu[name] for one in rounds for name in processes)
    return used / max(sum(len(good(one.everything)) for one in rounds), 1)
