"""Step 9: the parties change the agreement, and requests go on through the instant at which it turns."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Mapping
from typing import Any

from adapters.kit.register import agreement_digest
from adapters.protocol import Role
from adapters.requester import GatewayRefused
from gateway.agreement import AgreementInvalid, check
from gateway.agreement_document.difference import Difference, Side, difference
from gateway.cli.cast import PARTIES, introduce, party_name
from gateway.cli.facts import Asked, Facts, StepFailed
from gateway.cli.opa_server import POLICIES
from gateway.cli.story_meanwhile import ASKED, CLOSED, OPENED, Meanwhile, reasons_of
from gateway.cli.world import IND, PURPOSE, VW, World, expect_refusal, worker_of
from gateway.clock import system_clock

FOUNDERS = (VW, "askv", IND, "dtv")
# From the proposal to the first second of the new version: to approve, to sign, and to hold it everywhere.
# A machine that has much else to do needs longer, as much as it did for what came before.
_SECONDS_TO_SIGN, _TIMES_AS_LONG = 7, 2
# How often, and how far apart, it is tried to schedule a version that a policy server has yet to fetch.
_TRIES, _PAUSE_SECONDS = 25, 0.3
_SECONDS_AFTER = 2


async def change_the_agreement(world: World) -> Facts:
    """Open one category and close another by a new version: written, compared, agreed, signed, in force."""
    facts = world.take_notes()
    before = await world.ask(facts, VW, world.amina, ASKED, remark="under the agreement of today")
    _expect(
        facts, before, ("no_rule", "no_consent"), "no rule opens contact details; family waits for a consent"
    )

    old = await world.vluchtelingenwerk.agreement_in_force()
    was = str(old["in_force"])
    document = (await world.vluchtelingenwerk.agreement(was)).version.signed.data
    # A day ahead, until its first second is agreed.
    draft = next_version(document, was, system_clock() + 86_400)
    began = time.monotonic()
    await _compare(world, facts, document, draft)

    seconds = _SECONDS_TO_SIGN + _TIMES_AS_LONG * round(time.monotonic() - began)
    draft["valid_from"] = first_second = system_clock() + seconds
    digest = agreement_digest(draft)
    await _agree(world, facts, draft, digest)
    meanwhile = Meanwhile(world)
    asking = asyncio.create_task(meanwhile.ask_until(first_second + _SECONDS_AFTER))
    try:
        await _sign(world, facts, digest)
        world.waiting("Requests go on; waiting for the first second of the new version")
        await asking
    finally:
        asking.cancel()
    await meanwhile.look_back(facts, was, digest)

    now = await world.vluchtelingenwerk.agreement_in_force()
    facts.check(
        now["in_force"] == digest, f"version {draft['version']} is in force, at the instant that it states"
    )
    after = await world.ask(facts, VW, world.amina, ASKED, remark="once more, under the new version")
    _expect(
        facts,
        after,
        ("no_consent", "no_rule"),
        "contact details wait for a consent now; family is closed",
    )
    proven = [await world.prove(VW, asked.exchange.id) for asked in (before, after)]
    facts.check(
        [one.receipt.ledger.detail.get("agreement") for one in proven] == [was, digest],
        "each of the two receipts cites the version that it was decided by",
    )
    facts.values |= {"was": was, "in_force": digest}
    return facts


def next_version(document: Mapping[str, Any], supersedes: str, valid_from: int) -> dict[str, Any]:
    """Write the version that the parties want: one rule more, one rule less. `valid_from` in seconds."""
    draft = copy.deepcopy(dict(document))
    year, _, number = str(draft["version"]).partition("-")[0].partition(".")
    version = f"{year}.{int(number) + 1}-demo"
    draft |= {"version": version, "supersedes": supersedes, "valid_from": valid_from}
    rules = draft["rules"][PURPOSE]["ngo"]["ind"]
    rules[OPENED.value] = rules.pop(CLOSED.value) | {"id": f"{PURPOSE}.ngo.ind.{OPENED}"}
    return draft


async def _compare(world: World, facts: Facts, document: Mapping[str, Any], draft: Mapping[str, Any]) -> None:
    careless = copy.deepcopy(dict(draft))
    careless["rules"][PURPOSE]["municipality"] = {"ind": careless["rules"][PURPOSE]["ngo"]["ind"]}
    try:
        check(careless)
    except AgreementInvalid as refused:
        facts.check(
            True,
            f"a first draft lets the municipality ask, too; the check refuses it: {refused.sentences[0]}",
        )
    else:
        raise StepFailed("a draft that gives the municipality a dossier passes the check")
    world.waiting("Asking both versions about everything, to say in words what changes")
    found = await asyncio.to_thread(_difference, document, draft)
    facts.check(True, "the next draft passes; to compare it, both versions are asked about everything")
    for what, changes, category in (
        ("newly permitted", found.permits, OPENED),
        ("no longer permitted", found.forbids, CLOSED),
    ):
        facts.check(
            [change.categories for change in changes] == [(category.value,)],
            f"{what}: {changes[0].en if changes else 'nothing'}",
        )


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Difference:
    return difference(Side.of(old, POLICIES), Side.of(new, POLICIES))


async def _agree(world: World, facts: Facts, draft: Mapping[str, Any], digest: str) -> None:
    """Propose by VluchtelingenWerk's data-protection officer, approve by ASKV's."""
    officer, other = worker_of(VW, Role.DPO), worker_of("askv", Role.DPO)
    proposed = await world.vluchtelingenwerk.propose_agreement(draft, worker=officer)
    facts.check(
        (proposed["digest"], proposed["state"]) == (digest, "proposed"),
        f"{introduce(officer.id, officer.role)}, proposed {draft['version']}; its first second is part of it",
    )
    await expect_refusal(
        facts,
        VW,
        f"{officer.id} approves it too",
        world.vluchtelingenwerk.approve_agreement(digest, worker=officer),
        "same_worker",
    )
    approved = await world.requesters["askv"].approve_agreement(digest, worker=other)
    facts.check(
        approved["state"] == "approved", f"{introduce(other.id, other.role)}, of ASKV approved it: two people"
    )


async def _sign(world: World, facts: Facts, digest: str) -> None:
    """Sign by one founder after the other; schedule when the last one has."""
    *first, last = FOUNDERS
    for party in first:
        await _sign_for(world, facts, party, digest)
    await expect_refusal(
        facts, VW, "schedules it with three signatures", _schedule(world, digest), "agreement_not_ready"
    )
    await _sign_for(world, facts, last, digest)
    others = [party.id for party in PARTIES if party.id not in FOUNDERS]
    for party in others:
        await world.requesters[party].sign_agreement(digest, worker=worker_of(party, Role.ADMIN))
    facts.check(
        True, f"so did {', '.join(map(party_name, others))}: a rule works between two that both have signed"
    )
    scheduled = await _schedule_once_held(world, digest)
    facts.check(
        scheduled["state"] == "scheduled",
        f"{worker_of(VW, Role.DPO).id} scheduled it; nobody chooses when: all have signed that second",
    )


async def _sign_for(world: World, facts: Facts, party: str, digest: str) -> None:
    worker = worker_of(party, Role.ADMIN)
    signed = await world.requesters[party].sign_agreement(digest, worker=worker)
    count = FOUNDERS.index(party) + 1
    facts.check(
        (signed["signed"], signed["needed"]) == (count, len(FOUNDERS)),
        f"{party_name(party)} signed it with its identity key, by {worker.id}: {count} of {len(FOUNDERS)}",
    )


async def _schedule(world: World, digest: str) -> dict[str, Any]:
    return dict(await world.vluchtelingenwerk.activate_agreement(digest, worker=worker_of(VW, Role.DPO)))


async def _schedule_once_held(world: World, digest: str) -> dict[str, Any]:
    """Schedule; where the policy is decided by an OPA, it fetches the new version within seconds."""
    for _ in range(_TRIES):
        try:
            return await _schedule(world, digest)
        except GatewayRefused as refused:
            if refused.code != "agreement_not_ready":
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
    return await _schedule(world, digest)


def _expect(facts: Facts, asked: Asked, reasons: tuple[str, str], sentence: str) -> None:
    facts.check(reasons_of(asked.exchange) == reasons, sentence)
