"""Bring a new version of the agreement about: propose, approve, and activate it once it is signed.

    draft ──propose──▶ proposed ──approve──▶ approved ──sign──▶ signed k of m ──activate──▶ scheduled
           one person           another one          `agreement_signing`           in force at its instant

The gateway carries the parties' acts and decides none of them: a version comes into force at the instant that
it names itself, because the founding sets of this version and of the one before it signed it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adapters.kit.register import SignedAgreement, agreement_digest
from adapters.protocol import Role, Worker
from gateway import agreement_acts as acts
from gateway import agreement_records as records
from gateway.agreement import AgreementInvalid, of
from gateway.agreement_state import VersionState, state
from gateway.errors import Conflict, InputRefused, Refused, Unavailable
from gateway.ledger.entry import Kind
from gateway.policy.asking import check_policy

if TYPE_CHECKING:
    from adapters.kit.agreement_chain import Version
    from adapters.kit.register import Register
    from gateway.oauth.resource import Caller
    from gateway.services import Services
    from gateway.storage.unit_of_work import Transaction

_NOT_HELD = "The policy engine does not hold this version yet; try again soon."


async def propose(
    services: Services, caller: Caller, unverified_document: Mapping[str, Any], worker: Worker
) -> tuple[VersionState, bool]:
    """Keep a version that is to follow the one in force; say how it stands, and whether it is new here.

    The same document again is the same version, as it stands by now. Raises InputRefused
    `agreement_invalid` with every fault, Conflict `agreement_not_ready` with what is in the way.
    """
    acts.require_role(worker, Role.ADMIN, Role.DPO)
    # Before anything is computed for it, by the version that this gateway last read; again below, by the row.
    acts.require_founder(caller, services.agreement.terms.founding_set)
    digest = await asyncio.to_thread(_digest, unverified_document, services.register)

    def work(tx: Transaction) -> tuple[VersionState, bool]:
        now = services.clock()
        current = acts.in_force(tx, services, now)
        acts.require_founder(caller, current.founding)
        if records.row(tx.conn, digest) is not None:
            return state(tx.conn, digest, now), False
        follows = unverified_document.get("supersedes") == current.digest
        acts.require_ready(
            [
                *acts.only_if(not follows, f"It must say that it supersedes {current.digest}."),
                *acts.too_soon(services, unverified_document["valid_from"], now),
                *acts.another_comes(tx, digest),
                *acts.too_many_open(tx, caller.party, current, now),
            ]
        )
        by = (caller.party, worker.id)
        records.insert_version(tx, digest, unverified_document, by=by, now=now)
        return acts.note(tx, services, Kind.AGREEMENT_PROPOSED, digest, by, now), True

    return await acts.perform(services, work)


async def approve(services: Services, caller: Caller, digest: str, worker: Worker) -> VersionState:
    """Have a second person of the founding parties approve; the same person again changes nothing."""
    acts.require_role(worker, Role.DPO)

    def work(tx: Transaction) -> VersionState:
        now = services.clock()
        current = acts.in_force(tx, services, now)
        acts.require_founder(caller, current.founding)
        known, by = acts.known(tx, digest), (caller.party, worker.id)
        if (known.approved_by_party, known.approved_by) == by:
            return state(tx.conn, digest, now)
        acts.require_open(known, current, now)
        # Across parties the same name is another person. The table refuses one person, too.
        if (known.proposed_by_party, known.proposed_by) == by:
            raise Refused("same_worker", "Proposing and approving a version are two people.")
        if known.approved_at is not None:
            raise Conflict("state_conflict", "Another worker has approved this version.")
        records.put_approval(tx, digest, by=by, now=now)
        return acts.note(tx, services, Kind.AGREEMENT_APPROVED, digest, by, now)

    return await acts.perform(services, work)


async def activate(services: Services, caller: Caller, digest: str, worker: Worker) -> VersionState:
    """Let a version that is signed come into force at the instant that it names; doing so twice is once.

    Raises Conflict `agreement_not_ready`, and names everything that is missing.
    """
    acts.require_role(worker, Role.ADMIN, Role.DPO)
    # Asked before the ledger's lock is taken: it may be a call to another process.
    can_decide = await _can_decide(services, digest)

    def work(tx: Transaction) -> VersionState:
        now = services.clock()
        current = acts.in_force(tx, services, now)
        acts.require_founder(caller, current.founding)
        known = acts.known(tx, digest)
        if records.head(tx.conn).next_digest == digest:
            return state(tx.conn, digest, now)
        acts.require_open(known, current, now)
        version = acts.verified(tx, services, digest, now)
        acts.require_ready(
            [
                *acts.only_if(known.approved_at is None, acts.NOT_APPROVED),
                *acts.unsigned(version, current),
                *acts.too_soon(services, version.valid_from, now),
                *acts.another_comes(tx, digest),
                *_unanswered(services, version),
                # The engine is given what was approved; before that, this says nothing new.
                *acts.only_if(known.approved_at is not None and not can_decide, _NOT_HELD),
            ]
        )
        by = (caller.party, worker.id)
        records.schedule(tx, digest, version.valid_from, by=by, now=now)
        return acts.note(tx, services, Kind.AGREEMENT_SCHEDULED, digest, by, now, from_at=version.valid_from)

    return await acts.perform(services, work)


def _digest(document: Mapping[str, Any], register: Register) -> str:
    digest = agreement_digest(document)
    try:
        of(SignedAgreement(digest, document, frozenset()), register)
    except AgreementInvalid as invalid:
        said = [{"place": fault.place, "nl": fault.nl, "en": fault.en} for fault in invalid.faults]
        raise InputRefused("agreement_invalid", extra={"errors": said}) from None
    return digest


async def _can_decide(services: Services, digest: str) -> bool:
    """Ask this gateway's engine whether it could decide under a version; look first for one that is new."""
    await services.agreements.look(services)
    if services.agreements.version(digest) is None:
        return False
    try:
        await check_policy(services.engine, digest)
    except Unavailable:
        return False
    return True


def _unanswered(services: Services, version: Version) -> list[str]:
    if services.settings.profile != "production":
        return []
    unanswered = of(version.signed, services.register).unanswered
    return [f"An open question has no answer: {name}." for name in unanswered]
