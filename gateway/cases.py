"""Cases: how a party comes to be involved with a client, and how that ends (docs/domain.md rule 7).

A case exists by the client's act. Opening one looks nobody up: it makes a fresh client and a pending
case, whoever is named, and involves nobody. Only when a second worker confirms the mandate are the
numbers compared with what the gateway knows. Joining by invitation is `gateway.invitations`.
Every change here raises the client's revision and has its ledger entry, in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Connection, and_, bindparam, select

from adapters.protocol import ClientIdentifier, Role, Scheme, Worker
from gateway import case_records, clients, exchange_ends
from gateway.case_records import CASE_ROLES, Case, CaseContent
from gateway.clients import ClientRef, Number
from gateway.errors import Conflict, Refused
from gateway.ledger.entry import Kind, record
from gateway.storage.tables import case_workers, cases, reach
from gateway.vault import new_id

if TYPE_CHECKING:
    from gateway.ledger.commitment import Json
    from gateway.oauth.resource import Caller
    from gateway.services import Services
    from gateway.storage.unit_of_work import Transaction

# Who may open a case on the client's mandate.
JOINS_BY_ACT = frozenset({"ngo", "return_org", "lawyer"})
# Who may come by the casemanager's invitation: those, and who follows the plan. Government parties join
# only by a consent that names them; anyone unlisted does not join (docs/domain.md rule 7).
JOINS_BY_INVITATION = JOINS_BY_ACT | {"coordination", "review"}
# A mandate is taken down at the desk or by who will work with the client.
_MANDATE_ROLES = frozenset({Role.DESK, Role.CASEWORKER, Role.CASEMANAGER})

# Built once: to build a statement costs several times what it costs to run it.
_THIS_WORKER = [case_workers.c[name] == bindparam(name) for name in ("worker_id", "role")]
_ACTIVE = cases.c.client_id == bindparam("client_id"), cases.c.state == "active"
_INVOLVED = (
    select(cases.c.basis, case_workers.c.worker_id)
    .outerjoin(case_workers, and_(case_workers.c.case_id == cases.c.id, *_THIS_WORKER))
    .where(*_ACTIVE, cases.c.party_id == bindparam("party"))
    .order_by(cases.c.opened_at, cases.c.id)
)
_PARTNERS = select(cases.c.party_id).where(*_ACTIVE).distinct().order_by(cases.c.party_id)


@dataclass(frozen=True, slots=True)
class Opening:
    """What a party says when it opens a case."""

    client: ClientIdentifier
    own_number: str | None = field(repr=False)
    casemanager: str
    workers: tuple[Worker, ...]
    mandate: Mapping[str, str]
    opened_by: Worker


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case as its own party sees it."""

    case: Case
    workers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Involvement:
    """Whether a party, and this worker in this role, are on a client's case, and by what act."""

    on_case: bool
    basis: str | None
    worker_on_case: bool


async def open_case(services: Services, caller: Caller, opening: Opening) -> CaseView:
    """Store a pending case of a fresh client. The same work whoever is named, known or not."""
    require_joins_by_act(caller.kind)
    require_mandate_role(opening.opened_by)
    team = team_of(opening.casemanager, opening.workers)
    given = (Number.of(opening.client, caller.party), *own_numbers(opening.own_number, caller.party))
    content = CaseContent(tuple(dict.fromkeys(given)), opening.mandate)

    def work(tx: Transaction) -> CaseView:
        now = services.clock()
        client = clients.new_client(tx, services.vault, now)
        case = Case(
            id=new_id(),
            client_id=client.id,
            party=caller.party,
            state="pending",
            basis="mandate",
            opened_by=opening.opened_by.id,
            confirmed_by=None,
            opened_at=now,
            confirmed_at=None,
        )
        case_records.insert_case(tx, case, content, client.key, team)
        note(tx, Kind.CASE_OPENED, case, client, now=now, worker=opening.opened_by.id)
        return _view(tx.conn, case.id, caller.party)

    return await services.store.write(work)


