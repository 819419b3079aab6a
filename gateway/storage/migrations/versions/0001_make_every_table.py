"""Make every table."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "clients",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("data_key_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("merged_into", sa.String(length=32), nullable=True),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clients")),
    )
    op.create_table(
        "exchanges",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("requester", sa.String(length=48), nullable=False),
        sa.Column("worker_id", sa.String(length=64), nullable=False),
        sa.Column("worker_role", sa.String(length=16), nullable=False),
        sa.Column("request_jti", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=48), nullable=False),
        sa.Column("source", sa.String(length=48), nullable=False),
        sa.Column("categories", sa.Text(), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=32), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("agreement_digest", sa.String(length=64), nullable=False),
        sa.Column("ordered", sa.Text(), nullable=False),
        sa.Column("order_jws", sa.Text(), nullable=True),
        sa.Column("order_digest", sa.String(length=64), nullable=True),
        sa.Column("attestation_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("failure", sa.String(length=48), nullable=True),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.Integer(), nullable=False),
        sa.Column("ledger_index", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchanges")),
        sa.UniqueConstraint("requester", "request_jti", name=op.f("uq_exchanges_requester")),
    )
    op.create_index(op.f("ix_exchanges_client_id"), "exchanges", ["client_id"])
    op.create_index("ix_exchanges_state", "exchanges", ["state", "expires_at"])
    op.create_index(op.f("ix_exchanges_subject"), "exchanges", ["subject"])

    op.create_table(
        "gateway_state",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("party_epoch", sa.Integer(), nullable=False),
        sa.Column("agreement_digest", sa.String(length=64), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_gateway_state_single_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gateway_state")),
    )
    op.create_table(
        "idempotency",
        sa.Column("party_id", sa.String(length=48), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("resource_id", sa.String(length=32), nullable=False),
        sa.Column("expires_at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("party_id", "key", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_expires_at"), "idempotency", ["expires_at"])

    op.create_table(
        "ledger_details",
        sa.Column("index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("party_id", sa.String(length=48), nullable=True),
        sa.Column("client_id", sa.String(length=32), nullable=True),
        sa.Column("subject", sa.String(length=64), nullable=True),
        sa.Column("exchange_id", sa.String(length=32), nullable=True),
        sa.Column("detail_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("index", name=op.f("pk_ledger_details")),
    )
    op.create_index(op.f("ix_ledger_details_client_id"), "ledger_details", ["client_id"])
    op.create_index(op.f("ix_ledger_details_exchange_id"), "ledger_details", ["exchange_id"])
    op.create_index(op.f("ix_ledger_details_recorded_at"), "ledger_details", ["recorded_at"])
    op.create_index(op.f("ix_ledger_details_subject"), "ledger_details", ["subject"])

    op.create_table(
        "ledger_entries",
        sa.Column("index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("index", name=op.f("pk_ledger_entries")),
    )
    op.create_table(
        "ledger_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_ledger_head_single_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_head")),
    )
    op.create_table(
        "ledger_tiles",
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "number", name=op.f("pk_ledger_tiles")),
    )
    op.create_table(
        "parties",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.CheckConstraint("status IN ('active', 'suspended')", name=op.f("ck_parties_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parties")),
    )
    op.create_table(
        "replay",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_replay")),
    )
    op.create_index(op.f("ix_replay_expires_at"), "replay", ["expires_at"])

    op.create_table(
        "cases",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("client_id", sa.String(length=32), nullable=False),
        sa.Column("party_id", sa.String(length=48), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("basis", sa.String(length=16), nullable=False),
        sa.Column("opened_by", sa.String(length=64), nullable=False),
        sa.Column("confirmed_by", sa.String(length=64), nullable=True),
        sa.Column("content_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("opened_at", sa.Integer(), nullable=False),
        sa.Column("confirmed_at", sa.Integer(), nullable=True),
        sa.Column("left_at", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "basis <> 'mandate' OR state = 'pending' OR"
            " (confirmed_by IS NOT NULL AND confirmed_by <> opened_by)",
            name=op.f("ck_cases_two_people"),
        ),
        sa.CheckConstraint("basis IN ('mandate', 'invitation')", name=op.f("ck_cases_basis")),
        sa.CheckConstraint("state IN ('pending', 'active', 'left')", name=op.f("ck_cases_state")),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_cases_client_id_clients")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
    )
    op.create_index("ix_cases_client_party", "cases", ["client_id", "party_id", "state"])

    op.create_table(
        "hand_overs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("exchange_id", sa.String(length=32), nullable=False),
        sa.Column("category", sa.String(length=32), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("ground", sa.String(length=20), nullable=True),
        sa.Column("consent_id", sa.String(length=32), nullable=True),
        sa.Column("ledger_index", sa.Integer(), nullable=False),
        sa.Column("handed_over_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["exchange_id"], ["exchanges.id"], name=op.f("fk_hand_overs_exchange_id_exchanges")
        ),
        sa.PrimaryKeyConstraint("id", "category", name=op.f("pk_hand_overs")),
    )
    op.create_index(op.f("ix_hand_overs_consent_id"), "hand_overs", ["consent_id"])
    op.create_index(op.f("ix_hand_overs_exchange_id"), "hand_overs", ["exchange_id"])

    op.create_table(
        "identifiers",
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_identifiers_client_id_clients")),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_identifiers")),
    )
    op.create_index(op.f("ix_identifiers_client_id"), "identifiers", ["client_id"])

    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("topic", sa.String(length=16), nullable=False),
        sa.Column("exchange_id", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=48), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["exchange_id"], ["exchanges.id"], name=op.f("fk_outbox_exchange_id_exchanges")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(op.f("ix_outbox_exchange_id"), "outbox", ["exchange_id"])
    op.create_index(op.f("ix_outbox_next_attempt_at"), "outbox", ["next_attempt_at"])

    op.create_table(
        "reach",
        sa.Column("reach_key", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=32), nullable=False),
        sa.Column("party_id", sa.String(length=48), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_reach_client_id_clients")),
        sa.PrimaryKeyConstraint("reach_key", name=op.f("pk_reach")),
    )
    op.create_index(op.f("ix_reach_client_id"), "reach", ["client_id"])

    op.create_table(
        "sealed_documents",
        sa.Column("exchange_id", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("category", sa.String(length=32), nullable=False),
        sa.Column("jwe", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["exchange_id"], ["exchanges.id"], name=op.f("fk_sealed_documents_exchange_id_exchanges")
        ),
        sa.PrimaryKeyConstraint("exchange_id", "position", name=op.f("pk_sealed_documents")),
    )
    op.create_table(
        "case_workers",
        sa.Column("case_id", sa.String(length=32), nullable=False),
        sa.Column("worker_id", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("added_at", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_case_workers_case_id_cases")),
        sa.PrimaryKeyConstraint("case_id", "worker_id", "role", name=op.f("pk_case_workers")),
    )
    op.create_table(
        "invitations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("case_id", sa.String(length=32), nullable=False),
        sa.Column("to_party", sa.String(length=48), nullable=False),
        sa.Column("invited_by", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.Integer(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'accepted', 'withdrawn')", name=op.f("ck_invitations_state")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_invitations_case_id_cases")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
    )
    op.create_table(
        "consents",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("client_id", sa.String(length=32), nullable=False),
        sa.Column("recorded_by_party", sa.String(length=48), nullable=False),
        sa.Column("recorded_by", sa.String(length=64), nullable=False),
        sa.Column("confirmed_by", sa.String(length=64), nullable=True),
        sa.Column("purpose", sa.String(length=48), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("legal_basis", sa.String(length=128), nullable=False),
        sa.Column("valid_from", sa.Integer(), nullable=False),
        sa.Column("valid_until", sa.Integer(), nullable=False),
        sa.Column("content_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("evidence_digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.Integer(), nullable=False),
        sa.CheckConstraint("legal_basis <> ''", name=op.f("ck_consents_legal_basis")),
        sa.CheckConstraint(
            "state IN ('pending', 'active', 'refused', 'withdrawn', 'paused', 'expired', 'replaced')",
            name=op.f("ck_consents_state"),
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'refused', 'withdrawn') OR"
            " (confirmed_by IS NOT NULL AND confirmed_by <> recorded_by)",
            name=op.f("ck_consents_two_people"),
        ),
        sa.CheckConstraint(
            "confirmed_by IS NULL OR confirmed_by <> recorded_by", name=op.f("ck_consents_not_twice_the_same")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consents")),
    )
    op.create_index("ix_consents_client_party", "consents", ["client_id", "recorded_by_party", "created_at"])

    op.create_table(
        "consent_events",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("consent_id", sa.String(length=32), nullable=False),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("at", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("ledger_index", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["consent_id"], ["consents.id"], name=op.f("fk_consent_events_consent_id_consents")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_events")),
    )
    op.create_index(op.f("ix_consent_events_consent_id"), "consent_events", ["consent_id"])

    op.create_table(
        "consent_grants",
        sa.Column("consent_id", sa.String(length=32), nullable=False),
        sa.Column("client_id", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=48), nullable=False),
        sa.Column("source", sa.String(length=48), nullable=False),
        sa.Column("recipient", sa.String(length=48), nullable=False),
        sa.Column("category", sa.String(length=32), nullable=False),
        sa.Column("explicit", sa.Boolean(), nullable=False),
        sa.Column("active_until", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["consent_id"], ["consents.id"], name=op.f("fk_consent_grants_consent_id_consents")
        ),
        sa.PrimaryKeyConstraint(
            "consent_id", "source", "recipient", "category", name=op.f("pk_consent_grants")
        ),
    )
    op.create_index(
        "ix_consent_grants_look_up",
        "consent_grants",
        ["client_id", "purpose", "source", "recipient", "category", "active_until"],
    )

    op.create_table(
        "consent_statements",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("consent_id", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=48), nullable=False),
        sa.Column("statement_sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["consent_id"], ["consents.id"], name=op.f("fk_consent_statements_consent_id_consents")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_statements")),
    )
    op.create_index(op.f("ix_consent_statements_consent_id"), "consent_statements", ["consent_id"])


def downgrade() -> None:
    """Refuse: there is nothing before this, and a ledger is never taken back."""
    raise NotImplementedError("a ledger is never taken back")
