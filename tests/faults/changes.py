"""R7: facts change at any moment of an exchange, while others ask and fetch; nothing forbidden leaves after.

`tests/integration/promises/test_race.py` makes each change before each database call of a lone request.
Here several callers run at once and the moment is drawn; what is judged is judged by `invariants`.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from adapters.kit.register import agreement_digest, sign_agreement
from adapters.protocol import ClientIdentifier, Role
from gateway import parties
from gateway.cli.cast import PARTIES
from gateway.cli.provision import AGREEMENT, Deployment
from gateway.cli.world import PURPOSE, VW, worker_of
from tests.faults.city import City
from tests.faults.invariants import Answered, Consent
from tests.faults.kills import ASKED, CONSENTED
from tests.faults.witness import Witness
from tests.integration.promises.people import someone
from tests.integration.town import Town

_CALLERS = 3
_CALLS = 3
_LONGEST_PAUSE_SECONDS = 0.25
_LONGEST_CHANGE_SECONDS = 0.5
# Longer than a run takes, and short enough that a request signed before it is still fresh (300 s).
_BEYOND_SECONDS = 200
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
FOR_ALL = ("the end of a consent", "a suspension")


async def interleaved(town: Town, name: str, seed: int, *, scenes: int = 1) -> tuple[list[str], Witness]:
    """Let callers ask and fetch while one fact changes, at moments that the seed draws.

    `scenes` clients at once, each with callers and a moment of its own; what changes for all changes once.
    """
    draw = random.Random(seed)
    witness = Witness(town)
    await witness.arrive()
    playing = await asyncio.gather(*(_scene(witness) for _ in range(scenes)))
    requests = [witness.prepare(scene.client, ASKED) for scene in playing for _ in range(_CALLERS)]
    # One of them is answered before anything changes: so there is something to be had.
    await witness.insist(partial(witness.send, *requests[0]))
    calls = [asyncio.create_task(_calls(witness, *each, _pauses(draw))) for each in requests]
    changing = playing[:1] if name in FOR_ALL else playing
    moments = [draw.uniform(0, _LONGEST_CHANGE_SECONDS) for _ in changing]
    try:
        changes = zip(changing, moments, strict=True)
        await asyncio.gather(*(_later(after, CHANGES[name], scene) for scene, after in changes))
        await asyncio.gather(*calls)
    finally:
        if name == "a suspension":
            await _restore(playing[0])
    # Each call once more, for its last word, while the change stands (or the suspension is over).
    for prepared, request in requests:
        await witness.insist(partial(witness.send, prepared, request))
    town.clock.ahead_seconds = 0
    return await witness.conclude(), witness


async def _scene(witness: Witness) -> Scene:
    client = someone()
    case = await witness.until_done(lambda: witness.town.open_case(client))
    until = int(time.time()) + _BEYOND_SECONDS
    return Scene(witness, client, case, await witness.consent(client, CONSENTED, valid_until=until))


def _pauses(draw: random.Random) -> list[float]:
    return [draw.uniform(0, _LONGEST_PAUSE_SECONDS) for _ in range(_CALLS)]


async def _calls(
    witness: Witness,
    prepared: Any,
    request: Any,
    pauses: list[float],
    over: asyncio.Event | None = None,
) -> None:
    for pause in pauses:
        await asyncio.sleep(pause)
        if over is not None and over.is_set():
            return
        seen = await witness.send(prepared, request)
        if isinstance(seen, Answered) and (over is None or not over.is_set()):
            await witness.get(request, seen.exchange)


async def _later(after: float, change: Callable[[Scene], Awaitable[None]], scene: Scene) -> None:
    await asyncio.sleep(after)
    await change(scene)


# --- a newer agreement ---------------------------------------------------------------------------------


def sign_newer_agreement(deployment: Deployment, *, without_purpose: str | None) -> None:
    """Write an agreement without a purpose, signed by all, over what every process starts from.

    With `without_purpose=None` it is the first one again.
    """
    folders = [holder.deployment_folder for holder in deployment.holders.values()]
    agreement = json.loads(AGREEMENT.read_bytes())
    if without_purpose is not None:
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
    """Drop the purpose at a point of an exchange: the gateway is killed there, and all start anew."""
    witness = Witness(city.town)
    await witness.arrive()
    scene = await _scene(witness)
    prepared, request = witness.prepare(scene.client, ASKED)
    city.child.stays_down = True
    city.child.arm(name=point.name, nth=point.nth, place=point.place)
    await witness.send(prepared, request)
    return await _dropped(city, witness, [(prepared, request)])


async def purpose_dropped_amid(city: City, seed: int, *, scenes: int) -> tuple[list[str], Witness]:
    """Drop the purpose at a moment that the seed draws, while callers of many clients ask and fetch."""
    draw = random.Random(seed)
    witness = Witness(city.town)
    await witness.arrive()
    playing = await asyncio.gather(*(_scene(witness) for _ in range(scenes)))
    requests = [witness.prepare(scene.client, ASKED) for scene in playing]
    over = asyncio.Event()  # from here on nobody asks, until the newer agreement is in force
    calls = [asyncio.create_task(_calls(witness, *each, _pauses(draw), over)) for each in requests]
    await asyncio.sleep(draw.uniform(0, 2 * _LONGEST_CHANGE_SECONDS))
    over.set()
    return await _dropped(city, witness, requests, calls), witness


async def _dropped(
    city: City, witness: Witness, requests: Sequence[Any], calls: Sequence[asyncio.Task[None]] = ()
) -> list[str]:
    """Start all with the newer agreement: whoever waited comes back, and must get nothing. Then undo it."""
    city.child.end()
    sign_newer_agreement(city.town.deployment, without_purpose=PURPOSE)
    try:
        await city.restart()
        # Nobody asks before this: whatever is recorded from here on stands on the newer agreement.
        witness.ended("the purpose was dropped", await witness.checkpoint(), purpose=PURPOSE)
        await asyncio.gather(*calls)
        # Whoever heard nothing, or that there is trouble, comes back until it is told what became of it.
        asking = [partial(witness.send, *each, wait_seconds=1) for each in requests]
        await asyncio.gather(*(witness.insist(ask, even_open=True) for ask in asking))
        wrong = await witness.conclude()
    finally:
        sign_newer_agreement(city.town.deployment, without_purpose=None)
        await city.restart()
    # That nothing more comes of it is right here; what is wrong is only what came.
    return [one for one in wrong if "never got an answer" not in one and "failed for good" not in one]
