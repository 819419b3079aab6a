"""P4 and P5: what a decision costs as consents and agreements grow a hundred and a thousand times.

Only the part that reads them is measured, in this process: in a whole exchange it is a tenth, and any growth
of it would drown. Single decisions alternate in small batches A B B A; per block the medians are compared.
"""

from __future__ import annotations

import asyncio
import copy
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from adapters.kit.register import agreement_digest
from bench.crowd import ASKED, COVERED, Crowded, crowded, gateway_here
from bench.figures import Figure, percentile, ratio
from bench.measuring import Measuring
from bench.processes import ROOT, BenchFailed, Program
from bench.rounds import abba
from bench.sidecar import opa_program
from gateway import facts, release
from gateway.cli.stack import free_ports
from gateway.cli.world import IND, PURPOSE, VW
from gateway.clock import system_clock
from gateway.ledger.proofs import ledger_size
from gateway.policy.asking import ask_policy
from gateway.policy.hypothetical import Asked, question_about_nobody
from gateway.policy.rego import base_document, document
from gateway.policy.wasm import WasmEngine, verified_module
from gateway.stages import Exchange, Ordered

if TYPE_CHECKING:
    from gateway.policy.port import Question
    from gateway.services import Services

_ANALYSE = text("ANALYZE consents, consent_grants")
Decide = Callable[[], Awaitable[None]]
# Decides once, and says how many seconds that took.
Timed = Callable[[], Awaitable[float]]

# How many times as much as the smallest → the goal.
_CONSENTS = {100: 1.1, 10_000: 1.25}
_ROWS = {100: 1.1, 1_000: 1.25}
# So short a thing is measured often, and by turns: what else the machine does changes within a second.
_CALLS_PER_BATCH = 5
_BATCHES = 12
_BLOCKS_PER_BLOCK = 8
# The agreement's rules for one purpose between one pair; the limit of 8 MB leaves room for a thousand such.
_PAIR = (PURPOSE, "ngo", "ind")


async def consents(measuring: Measuring) -> list[Figure]:
    """Measure P4: the facts and the policy of a request, and of its hand-over, for a client with many."""
    apart = measuring.town.database_url.startswith("sqlite")
    # On PostgreSQL part of the work is another process's: there the time itself counts, else ours of the CPU.
    clock = time.process_time if apart else time.perf_counter
    async with gateway_here(measuring.town) as services:
        before, measured = await services.store.read(ledger_size), {}
        for count in (1, *_CONSENTS):
            # Numbers that nobody else in the town has.
            one = await crowded(services, f"88{count:08d}", count)
            measured[count] = _timed(_exchange_of(services, one), clock)
            await _refuse_unlike(services, one)
        if not apart:
            # As the server itself does within a minute: until then plans stand that were made for few rows.
            await services.store.write(lambda tx: tx.conn.execute(_ANALYSE).rowcount)
            # Their cases stand in the ledger that all answers are counted in.
            measuring.prover.book.began_at += await services.store.read(ledger_size) - before
        what = "facts and policy, at the request and at the hand-over, {:,} × the consents"
        return [
            await _compare(measuring, ("P4", what.format(times)), measured[times], measured[1], goal)
            for times, goal in _CONSENTS.items()
        ]


async def rows(measuring: Measuring) -> list[Figure]:
    """Measure P5: one decision under agreements of 16 rules, a hundred and a thousand times as many."""
    agreements = {times: grown(times) for times in (1, *_ROWS)}
    sizes = {times: len(json.dumps(agreement)) / 1e6 for times, agreement in agreements.items()}
    figures = []
    async with _engines(measuring, agreements) as engines:
        for engine, timed in engines.items():
            for times, goal in _ROWS.items():
                what = f"one decision ({engine}), {times:,} × the rules"
                figure = await _compare(measuring, ("P5", what), timed(times), timed(1), goal)
                remark = f"{16 * times:,} rules ({sizes[times]:.1f} MB) ÷ 16; {figure.remark}"
                figures.append(replace(figure, remark=remark))
    return figures


async def _compare(
    measuring: Measuring, named: tuple[str, str], larger: Timed, smaller: Timed, goal: float
) -> Figure:
    async def batch(timed: Timed) -> list[float]:
        return [await timed() for _ in range(_CALLS_PER_BATCH)]

    medians = []
    for _ in range(_BLOCKS_PER_BLOCK * measuring.effort.blocks):
        batches = await abba(_BATCHES, lambda: batch(larger), lambda: batch(smaller))
        of_larger = [taken for first, _ in batches for each in first for taken in each]
        of_smaller = [taken for _, second in batches for each in second for taken in each]
        medians.append((percentile(of_larger, 0.5), percentile(of_smaller, 0.5)))
    above, below = (1000 * percentile([pair[side] for pair in medians], 0.5) for side in (0, 1))
    remark = f"p50 {above:.2f} ms ÷ {below:.2f} ms"
    return Figure(*named, ratio(medians), goal, at_most=True, remark=remark)


def _timed(decide: Decide, clock: Callable[[], float]) -> Timed:
    async def timed() -> float:
        began = clock()
        await decide()
        return clock() - began

    return timed


def _exchange_of(services: Services, one: Crowded) -> Decide:
    exchange = _ordered(services, one)

    async def decide() -> None:
        now = services.clock()
        known = await services.store.look_up(
            lambda conn: facts.gather_for_request(conn, services, one.request)
        )
        await ask_policy(services.engine, facts.question(services, known, one.request, now=now))
        await release.recheck(services, exchange, now=now)

    return decide


