"""What every measurement shares: the town, the traffic, the proof, and the notes for the report."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bench.load import Call
from bench.proof import Prover, good
from bench.rounds import Effort, Round, closed_round, open_round
from bench.town import BARE, Town
from bench.workload import Workload

AT_ONCE = 32


@dataclass(slots=True)
class Measuring:
    """One run of the benchmark. Every answer of every round is proven before the next round starts."""

    town: Town
    workload: Workload
    prover: Prover
    session: aiohttp.ClientSession
    effort: Effort
    chance: random.Random
    say: Callable[[str], None]
    notes: dict[str, Any] = field(default_factory=dict)
    rounds: list[Round] = field(default_factory=list)
    # Other ways to the same source that a part brought along: variant → who makes its calls.
    routes: dict[str, Callable[[Sequence[float]], list[Call]]] = field(default_factory=dict)

    def note(self, name: str, value: object) -> None:
        """Keep something for the report."""
        self.notes[name] = value

    async def open(
        self,
        variant: str,
        arrivals: Sequence[float],
        *,
        beside: Sequence[tuple[float, Call]] = (),
        label: str = "",
        timeout_seconds: float = 30.0,
    ) -> Round:
        """Run one open-loop round of the usual mix, with other calls beside it."""
        calls = list(zip(arrivals, await self._calls(variant, arrivals), strict=True)) + list(beside)
        calls.sort(key=lambda planned: planned[0])
        done = await open_round(
            self.session,
            label or variant,
            [call for _, call in calls],
            [at for at, _ in calls],
            self.effort,
            self._pids(),
            timeout_seconds=timeout_seconds,
        )
        return await self._kept(done)

    async def closed(self, variant: str, *, seconds: float, expected_rate: float, label: str = "") -> float:
        """Run one closed-loop round with 32 calls under way; return good answers per second."""
        calls = await self._calls(variant, [seconds / 2] * int(expected_rate * seconds + AT_ONCE))
        done = await closed_round(
            self.session, label or variant, calls, self._pids(), at_once=AT_ONCE, seconds=seconds
        )
        await self._kept(done)
        return len(good(done.everything)) / done.seconds

    async def _calls(self, variant: str, arrivals: Sequence[float]) -> list[Call]:
        if variant in self.routes:
            return self.routes[variant](arrivals)
        if variant == BARE:
            return self.workload.passed(len(arrivals))
        return await self.workload.exchanges(arrivals)

    async def _kept(self, done: Round) -> Round:
        await self.prover.prove(done.everything)
        self.rounds.append(done)
        return done

    def _pids(self) -> dict[str, int]:
        fleet = self.town.fleet
        return {"generator": os.getpid()} | {name: fleet.pid(name) for name in fleet.names}
