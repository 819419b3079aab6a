"""Remember the newest key list of each party across restarts, and among the gateways of a database."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "key_list_serials",
        sa.Column("party_id", sa.String(length=48), nullable=False),
        sa.Column("serial", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("party_id", name=op.f("pk_key_list_serials")),
    )


def downgrade() -> None:
    """Refuse: an older key list would be believed again."""
    raise NotImplementedError("a ledger is never taken back")
