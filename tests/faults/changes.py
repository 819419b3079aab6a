"""R7: facts change at any moment of an exchange, while others ask and fetch; nothing forbidden leaves after.

`tests/integration/promises/test_race.py` makes each change before each database call of a lone request.
Here several callers run at once and the moment is drawn; what is judged is judged by `invariants`.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from adapters.kit.register import agreement_digest, sign_agreement
from adapters.protocol import ClientIdentifier, Role
from gateway import parties
from gateway.cli.cast import PARTIES
from gateway.cli.provision import Deployment
from gateway.cli.world import PURPOSE, VW, worker_of
from tests.faults.city import City
from tests.faults.invariants import Answered, Consent
from tests.faults.kills import ASKED, CONSENTED
from tests.faults.witness import Witness
from tests.integration.promises.people import someone
from tests.integration.town import Town

_CALLERS = 3
_CALLS = 4
_LONGEST_SECONDS = 0.25
_BEYOND_SECONDS = 3600
MANAGER, JURIST = worker_of(VW, Role.CASEMANAGER), worker_of(VW, Role.CASEWORKER)


@dataclass
class Scene:
    """A client on whose case VluchtelingenWerk is, and the consent that some of it rests on."""

    witness: Witness
    client: ClientIdentifier
    case: str
    consent: Consent

    @property
    def town(self) -> Town:
        return self.witness.town


async def _withdraw(scene: Scene) -> None:
    await scene.witness.withdraw(scene.consent)


async def _expire(scene: Scene) -> None:
    # The consent itself says until when; the evidence holds it against the moment in each entry.
    scene.town.clock.ahead_seconds = _BEYOND_SECONDS


async def _suspend(scene: Scene) -> None:
    services, now = scene.town.services, scene.town.clock()
    index = await services.store.write(
        lambda tx: parties.set_status(tx, services.vault, VW, "suspended", now=now)
    )
    scene.witness.ended("a suspension", index)


async def _restore(scene: Scene) -> None:
    endings = scene.witness.evidence.endings
    endings[:] = [replace(ending, until=await scene.witness.checkpoint()) for ending in endings]
    await scene.town.set_status(VW, "active")


async def _remove_worker(scene: Scene) -> None:
    path = f"/v1/cases/{scene.case}/workers/{JURIST.id}/removal"
    await scene.town.call(VW, "POST", path, {"worker": MANAGER})
    size = await scene.witness.checkpoint()
    scene.witness.ended("the removal of the worker", size, worker=JURIST.id, client=scene.client.value)


async def _leave(scene: Scene) -> None:
    await scene.town.world.vluchtelingenwerk.leave_case(scene.case, worker=MANAGER)
    size = await scene.witness.checkpoint()
    scene.witness.ended("a departure", size, client=scene.client.value)


CHANGES: dict[str, Callable[[Scene], Awaitable[None]]] = {
    "a withdrawal": _withdraw,
    "the end of a consent": _expire,
    "a suspension": _suspend,
    "the removal of the worker": _remove_worker,
    "a departure": _leave,
}


async def interleaved(town: Town, name: str, seed: int) -> tuple[list[str], Witness]:
    """Let callers ask and fetch while one fact changes, at moments that the seed draws."""
    draw = random.Random(seed)
    witness = Witness(town)
    await witness.arrive()
    client = someone()
    case = await town.open_case(client)
    until = int(time.time()) + _BEYOND_SECONDS
    scene = Scene(witness, client, case, await witness.consent(client, CONSENTED, valid_until=until))

    requests = [witness.prepare(client, ASKED) for _ in range(_CALLERS)]

    async def call(number: int, pauses: list[float]) -> None:
        prepared, request = requests[number]
        for pause in pauses:
            seen = await witness.send(prepared, request)
            await asyncio.sleep(pause)
            if isinstance(seen, Answered):
                await witness.get(request, seen.exchange)

    async def change(after: float) -> None:
        await asyncio.sleep(after)
        await CHANGES[name](scene)

    pauses = [[draw.uniform(0, _LONGEST_SECONDS) for _ in range(_CALLS)] for _ in range(_CALLERS)]
    calls = [asyncio.create_task(call(number, each)) for number, each in enumerate(pauses)]
    try:
        await change(draw.uniform(0, 2 * _LONGEST_SECONDS))
        await asyncio.gather(*calls)
    finally:
        if name == "a suspension":
            await _restore(scene)
    # Each call once more, for its last word, while the change stands (or the suspension is over).
    for prepared, request in requests:
        await witness.insist(partial(witness.send, prepared, request))
    town.clock.ahead_seconds = 0
    return await witness.conclude(), witness


# --- a newer agreement ---------------------------------------------------------------------------------


def sign_newer_agreement(deployment: Deployment, *, without_purpose: str) -> None:
    """Write an agreement without a purpose, signed by all, over what every process starts from."""
    folders = [holder.deployment_folder for holder in deployment.holders.values()]
    agreement = json.loads((folders[0] / "agreement.json").read_text())
    agreement["purposes"].pop(without_purpose)
    agreement["rules"].pop(without_purpose)
    digest = agreement_digest(agreement)
    now = int(time.time())
    signatures = {
        party.id: sign_agreement(
            key=deployment[party.id].keystore().signing("identity"), party=party.id, digest=digest, now=now
        )
        for party in PARTIES
    }
    for folder in folders:
        register = json.loads((folder / "register.json").read_text())
        register["agreement"] = digest
        (folder / "register.json").write_text(json.dumps(register))
        (folder / "agreement.json").write_text(json.dumps(agreement))
        for party, signature in signatures.items():
            (folder / f"signatures/{party}.jws").write_text(signature)


async def purpose_dropped(city: City, point: Any) -> list[str]:
    """Drop the purpose at a point of an exchange: gateway and adapters start again with the newer agreement.

    The gateway is killed at the point; whoever waited comes back, and must get nothing for that purpose.
    """
    witness = Witness(city.town)
    await witness.arrive()
    client = someone()
    await city.town.open_case(client)
    await witness.consent(client, CONSENTED)
    prepared, request = witness.prepare(client, ASKED)
    city.child.stays_down = True
    city.child.arm(name=point.name, nth=point.nth, place=point.place)
    await witness.send(prepared, request)
    city.child.kill()
    assert city.child.process is not None
    city.child.process.wait(20)
    sign_newer_agreement(city.town.deployment, without_purpose=PURPOSE)
    await city.restart_adapters()
    await city.child.start()
    # Nobody asks before this: whatever is recorded from here on stands on the newer agreement.
    witness.ended("the purpose was dropped", await witness.checkpoint(), purpose=PURPOSE)
    again = await witness.send(prepared, request, wait_seconds=1)
    if isinstance(again, Answered):
        await witness.get(request, again.exchange)
    wrong = await witness.conclude()
    # That nothing more comes of it is right here; what is wrong is only what came.
    return [one for one in wrong if "never got an answer" not in one and "failed for good" not in one]
