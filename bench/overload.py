"""P10: what is left of the goodput when three times too much comes, and how fast the rest is told so."""

from __future__ import annotations

from bench.figures import Figure, mean, percentile
from bench.load import Sample, poisson
from bench.measuring import Measuring
from bench.proof import good
from bench.rounds import Round
from bench.town import GATEWAY

_GOALS = {"goodput": 0.9, "shed": 50.0}
# An answer that comes later than this after its intended start is of no use to who waits at a desk.
_USEFUL_SECONDS = 2.0
_TIMES = 3.0
_STEPS = (0.7, 0.9, 1.1)


async def measure(measuring: Measuring) -> list[Figure]:
    """Measure P10; the best goodput is looked for from 0.7 to 1.1 of the closed-loop capacity."""
    capacity = measuring.notes.get("capacity_per_second", {}).get(GATEWAY)
    if capacity is None:
        capacity = await measuring.closed(GATEWAY, seconds=5.0, expected_rate=60.0)
    pairs: list[tuple[float, float]] = []
    shed: list[Sample] = []
    late = lost = 0
    for _ in range(measuring.effort.blocks):
        steps = _STEPS if measuring.effort.blocks > 1 else _STEPS[1:2]
        best = max([await _goodput_at(measuring, step * capacity, "P10 best") for step in steps])
        over = await _round(measuring, _TIMES * best, "P10 overload")
        pairs.append((_goodput(over), best))
        shed += [one for one in over.samples if one.shed]
        late += sum(1 for one in good(over.samples) if one.latency > _USEFUL_SECONDS)
        lost += sum(1 for one in over.samples if not one.status)
        await measuring.town.quiet(within_seconds=120.0)
    told = [1000 * one.latency for one in shed]
    figures = [
        Figure(
            "P10",
            "goodput at 3 × overload ÷ best goodput",
            mean([over / best for over, best in pairs]),
            _GOALS["goodput"],
            at_most=False,
            remark=f"{mean([over for over, _ in pairs]).value:.1f}/s"
            f" ÷ {mean([best for _, best in pairs]).value:.1f}/s within {_USEFUL_SECONDS:.0f} s;"
            f" shed {len(shed)}, late {late}, without an answer {lost}",
        )
    ]
    if told:
        figures.append(
            Figure(
                "P10",
                "p99 of the answers that were shed",
                mean([percentile(told, 0.99)]),
                _GOALS["shed"],
                at_most=True,
                unit="ms",
                remark=f"{len(told)} answers of 503 `overloaded`",
            )
        )
    else:
        measuring.say("P10: nothing was shed, so nobody was told quickly")
    return figures


async def _goodput_at(measuring: Measuring, rate: float, label: str) -> float:
    found = _goodput(await _round(measuring, rate, label))
    await measuring.town.quiet(within_seconds=120.0)
    return found


async def _round(measuring: Measuring, rate: float, label: str) -> Round:
    seconds = min(measuring.effort.seconds, 15.0)
    arrivals = poisson(rate, seconds, measuring.chance)
    return await measuring.open(GATEWAY, arrivals, label=label, timeout_seconds=60.0)


def _goodput(done: Round) -> float:
    """Return good answers in time, per second of planned traffic after the warm-up."""
    planned = [one.intended_at for one in done.samples]
    useful = [one for one in good(done.samples) if one.latency <= _USEFUL_SECONDS]
    return len(useful) / (max(planned) - min(planned))
