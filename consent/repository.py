"""The rows of consents. Synchronous functions over a `Connection`; the caller owns the transaction.

No column holds an identifier of a client or what was said in the clear: `*_sealed` is ciphertext
under the client's key, which this package never sees.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from consent.model import Consent, Event, Grant, Noted, State
from consent.tables import consent_events, consent_grants, consent_statements, consents
from consent.tables import metadata as metadata

# Built once: to build a statement costs five times what it costs to run it (docs/benchmarks.md).
_RECORDERS = select(consents.c.id, consents.c.recorded_by_party).where(
    consents.c.id.in_(bindparam("ids", expanding=True))
)
_LIVING_COLUMNS = select(
    consents.c.id,
    consents.c.state,
    consents.c.confirmed_by,
    consents.c.minor,
    consents.c.guardian,
    consents.c.valid_from,
    consents.c.valid_until,
    consent_grants.c.explicit,
).join(consents, consents.c.id == consent_grants.c.consent_id)
_LIVING = (
    _LIVING_COLUMNS.where(
        consent_grants.c.client_id == bindparam("client_id"),
        consent_grants.c.purpose == bindparam("purpose"),
        consent_grants.c.source == bindparam("source"),
        consent_grants.c.recipient == bindparam("recipient"),
        consent_grants.c.category == bindparam("category"),
        consent_grants.c.active_until.is_not(None),
        consents.c.state == State.ACTIVE.value,
    )
    .order_by(consent_grants.c.active_until.desc())
    .limit(bindparam("limit"))
)
# Client and purpose are asked of the consent, not of its lines: else PostgreSQL may take the look-up index
# and walk past every other consent of the client to find the few that are named.
_LIVING_ONLY = (
    _LIVING_COLUMNS.where(
        consent_grants.c.consent_id.in_(bindparam("only", expanding=True)),
        consent_grants.c.source == bindparam("source"),
        consent_grants.c.recipient == bindparam("recipient"),
        consent_grants.c.category == bindparam("category"),
        consent_grants.c.active_until.is_not(None),
        consents.c.client_id == bindparam("client_id"),
        consents.c.purpose == bindparam("purpose"),
        consents.c.state == State.ACTIVE.value,
    )
    .order_by(consent_grants.c.active_until.desc())
    .limit(bindparam("limit"))
)
_STATEMENTS = select(
    consent_statements.c.consent_id, consent_statements.c.id, consent_statements.c.statement_sealed
).where(
    consent_statements.c.consent_id.in_(bindparam("ids", expanding=True)),
    consent_statements.c.source == bindparam("source"),
)


def insert_consent(conn: Connection, consent: Consent, content_sealed: bytes) -> None:
    """Store a new consent; the database refuses one that a single login made active."""
    conn.execute(
        insert(consents).values(
            id=consent.id,
            client_id=consent.client_id,
            recorded_by_party=consent.recorded_by_party,
            recorded_by=consent.recorded_by,
            confirmed_by=consent.confirmed_by,
            purpose=consent.purpose,
            state=consent.state.value,
            legal_basis=consent.legal_basis,
            minor=consent.minor,
            guardian=consent.guardian,
            valid_from=consent.valid_from,
            valid_until=consent.valid_until,
            content_sealed=content_sealed,
            evidence_digest=consent.evidence_digest,
            created_at=consent.created_at,
            changed_at=consent.changed_at,
        )
    )


def insert_grants(conn: Connection, consent: Consent, grants: Iterable[Grant]) -> None:
    """Store the lines of a consent, opening nothing until it is active."""
    conn.execute(
        insert(consent_grants),
        [
            {
                "consent_id": consent.id,
                "client_id": consent.client_id,
                "purpose": consent.purpose,
                "source": grant.source,
                "recipient": grant.recipient,
                "category": grant.category,
                "explicit": grant.explicit,
                "active_until": None,
            }
            for grant in grants
        ],
    )


def insert_statements(
    conn: Connection, consent_id: str, statements_sealed: Mapping[str, tuple[str, bytes]]
) -> None:
    """Store the sealed statement of each source under its id; a used id is an IntegrityError."""
    conn.execute(
        insert(consent_statements),
        [
            {"id": jti, "consent_id": consent_id, "source": source, "statement_sealed": sealed}
            for jti, (source, sealed) in statements_sealed.items()
        ],
    )


def append_event(conn: Connection, consent_id: str, noted: Noted) -> None:
    """Add what happened, with the index of the ledger entry that proves it."""
    conn.execute(
        insert(consent_events).values(
            consent_id=consent_id,
            event=noted.event.value,
            at=noted.at,
            worker=noted.worker,
            ledger_index=noted.ledger_index,
        )
    )


def events(conn: Connection, consent_id: str) -> tuple[Noted, ...]:
    """Read what happened to a consent, oldest first."""
    rows = conn.execute(
        select(consent_events).where(consent_events.c.consent_id == consent_id).order_by(consent_events.c.id)
    )
    return tuple(Noted(Event(row.event), row.at, row.worker, row.ledger_index) for row in rows)


def load(conn: Connection, consent_id: str, *, party: str) -> Consent | None:
    """Read a consent that this party recorded; another party's is as absent as one that never was."""
    row = conn.execute(
        select(consents).where(consents.c.id == consent_id, consents.c.recorded_by_party == party)
    ).one_or_none()
    return None if row is None else _consent(row)


