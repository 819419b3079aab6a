"""Keep what was published of a quarter, so that whoever reads it later reads the same."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_LONG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "counted_reports",
        sa.Column("quarter", sa.String(length=7), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("published_at", _LONG, nullable=False),
        sa.Column("ledger_index", _LONG, nullable=False),
        sa.PrimaryKeyConstraint("quarter", name=op.f("pk_counted_reports")),
    )


def downgrade() -> None:
    """Refuse: a report that is made anew may say something else, and the two would tell of people."""
    raise NotImplementedError("a ledger is never taken back")
