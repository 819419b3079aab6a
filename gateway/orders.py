"""Make release orders and cancellations: what a source is told, and nothing that it need not know.

Promise 9: an order carries no worker, address, note or withheld category. The request and the
consent statements inside it are cut down to the ordered categories and this one recipient; the
identifier travels sealed to the source, so that the committed order holds none in the clear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import insert

from adapters.kit import sealing, statements
from adapters.protocol import Category, OrderedCategory
from gateway import exchange_records, receipts
from gateway.errors import SourceTrouble
from gateway.stages import Exchange, Ordered
from gateway.storage.tables import outbox
from gateway.vault import new_id

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.services import Services
    from gateway.stages import Decided, SubmittedRequest
    from gateway.storage.unit_of_work import Transaction

# `partners` is the gateway's to answer, from the case (DESIGN §4).
ANSWERED_HERE = frozenset({Category.PARTNERS.value})
_QUEUE = insert(outbox).returning(outbox.c.id)


@dataclass(frozen=True, slots=True)
class Order:
    """A signed order and what the exchange must remember of it."""

    jws: str = field(repr=False)
    digest: str


def to_order(decided: Decided) -> dict[str, Ordered]:
    """Name the permitted categories and the ground of each, those answered here included."""
    return {d.category: Ordered(d.ground, d.consent) for d in decided.permitted if d.ground}


def make(
    services: Services,
    request: SubmittedRequest,
    exchange: Exchange,
    consent_statements: Mapping[str, str],
    *,
    now: int,
) -> Order:
    """Sign the order for what policy permitted; `consent_statements` maps consent id → statement."""
    asked = {name: entry for name, entry in exchange.ordered.items() if name not in ANSWERED_HERE}
    request_cut = statements.cut_for_source(
        request.signed_request, categories={Category(name) for name in asked}
    )
    disclosures = {request.jti: request_cut.client}
    consents_cut: list[str] = []
    statement_ids: dict[str, str] = {}
    for consent_id in sorted({entry.consent for entry in asked.values() if entry.consent}):
        # Verified when it was recorded, and read back from under the client's key.
        cut = statements.cut_for_source(
            consent_statements[consent_id],
            categories={Category(name) for name, entry in asked.items() if entry.consent == consent_id},
            recipients={request.party},
        )
        statement_ids[consent_id] = cut.jti
        disclosures[cut.jti] = cut.client
        consents_cut.append(cut.statement)

    jws = statements.make_order(
        key=services.keys.signing("order"),
        aud=request.source,
        jti=new_id(),
        exchange=exchange.id,
        now=now,
        exp=exchange.expires_at,
        agreement=exchange.agreement_digest,
        purpose=request.purpose,
        recipient=request.party,
        categories=[
            OrderedCategory(
                category=Category(name),
                ground=entry.ground,
                consent=statement_ids[entry.consent] if entry.consent else None,
            )
            for name, entry in asked.items()
        ],
        request=request_cut.statement,
        consents=consents_cut,
        client=sealing.seal_client(disclosures, to=_newest_encryption_key(services, request.source, now)),
    )
    return Order(jws, receipts.digest(jws.encode()))


def queue_order(conn: Connection, exchange: Exchange, *, not_before: int) -> int:
    """Keep the order until its source has it; return the outbox row's id."""
    return _queue(conn, "order", exchange.id, exchange.source, exchange.order_jws or "", not_before)


def queue_cancellations(
    tx: Transaction, *, services: Services, lost: Mapping[str, Sequence[str]], now: int
) -> None:
    """Tell the sources of open exchanges which categories lost their ground, in this transaction.

    `lost` maps exchange id → categories. The exchange remembers them as lost, so that an answer
    which crosses the cancellation is kept without them. Sent within a second of COMMIT.
    """
    for exchange_id, categories in lost.items():
        exchange = exchange_records.load(tx.conn, exchange_id)
        if exchange is None or not categories:
            continue
        lost_now = _with_what_hung_on(services, exchange, categories)
        exchange_records.mark_lost(tx.conn, exchange, lost_now)
        told = [name for name in lost_now if name not in ANSWERED_HERE]
        if exchange.state == "forwarded" and told:
            _queue(
                tx.conn,
                "cancellation",
                exchange.id,
                exchange.source,
                _cancel(services, exchange, told, now),
                now,
            )


def _with_what_hung_on(services: Services, exchange: Exchange, categories: Sequence[str]) -> list[str]:
    """Add the baseline of a source that only those consents let us ask."""
    held_by_consent = {
        name
        for name, entry in exchange.ordered.items()
        if entry.consent and not entry.lost and name not in categories
    }
    if held_by_consent or services.agreement.may_be_asked_without_consent(exchange.source):
        return list(categories)
    return [name for name in exchange.ordered if name in categories or name not in ANSWERED_HERE]


def _cancel(services: Services, exchange: Exchange, categories: Sequence[str], now: int) -> str:
    return statements.make_cancellation(
        key=services.keys.signing("order"),
        aud=exchange.source,
        exchange=exchange.id,
        now=now,
        categories=[Category(name) for name in categories],
    )


def _queue(conn: Connection, topic: str, exchange_id: str, source: str, body: str, not_before: int) -> int:
    row = conn.execute(
        _QUEUE,
        {
            "topic": topic,
            "exchange_id": exchange_id,
            "source": source,
            "body": body,
            "attempts": 0,
            "next_attempt_at": not_before,
        },
    ).one()
    return int(row.id)


def _newest_encryption_key(services: Services, party: str, now: int) -> Mapping[str, object]:
    keys = services.key_lists.verified(party).keys("encrypt", now)
    if not keys:
        raise SourceTrouble("source_unavailable", cause="no valid encryption key in the source's key list")
    return next(reversed(list(keys.values())))
