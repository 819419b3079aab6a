"""Every table of the gateway. Instants are integer Unix seconds; `*_sealed` columns are ciphertext.

No column holds an identifier of a client or dossier content in the clear (promise 5):
`subject` and `reach_key` are HMACs under a key that lives outside the database (`gateway.vault`).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
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
    Text,
    UniqueConstraint,
)

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

# One row. `party_epoch` rises with every suspension, key change, signature and change of agreement.
# From `next_agreement_at` on nothing is recorded under `agreement_digest` before the next one is put there.
gateway_state = Table(
    "gateway_state",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("party_epoch", Integer, nullable=False),
    Column("agreement_digest", String(64), nullable=False),
    Column("next_agreement_digest", String(64), nullable=True),
    Column("next_agreement_at", Long, nullable=True),
    CheckConstraint("id = 1", name="single_row"),
)

parties = Table(
    "parties",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("status", String(16), nullable=False),  # active | suspended
    CheckConstraint("status IN ('active', 'suspended')", name="status"),
)

# The newest key list of each party that any gateway of this database has seen, the gateway's own included.
key_list_serials = Table(
    "key_list_serials",
    metadata,
    Column("party_id", String(48), primary_key=True),
    Column("serial", Long, nullable=False),
)

# --- clients -------------------------------------------------------------------------------

clients = Table(
    "clients",
    metadata,
    Column("id", String(32), primary_key=True),
    # Rises with every write of a fact about this client that policy reads.
    Column("revision", Integer, nullable=False),
    Column("data_key_sealed", LargeBinary, nullable=False),
    Column("merged_into", String(32), nullable=True),
    Column("created_at", Long, nullable=False),
)

# Who a number belongs to, over all parties. Read only when a case is confirmed.
identifiers = Table(
    "identifiers",
    metadata,
    Column("subject", String(64), primary_key=True),
    Column("client_id", ForeignKey("clients.id"), nullable=False, index=True),
)

# Who a number belongs to *for one party*: a row exists only where that party has been on the
# client's case, so that for everyone else known and unknown clients are the same miss (promise 7).
reach = Table(
    "reach",
    metadata,
    Column("reach_key", String(64), primary_key=True),
    Column("client_id", ForeignKey("clients.id"), nullable=False, index=True),
    Column("party_id", String(48), nullable=False),
)

# One row is one party's involvement with one client; its id is that party's own.
cases = Table(
    "cases",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("client_id", ForeignKey("clients.id"), nullable=False),
    Column("party_id", String(48), nullable=False),
    Column("state", String(16), nullable=False),  # pending | active | left
    Column("basis", String(16), nullable=False),  # mandate | invitation
    Column("opened_by", String(64), nullable=False),
    Column("confirmed_by", String(64), nullable=True),
    Column("content_sealed", LargeBinary, nullable=False),  # identifiers and evidence, sealed
    Column("opened_at", Long, nullable=False),
    Column("confirmed_at", Long, nullable=True),
    Column("left_at", Long, nullable=True),
    CheckConstraint("state IN ('pending', 'active', 'left')", name="state"),
    CheckConstraint("basis IN ('mandate', 'invitation')", name="basis"),
    # Two for a mandate: no single login makes a case (DESIGN §2).
    CheckConstraint(
        "basis <> 'mandate' OR state = 'pending' OR (confirmed_by IS NOT NULL AND confirmed_by <> opened_by)",
        name="two_people",
    ),
    Index("ix_cases_client_party", "client_id", "party_id", "state"),
)

case_workers = Table(
    "case_workers",
    metadata,
    Column("case_id", ForeignKey("cases.id"), nullable=False),
    Column("worker_id", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("added_at", Long, nullable=False),
    PrimaryKeyConstraint("case_id", "worker_id", "role"),
)

invitations = Table(
    "invitations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("case_id", ForeignKey("cases.id"), nullable=False),
    Column("to_party", String(48), nullable=False),
    Column("invited_by", String(64), nullable=False),
    Column("state", String(16), nullable=False),  # open | accepted | withdrawn
    Column("created_at", Long, nullable=False),
    Column("expires_at", Long, nullable=False),
    CheckConstraint("state IN ('open', 'accepted', 'withdrawn')", name="state"),
)

# --- exchanges -----------------------------------------------------------------------------

exchanges = Table(
    "exchanges",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("requester", String(48), nullable=False),
    Column("worker_id", String(64), nullable=False),
    Column("worker_role", String(16), nullable=False),
    Column("request_jti", String(64), nullable=False),
    Column("purpose", String(48), nullable=False),
    Column("source", String(48), nullable=False),
    Column("categories", Text, nullable=False),  # JSON list, as requested
    Column("subject", String(64), nullable=False, index=True),
    Column("client_id", String(32), nullable=True, index=True),  # NULL: not on the case
    # received | refused | nothing_to_share | forwarded | answered | failed | collected
    # | cancelled | expired
    Column("state", String(20), nullable=False),
    Column("agreement_digest", String(64), nullable=False),
    Column("ordered", Text, nullable=False),  # JSON: category → {ground, consent}
    Column("order_jws", Text, nullable=True),
    Column("order_digest", String(64), nullable=True),
    Column("attestation_sealed", LargeBinary, nullable=True),
    Column("failure", String(48), nullable=True),
    Column("created_at", Long, nullable=False),
    Column("expires_at", Long, nullable=False),
    Column("ledger_index", Long, nullable=False),  # of the decision
    UniqueConstraint("requester", "request_jti"),
    Index("ix_exchanges_state", "state", "expires_at"),
)

# The source's ciphertext, until acknowledged, expired, or withdrawn from under it.
sealed_documents = Table(
    "sealed_documents",
    metadata,
    Column("exchange_id", ForeignKey("exchanges.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("category", String(32), nullable=False),
    Column("jwe", Text, nullable=False),
    PrimaryKeyConstraint("exchange_id", "position"),
)

# One row per category and hand-over; written in the transaction that proves no fact changed.
hand_overs = Table(
    "hand_overs",
    metadata,
    Column("id", String(32), nullable=False),
    Column("exchange_id", ForeignKey("exchanges.id"), nullable=False, index=True),
    Column("category", String(32), nullable=False),
    Column("outcome", String(16), nullable=False),  # permitted | withheld
    Column("ground", String(20), nullable=True),
    Column("consent_id", String(32), nullable=True, index=True),
    Column("ledger_index", Long, nullable=False),
    Column("handed_over_at", Long, nullable=False),
    PrimaryKeyConstraint("id", "category"),
)

# What must still reach a source: orders and cancellations, at least once, in order of making.
outbox = Table(
    "outbox",
    metadata,
    Column("id", Long, primary_key=True, autoincrement=True),
    Column("topic", String(16), nullable=False),  # order | cancellation
    Column("exchange_id", ForeignKey("exchanges.id"), nullable=False, index=True),
    Column("source", String(48), nullable=False),
    Column("body", Text, nullable=False),  # the JWS, as it was signed
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Long, nullable=False, index=True),
)

# --- reports -------------------------------------------------------------------------------

# What was published of a quarter. A row is never changed: whoever reads it later reads the same bytes.
counted_reports = Table(
    "counted_reports",
    metadata,
    Column("quarter", String(7), primary_key=True),  # 2026-Q3, by the calendar of Amsterdam
    Column("body", LargeBinary, nullable=False),  # canonical JSON (RFC 8785), in tens
    Column("published_at", Long, nullable=False),
    Column("ledger_index", Long, nullable=False),  # of its publication
)

# --- single use ----------------------------------------------------------------------------

idempotency = Table(
    "idempotency",
    metadata,
    Column("party_id", String(48), nullable=False),
    Column("key", String(64), nullable=False),  # HMAC of what the caller sent
    Column("fingerprint", String(64), nullable=False),  # HMAC of the body
    Column("resource_id", String(32), nullable=False),
    Column("expires_at", Long, nullable=False, index=True),
    PrimaryKeyConstraint("party_id", "key"),
)

# RFC 7523 §3, RFC 9449 §11.1: a jti seen before is a replay. One atomic insert decides.
replay = Table(
    "replay",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("expires_at", Long, nullable=False, index=True),
)

# --- ledger --------------------------------------------------------------------------------

ledger_head = Table(
    "ledger_head",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("size", Long, nullable=False),
    Column("checkpoint", Text, nullable=False),  # C2SP signed note, also while empty
    CheckConstraint("id = 1", name="single_row"),
)

# C2SP tlog-tiles: up to 256 hashes of 32 bytes each; the rightmost of a level is partial.
ledger_tiles = Table(
    "ledger_tiles",
    metadata,
    Column("level", Integer, nullable=False),
    Column("number", Long, nullable=False),
    Column("hashes", LargeBinary, nullable=False),
    PrimaryKeyConstraint("level", "number"),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("index", Long, primary_key=True, autoincrement=False),
    Column("entry", LargeBinary, nullable=False),  # public: a salted commitment, nothing else
)

# What an entry commits to, under the client's data key (or the party's, where no client is known).
ledger_details = Table(
    "ledger_details",
    metadata,
    Column("index", Long, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("party_id", String(48), nullable=True),
    Column("client_id", String(32), nullable=True, index=True),
    Column("subject", String(64), nullable=True, index=True),
    Column("exchange_id", String(32), nullable=True, index=True),
    Column("detail_sealed", LargeBinary, nullable=False),
    Column("recorded_at", Long, nullable=False, index=True),
)
