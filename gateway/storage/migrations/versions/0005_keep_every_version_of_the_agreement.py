"""Keep every version of the agreement with its signatures, and which comes next and when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_LONG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("gateway_state", sa.Column("next_agreement_digest", sa.String(length=64), nullable=True))
    op.add_column("gateway_state", sa.Column("next_agreement_at", _LONG, nullable=True))
    op.create_table(
        "agreement_versions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("supersedes", sa.String(length=64), nullable=True),
        sa.Column("founding_set", sa.Text(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("valid_from", _LONG, nullable=False),
        sa.Column("valid_until", _LONG, nullable=False),
        sa.Column("proposed_by_party", sa.String(length=48), nullable=False),
        sa.Column("proposed_by", sa.String(length=64), nullable=False),
        sa.Column("proposed_at", _LONG, nullable=False),
        sa.Column("approved_by_party", sa.String(length=48), nullable=True),
        sa.Column("approved_by", sa.String(length=64), nullable=True),
        sa.Column("approved_at", _LONG, nullable=True),
        sa.Column("activated_by_party", sa.String(length=48), nullable=True),
        sa.Column("activated_by", sa.String(length=64), nullable=True),
        sa.Column("activated_at", _LONG, nullable=True),
        sa.Column("in_force_at", _LONG, nullable=True),
        sa.Column("superseded_at", _LONG, nullable=True),
        sa.CheckConstraint(
            "(approved_at IS NULL AND approved_by IS NULL AND approved_by_party IS NULL)"
            " OR (approved_at IS NOT NULL AND approved_by IS NOT NULL AND approved_by_party IS NOT NULL"
            " AND (approved_by_party <> proposed_by_party OR approved_by <> proposed_by))",
            name=op.f("ck_agreement_versions_two_people"),
        ),
        sa.CheckConstraint(
            "activated_at IS NULL OR approved_at IS NOT NULL",
            name=op.f("ck_agreement_versions_approved_first"),
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_agreement_versions")),
    )
    op.create_table(
        "agreement_signatures",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("party_id", sa.String(length=48), nullable=False),
        sa.Column("jws", sa.Text(), nullable=False),
        sa.Column("signed_at", _LONG, nullable=False),
        sa.Column("withdrawal", sa.Text(), nullable=True),
        sa.Column("withdrawn_at", _LONG, nullable=True),
        sa.CheckConstraint(
            "(withdrawal IS NULL) = (withdrawn_at IS NULL)", name=op.f("ck_agreement_signatures_withdrawn")
        ),
        sa.ForeignKeyConstraint(
            ["digest"],
            ["agreement_versions.digest"],
            name=op.f("fk_agreement_signatures_digest_agreement_versions"),
        ),
        sa.PrimaryKeyConstraint("digest", "party_id", name=op.f("pk_agreement_signatures")),
    )


def downgrade() -> None:
    """Refuse: who signed what would be forgotten."""
    raise NotImplementedError("a ledger is never taken back")
