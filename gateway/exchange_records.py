"""The rows of an exchange: its decision, its order, the sealed bytes that wait, its hand-overs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.errors import Conflict
from gateway.stages import Exchange, Ordered, State, SubmittedRequest
from gateway.storage.tables import exchanges, hand_overs, idempotency, outbox, sealed_documents

if TYPE_CHECKING:
    from gateway.policy.port import CategoryDecision

_DAY = 24 * 3600
# How long a retry with the same key meets the first call's exchange; longer than any order lives.
_IDEMPOTENCY_SECONDS = 45 * _DAY

# Built once: to build a statement costs several times what it costs to run it.
_INSERT = insert(exchanges)
_ONE = select(exchanges).where(exchanges.c.id == bindparam("exchange_id"))
_MADE_BY = _ONE.where(
    exchanges.c.requester == bindparam("party"), exchanges.c.request_jti == bindparam("jti")
)
_MOVE = update(exchanges).where(
    exchanges.c.id == bindparam("moved"), exchanges.c.state.in_(bindparam("from_states", expanding=True))
)
_CLAIM = insert(idempotency)
_CLAIMED = select(idempotency.c.fingerprint, idempotency.c.resource_id).where(
    idempotency.c.party_id == bindparam("party"), idempotency.c.key == bindparam("claimed")
)
_ORDER_ARRIVED = delete(outbox).where(
    outbox.c.exchange_id == bindparam("of_exchange"), outbox.c.topic == "order"
)
_KEEP_DOCUMENTS = insert(sealed_documents)
_DOCUMENTS = (
    select(sealed_documents.c.category, sealed_documents.c.jwe)
    .where(sealed_documents.c.exchange_id == bindparam("exchange_id"))
    .order_by(sealed_documents.c.position)
)
_HELD_BYTES = select(func.sum(func.length(sealed_documents.c.jwe))).where(
    sealed_documents.c.exchange_id == bindparam("exchange_id")
)
_HANDED_OVER = insert(hand_overs)


def insert_exchange(conn: Connection, exchange: Exchange) -> None:
    """Store a decided exchange; a signed request that was used before is a replay."""
    try:
        conn.execute(
            _INSERT,
            {
                "id": exchange.id,
                "requester": exchange.requester,
                "worker_id": exchange.worker_id,
                "worker_role": exchange.worker_role,
                "request_jti": exchange.request_jti,
                "purpose": exchange.purpose,
                "source": exchange.source,
                "categories": json.dumps(exchange.categories),
                "subject": exchange.subject,
                "client_id": exchange.client_id,
                "state": exchange.state,
                "agreement_digest": exchange.agreement_digest,
                "ordered": _ordered_text(exchange.ordered),
                "order_jws": exchange.order_jws,
                "order_digest": exchange.order_digest,
                "created_at": exchange.created_at,
                "expires_at": exchange.expires_at,
                "ledger_index": exchange.ledger_index,
            },
        )
    except IntegrityError as replayed:
        raise Conflict("request_replayed") from replayed


def claim_idempotency(
    conn: Connection, *, party: str, key: str, fingerprint: str, resource_id: str, now: int
) -> str:
    """Claim the key for `resource_id`, or return what it was claimed for; another body is a conflict."""
    known = _claimed(conn, party, key)
    if known is None:
        conn.execute(
            _CLAIM,
            {
                "party_id": party,
                "key": key,
                "fingerprint": fingerprint,
                "resource_id": resource_id,
                "expires_at": now + _IDEMPOTENCY_SECONDS,
            },
        )
        return resource_id
    if known.fingerprint != fingerprint:
        raise Conflict("idempotency_key_reused")
    return str(known.resource_id)


def find_retried(conn: Connection, request: SubmittedRequest) -> Exchange | None:
    """Return the exchange that this very request made before, if it did."""
    known = _claimed(conn, request.party, request.idempotency_key)
    if known is None:
        return None
    if known.fingerprint != request.fingerprint:
        raise Conflict("idempotency_key_reused")
    return made_by(conn, request, str(known.resource_id))


def made_by(conn: Connection, request: SubmittedRequest, exchange_id: str) -> Exchange:
    """Read the exchange that this very signed request made.

    What an idempotency row points at is only a row: changed, it would lead to another party's answer.
    """
    row = conn.execute(
        _MADE_BY, {"exchange_id": exchange_id, "party": request.party, "jti": request.jti}
    ).one_or_none()
    if row is None:
        raise Conflict("idempotency_key_reused")
    return _exchange(row)


def load(conn: Connection, exchange_id: str) -> Exchange | None:
    """Read one exchange."""
    row = conn.execute(_ONE, {"exchange_id": exchange_id}).one_or_none()
    return None if row is None else _exchange(row)


def present(conn: Connection, exchange_id: str) -> Exchange:
    """Read an exchange that is known to exist; rows of exchanges are never deleted."""
    return _exchange(conn.execute(_ONE, {"exchange_id": exchange_id}).one())


def send_order_by(conn: Connection, exchange_id: str, at: int) -> None:
    """Bring the next try to send an order forward to this moment."""
    conn.execute(
        update(outbox)
        .where(outbox.c.exchange_id == exchange_id, outbox.c.topic == "order", outbox.c.next_attempt_at > at)
        .values(next_attempt_at=at)
    )


def order_arrived(conn: Connection, exchange_id: str) -> None:
    """Forget the outgoing order: its source has it."""
    conn.execute(_ORDER_ARRIVED, {"of_exchange": exchange_id})


def move(conn: Connection, exchange_id: str, to: State, *, where: Iterable[State], **values: Any) -> bool:
    """Change the state if it is one of `where`: compare and set in one statement."""
    done = conn.execute(_MOVE, {"moved": exchange_id, "from_states": list(where), "state": to, **values})
    return done.rowcount == 1


def mark_lost(conn: Connection, exchange: Exchange, categories: Iterable[str]) -> None:
    """Remember that these ordered categories lost their ground."""
    gone = set(categories)
    ordered = {
        name: Ordered(entry.ground, entry.consent, lost=entry.lost or name in gone)
        for name, entry in exchange.ordered.items()
    }
    conn.execute(
        update(exchanges).where(exchanges.c.id == exchange.id).values(ordered=_ordered_text(ordered))
    )


def store_documents(conn: Connection, exchange_id: str, documents: Sequence[tuple[str, str]]) -> None:
    """Keep sealed bytes until they are collected, expire, or lose their ground."""
    if documents:
        conn.execute(
            _KEEP_DOCUMENTS,
            [
                {"exchange_id": exchange_id, "position": position, "category": category, "jwe": jwe}
                for position, (category, jwe) in enumerate(documents)
            ],
        )


def documents(conn: Connection, exchange_id: str) -> tuple[tuple[str, str], ...]:
    """Read the sealed bytes that wait, in the source's order."""
    rows = conn.execute(_DOCUMENTS, {"exchange_id": exchange_id})
    return tuple((row.category, row.jwe) for row in rows)


