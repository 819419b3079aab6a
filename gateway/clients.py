"""Clients as the gateway knows them: a random id, a revision, a key, and the numbers that lead there.

Two tables lead from a number to a client. `identifiers` says whose a number is over all parties, and
is read only while a case is confirmed or joined. `reach` says it for one party, and only where that
party is on the client's case: for everyone else a known and an unknown client are the same miss.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update

from adapters.protocol import ClientIdentifier, Scheme
from gateway.errors import Conflict
from gateway.ledger.entry import move_details
from gateway.storage.tables import clients, identifiers
from gateway.storage.tables import reach as reach_rows
from gateway.vault import DataKey, Vault, new_id

if TYPE_CHECKING:
    from gateway.storage.unit_of_work import Transaction


# Built once: to build a statement costs five times what it costs to run it (docs/benchmarks.md).
_REACH = (
    select(clients.c.id, clients.c.revision, clients.c.data_key_sealed)
    .join(reach_rows, reach_rows.c.client_id == clients.c.id)
    .where(reach_rows.c.reach_key == bindparam("reach_key"))
)
_BY_ID = select(clients.c.id, clients.c.revision, clients.c.data_key_sealed).where(
    clients.c.id == bindparam("client_id"), clients.c.merged_into.is_(None)
)

_SEVERAL = "These numbers belong to different clients."


@dataclass(frozen=True, slots=True)
class ClientRef:
    """A client found: `revision` is that of the snapshot it was read in."""

    id: str
    revision: int
    key: DataKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Number:
    """A number with whose it is: `owner` is "" for a V-number, else the party that gave it out."""

    scheme: str
    owner: str
    value: str = field(repr=False)

    @classmethod
    def of(cls, identifier: ClientIdentifier, party: str) -> Number:
        """Read an identifier; a party number is one of `party`'s."""
        owner = "" if identifier.scheme is Scheme.V_NUMBER else party
        return cls(identifier.scheme.value, owner, identifier.value)


def new_client(tx: Transaction, vault: Vault, now: int) -> ClientRef:
    """Make a client with a key of its own; nothing leads to it yet."""
    client_id = new_id()
    key = vault.new_data_key(client_id)
    tx.conn.execute(
        insert(clients).values(id=client_id, revision=1, data_key_sealed=key.sealed, created_at=now)
    )
    return ClientRef(client_id, 1, key)


def reach(
    conn: Connection, vault: Vault, party: str, identifier: ClientIdentifier, owner: str
) -> ClientRef | None:
    """Find the client that this number leads this party to; None unless it is on that client's case."""
    reach_key = vault.reach_key(party, identifier.scheme.value, owner, identifier.value)
    row = conn.execute(_REACH, {"reach_key": reach_key}).one_or_none()
    if row is None:
        return None
    return ClientRef(row.id, row.revision, vault.data_key(row.id, row.data_key_sealed))


def reach_own(conn: Connection, vault: Vault, party: str, identifier: ClientIdentifier) -> ClientRef | None:
    """Find a client by V-number or by the party's own number for them."""
    return reach(conn, vault, party, identifier, Number.of(identifier, party).owner)


def by_id(conn: Connection, vault: Vault, client_id: str) -> ClientRef | None:
    """Read a client that a row of ours names."""
    row = conn.execute(_BY_ID, {"client_id": client_id}).one_or_none()
    return (
        None if row is None else ClientRef(row.id, row.revision, vault.data_key(row.id, row.data_key_sealed))
    )


def raise_revision(tx: Transaction, client_id: str) -> None:
    """Say that a fact about this client changed: hand-overs decided before this re-check (DESIGN §2)."""
    tx.conn.execute(update(clients).where(clients.c.id == client_id).values(revision=clients.c.revision + 1))


def holder_of(conn: Connection, vault: Vault, number: Number) -> str | None:
    """Name the client whose number this is, over all parties. Only for who joins a case."""
    return conn.execute(
        select(identifiers.c.client_id).where(identifiers.c.subject == _subject(vault, number))
    ).scalar_one_or_none()


def claim_identifiers(tx: Transaction, vault: Vault, client_id: str, numbers: Iterable[Number]) -> str:
    """Claim numbers nobody has for this client; return whose they are: its, or a client's known earlier.

    A number that the party gave out itself decides over a V-number that others know: a conflict between
    the two would tell that somebody knows this V-number. Raises Conflict if the party's own numbers
    belong to several clients, which tells it nothing new; `let_reach` does where its V-numbers do.
    """
    by_owner: dict[bool, set[str]] = {True: set(), False: set()}
    for number in numbers:
        _insert_if_absent(tx.conn, identifiers, subject=_subject(vault, number), client_id=client_id)
        holder = holder_of(tx.conn, vault, number) or client_id
        by_owner[bool(number.owner)] |= {holder} - {client_id}
    earlier = by_owner[True] or by_owner[False]
    if len(earlier) > 1:
        raise Conflict("state_conflict", _SEVERAL)
    return min(earlier, default=client_id)


def merge_into(tx: Transaction, fresh: ClientRef, known: ClientRef) -> None:
    """Make a client that was made for a pending case one with the client it turned out to be.

    Nothing stays sealed under the fresh key, so it is destroyed. The caller moves the case itself.
    """
    tx.conn.execute(update(identifiers).where(identifiers.c.client_id == fresh.id).values(client_id=known.id))
    move_details(tx, from_client=fresh.id, from_key=fresh.key, to_client=known.id, to_key=known.key)
    tx.conn.execute(
        update(clients).where(clients.c.id == fresh.id).values(merged_into=known.id, data_key_sealed=b"")
    )


def let_reach(tx: Transaction, vault: Vault, client_id: str, party: str, numbers: Iterable[Number]) -> None:
    """Let a party on the client's case find the client by these numbers, from now on."""
    for number in numbers:
        reach_key = vault.reach_key(party, number.scheme, number.owner, number.value)
        _insert_if_absent(tx.conn, reach_rows, reach_key=reach_key, client_id=client_id, party_id=party)
        found = select(reach_rows.c.client_id).where(reach_rows.c.reach_key == reach_key)
        if tx.conn.execute(found).scalar_one() != client_id:
            raise Conflict("state_conflict", _SEVERAL)


def end_reach(tx: Transaction, client_id: str, party: str) -> None:
    """Make the client as unknown to this party as one that never was."""
    tx.conn.execute(
        delete(reach_rows).where(reach_rows.c.client_id == client_id, reach_rows.c.party_id == party)
    )


def _subject(vault: Vault, number: Number) -> str:
    return vault.subject(number.scheme, number.owner, number.value)


def _insert_if_absent(conn: Connection, table: Table, **values: str) -> None:
    # One atomic write decides whose a number is, also between two replicas on PostgreSQL.
    # The dialect in use is loaded; the other one would only cost start-up.
    dialect = import_module(f"sqlalchemy.dialects.{conn.dialect.name}")
    conn.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())
