"""Every table of consents. Instants are integer Unix seconds; `*_sealed` columns are ciphertext.

The metadata is apart from the gateway's, so that this package stands alone; both are made and migrated
together (`gateway.storage.migrations`).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    false,
)

from consent.model import State

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# PostgreSQL's integers end in January 2038, SQLite's do not; there a BIGINT would be no row id.
Long = BigInteger().with_variant(Integer(), "sqlite")

_STATES = ", ".join(f"'{state}'" for state in State)

consents = Table(
    "consents",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("client_id", String(32), nullable=False),
    Column("recorded_by_party", String(48), nullable=False),
    Column("recorded_by", String(64), nullable=False),
    Column("confirmed_by", String(64), nullable=True),
    Column("purpose", String(48), nullable=False),
    Column("state", String(16), nullable=False),
    Column("legal_basis", String(128), nullable=False),
    Column("valid_from", Long, nullable=False),
    Column("valid_until", Long, nullable=False),
    Column("content_sealed", LargeBinary, nullable=False),
    Column("evidence_digest", String(64), nullable=False),
    Column("created_at", Long, nullable=False),
    Column("changed_at", Long, nullable=False),
    # Whether the client was under 16, and whether a legal representative said yes with them (UAVG art. 5).
    Column("minor", Boolean, nullable=False, server_default=false()),
    Column("guardian", Boolean, nullable=False, server_default=false()),
    CheckConstraint(f"state IN ({_STATES})", name="state"),
    # No single login makes a consent (DESIGN §2). `withdrawn` stands with the states that never
    # opened anything, because a pending one may be withdrawn; nothing leads out of it (model.NEXT).
    CheckConstraint(
        "state IN ('pending', 'refused', 'withdrawn') OR"
        " (confirmed_by IS NOT NULL AND confirmed_by <> recorded_by)",
        name="two_people",
    ),
    CheckConstraint("confirmed_by IS NULL OR confirmed_by <> recorded_by", name="not_twice_the_same"),
    CheckConstraint("legal_basis <> ''", name="legal_basis"),
    Index("ix_consents_client_party", "client_id", "recorded_by_party", "created_at"),
)

consent_grants = Table(
    "consent_grants",
    metadata,
    Column("consent_id", ForeignKey("consents.id"), nullable=False),
    Column("client_id", String(32), nullable=False),
    Column("purpose", String(48), nullable=False),
    Column("source", String(48), nullable=False),
    Column("recipient", String(48), nullable=False),
    Column("category", String(32), nullable=False),
    Column("explicit", Boolean, nullable=False),
    # `valid_until` of the consent while that is active, else NULL. Kept here so that one walk down
    # one index finds the living among a hundred thousand dead; policy is given the consent's own row.
    Column("active_until", Long, nullable=True),
    PrimaryKeyConstraint("consent_id", "source", "recipient", "category"),
    Index(
        "ix_consent_grants_look_up",
        "client_id",
        "purpose",
        "source",
        "recipient",
        "category",
        "active_until",
    ),
)

consent_statements = Table(
    "consent_statements",
    metadata,
    Column("id", String(64), primary_key=True),  # the statement's jti: one statement, one consent
    Column("consent_id", ForeignKey("consents.id"), nullable=False, index=True),
    Column("source", String(48), nullable=False),
    Column("statement_sealed", LargeBinary, nullable=False),
)

# Append-only: nothing here updates or deletes a row.
consent_events = Table(
    "consent_events",
    metadata,
    Column("id", Long, primary_key=True, autoincrement=True),
    Column("consent_id", ForeignKey("consents.id"), nullable=False, index=True),
    Column("event", String(16), nullable=False),
    Column("at", Long, nullable=False),
    Column("worker", String(64), nullable=False),
    Column("ledger_index", Long, nullable=False),
)
