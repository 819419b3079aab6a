"""What every act about a version of the agreement needs: who may do it, what is verified, what is noted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, TypeVar

from adapters.kit.agreement_chain import missing, read_version
from adapters.kit.register import RegisterError
from gateway import agreement_records as records
from gateway.agreement_state import VersionState, bound, state
from gateway.errors import Conflict, Refused, Unavailable
from gateway.ledger.entry import record

if TYPE_CHECKING:
    from adapters.kit.agreement_chain import Version
    from adapters.protocol import Role, Worker
    from gateway.agreement_records import VersionRow
    from gateway.ledger.commitment import Json
    from gateway.ledger.entry import Kind
    from gateway.oauth.resource import Caller
    from gateway.services import Services
    from gateway.storage.unit_of_work import Transaction

T = TypeVar("T")
NOT_APPROVED = "A second person has not approved it yet."
# Every gateway and every policy server holds what is approved: no founder alone fills their memory.
_OPEN_OF_ONE_PARTY = 4


async def perform(services: Services, work: Callable[[Transaction], T]) -> T:
    """Do an act in one transaction: on return it is durable, and this gateway goes by it."""
    done = await services.store.write(work)
    await services.agreements.look(services)
    return done


def require_role(worker: Worker, *allowed: Role) -> None:
    """Refuse workers in other roles; the party answers for the role that it names."""
    if worker.role not in allowed:
        raise Refused("role_may_not", f"This is for a worker in the role {' or '.join(allowed)}.")


def require_founder(caller: Caller, founding: Collection[str]) -> None:
    """Refuse all but the founding parties of the version in force."""
    if caller.party not in founding:
        raise Refused("not_for_this_party", "This is for the founding parties of the version in force.")


def require_open(known: VersionRow, current: Version, now: int) -> None:
    """Refuse a version whose time is past, or that another one has overtaken."""
    if known.in_force_at is not None or known.valid_from <= now or known.supersedes != current.digest:
        over = "This version can no longer come into force: propose one that follows the version in force."
        raise Conflict("state_conflict", over)


def require_ready(obstacles: Iterable[str]) -> None:
    """Raise Conflict `agreement_not_ready` with all that is in the way, unless nothing is."""
    if found := [*obstacles]:
        raise Conflict("agreement_not_ready", extra={"missing": found})


def only_if(condition: bool, obstacle: str) -> list[str]:
    """Return the obstacle where there is one."""
    return [obstacle] if condition else []


def too_soon(services: Services, begins: int, now: int) -> list[str]:
    """Leave every gateway, source and policy server the time to have a version before it begins."""
    lead = services.settings.agreement_lead_seconds
    return only_if(begins < now + lead, f"It must begin at least {lead} seconds from now.")


def another_comes(tx: Transaction, digest: str) -> list[str]:
    """Have one version at a time be scheduled."""
    coming = records.head(tx.conn).next_digest
    return only_if(coming not in (None, digest), f"Another version is scheduled: {coming}.")


def too_many_open(tx: Transaction, party: str, current: Version, now: int) -> list[str]:
    """Have few versions wait that one party proposed. One waits until the second in which it is to begin."""
    mine = [
        row
        for row in records.rows(tx.conn)
        if row.proposed_by_party == party and row.valid_from > now and row.supersedes == current.digest
    ]
    waiting = f"{len(mine)} versions that your party proposed are open; propose when the time of one is over."
    return only_if(len(mine) >= _OPEN_OF_ONE_PARTY, waiting)


def unsigned(version: Version, current: Version) -> list[str]:
    """Name the founders, of this version and of the one before it, who have not signed."""
    absent, needed = missing(version, current), bound(version, current)
    count = f"{len(needed - absent)} of {len(needed)} founding parties have signed"
    return only_if(bool(absent), f"{count}; not yet: {', '.join(sorted(absent))}.")


def in_force(tx: Transaction, services: Services, now: int) -> Version:
    """Return the version in force now, verified; one whose instant has come is put there first."""
    services.agreements.turn(tx, services)
    return verified(tx, services, records.head(tx.conn).in_force, now)


def verified(tx: Transaction, services: Services, digest: str, now: int) -> Version:
    """Return a version by our own register, whatever the tables hold; raise Unavailable if it is another."""
    package = records.package(tx.conn, digest)
    if package is None:
        raise Unavailable("internal_error", cause="a version of the agreement is not in the table")
    try:
        version = read_version(package, services.register, now)
    except RegisterError as refused:
        raise Unavailable("internal_error", cause=f"the agreement's table: {refused.code}") from None
    if version.digest != digest:
        raise Unavailable("internal_error", cause="the agreement's table holds another document")
    return version


def known(tx: Transaction, digest: str) -> VersionRow:
    """Return what is recorded of a version; raise Refused `not_found`."""
    row = records.row(tx.conn, digest)
    if row is None:
        raise Refused("not_found")
    return row


def note(
    tx: Transaction,
    services: Services,
    kind: Kind,
    digest: str,
    by: tuple[str, str],
    now: int,
    **more: Json,
) -> VersionState:
    """Record an act of a party and its worker in the ledger; return how the version stands after it."""
    party, worker = by
    found = state(tx.conn, digest, now)
    detail: dict[str, Json] = {
        "agreement": digest,
        "version": found.row.version,
        "party": party,
        "worker": worker,
        "signed": len(found.signed),
        "needed": len(found.needed),
        "at": now,
        **more,
    }
    record(tx, kind=kind, detail=detail, key=services.vault.party_key(party), now=now, party_id=party)
    return found
