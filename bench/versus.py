"""What a change gains: this tree's gateway against another tree's, on the same database, interleaved."""

from __future__ import annotations

from pathlib import Path

from bench.figures import Figure, percentile, ratio
from bench.load import poisson
from bench.measuring import AT_ONCE, Measuring
from bench.processes import ROOT
from bench.rounds import Round, abba, per_request, together
from bench.town import GATEWAY
from bench.workload import EXCHANGE

_RATE = 15.0


async def measure(measuring: Measuring, other: Path) -> list[Figure]:
    """Compare CPU per request and latency at a low rate, and throughput with 32 calls under way."""
    blocks = await abba(
        measuring.effort.blocks,
        lambda: _round(measuring, ROOT, "this tree"),
        lambda: _round(measuring, other, "the other tree"),
    )
    open_loop = _open(blocks)
    latencies = {
        name: ratio(
            [
                (percentile(together(a, EXCHANGE), share), percentile(together(b, EXCHANGE), share))
                for a, b in open_loop
            ]
        )
        for name, share in (("p50", 0.5), ("p99", 0.99))
    }
    cpu = [(per_request(a, GATEWAY), per_request(b, GATEWAY)) for a, b in open_loop]
    figures = [
        Figure(
            "tree",
            "gateway CPU per request, this tree ÷ the other",
            ratio(cpu),
            1.0,
            at_most=True,
            remark=f"{1000 * cpu[0][0]:.2f} ms ÷ {1000 * cpu[0][1]:.2f} ms in one block at {_RATE:.0f}/s",
        )
    ]
    figures += [Figure("tree", name, found, 1.0, at_most=True) for name, found in latencies.items()]
    speed = [(sum(r[1] for r in a), sum(r[1] for r in b)) for a, b in blocks]
    remark = f"{speed[0][0] / 2:.1f}/s ÷ {speed[0][1] / 2:.1f}/s in one block"
    what = f"throughput, {AT_ONCE} at once"
    return [*figures, Figure("tree", what, ratio(speed), 1.0, at_most=False, remark=remark)]


def _open(
    blocks: list[tuple[list[tuple[Round, float]], list[tuple[Round, float]]]],
) -> list[tuple[list[Round], list[Round]]]:
    return [([r for r, _ in a], [r for r, _ in b]) for a, b in blocks]


async def _round(measuring: Measuring, folder: Path, label: str) -> tuple[Round, float]:
    await measuring.town.restart_gateway(folder=folder)
    await measuring.closed(GATEWAY, seconds=2.0, expected_rate=120.0, label=f"{label}, warm-up")
    await measuring.town.quiet()
    arrivals = poisson(_RATE, measuring.effort.seconds, measuring.chance)
    done = await measuring.open(GATEWAY, arrivals, label=label)
    seconds = min(measuring.effort.seconds, 6.0)
    return done, await measuring.closed(
        GATEWAY, seconds=seconds, expected_rate=150.0, label=f"{label}, 32 at once"
    )
