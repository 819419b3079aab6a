"""The rows of a case: one party's involvement with one client, its workers, its sealed numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from adapters.protocol import Role, Worker
from gateway import clients
from gateway.clients import ClientRef, Number
from gateway.errors import Conflict, Refused
from gateway.storage.tables import case_workers, cases
from gateway.vault import DataKey, Vault

if TYPE_CHECKING:
    from gateway.storage.unit_of_work import Transaction

# In what capacity a person may be on a case. A source's officer answers from the source's own list.
CASE_ROLES = frozenset({Role.DESK, Role.CASEWORKER, Role.CASEMANAGER, Role.MEDICAL})


@dataclass(frozen=True, slots=True)
class Case:
    """One row of `cases`; `state` is pending, active or left."""

    id: str
    client_id: str
    party: str
    state: str
    basis: str
    opened_by: str
    confirmed_by: str | None
    opened_at: int
    confirmed_at: int | None


@dataclass(frozen=True, slots=True)
class CaseContent:
    """What is sealed beside a case: the numbers the party gave, and the proof of the client's act."""

    numbers: tuple[Number, ...] = field(repr=False)
    mandate: Mapping[str, str]


def insert_case(
    tx: Transaction,
    case: Case,
    content: CaseContent,
    key: DataKey,
    workers: Iterable[Worker],
) -> None:
    """Store a case with its workers; the database refuses a mandate of one login."""
    tx.conn.execute(
        insert(cases).values(
            id=case.id,
            client_id=case.client_id,
            party_id=case.party,
            state=case.state,
            basis=case.basis,
            opened_by=case.opened_by,
            confirmed_by=case.confirmed_by,
            content_sealed=_seal(case.id, content, key),
            opened_at=case.opened_at,
            confirmed_at=case.confirmed_at,
        )
    )
    for worker in dict.fromkeys((worker.id, worker.role.value) for worker in workers):
        insert_worker(tx, case.id, *worker, now=case.opened_at)


def load(conn: Connection, case_id: str, *, party: str) -> Case:
    """Read a case of this party; another party's is as absent as one that never was."""
    row = conn.execute(select(cases).where(cases.c.id == case_id, cases.c.party_id == party)).one_or_none()
    if row is None:
        raise Refused("not_found")
    return case_of(row)


def content(conn: Connection, case_id: str, key: DataKey) -> CaseContent:
    """Open what is sealed beside a case."""
    sealed = conn.execute(select(cases.c.content_sealed).where(cases.c.id == case_id)).scalar_one()
    return _open(case_id, sealed, key)


def move(tx: Transaction, case: Case, to: str, **values: Any) -> None:
    """Change the state if it still is what the caller read; raise Conflict otherwise."""
    done = tx.conn.execute(
        update(cases).where(cases.c.id == case.id, cases.c.state == case.state).values(state=to, **values)
    )
    if done.rowcount != 1:
        raise Conflict("state_conflict")


def give_to(tx: Transaction, case_id: str, content_: CaseContent, client: ClientRef) -> None:
    """Move a case to another client, sealed under that one's key."""
    tx.conn.execute(
        update(cases)
        .where(cases.c.id == case_id)
        .values(client_id=client.id, content_sealed=_seal(case_id, content_, client.key))
    )


def insert_worker(tx: Transaction, case_id: str, worker_id: str, role: str, *, now: int) -> bool:
    """Put a worker on a case in a role; return False if it was there already."""
    known = tx.conn.execute(
        select(case_workers.c.added_at).where(
            case_workers.c.case_id == case_id,
            case_workers.c.worker_id == worker_id,
            case_workers.c.role == role,
        )
    ).one_or_none()
    if known is None:
        tx.conn.execute(
            insert(case_workers).values(case_id=case_id, worker_id=worker_id, role=role, added_at=now)
        )
    return known is None


def delete_worker(tx: Transaction, case_id: str, worker_id: str) -> bool:
    """Take a worker off a case in every role; return whether there was one."""
    gone = tx.conn.execute(
        delete(case_workers).where(case_workers.c.case_id == case_id, case_workers.c.worker_id == worker_id)
    )
    return gone.rowcount > 0


def workers(conn: Connection, case_id: str) -> tuple[tuple[str, str], ...]:
    """Read who is on a case: (worker, role), in a fixed order."""
    rows = conn.execute(
        select(case_workers.c.worker_id, case_workers.c.role)
        .where(case_workers.c.case_id == case_id)
        .order_by(case_workers.c.role, case_workers.c.worker_id)
    )
    return tuple((row.worker_id, row.role) for row in rows)


def require_casemanager(conn: Connection, case: Case, worker: Worker) -> None:
    """Refuse a worker who does not lead this case."""
    if worker.role is not Role.CASEMANAGER:
        raise Refused("role_may_not", "Only the casemanager may do this.")
    if (worker.id, worker.role.value) not in workers(conn, case.id):
        raise Refused("not_on_case")


def has_active(conn: Connection, client_id: str, party: str) -> bool:
    """Say whether the party is on the client's case."""
    found = select(cases.c.id).where(
        cases.c.client_id == client_id, cases.c.party_id == party, cases.c.state == "active"
    )
    return conn.execute(found.limit(1)).first() is not None


def connect(tx: Transaction, vault: Vault, client: ClientRef, party: str, numbers: Iterable[Number]) -> None:
    """Let a party that joined find the client, and let each involved party ask the others by their number.

    A V-number leads only those to the client who gave it themselves; a party's number is what anyone on
    the case asks that party by, when it is a source (DESIGN §2).
    """
    given = tuple(numbers)
    clients.let_reach(tx, vault, client.id, party, given)
    active = tx.conn.execute(
        select(cases.c.id, cases.c.party_id, cases.c.content_sealed).where(
            cases.c.client_id == client.id, cases.c.state == "active", cases.c.party_id != party
        )
    ).all()
    for row in active:
        theirs = _open(row.id, row.content_sealed, client.key).numbers
        clients.let_reach(tx, vault, client.id, row.party_id, [n for n in given if n.owner == party])
        clients.let_reach(tx, vault, client.id, party, [n for n in theirs if n.owner == row.party_id])


def case_of(row: Row[Any]) -> Case:
    """Read a row of `cases`."""
    return Case(
        id=row.id,
        client_id=row.client_id,
        party=row.party_id,
        state=row.state,
        basis=row.basis,
        opened_by=row.opened_by,
        confirmed_by=row.confirmed_by,
        opened_at=row.opened_at,
        confirmed_at=row.confirmed_at,
    )


def _seal(case_id: str, content_: CaseContent, key: DataKey) -> bytes:
    numbers = [[n.scheme, n.owner, n.value] for n in content_.numbers]
    plaintext = json.dumps({"numbers": numbers, "mandate": dict(content_.mandate)}).encode()
    return key.seal(plaintext, place=_place(case_id))


def _open(case_id: str, sealed: bytes, key: DataKey) -> CaseContent:
    plain = json.loads(key.open(sealed, place=_place(case_id)))
    return CaseContent(tuple(Number(*number) for number in plain["numbers"]), plain["mandate"])


def _place(case_id: str) -> str:
    return f"cases.content_sealed:{case_id}"
