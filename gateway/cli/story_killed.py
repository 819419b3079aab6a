"""The step that only two gateways can show: one is killed, the other goes on with the same request."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from adapters.protocol import Role
from adapters.requester import GatewayUnreachable
from gateway.cli.facts import Asked, Facts, StepFailed
from gateway.cli.served import calls_answered
from gateway.cli.world import (
    EVERYTHING,
    IND,
    PURPOSE,
    VW,
    World,
    expect_baseline_only,
    persona,
    worker_of,
)

# For a call to reach the gateway and to be waiting there.
_UNDER_WAY_SECONDS = 0.5
_ANSWER = "POST /v1/orders/{id}/answer"


async def lose_a_gateway(world: World) -> Facts:
    """Kill the gateway that holds a caller's request, and follow the request through the other one."""
    if world.kill_gateway is None or len(world.gateways) < 2:
        raise StepFailed("there is no second gateway")
    facts, vw, asking = world.take_notes(), world.vluchtelingenwerk, worker_of(VW, Role.CASEWORKER)
    first, second = world.gateways
    log = world.deployment.folder / "logs" / f"{second}.log"
    brought_before = calls_answered(log)[_ANSWER]
    prepared = vw.prepare(
        persona("chaltu"), purpose=PURPOSE, source=IND, categories=EVERYTHING, worker=asking
    )
    began = time.monotonic()
    sent = await vw.send(prepared, wait_seconds=0)
    asked = Asked(
        VW,
        asking,
        IND,
        PURPOSE,
        tuple(map(str, EVERYTHING)),
        time.monotonic() - began,
        sent,
        None,
        f"about Chaltu, at {first}",
    )
    facts.tell(asked)
    repeated = await world.desk.send(prepared, wait_seconds=0)
    facts.check(
        repeated.id == sent.id, f"the same bytes again, at {second}: the same request, not a second one"
    )

    waiting = asyncio.create_task(vw.send(prepared, wait_seconds=20))
    await asyncio.sleep(_UNDER_WAY_SECONDS)
    status = world.kill_gateway(first)
    lost = (await asyncio.gather(waiting, return_exceptions=True))[0]
    facts.check(
        status < 0 and isinstance(lost, GatewayUnreachable),
        f"kill -9: {first} is gone, and with it the call in which VluchtelingenWerk waited for the answer",
    )
    # Nobody is told where to go: the library tries the other address that it was given.
    again = await vw.send(prepared, wait_seconds=0)
    facts.check(
        (again.id, again.state) == (sent.id, "forwarded"),
        f"VluchtelingenWerk asks once more and meets {second}, which knows the request: it is at IND",
    )
    world.waiting("Waiting for the person at IND, who takes some seconds")
    exchange = await vw.follow(sent.id, patience_seconds=60)
    dossier = await vw.open(exchange, source=IND) if exchange.answer is not None else None
    late = replace(
        asked, exchange=exchange, dossier=dossier, seconds=time.monotonic() - began, later=True, remark=""
    )
    facts.tell(late)
    expect_baseline_only(facts, late)
    facts.check(
        calls_answered(log)[_ANSWER] > brought_before,
        f"IND's adapter, which had always called at {first}, brought its answer to {second}",
    )
    await world.prove(VW, exchange.id)
    fresh = await world.ask(facts, VW, world.amina, EVERYTHING, remark=f"anew, at {second}")
    expect_baseline_only(facts, fresh)
    facts.values |= {"killed": first, "exit_status": status, "request": sent.id}
    return facts
