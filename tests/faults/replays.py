"""R8: every message of a day comes again, and each of them counts once.

Bytes as they were, whoever has recorded them: at once with the first, later, after all has restarted.
And the same signed words from the party itself, in a new call with a new proof, as after a lost answer.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from adapters.kit.session import GatewaySession
from gateway.cli.world import IND, VW
from tests.faults.city import City
from tests.faults.front import Front, Message
from tests.faults.invariants import Answered
from tests.faults.kills import day
from tests.faults.witness import Witness, impatient

_COPIES = 3
# Calls that anyone may repeat by themselves: what they bring about is there already.
_REPEATABLE = ("/v1/dossier-requests", "/v1/orders", "/withdrawal")
# What whoever repeats a call may hear: the same again, or that it is done.
_HARMLESS = {200, 201, 202, 404, 409}


async def _lived(running: City, copies: int) -> tuple[Witness, list[str], int]:
    """Live a day in which each message goes out so often at once; return what was wrong and how many."""
    posts = [_front(running), *running.wires.values()]
    for post in posts:
        post.copies, post.heard, post.wrong, post.repeated = copies, [], [], 0
    try:
        await running.forget()
        async with impatient(running.database_url):
            witness = await day(running.town)
    finally:
        for post in posts:
            post.copies = 1
    wrong = [sentence for post in posts for sentence in post.wrong]
    return witness, wrong, sum(post.repeated for post in posts)


def _front(running: City) -> Front:
    assert running.front is not None
    return running.front


async def at_once(running: City) -> tuple[list[str], int]:
    """Each message goes out three times at once, to the gateways and to the sources."""
    witness, wrong, repeated = await _lived(running, _COPIES)
    return wrong + await witness.conclude(), repeated


async def later(running: City) -> tuple[list[str], int]:
    """Each message that was heard is sent again when the day is over."""
    return await _again(running, restart=False)


async def after_a_restart(running: City) -> tuple[list[str], int]:
    """The same, and gateways and adapters have begun anew in between."""
    return await _again(running, restart=True)


async def _again(running: City, *, restart: bool) -> tuple[list[str], int]:
    witness, wrong, _ = await _lived(running, 1)
    if restart:
        await running.restart()
    heard = list(_front(running).heard)
    orders = [(wire, message) for wire in running.wires.values() for message in list(wire.heard)]
    size = await witness.until_done(witness.checkpoint)
    for message in heard:
        if not message.proven:
            continue
        for reply in await _front(running).send_copies(message, _COPIES):
            refused = reply.status >= 400 if "/oauth/token" in message.path else not reply.taken
            if not refused:
                wrong.append(f"R8: {message} was taken again: {reply.status} {reply.code}")
    for wire, message in orders:
        for reply in await wire.send_copies(message, _COPIES):
            if reply.status >= 500:
                wrong.append(f"R8: {message}, sent again to its source: {reply.status} {reply.code}")
    if (now := await witness.until_done(witness.checkpoint)) != size:
        wrong.append(f"R8: what was sent again left {now - size} entries in the ledger")
    return wrong + await witness.conclude(), _COPIES * (len(heard) + len(orders))


async def by_the_party(running: City) -> tuple[list[str], int]:
    """Whoever sent a signed message says the same again in a new call, before and after a restart."""
    witness, wrong, _ = await _lived(running, 1)
    heard = [one for one in _front(running).heard if one.method == "POST" and _repeatable(one)]
    before = {answered.request.key: answered.exchange for answered in witness.evidence.answers}
    for restart in (False, True):
        if restart:
            await running.restart()
        for message in heard:
            size = await witness.until_done(witness.checkpoint)
            reply = await _anew(running, message)
            if reply[0] not in _HARMLESS:
                wrong.append(f"R8: {message}, said again by its party: {reply[0]} {reply[1]}")
            key = dict(message.headers).get("idempotency-key")
            if key in before and reply[0] in (200, 202) and reply[1].get("id") != before[key]:
                wrong.append(
                    f"R8: {message}, said again, is exchange {reply[1].get('id')}, not {before[key]}"
                )
            grown = await witness.until_done(witness.checkpoint) - size
            # A request that is repeated is answered again, and each answer that leaves has its entry.
            if grown > (1 if key in before else 0):
                wrong.append(f"R8: {message}, said again by its party, left {grown} entries")
    assert any(isinstance(one, Answered) for one in witness.evidence.answers)
    return wrong + await witness.conclude(), 2 * len(heard)


def _repeatable(message: Message) -> bool:
    return any(part in message.path for part in _REPEATABLE)


async def _anew(running: City, message: Message) -> tuple[int, dict[str, object]]:
    """Send the same body in the name of the party that sent it, with a token and a proof of its own."""
    town = running.town
    party = IND if "/v1/orders/" in message.path else VW
    headers = {name: value for name, value in message.headers if name == "idempotency-key"}
    key = town.deployment[party].keystore().signing("sign")
    async with GatewaySession(town.deployment.addresses.gateway, party, key, town.clock) as session:
        answer = await session.request("POST", message.path, json.loads(message.body or b"{}"), headers)
    return answer.status, answer.body if isinstance(answer.body, dict) else {}


WAYS: dict[str, Callable[[City], Awaitable[tuple[list[str], int]]]] = {
    "at once": at_once,
    "later": later,
    "after a restart": after_a_restart,
    "by the party itself": by_the_party,
}