def of_client(conn: Connection, client_id: str, *, party: str, limit: int) -> tuple[Consent, ...]:
    """Read what this party recorded about one client, newest first, at most `limit`."""
    rows = conn.execute(
        select(consents)
        .where(consents.c.client_id == client_id, consents.c.recorded_by_party == party)
        .order_by(consents.c.created_at.desc(), consents.c.id)
        .limit(limit)
    )
    return tuple(_consent(row) for row in rows)


def recorders(conn: Connection, consent_ids: Collection[str]) -> dict[str, str]:
    """Say which party recorded each of these consents."""
    if not consent_ids:
        return {}
    rows = conn.execute(_RECORDERS, {"ids": list(consent_ids)})
    return {row.id: row.recorded_by_party for row in rows}


def content_sealed(conn: Connection, consent_id: str) -> bytes:
    """Read the sealed terms and evidence."""
    found: bytes = conn.execute(
        select(consents.c.content_sealed).where(consents.c.id == consent_id)
    ).scalar_one()
    return found


def move(conn: Connection, consent: Consent, to: State, *, now: int, confirmed_by: str | None = None) -> bool:
    """Change the state if it still is what the caller read, and let the grants follow it."""
    values: dict[str, Any] = {"state": to.value, "changed_at": now}
    if confirmed_by is not None:
        values["confirmed_by"] = confirmed_by
    done = conn.execute(
        update(consents)
        .where(consents.c.id == consent.id, consents.c.state == consent.state.value)
        .values(**values)
    )
    if done.rowcount != 1:
        return False
    active_until = consent.valid_until if to is State.ACTIVE else None
    conn.execute(
        update(consent_grants)
        .where(consent_grants.c.consent_id == consent.id)
        .values(active_until=active_until)
    )
    return True


def names_recipient(conn: Connection, client_id: str, party: str, *, now: int) -> bool:
    """Say whether an active consent of the client names this party as a recipient."""
    found = select(consent_grants.c.consent_id).where(
        consent_grants.c.client_id == client_id,
        consent_grants.c.recipient == party,
        consent_grants.c.active_until > now,
    )
    return conn.execute(found.limit(1)).first() is not None


def living_grants(
    conn: Connection,
    *,
    client_id: str,
    purpose: str,
    source: str,
    recipient: str,
    category: str,
    limit: int,
    only: Collection[str] | None = None,
) -> tuple[Row[Any], ...]:
    """Read the active consents that cover one category, those that hold longest first.

    `only` restricts to these consents. Cost: one walk down the look-up index of at most `limit` rows, or one
    look-up by key for each of `only`, however many consents the client ever gave.
    """
    asked: dict[str, Any] = {
        "client_id": client_id,
        "purpose": purpose,
        "source": source,
        "recipient": recipient,
        "category": category,
        "limit": limit,
    }
    if only is None:
        return tuple(conn.execute(_LIVING, asked))
    return tuple(conn.execute(_LIVING_ONLY, {**asked, "only": list(only)}))


def statements_sealed(
    conn: Connection, consent_ids: Collection[str], source: str
) -> tuple[tuple[str, str, bytes], ...]:
    """Read consent id, statement id and sealed statement for one source."""
    rows = conn.execute(_STATEMENTS, {"ids": list(consent_ids), "source": source})
    return tuple((row.consent_id, row.id, row.statement_sealed) for row in rows)


def _consent(row: Row[Any]) -> Consent:
    return Consent(
        id=row.id,
        client_id=row.client_id,
        recorded_by_party=row.recorded_by_party,
        recorded_by=row.recorded_by,
        confirmed_by=row.confirmed_by,
        purpose=row.purpose,
        state=State(row.state),
        legal_basis=row.legal_basis,
        minor=row.minor,
        guardian=row.guardian,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        evidence_digest=row.evidence_digest,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )
