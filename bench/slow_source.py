"""P9: what one hanging source does to the others. The gateway has to answer for IND while DT&V hangs."""

from __future__ import annotations

from bench.figures import Figure, percentile, ratio
from bench.load import poisson
from bench.measuring import Measuring
from bench.rounds import Round, abba, together
from bench.town import GATEWAY
from bench.workload import EXCHANGE

_GOAL = 1.2
_HUNG_SHARE = 0.2
_HANGING = "dtv-adapter"


async def measure(measuring: Measuring) -> list[Figure]:
    """Measure P9: the healthy sources' p99 with a fifth of all traffic beside it to a hung source."""
    healthy_rate = 0.35 * float(measuring.notes.get("capacity_per_second", {}).get(GATEWAY, 30.0))
    hung_rate = healthy_rate * _HUNG_SHARE / (1 - _HUNG_SHARE)
    effort, fleet = measuring.effort, measuring.town.fleet

    async def well() -> Round:
        await measuring.town.quiet()
        arrivals = poisson(healthy_rate, effort.seconds, measuring.chance)
        return await measuring.open(GATEWAY, arrivals, label="P9 all well")

    async def hung() -> Round:
        await measuring.town.quiet()
        arrivals = poisson(healthy_rate, effort.seconds, measuring.chance)
        stuck = poisson(hung_rate, effort.seconds, measuring.chance)
        calls = await measuring.workload.hung(stuck)
        fleet.hang(_HANGING)
        try:
            return await measuring.open(
                GATEWAY, arrivals, beside=list(zip(stuck, calls, strict=True)), label="P9 one hangs"
            )
        finally:
            fleet.go_on(_HANGING)

    blocks = await abba(effort.blocks, hung, well)
    hangs, wells = [r for a, _ in blocks for r in a], [r for _, b in blocks for r in b]
    before, after = (1000 * percentile(together(rounds, EXCHANGE), 0.99) for rounds in (wells, hangs))
    lost = sum(1 for r in hangs for s in r.samples if s.call.kind == EXCHANGE and s.status != 200)
    return [
        Figure(
            "P9",
            "p99 of a healthy source while another hangs on 20 % of the traffic",
            ratio(
                [
                    (percentile(together(a, EXCHANGE), 0.99), percentile(together(b, EXCHANGE), 0.99))
                    for a, b in blocks
                ]
            ),
            _GOAL,
            at_most=True,
            remark=f"{after:.0f} ms ÷ {before:.0f} ms at {healthy_rate:.0f}/s; {lost} healthy ones failed",
        )
    ]
