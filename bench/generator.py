"""Show that the generator is not what is measured: twice the highest rate, at a server that does nothing."""

from __future__ import annotations

import asyncio

from bench.figures import percentile
from bench.load import Call, open_loop, poisson
from bench.measuring import Measuring
from bench.processes import Program, python
from gateway.cli.stack import free_ports

_SECONDS = 5.0
# Beyond this the latencies of the other rounds would partly be the generator's own.
_P99_SECONDS = 0.02


async def prove(measuring: Measuring) -> None:
    """Note whether the generator is late at twice the highest rate that was asked of it."""
    highest = max(
        (len(one.everything) / one.seconds for one in measuring.rounds if one.seconds > 1), default=50.0
    )
    rate = 2 * highest
    (port,) = free_ports(1)
    fleet = measuring.town.fleet
    noop = Program("noop", python("-m", "bench.noop", str(port)), f"http://127.0.0.1:{port}/", measured=True)
    await asyncio.to_thread(fleet.start, noop)
    try:
        arrivals = poisson(rate, _SECONDS, measuring.chance)
        call = Call(f"http://127.0.0.1:{port}/", {"Content-Type": "application/json"}, b"{}" * 2048, "noop")
        samples = await open_loop(measuring.session, [call] * len(arrivals), arrivals, timeout_seconds=10.0)
    finally:
        fleet.stop("noop")
    counted = [one for one in samples if one.intended_at - samples[0].intended_at > 1.0]
    p50, p99 = (1000 * percentile([one.latency for one in counted], q) for q in (0.5, 0.99))
    failed = sum(one.status != 200 for one in samples)
    measuring.note("generator", {"rate": rate, "p50_ms": p50, "p99_ms": p99, "failed": failed})
    measuring.say(
        f"generator: {rate:.0f}/s at a server that does nothing: p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    )
    if failed or p99 > 1000 * _P99_SECONDS:
        measuring.say("the generator itself is late on this machine, now: latencies above are an upper bound")
        measuring.note("generator_is_late", True)