def held_bytes(conn: Connection, exchange_id: str) -> int:
    """Count the sealed bytes that wait, without reading them into this process."""
    return int(conn.execute(_HELD_BYTES, {"exchange_id": exchange_id}).scalar_one() or 0)


def drop_content(conn: Connection, exchange_id: str) -> None:
    """Delete everything a source sent for this exchange, and what still was to be sent to it."""
    conn.execute(delete(sealed_documents).where(sealed_documents.c.exchange_id == exchange_id))
    order_arrived(conn, exchange_id)
    conn.execute(update(exchanges).where(exchanges.c.id == exchange_id).values(attestation_sealed=None))


def insert_hand_over(
    conn: Connection,
    *,
    hand_over_id: str,
    exchange_id: str,
    decisions: Sequence[CategoryDecision],
    index: int,
    now: int,
) -> None:
    """Record per category what one hand-over let go and what it withheld."""
    conn.execute(
        _HANDED_OVER,
        [
            {
                "id": hand_over_id,
                "exchange_id": exchange_id,
                "ledger_index": index,
                "handed_over_at": now,
                "category": decision.category,
                "outcome": decision.outcome,
                "ground": decision.ground,
                "consent_id": decision.consent,
            }
            for decision in decisions
        ],
    )


def _claimed(conn: Connection, party: str, key: str) -> Row[Any, Any] | None:
    return conn.execute(_CLAIMED, {"party": party, "claimed": key}).one_or_none()


def _ordered_text(ordered: Mapping[str, Ordered]) -> str:
    return json.dumps(
        {
            name: {"ground": entry.ground, "consent": entry.consent, "lost": entry.lost}
            for name, entry in ordered.items()
        }
    )


def _exchange(row: Row[Any]) -> Exchange:
    ordered = {name: Ordered(**entry) for name, entry in json.loads(row.ordered).items()}
    return Exchange(
        id=row.id,
        requester=row.requester,
        worker_id=row.worker_id,
        worker_role=row.worker_role,
        request_jti=row.request_jti,
        purpose=row.purpose,
        source=row.source,
        categories=tuple(json.loads(row.categories)),
        subject=row.subject,
        client_id=row.client_id,
        state=row.state,
        agreement_digest=row.agreement_digest,
        ordered=ordered,
        order_jws=row.order_jws,
        order_digest=row.order_digest,
        attestation_sealed=row.attestation_sealed,
        failure=row.failure,
        created_at=row.created_at,
        expires_at=row.expires_at,
        ledger_index=row.ledger_index,
    )
