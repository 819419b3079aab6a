"""Sign a version of the agreement, and take a signature back: each party for itself, by its identity key.

What rests on a signature works from the ledger's entry of signing on, and stops with that of withdrawing:
both raise the party epoch, so that everything decided before and not recorded yet is looked at again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.kit.agreement_chain import missing
from adapters.kit.register import RegisterError, verify_signature, verify_withdrawal
from adapters.protocol import REQUEST_FRESH_SECONDS, Role, Worker
from gateway import agreement_acts as acts
from gateway import agreement_records as records
from gateway.agreement_state import VersionState, bound, state
from gateway.errors import Conflict, InputRefused, Refused, Unavailable
from gateway.ledger.entry import Kind
from gateway.parties import raise_epoch

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.kit.agreement_chain import Act, Version
    from adapters.kit.register import Register
    from gateway.oauth.resource import Caller
    from gateway.services import Services
    from gateway.storage.unit_of_work import Transaction


async def sign(
    services: Services, caller: Caller, digest: str, party: str, unverified_signature: str, worker: Worker
) -> VersionState:
    """Keep a party's signature under a version that was approved, or is in force; signing twice is once.

    Raises InputRefused `agreement_signature_invalid`, Conflict `agreement_not_ready` before approval.
    """
    acts.require_role(worker, Role.ADMIN)
    if party != caller.party:
        raise Refused("not_for_this_party", "A party signs for itself.")

    def work(tx: Transaction) -> VersionState:
        now = services.clock()
        current = acts.in_force(tx, services, now)
        known = acts.known(tx, digest)
        if digest != current.digest:
            acts.require_open(known, current, now)
            acts.require_ready(acts.only_if(known.approved_at is None, acts.NOT_APPROVED))
        version = acts.verified(tx, services, digest, now)
        founders = _bound(tx, services, version, now)
        if party not in founders and party not in _parties(version):
            raise Refused("not_for_this_party", "This version does not name your party.")
        before = version.acts.get(party)
        if before is not None and before.stands:
            return state(tx.conn, digest, now)
        _require_may_sign(tx, version, current, party, known.in_force_at is not None)
        signed_at = _verified(verify_signature, unverified_signature, party, digest, services.register, now)
        _require_in_time(version, before, signed_at, founder=party in founders)
        records.put_signature(tx, digest, party, unverified_signature, signed_at)
        return _recorded(tx, services, Kind.AGREEMENT_SIGNED, digest, (party, worker.id), now)

    return await acts.perform(services, work)


async def withdraw(
    services: Services, caller: Caller, digest: str, unverified_withdrawal: str, worker: Worker
) -> VersionState:
    """Take the caller's signature back; withdrawing twice is once.

    A scheduled version that is left without a founder is scheduled no longer, and the one in force stays.
    Raises InputRefused `agreement_signature_invalid`, Conflict where there is no signature.
    """
    acts.require_role(worker, Role.ADMIN)
    party = caller.party

    def work(tx: Transaction) -> VersionState:
        now = services.clock()
        services.agreements.turn(tx, services)
        known = acts.known(tx, digest)
        before = records.acts(tx.conn, digest).get(party)
        if before is None:
            raise Conflict("state_conflict", "Your party has not signed this version.")
        if not before.stands:
            return state(tx.conn, digest, now)
        withdrawn_at = _verified(
            verify_withdrawal, unverified_withdrawal, party, digest, services.register, now
        )
        # One from before the version began would have it never begin, for whoever follows the versions.
        if withdrawn_at < max(before.signed_at, known.in_force_at or 0, now - REQUEST_FRESH_SECONDS):
            raise InputRefused("agreement_signature_invalid", "The withdrawal is not of this moment.")
        records.put_withdrawal(tx, digest, party, unverified_withdrawal, withdrawn_at)
        return _recorded(tx, services, Kind.AGREEMENT_UNSIGNED, digest, (party, worker.id), now)

    return await acts.perform(services, work)


def _verified(
    verify: Callable[[str, str, str, Register, int], int],
    unverified: str,
    party: str,
    digest: str,
    register: Register,
    now: int,
) -> int:
    try:
        return verify(unverified, party, digest, register, now)
    except RegisterError as refused:
        raise InputRefused("agreement_signature_invalid", cause=refused.code) from None


def _require_may_sign(
    tx: Transaction, version: Version, current: Version, party: str, has_begun: bool
) -> None:
    """Refuse what would make of a version that ended one that comes, for the sources that saw it complete.

    They know by the signatures alone that a version comes, and not that it was scheduled no longer here.
    """
    if party not in version.founding | current.founding:
        return
    if version.digest == current.digest:
        coming = records.head(tx.conn).next_digest
        if coming is not None and party not in records.signed_by(tx.conn, coming):
            raise Conflict("state_conflict", "Your party left, and what follows is scheduled without it.")
    elif not has_begun and party in version.acts:
        raise Conflict("state_conflict", "Your party took its signature back, and so ended this version.")
    elif not has_begun and party not in version.founding and not _holds_to(current, party):
        raise Conflict("state_conflict", "Your party left the version before: sign this one once it began.")


def _holds_to(version: Version, party: str) -> bool:
    act = version.acts.get(party)
    return act is not None and act.stands


def _require_in_time(version: Version, before: Act | None, signed_at: int, *, founder: bool) -> None:
    """Refuse a signature that was taken back and is sent again, and a founder's that comes too late."""
    if before is not None and before.withdrawn_at is not None and signed_at <= before.withdrawn_at:
        later = "It must be made later than the withdrawal of the last one."
        raise InputRefused("agreement_signature_invalid", later)
    # Sources follow a version only if its founders signed it before it began.
    # Whoever did and left it later may come back: else a signature taken back would end the agreement.
    comes_back = before is not None and before.stood_at(version.valid_from)
    if founder and not comes_back and signed_at >= version.valid_from:
        raise InputRefused("agreement_signature_invalid", "A founding party signs before the version begins.")


def _recorded(
    tx: Transaction, services: Services, kind: Kind, digest: str, by: tuple[str, str], now: int
) -> VersionState:
    raise_epoch(tx)
    coming = records.head(tx.conn).next_digest
    unscheduled = coming is not None and not _complete(tx, services, coming, now)
    if coming is not None and unscheduled:
        records.unschedule(tx, coming)
    more = {"unscheduled": coming} if unscheduled else {}
    return acts.note(tx, services, kind, digest, by, now, **more)


def _complete(tx: Transaction, services: Services, coming: str, now: int) -> bool:
    try:
        version = acts.verified(tx, services, coming, now)
        return not missing(version, acts.in_force(tx, services, now))
    except Unavailable:
        # What somebody did to another version's row keeps no party from taking its signature back.
        return False


def _bound(tx: Transaction, services: Services, version: Version, now: int) -> frozenset[str]:
    """Return who has to sign before the version begins: nobody for the one that every source was given."""
    if version.digest == services.register.agreement_digest or version.supersedes is None:
        return frozenset()
    return bound(version, acts.verified(tx, services, version.supersedes, now))


def _parties(version: Version) -> frozenset[str]:
    named = version.signed.data.get("parties")
    return frozenset(named) if isinstance(named, dict) else frozenset()
