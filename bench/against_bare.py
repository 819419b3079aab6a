"""P1: a whole exchange against a bare pass-through with one durable commit, before the same source."""

from __future__ import annotations

import json
import math
import os
import signal

from bench.figures import Figure, percentile, ratio
from bench.load import poisson
from bench.measuring import Measuring
from bench.proof import good
from bench.rounds import Round, abba, per_request, together
from bench.town import BARE, GATEWAY
from bench.workload import EXCHANGE, PASSED

_GOALS = {"cpu": 2.0, "p50": 1.5, "p99": 2.0}


async def measure(measuring: Measuring) -> list[Figure]:
    """Measure P1 at half of the smaller capacity, the same rate for both."""
    bare, whole = await capacity(measuring, BARE), await capacity(measuring, GATEWAY)
    rate = 0.5 * min(bare, whole)
    measuring.say(f"P1: capacity bare {bare:.0f}/s, whole exchange {whole:.0f}/s; compared at {rate:.0f}/s")
    measuring.note("capacity_per_second", {BARE: bare, GATEWAY: whole})
    measuring.note("p1_rate_per_second", rate)

    blocks = await abba(
        measuring.effort.blocks,
        lambda: round_at(measuring, GATEWAY, rate),
        lambda: round_at(measuring, BARE, rate),
    )
    measuring.note("p1_profile", await _profile(measuring, rate))
    cpu = ratio([(per_request(a, GATEWAY), per_request(b, BARE)) for a, b in blocks])
    p50, p99 = (
        ratio([(percentile(together(a, EXCHANGE), q), percentile(together(b, PASSED), q)) for a, b in blocks])
        for q in (0.5, 0.99)
    )
    wholes, bares = [r for a, _ in blocks for r in a], [r for _, b in blocks for r in b]
    return [
        Figure(
            "P1",
            "gateway CPU per request, whole exchange ÷ bare pass-through",
            cpu,
            _GOALS["cpu"],
            True,
            remark=f"{1000 * per_request(wholes, GATEWAY):.2f} ms ÷ {1000 * per_request(bares, BARE):.2f} ms",
        ),
        Figure("P1", "p50", p50, _GOALS["p50"], True, remark=_compared(wholes, bares, 0.5)),
        Figure("P1", "p99", p99, _GOALS["p99"], True, remark=_compared(wholes, bares, 0.99)),
    ]


async def capacity(measuring: Measuring, variant: str) -> float:
    """Find how many good answers per second come with 32 calls under way."""
    await measuring.closed(variant, seconds=1.0, expected_rate=250.0)
    return await measuring.closed(variant, seconds=measuring.effort.counted_seconds, expected_rate=250.0)


async def round_at(measuring: Measuring, variant: str, rate: float, *, label: str = "") -> Round:
    """Run one open-loop round of a variant."""
    arrivals = poisson(rate, measuring.effort.seconds, measuring.chance)
    return await measuring.open(variant, arrivals, label=label)


async def _profile(measuring: Measuring, rate: float) -> dict[str, float]:
    """Find out what the gateway's CPU time goes to, in a round of its own: milliseconds per answer."""
    town = measuring.town
    file = town.folder / "profile.json"
    await town.restart_gateway("-m", "bench.profiled", str(file))
    await measuring.closed(GATEWAY, seconds=2.0, expected_rate=250.0, label="P1 profile, warm-up")
    os.kill(town.fleet.pid(GATEWAY), signal.SIGUSR1)
    answers = len(good((await round_at(measuring, GATEWAY, rate, label="P1 profile")).everything))
    await town.restart_gateway()
    return {part: 1000 * spent / answers for part, spent in json.loads(file.read_text()).items()}


def _compared(wholes: list[Round], bares: list[Round], share: float) -> str:
    of_whole, of_bare = together(wholes, EXCHANGE), together(bares, PASSED)
    if math.isnan(percentile(of_whole, share)):
        return ""
    return (
        f"{1000 * percentile(of_whole, share):.1f} ms ÷ {1000 * percentile(of_bare, share):.1f} ms,"
        f" {len(of_whole)} and {len(of_bare)} samples"
    )