async def confirm_case(services: Services, caller: Caller, case_id: str, worker: Worker) -> CaseView:
    """Make a pending case active by the word of a second worker; from now on the party is involved.

    The same worker may say so again: the answer is the same, and nothing is recorded anew.
    """
    require_mandate_role(worker)

    def work(tx: Transaction) -> CaseView:
        now = services.clock()
        case = case_records.load(tx.conn, case_id, party=caller.party)
        if worker.id == case.opened_by:
            raise Refused("same_worker")
        # A case by invitation is active too, but was never confirmed, so it cannot be confirmed again.
        if (case.state, case.basis, case.confirmed_by) == ("active", "mandate", worker.id):
            return _view(tx.conn, case.id, caller.party)
        if case.state != "pending":
            raise Conflict("state_conflict", "This case is not waiting for a confirmation.")
        fresh = client_of(tx.conn, services, case)
        content = case_records.content(tx.conn, case.id, fresh.key)
        client = _settle(tx, services, case, content, fresh)
        case_records.move(tx, case, "active", confirmed_by=worker.id, confirmed_at=now)
        case_records.connect(tx, services.vault, client, caller.party, content.numbers)
        clients.raise_revision(tx, client.id)
        note(tx, Kind.CASE_CONFIRMED, case, client, now=now, worker=worker.id)
        return _view(tx.conn, case.id, caller.party)

    return await services.store.write(work)


async def search_cases(
    services: Services, caller: Caller, identifier: ClientIdentifier, worker: Worker
) -> tuple[CaseView, ...]:
    """Find the caller's own active cases of one client on which this worker is; a stranger finds none."""
    number = Number.of(identifier, caller.party)
    reach_key = services.vault.reach_key(caller.party, number.scheme, number.owner, number.value)

    def work(conn: Connection) -> tuple[CaseView, ...]:
        # One statement: who is not on the case costs the same, whether or not the client is known.
        rows = conn.execute(
            select(cases)
            .join(reach, and_(reach.c.client_id == cases.c.client_id, reach.c.party_id == cases.c.party_id))
            .join(case_workers, case_workers.c.case_id == cases.c.id)
            .where(
                reach.c.reach_key == reach_key,
                cases.c.state == "active",
                case_workers.c.worker_id == worker.id,
                case_workers.c.role == worker.role.value,
            )
            .order_by(cases.c.opened_at, cases.c.id)
        ).all()
        return tuple(CaseView(case_records.case_of(row), case_records.workers(conn, row.id)) for row in rows)

    return await services.store.read(work)


async def add_worker(
    services: Services, caller: Caller, case_id: str, *, by: Worker, added: Worker
) -> CaseView:
    """Put a worker on the case, by its casemanager; adding twice is adding once."""
    require_case_role(added)

    def work(tx: Transaction) -> CaseView:
        now = services.clock()
        case = active_case(tx.conn, case_id, caller.party, by)
        if case_records.insert_worker(tx, case.id, added.id, added.role.value, now=now):
            client = client_of(tx.conn, services, case)
            clients.raise_revision(tx, client.id)
            more = {"added": added.id, "role": added.role.value}
            note(tx, Kind.WORKER_ADDED, case, client, now=now, worker=by.id, more=more)
        return _view(tx.conn, case.id, caller.party)

    return await services.store.write(work)


async def remove_worker(
    services: Services, caller: Caller, case_id: str, *, by: Worker, removed: str
) -> CaseView:
    """Take a worker off the case in every role, by its casemanager; a case keeps a casemanager."""

    def work(tx: Transaction) -> CaseView:
        now = services.clock()
        case = active_case(tx.conn, case_id, caller.party, by)
        if not case_records.delete_worker(tx, case.id, removed):
            raise Refused("not_found")
        if Role.CASEMANAGER.value not in {role for _, role in case_records.workers(tx.conn, case.id)}:
            raise Conflict("state_conflict", "A case keeps a casemanager: add another one first.")
        client = client_of(tx.conn, services, case)
        exchange_ends.end_involvement(tx, services, client_id=client.id, party=caller.party, worker=removed)
        clients.raise_revision(tx, client.id)
        note(tx, Kind.WORKER_REMOVED, case, client, now=now, worker=by.id, more={"removed": removed})
        return _view(tx.conn, case.id, caller.party)

    return await services.store.write(work)


