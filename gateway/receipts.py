"""Say what an entry about an exchange commits to, and sign it for the requester."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, bindparam, select

from adapters.kit import jose
from adapters.protocol import TYP_RECEIPT
from gateway import clients
from gateway.errors import Refused, Unavailable
from gateway.ledger.entry import Kind, Recorded, open_detail, record
from gateway.ledger.proofs import Inclusion, inclusion, latest_checkpoint
from gateway.storage.tables import ledger_details

if TYPE_CHECKING:
    from gateway.ledger.commitment import Json
    from gateway.policy.port import CategoryDecision
    from gateway.services import Services
    from gateway.stages import Exchange
    from gateway.storage.unit_of_work import Transaction
    from gateway.vault import DataKey

# Receipts of one kind weigh the same, whatever the width of the leaf index (promise 7).
_INDEX_WIDTH = 20
_ENTRIES = select(ledger_details).where(ledger_details.c.exchange_id == bindparam("exchange_id"))
# What decides on an exchange; the other entries say what became of it.
_DECIDES = (Kind.REQUEST_REFUSED, Kind.NOTHING_TO_SHARE, Kind.REQUEST_FORWARDED, Kind.HANDED_OVER)


def detail(
    exchange: Exchange,
    decisions: Sequence[CategoryDecision],
    consent_names: Mapping[str, str],
    *,
    now: int,
    **more: str | None,
) -> dict[str, Json]:
    """Put a decision into words that an entry commits to and a receipt discloses to the requester.

    `consent_names` gives each consent the id that the requester knows it by.
    """
    return {
        "exchange": exchange.id,
        "requester": exchange.requester,
        "worker": exchange.worker_id,
        "purpose": exchange.purpose,
        "source": exchange.source,
        "agreement": exchange.agreement_digest,
        "categories": [_category(decision, consent_names) for decision in decisions],
        "at": now,
        **more,
    }


def sign(services: Services, exchange: Exchange, recorded: Recorded) -> str:
    """Sign what was recorded: leaf, salt and detail, so that the requester checks the ledger itself."""
    claims = {
        "iss": "gateway",
        "aud": exchange.requester,
        "exchange": exchange.id,
        "iat": services.clock(),
        "ledger": {
            "origin": services.register.ledger_origin,
            "index": recorded.index,
            "leaf_hash": base64url(recorded.leaf_hash),
            "salt": base64url(recorded.salt),
            "detail": recorded.detail,
        },
        "pad": "0" * (_INDEX_WIDTH - len(str(recorded.index))),
    }
    return jose.sign(claims, services.keys.signing("receipt"), TYP_RECEIPT)


def note(
    tx: Transaction,
    services: Services,
    exchange: Exchange,
    kind: Kind,
    said: Mapping[str, Json],
    *,
    now: int,
) -> Recorded:
    """Append what happened to an exchange, in this transaction; raise `not_found` for an erased client."""
    return record(
        tx,
        kind=kind,
        detail=said,
        key=_key(tx.conn, services, exchange, exchange.client_id),
        now=now,
        party_id=exchange.requester,
        client_id=exchange.client_id,
        subject=exchange.subject,
        exchange_id=exchange.id,
    )


def last_entry(conn: Connection, services: Services, exchange: Exchange) -> Recorded:
    """Read back what was last recorded of an exchange; raise `not_found` once its key is destroyed."""
    return _last(conn, services, exchange, _ENTRIES)


def last_decision(conn: Connection, services: Services, exchange: Exchange) -> Recorded:
    """Read back what was last decided on an exchange: permitted, withheld or refused; raise likewise."""
    decisions = _ENTRIES.where(ledger_details.c.kind.in_([kind.value for kind in _DECIDES]))
    return _last(conn, services, exchange, decisions)


def _last(conn: Connection, services: Services, exchange: Exchange, entries: Select[Any]) -> Recorded:
    asked = entries.order_by(ledger_details.c.index.desc()).limit(1)
    row = conn.execute(asked, {"exchange_id": exchange.id}).mappings().one()
    recorded = open_detail(row, _key(conn, services, exchange, row["client_id"]))
    if recorded.detail.get("exchange") != exchange.id:
        # The row was pointed at another exchange: its receipt would read that one out.
        raise Unavailable("internal_error", cause="an entry that is not of this exchange")
    return recorded


@dataclass(frozen=True, slots=True)
class Proven:
    """A receipt, and the way from its leaf to a signed checkpoint."""

    receipt: str
    inclusion: Inclusion
    checkpoint: str


def prove(conn: Connection, services: Services, exchange: Exchange) -> Proven:
    """Make the receipt of the last entry anew, with its proof of one moment (one snapshot)."""
    recorded = last_entry(conn, services, exchange)
    return Proven(
        sign(services, exchange, recorded),
        inclusion(conn, recorded.index),
        latest_checkpoint(conn),
    )


def digest(content: bytes) -> str:
    """Return the SHA-256, base64url."""
    return base64url(hashlib.sha256(content).digest())


def base64url(raw: bytes) -> str:
    """Encode without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _key(conn: Connection, services: Services, exchange: Exchange, client_id: str | None) -> DataKey:
    if client_id is None:
        # A stranger's request is recorded under the stranger's own key, whoever it was about (promise 7).
        return services.vault.party_key(exchange.requester)
    client = clients.by_id(conn, services.vault, client_id)
    if client is None:
        raise Refused("not_found")
    return client.key


def _category(decision: CategoryDecision, consent_names: Mapping[str, str]) -> Json:
    said: dict[str, Json] = {"category": decision.category, "outcome": decision.outcome}
    if decision.outcome == "permitted":
        said["ground"] = decision.ground
        if decision.consent is not None:
            said["consent"] = consent_names.get(decision.consent)
    else:
        said["reason"] = decision.reason
        if decision.next_step is not None:
            said["next_step"] = decision.next_step
    return {**said, "rule": decision.rule, "paragraph": decision.paragraph}
