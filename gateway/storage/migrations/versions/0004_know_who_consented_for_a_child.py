"""Keep of a consent whether the client was under 16 and whether a legal representative gave it.

Consents from before this was asked count as given by people of age: the desk recorded no others.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("minor", "guardian"):
        op.add_column("consents", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Refuse: who consented for whom would be forgotten."""
    raise NotImplementedError("a ledger is never taken back")