async def leave_case(services: Services, caller: Caller, case_id: str, worker: Worker) -> CaseView:
    """End the party's involvement by its casemanager; with its last case the client is a stranger again."""

    def work(tx: Transaction) -> CaseView:
        now = services.clock()
        case = active_case(tx.conn, case_id, caller.party, worker)
        client = client_of(tx.conn, services, case)
        case_records.move(tx, case, "left", left_at=now)
        if not case_records.has_active(tx.conn, client.id, caller.party):
            clients.end_reach(tx, client.id, caller.party)
            exchange_ends.end_involvement(tx, services, client_id=client.id, party=caller.party)
        clients.raise_revision(tx, client.id)
        note(tx, Kind.CASE_LEFT, case, client, now=now, worker=worker.id)
        return _view(tx.conn, case.id, caller.party)

    return await services.store.write(work)


def involvement(conn: Connection, client_id: str, party: str, worker_id: str, role: str) -> Involvement:
    """Say whether party and worker are on the client's case; one statement, also for nobody's client."""
    rows = conn.execute(
        _INVOLVED, {"client_id": client_id, "party": party, "worker_id": worker_id, "role": role}
    ).all()
    with_worker = [row for row in rows if row.worker_id is not None]
    best = (with_worker or rows)[:1]
    return Involvement(bool(rows), best[0].basis if best else None, bool(with_worker))


def partners(conn: Connection, client_id: str) -> tuple[str, ...]:
    """Name the parties with an active case; whether each may be listed is the agreement's to say."""
    return tuple(conn.scalars(_PARTNERS, {"client_id": client_id}))


def require_joins_by_act(kind: str) -> None:
    """Refuse kinds that a mandate cannot involve."""
    if kind not in JOINS_BY_ACT:
        raise Refused("not_for_this_party", "This kind of party does not open a case on a client's mandate.")


def require_mandate_role(worker: Worker) -> None:
    """Refuse roles that do not take down or confirm a mandate."""
    if worker.role not in _MANDATE_ROLES:
        raise Refused("role_may_not")


def require_case_role(worker: Worker) -> None:
    """Refuse roles in which nobody is on a case."""
    if worker.role not in CASE_ROLES:
        raise Refused("role_may_not", "Nobody is on a case in this role.")


def team_of(casemanager: str, workers: tuple[Worker, ...]) -> tuple[Worker, ...]:
    """Join the casemanager and the others who are to be on a case."""
    for worker in workers:
        require_case_role(worker)
    return (Worker(id=casemanager, role=Role.CASEMANAGER), *workers)


def own_numbers(own_number: str | None, party: str) -> tuple[Number, ...]:
    """Read the number that a party itself gave a client, where it says one."""
    return () if own_number is None else (Number(Scheme.PARTY_NUMBER.value, party, own_number),)


def active_case(conn: Connection, case_id: str, party: str, casemanager: Worker) -> Case:
    """Read an own case on which this casemanager may act now."""
    case = case_records.load(conn, case_id, party=party)
    case_records.require_casemanager(conn, case, casemanager)
    if case.state != "active":
        raise Conflict("state_conflict", "This case is not active.")
    return case


def client_of(conn: Connection, services: Services, case: Case) -> ClientRef:
    """Read the client of a case."""
    client = clients.by_id(conn, services.vault, case.client_id)
    if client is None:
        raise Refused("not_found")
    return client


def note(
    tx: Transaction,
    kind: Kind,
    case: Case,
    client: ClientRef,
    *,
    now: int,
    worker: str,
    more: Mapping[str, Json] | None = None,
) -> int:
    """Record in the ledger what happened to a case; return the entry's index."""
    detail = {"case": case.id, "party": case.party, "worker": worker, "at": now, **(more or {})}
    recorded = record(
        tx, kind=kind, detail=detail, key=client.key, now=now, party_id=case.party, client_id=client.id
    )
    return recorded.index


def _settle(
    tx: Transaction, services: Services, case: Case, content: CaseContent, fresh: ClientRef
) -> ClientRef:
    """Give the case to the client that its numbers belong to: the fresh one, or one known before."""
    holder = clients.claim_identifiers(tx, services.vault, fresh.id, content.numbers)
    known = None if holder == fresh.id else clients.by_id(tx.conn, services.vault, holder)
    if known is None:
        return fresh
    clients.merge_into(tx, fresh, known)
    case_records.give_to(tx, case.id, content, known)
    return known


def _view(conn: Connection, case_id: str, party: str) -> CaseView:
    return CaseView(case_records.load(conn, case_id, party=party), case_records.workers(conn, case_id))
