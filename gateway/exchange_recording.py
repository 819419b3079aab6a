"""The transactions of an exchange: each writes the state, and the ledger entry that proves it, or neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import rfc8785

from gateway import clients, consents, exchange_records, facts, orders, receipts
from gateway.facts import FactsChanged
from gateway.ledger.entry import Kind, Recorded
from gateway.stages import Exchange
from gateway.vault import new_id

if TYPE_CHECKING:
    from adapters.protocol import Answer
    from gateway.ledger.commitment import Json
    from gateway.policy.port import CategoryDecision, Refusal
    from gateway.release import Release
    from gateway.services import Services
    from gateway.stages import Decided, Footing, State, SubmittedRequest
    from gateway.storage.unit_of_work import Transaction

# The first try to send an order is the caller's own. The dispatcher keeps off for as long as that may take,
# and this: for what comes before it and after it.
_FIRST_SEND_GRACE_SECONDS = 5


async def refuse_by_agreement(
    services: Services, request: SubmittedRequest, refusal: Refusal, footing: Footing, *, now: int
) -> Exchange:
    """Record a refusal that rests on the agreement alone and tells nothing about any client.

    Raises FactsChanged where that is not the agreement any more, or not how it was signed.
    """
    exchange = replace(_new(services, request, "refused", footing, now=now), failure=refusal.code)
    said = receipts.detail(exchange, (), {}, now=now, refusal=refusal.code, paragraph=refusal.paragraph)

    def write(tx: Transaction) -> Exchange:
        taken, at = _claimed(tx, request, exchange, now=now), services.clock()
        # On no client's facts, whoever was named; on the agreement, and how it was signed.
        if taken is None and not facts.still_stand(
            tx.conn, services, replace(footing, client_id=None), at=at
        ):
            raise FactsChanged
        return taken or _store(tx, services, request, exchange, Kind.REQUEST_REFUSED, said, at=at)

    return await services.store.write(write)


async def record_decision(
    services: Services, request: SubmittedRequest, decided: Decided, *, now: int
) -> Exchange:
    """Write exchange, order and ledger entry in one transaction, or raise FactsChanged."""
    exchange = _new(services, request, _state_of(decided), decided.facts.footing, now=now)
    decisions: tuple[CategoryDecision, ...] = ()
    client = decided.facts.client
    if exchange.state != "nothing_to_share" and client is not None:
        decisions = decided.verdict.decisions
        exchange = replace(exchange, client_id=client.id, ordered=orders.to_order(decided))
    if exchange.state == "forwarded" and client is not None:
        wanted = {entry.consent for entry in exchange.ordered.values() if entry.consent}
        held: Mapping[str, str] = {}
        if wanted:
            held = await services.store.look_up(
                lambda conn: consents.statements_for(conn, services, client, wanted, request.source)
            )
        order = orders.make(services, request, exchange, held, now=now)
        exchange = replace(exchange, order_jws=order.jws, order_digest=order.digest)
    said = receipts.detail(
        exchange, decisions, decided.facts.consent_names, now=now, order=exchange.order_digest
    )

    def write(tx: Transaction) -> Exchange:
        taken = _claimed(tx, request, exchange, now=now)
        if taken is not None:
            return taken
        at = services.clock()
        footing = decided.facts.footing
        if not facts.still_stand(tx.conn, services, footing, at=at) or not decided.holds(at):
            raise FactsChanged
        stored = _store(tx, services, request, exchange, _DECISION[exchange.state], said, at=at)
        if stored.state == "forwarded":
            longest = services.settings.source_limits.longest_call_seconds
            orders.queue_order(tx.conn, stored, not_before=at + longest + _FIRST_SEND_GRACE_SECONDS)
        return stored

    return await services.store.write(write)


async def send_again(services: Services, exchange: Exchange, *, after_seconds: int) -> None:
    """Let the dispatcher try the order again when the caller is told to come back, not later."""
    at = services.clock() + after_seconds
    await services.store.write(lambda tx: exchange_records.send_order_by(tx.conn, exchange.id, at))


async def keep_answer(services: Services, exchange: Exchange, answer: Answer) -> Exchange:
    """Keep a verified answer; what a withdrawal took the ground from meanwhile is not even kept."""
    return await services.store.write(lambda tx: _keep(tx, services, exchange, answer))


def _keep(tx: Transaction, services: Services, exchange: Exchange, answer: Answer) -> Exchange:
    current = exchange_records.present(tx.conn, exchange.id)
    if current.state != "forwarded" or current.client_id is None:
        return current
    kept = [
        (document.category.value, document.jwe)
        for document in answer.sealed
        if not current.ordered[document.category.value].lost
    ]
    client = clients.by_id(tx.conn, services.vault, current.client_id)
    if client is None:
        raise FactsChanged
    sealed = client.key.seal(answer.attestation.encode(), place=attestation_place(current.id))
    exchange_records.store_documents(tx.conn, current.id, kept)
    exchange_records.order_arrived(tx.conn, current.id)
    exchange_records.move(tx.conn, current.id, "answered", where=("forwarded",), attestation_sealed=sealed)
    return replace(current, state="answered", attestation_sealed=sealed)


async def record_hand_over(services: Services, exchange: Exchange, leaving: Release) -> Recorded:
    """Write what leaves, if every fact that it stands on still stands; else raise FactsChanged."""

    def write(tx: Transaction) -> Recorded:
        return _hand_over(tx, services, exchange_records.present(tx.conn, exchange.id), leaving)

    return await services.store.write(write)


async def keep_and_hand_over(
    services: Services, exchange: Exchange, answer: Answer, leaving: Release
) -> tuple[Exchange, Recorded]:
    """Keep a verified answer and write what leaves of it: both, or neither and FactsChanged."""

    def write(tx: Transaction) -> tuple[Exchange, Recorded]:
        kept = _keep(tx, services, exchange, answer)
        if kept.ordered != exchange.ordered:
            # A category lost its ground after the second check began: let it begin with that.
            raise FactsChanged
        return kept, _hand_over(tx, services, kept, leaving)

    return await services.store.write(write)


def _hand_over(tx: Transaction, services: Services, exchange: Exchange, leaving: Release) -> Recorded:
    permit = leaving.permit
    at = services.clock()
    if exchange.state != "answered":
        raise FactsChanged
    if not facts.still_stand(tx.conn, services, permit.footing, at=at) or not permit.holds(at):
        raise FactsChanged
    said = receipts.detail(
        # By the version under which it leaves: the order may have been made under the one before.
        replace(exchange, agreement_digest=permit.footing.agreement_digest),
        permit.decisions,
        permit.facts.consent_names,
        now=at,
        answer=receipts.digest(rfc8785.dumps(leaving.content)) if permit.permitted else None,
        refusal=permit.verdict.refusal.code if permit.verdict.refusal else None,
    )
    recorded = receipts.note(tx, services, exchange, _HANDED_OVER[leaving.state], said, now=at)
    if permit.decisions:
        exchange_records.insert_hand_over(
            tx.conn,
            hand_over_id=new_id(),
            exchange_id=exchange.id,
            decisions=permit.decisions,
            index=recorded.index,
            now=at,
        )
    return recorded


def attestation_place(exchange_id: str) -> str:
    """Name the one place where this attestation opens."""
    return f"exchanges.attestation_sealed:{exchange_id}"


def _state_of(decided: Decided) -> State:
    involvement = decided.facts.involvement
    if not (involvement.on_case and involvement.worker_on_case):
        return "nothing_to_share"
    if not decided.permitted:
        return "refused"
    asked = {decision.category for decision in decided.permitted} - orders.ANSWERED_HERE
    return "forwarded" if asked else "answered"


_DECISION: dict[State, Kind] = {
    "nothing_to_share": Kind.NOTHING_TO_SHARE,
    "refused": Kind.REQUEST_REFUSED,
    "forwarded": Kind.REQUEST_FORWARDED,
    "answered": Kind.REQUEST_FORWARDED,
}
_HANDED_OVER: dict[State, Kind] = {
    "nothing_to_share": Kind.NOTHING_TO_SHARE,
    "refused": Kind.REQUEST_REFUSED,
    "answered": Kind.HANDED_OVER,
}


def _new(
    services: Services, request: SubmittedRequest, state: State, footing: Footing, *, now: int
) -> Exchange:
    owner = facts.number_owner(request.client, request.source)
    return Exchange(
        id=new_id(),
        requester=request.party,
        worker_id=request.worker.id,
        worker_role=request.worker.role.value,
        request_jti=request.jti,
        purpose=request.purpose,
        source=request.source,
        categories=request.categories,
        subject=services.vault.subject(request.client.scheme.value, owner, request.client.value),
        client_id=None,
        state=state,
        agreement_digest=footing.agreement_digest,
        ordered={},
        order_jws=None,
        order_digest=None,
        attestation_sealed=None,
        failure=None,
        created_at=now,
        expires_at=request.expires_at,
        ledger_index=-1,
    )


def _claimed(tx: Transaction, request: SubmittedRequest, exchange: Exchange, *, now: int) -> Exchange | None:
    """Claim the idempotency key for this exchange; return the earlier one if it was claimed before."""
    taken_by = exchange_records.claim_idempotency(
        tx.conn,
        party=request.party,
        key=request.idempotency_key,
        fingerprint=request.fingerprint,
        resource_id=exchange.id,
        now=now,
    )
    return None if taken_by == exchange.id else exchange_records.made_by(tx.conn, request, taken_by)


def _store(
    tx: Transaction,
    services: Services,
    request: SubmittedRequest,
    exchange: Exchange,
    kind: Kind,
    said: Mapping[str, Json],
    *,
    at: int,
) -> Exchange:
    recorded = receipts.note(tx, services, exchange, kind, said, now=at)
    stored = replace(exchange, ledger_index=recorded.index)
    exchange_records.insert_exchange(tx.conn, stored)
    return stored
