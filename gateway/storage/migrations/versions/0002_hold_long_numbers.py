"""Hold instants after January 2038, and places in the ledger beyond 2^31, on PostgreSQL.

SQLite's integers are as long as they need to be: nothing to do there.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_LONG = {
    "cases": ("opened_at", "confirmed_at", "left_at"),
    "case_workers": ("added_at",),
    "clients": ("created_at",),
    "consent_events": ("id", "at", "ledger_index"),
    "consent_grants": ("active_until",),
    "consents": ("valid_from", "valid_until", "created_at", "changed_at"),
    "exchanges": ("created_at", "expires_at", "ledger_index"),
    "hand_overs": ("ledger_index", "handed_over_at"),
    "idempotency": ("expires_at",),
    "invitations": ("created_at", "expires_at"),
    "ledger_details": ("index", "recorded_at"),
    "ledger_entries": ("index",),
    "ledger_head": ("size",),
    "ledger_tiles": ("number",),
    "outbox": ("id", "next_attempt_at"),
    "replay": ("expires_at",),
}


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, columns in _LONG.items():
        for column in columns:
            op.alter_column(table, column, type_=sa.BigInteger())
    for sequence in ("outbox_id_seq", "consent_events_id_seq"):
        op.execute(f"ALTER SEQUENCE {sequence} AS bigint")


def downgrade() -> None:
    """Refuse: what was written since may not fit."""
    raise NotImplementedError("a ledger is never taken back")