async def _refuse_unlike(services: Services, one: Crowded) -> None:
    """Fail unless all that is asked for is permitted at both moments: else another thing is measured."""
    exchange, now = _ordered(services, one), services.clock()
    permit = await release.recheck(services, exchange, now=now)
    known = await services.store.look_up(lambda conn: facts.gather_for_request(conn, services, one.request))
    verdict = await ask_policy(services.engine, facts.question(services, known, one.request, now=now))
    if len(verdict.permitted) != len(ASKED) or permit.permitted != frozenset(ASKED):
        raise BenchFailed(f"a client with {one.consents} consents is not answered like the others")


def _ordered(services: Services, one: Crowded) -> Exchange:
    """Make the exchange of such a request, as it waits for its hand-over."""
    ordered = {name: Ordered("baseline", None) for name in ASKED if name != COVERED}
    ordered[COVERED] = Ordered("consent", one.ordered)
    request = one.request
    return Exchange(
        id=request.jti,
        requester=request.party,
        worker_id=request.worker.id,
        worker_role=request.worker.role.value,
        request_jti=request.jti,
        purpose=request.purpose,
        source=request.source,
        categories=request.categories,
        subject="",
        client_id=one.client_id,
        state="answered",
        agreement_digest=services.agreement.digest,
        ordered=ordered,
        order_jws=None,
        order_digest=None,
        attestation_sealed=None,
        failure=None,
        created_at=request.signed_at,
        expires_at=request.expires_at,
        ledger_index=0,
    )


def grown(times: int) -> dict[str, Any]:
    """Return an agreement with so many times sixteen rules: the same pair's, for purposes that are added."""
    agreement: dict[str, Any] = json.loads((ROOT / "policies" / "agreement" / "agreement.json").read_bytes())
    purpose, asks, gives = _PAIR
    table = agreement["rules"][purpose][asks][gives]
    row = agreement["purposes"][purpose]
    names = [purpose, *(f"purpose_{number}" for number in range(1, times))]
    agreement["purposes"] = dict.fromkeys(names, row)
    agreement["rules"] = {name: {asks: {gives: copy.deepcopy(table)}} for name in names}
    return agreement


@asynccontextmanager
async def _engines(
    measuring: Measuring, agreements: Mapping[int, Mapping[str, Any]]
) -> AsyncIterator[dict[str, Callable[[int], Timed]]]:
    """Yield what decides: the compiled policy in this process and, where it can be had, OPA beside it."""
    digests = {times: agreement_digest(agreement) for times, agreement in agreements.items()}
    by_digest = {digests[times]: agreement for times, agreement in agreements.items()}
    wasm = WasmEngine(verified_module(ROOT / "policies" / "build", ROOT / "policies"), by_digest)
    questions = {times: _question(digest) for times, digest in digests.items()}

    def in_process(times: int) -> Timed:
        async def decide() -> None:
            if len((await wasm.decide(questions[times])).permitted) != len(ASKED):
                raise BenchFailed("the compiled policy does not permit what it should")

        return _timed(decide, time.process_time)

    binary = await asyncio.to_thread(opa_program)
    if binary is None:
        measuring.say("P5: OPA cannot be had here, so only the compiled policy was measured")
        yield {"Wasm": in_process}
        return
    ports = dict(zip(agreements, free_ports(len(agreements)), strict=True))
    fleet, folder = measuring.town.fleet, measuring.town.folder
    programs = [
        _program(binary, folder / f"rows-{times}.json", ports[times], {digests[times]: agreements[times]})
        for times in agreements
    ]

    def beside(times: int) -> Timed:
        url = f"http://127.0.0.1:{ports[times]}/v1/data/dossier/decision?metrics=true"
        body = json.dumps({"input": document(questions[times])}).encode()

        async def timed() -> float:
            async with measuring.session.post(url, data=body) as answer:
                said = await answer.json()
            outcomes = [one["outcome"] for one in said["result"]["decisions"].values()]
            if outcomes != ["permitted"] * len(ASKED):
                raise BenchFailed("OPA does not permit what it should")
            # By OPA's own clock, without the way there and back.
            return float(said["metrics"]["timer_server_handler_ns"]) / 1e9

        return timed

    await asyncio.to_thread(fleet.start, *programs)
    try:
        yield {"Wasm": in_process, "OPA": beside}
    finally:
        fleet.stop(*(program.name for program in programs))


def _question(digest: str) -> Question:
    return question_about_nobody(
        digest, Asked(VW, IND, PURPOSE, ASKED, "caseworker"), "consent", system_clock()
    )


def _program(binary: str, data: Path, port: int, agreements: Mapping[str, Mapping[str, object]]) -> Program:
    data.write_text(json.dumps(base_document(agreements)))
    rego = [str(path) for path in (ROOT / "policies").glob("*.rego") if not path.stem.endswith("_test")]
    address = f"127.0.0.1:{port}"
    options = ("--skip-version-check", "--log-level", "error", "--optimize-store-for-read-speed")
    return Program(
        f"opa-{data.stem}",
        (binary, "run", "--server", *options, "--addr", address, *rego, str(data)),
        f"http://{address}/health",
        measured=True,
    )
