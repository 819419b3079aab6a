"""Databases as each released version left them, with rows: what a migration starts from.

`ROWS` has a row for every table, in the order in which they may be written; the ledger's own tables are
filled by appending. Of a row, a version gets what it has a place for: a migration that adds a table or a
column puts a row or a value here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, Table, insert, select

from gateway.ledger.append import Appender, start
from gateway.storage import migrations
from gateway.storage.migrations import upgrade
from tests.integration.storing import SIGNER

VERSIONS = sorted(
    script.revision for script in ScriptDirectory(str(Path(migrations.__file__).parent)).walk_revisions()
)
NOW = 1_780_000_000
# More than a full tile, so that the migrated ledger is read through one.
ENTRIES = tuple(b"entry %d" % number for number in range(300))
ROWS: Mapping[str, Mapping[str, Any]] = {
    "gateway_state": {
        "id": 1,
        "party_epoch": 3,
        "agreement_digest": "sha-256:agreement",
        "next_agreement_digest": "sha-256:next",
        "next_agreement_at": NOW + 500,
    },
    "agreement_versions": {
        "digest": "sha-256:next",
        "version": "2026.2",
        "supersedes": "sha-256:agreement",
        "founding_set": '["askv"]',
        "document": b"{}",
        "valid_from": NOW + 500,
        "valid_until": NOW + 1000,
        "proposed_by_party": "askv",
        "proposed_by": "dpo-1",
        "proposed_at": NOW,
        "approved_by_party": "askv",
        "approved_by": "dpo-2",
        "approved_at": NOW + 1,
        "activated_by_party": "askv",
        "activated_by": "dpo-1",
        "activated_at": NOW + 2,
    },
    "agreement_signatures": {
        "digest": "sha-256:next",
        "party_id": "askv",
        "jws": "signature",
        "signed_at": NOW + 1,
        "withdrawal": "withdrawal",
        "withdrawn_at": NOW + 2,
    },
    "parties": {"id": "ind", "status": "suspended"},
    "key_list_serials": {"party_id": "ind", "serial": 7},
    "clients": {"id": "c1", "revision": 7, "data_key_sealed": b"\x00key", "created_at": NOW},
    "identifiers": {"subject": "subject-1", "client_id": "c1"},
    "reach": {"reach_key": "reach-1", "client_id": "c1", "party_id": "askv"},
    "cases": {
        "id": "case-1",
        "client_id": "c1",
        "party_id": "askv",
        "state": "active",
        "basis": "mandate",
        "opened_by": "desk-1",
        "confirmed_by": "desk-2",
        "content_sealed": b"\xffcontent",
        "opened_at": NOW,
        "confirmed_at": NOW + 1,
        "left_at": None,
    },
    "case_workers": {"case_id": "case-1", "worker_id": "jurist-1", "role": "caseworker", "added_at": NOW},
    "invitations": {
        "id": "invitation-1",
        "case_id": "case-1",
        "to_party": "goedwerk",
        "invited_by": "regie-1",
        "state": "open",
        "created_at": NOW,
        "expires_at": NOW + 1000,
    },
    "exchanges": {
        "id": "exchange-1",
        "requester": "askv",
        "worker_id": "jurist-1",
        "worker_role": "caseworker",
        "request_jti": "jti-1",
        "purpose": "legal_screening",
        "source": "ind",
        "categories": '["perspective"]',
        "subject": "subject-1",
        "client_id": "c1",
        "state": "answered",
        "agreement_digest": "sha-256:agreement",
        "ordered": "{}",
        "order_jws": "order",
        "order_digest": "digest",
        "attestation_sealed": b"sealed",
        "failure": None,
        "created_at": NOW,
        "expires_at": NOW + 86_400,
        "ledger_index": 4,
    },
    "sealed_documents": {"exchange_id": "exchange-1", "position": 0, "category": "decisions", "jwe": "jwe"},
    "hand_overs": {
        "id": "hand-over-1",
        "exchange_id": "exchange-1",
        "category": "perspective",
        "outcome": "permitted",
        "ground": "baseline",
        "consent_id": None,
        "ledger_index": 5,
        "handed_over_at": NOW + 2,
    },
    "counted_reports": {
        "quarter": "2026-Q1",
        "body": b"{}",
        "published_at": NOW,
        "ledger_index": 6,
    },
    # Without its number: the database gives one, before the migration and after it.
    "outbox": {
        "topic": "order",
        "exchange_id": "exchange-1",
        "source": "ind",
        "body": "jws",
        "attempts": 2,
        "next_attempt_at": NOW + 30,
    },
    "idempotency": {
        "party_id": "askv",
        "key": "key-1",
        "fingerprint": "fingerprint",
        "resource_id": "exchange-1",
        "expires_at": NOW + 86_400,
    },
    "replay": {"key": "proof-1", "expires_at": NOW + 60},
    "ledger_details": {
        "index": 4,
        "kind": "request_refused",
        "party_id": "askv",
        "client_id": "c1",
        "subject": "subject-1",
        "exchange_id": "exchange-1",
        "detail_sealed": b"detail",
        "recorded_at": NOW,
    },
    "consents": {
        "id": "consent-1",
        "client_id": "c1",
        "recorded_by_party": "askv",
        "recorded_by": "desk-1",
        "confirmed_by": "desk-2",
        "purpose": "legal_screening",
        "state": "active",
        "legal_basis": "GDPR 6(1)(f)",
        "valid_from": NOW,
        "valid_until": NOW + 1000,
        "content_sealed": b"content",
        "evidence_digest": "sha-256:evidence",
        "created_at": NOW,
        "changed_at": NOW + 1,
        "minor": True,
        "guardian": True,
    },
    "consent_events": {
        "consent_id": "consent-1",
        "event": "confirmed",
        "at": NOW + 1,
        "worker": "desk-2",
        "ledger_index": 3,
    },
    "consent_grants": {
        "consent_id": "consent-1",
        "client_id": "c1",
        "purpose": "legal_screening",
        "source": "ind",
        "recipient": "askv",
        "category": "decisions",
        "explicit": False,
        "active_until": NOW + 1000,
    },
    "consent_statements": {
        "id": "statement-1",
        "consent_id": "consent-1",
        "source": "ind",
        "statement_sealed": b"statement",
    },
}
BY_APPENDING = frozenset({"ledger_head", "ledger_tiles", "ledger_entries"})


def as_released(conn: Connection, version: str) -> None:
    """Make the tables of a version and fill every one of them."""
    upgrade(conn, version)
    tables = tables_of(conn)
    for name in (name for name in ROWS if name in tables):
        row = {column: value for column, value in ROWS[name].items() if column in tables[name].c}
        conn.execute(insert(tables[name]).values(row))
    start(conn, SIGNER)
    appender = Appender(SIGNER)
    appender.begin(conn)
    appender.flush(conn, ENTRIES)


def tables_of(conn: Connection) -> dict[str, Table]:
    """Look at the tables as they are, whatever the code says of them."""
    found = MetaData()
    found.reflect(conn)
    return {name: table for name, table in found.tables.items() if name != "alembic_version"}


def everything(
    conn: Connection, tables: Mapping[str, Table] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Read every row of every table: of the tables as they are, or as the code says that they are."""
    return {
        name: [dict(row) for row in conn.execute(select(table)).mappings()]
        for name, table in (tables or tables_of(conn)).items()
    }
