"""The tables of the agreement's versions and of what the parties signed; they are `tables.metadata`'s too.

Instants are integer Unix seconds. Which version is in force, and which comes next, is `gateway_state`'s.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

from gateway.storage.tables import Long, metadata

# Every version of the agreement that was proposed. Nothing here is believed: what decides is read
# from `document` and the signatures, verified against the gateway's own register.
agreement_versions = Table(
    "agreement_versions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("version", String(64), nullable=False),
    Column("supersedes", String(64), nullable=True),
    Column("founding_set", Text, nullable=False),  # JSON list, as the document has it
    Column("document", LargeBinary, nullable=False),  # canonical JSON (RFC 8785): what the digest is of
    Column("valid_from", Long, nullable=False),
    Column("valid_until", Long, nullable=False),
    Column("proposed_by_party", String(48), nullable=False),
    Column("proposed_by", String(64), nullable=False),
    Column("proposed_at", Long, nullable=False),
    Column("approved_by_party", String(48), nullable=True),
    Column("approved_by", String(64), nullable=True),
    Column("approved_at", Long, nullable=True),
    Column("activated_by_party", String(48), nullable=True),
    Column("activated_by", String(64), nullable=True),
    Column("activated_at", Long, nullable=True),
    Column("in_force_at", Long, nullable=True),
    Column("superseded_at", Long, nullable=True),
    # Proposing and approving are two people; of two parties they are, whatever each calls its worker.
    CheckConstraint(
        "(approved_at IS NULL AND approved_by IS NULL AND approved_by_party IS NULL)"
        " OR (approved_at IS NOT NULL AND approved_by IS NOT NULL AND approved_by_party IS NOT NULL"
        " AND (approved_by_party <> proposed_by_party OR approved_by <> proposed_by))",
        name="two_people",
    ),
    CheckConstraint("activated_at IS NULL OR approved_at IS NOT NULL", name="approved_first"),
)

agreement_signatures = Table(
    "agreement_signatures",
    metadata,
    Column("digest", ForeignKey("agreement_versions.digest"), nullable=False),
    Column("party_id", String(48), nullable=False),
    Column("jws", Text, nullable=False),
    Column("signed_at", Long, nullable=False),  # what the signature says: a later one must be later
    Column("withdrawal", Text, nullable=True),  # the JWS that takes the signature back
    Column("withdrawn_at", Long, nullable=True),
    PrimaryKeyConstraint("digest", "party_id"),
    CheckConstraint("(withdrawal IS NULL) = (withdrawn_at IS NULL)", name="withdrawn"),
)
