"""Record what happened: one public leaf, and one sealed row that says what the leaf means."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import RowMapping, insert, select, update

from gateway.ledger.commitment import SALT_BYTES, Json, canonical, commit, entry_of
from gateway.ledger.merkle import leaf_hash
from gateway.storage.tables import ledger_details
from gateway.vault import DataKey, SealBroken

if TYPE_CHECKING:
    from gateway.storage.unit_of_work import Transaction

_ADD_DETAIL = insert(ledger_details)


class Kind(StrEnum):
    """What an entry records. Names are for ever: an old entry is read by them (at most 32 letters)."""

    CASE_OPENED = "case_opened"
    CASE_CONFIRMED = "case_confirmed"
    CASE_INVITED = "case_invited"
    CASE_JOINED = "case_joined"
    CASE_LEFT = "case_left"
    WORKER_ADDED = "worker_added"
    WORKER_REMOVED = "worker_removed"
    CONSENT_RECORDED = "consent_recorded"
    CONSENT_CONFIRMED = "consent_confirmed"
    CONSENT_REFUSED = "consent_refused"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    CONSENT_PAUSED = "consent_paused"
    CONSENT_EXPIRED = "consent_expired"
    CONSENT_REPLACED = "consent_replaced"
    REQUEST_REFUSED = "request_refused"
    NOTHING_TO_SHARE = "nothing_to_share"
    REQUEST_FORWARDED = "request_forwarded"
    SOURCE_ANSWERED = "source_answered"
    SOURCE_FAILED = "source_failed"
    HANDED_OVER = "handed_over"
    ANSWER_COLLECTED = "answer_collected"
    REQUEST_CANCELLED = "request_cancelled"
    REQUEST_EXPIRED = "request_expired"
    PARTY_SUSPENDED = "party_suspended"
    PARTY_RESTORED = "party_restored"
    KEYS_CHANGED = "keys_changed"
    AGREEMENT_PROPOSED = "agreement_proposed"
    AGREEMENT_APPROVED = "agreement_approved"
    AGREEMENT_SIGNED = "agreement_signed"
    AGREEMENT_UNSIGNED = "agreement_unsigned"
    AGREEMENT_SCHEDULED = "agreement_scheduled"
    AGREEMENT_CHANGED = "agreement_changed"
    COUNTS_PUBLISHED = "counts_published"
    COUNTS_DISCLOSED = "counts_disclosed"
    CLIENT_ERASED = "client_erased"


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry as a receipt shows it. `detail` includes its `kind`; true only once the work committed."""

    index: int
    leaf_hash: bytes
    salt: bytes
    commitment: bytes
    detail: Mapping[str, Json]


def record(
    tx: Transaction,
    *,
    kind: Kind,
    detail: Mapping[str, Json],
    key: DataKey,
    now: int,
    party_id: str | None = None,
    client_id: str | None = None,
    subject: str | None = None,
    exchange_id: str | None = None,
) -> Recorded:
    """Append an entry and keep what it means, sealed under `key`. Durable when the work is.

    `detail` goes into receipts: it holds ids, categories and grounds, never an identifier or a value.
    """
    if "kind" in detail:
        raise ValueError("the kind is an argument of its own")
    full: dict[str, Json] = {"kind": kind.value, **detail}
    salt = secrets.token_bytes(SALT_BYTES)
    commitment = commit(salt, full)
    entry = entry_of(commitment)
    index = tx.append(entry)
    plaintext = canonical({"detail": full, "salt": base64.urlsafe_b64encode(salt).decode()})
    tx.conn.execute(
        _ADD_DETAIL,
        {
            "index": index,
            "kind": kind.value,
            "party_id": party_id,
            "client_id": client_id,
            "subject": subject,
            "exchange_id": exchange_id,
            "detail_sealed": key.seal(plaintext, place=_place(index)),
            "recorded_at": now,
        },
    )
    return Recorded(index, leaf_hash(entry), salt, commitment, full)


def open_detail(row: RowMapping, key: DataKey) -> Recorded:
    """Open a row of `ledger_details`; raise SealBroken if the key is another or the row was touched.

    The row says what the leaf *should* be: whoever needs proof compares `leaf_hash` with the ledger.
    """
    index = int(row["index"])
    content = json.loads(key.open(row["detail_sealed"], place=_place(index)))
    detail, salt = content["detail"], base64.urlsafe_b64decode(content["salt"])
    if detail["kind"] != row["kind"]:
        raise SealBroken(_place(index))
    commitment = commit(salt, detail)
    return Recorded(index, leaf_hash(entry_of(commitment)), salt, commitment, detail)


def move_details(
    tx: Transaction, *, from_client: str, from_key: DataKey, to_client: str, to_key: DataKey
) -> None:
    """Give the entries of one client to another that it turned out to be, sealed under that one's key.

    What is public does not change: the leaves stay as they were.
    """
    rows = tx.conn.execute(
        select(ledger_details.c.index, ledger_details.c.detail_sealed).where(
            ledger_details.c.client_id == from_client
        )
    ).all()
    for index, sealed in rows:
        plaintext = from_key.open(sealed, place=_place(index))
        tx.conn.execute(
            update(ledger_details)
            .where(ledger_details.c.index == index)
            .values(client_id=to_client, detail_sealed=to_key.seal(plaintext, place=_place(index)))
        )


def _place(index: int) -> str:
    return f"ledger_details.detail_sealed:{index}"
