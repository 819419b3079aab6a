"""THE SPINE: one dossier request, from the question to the answer (DESIGN §2).

    ask        1 the agreement alone   2 facts   3 policy   4 record, then forward
    take_in      the source's answer, at once or weeks later
    hand_over  5 check again, record under the ledger's lock   6 answer

Not its own steps: who calls (`gateway.oauth.resource`), that the party signed what the body says
(`gateway.submission`), the transactions themselves (`gateway.exchange_recording`), and what an
answer looks like on the wire (`gateway.http.dossier_requests`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, TypeVar

from gateway import exchange_ends, exchange_records, facts, receipts, release
from gateway import exchange_recording as recording
from gateway.errors import Refused, SourceTrouble, Unavailable
from gateway.facts import FactsChanged
from gateway.limits import SMALL_BYTES
from gateway.policy.asking import ask_policy
from gateway.policy.wording import refusal_sentence
from gateway.stages import Decided, Delivery, Exchange
from gateway.submission import require_fresh

if TYPE_CHECKING:
    from adapters.protocol import Answer, AttestationClaims
    from gateway.ledger.entry import Recorded
    from gateway.services import Services
    from gateway.stages import SubmittedRequest

# A decision whose facts changed before it was recorded is made anew after these seconds, then given up: at
# first at once, then with time for a version of the agreement to arrive at every gateway of a busy machine.
_PAUSES = (0.0, 0.0, 0.0, 0.1, 0.2, 0.4, 0.8)

Outcome = TypeVar("Outcome")


async def ask(services: Services, request: SubmittedRequest) -> Exchange | Delivery:
    """Decide on a request, record the decision, and forward what may be asked.

    On return the decision is durable, refusals too; a Delivery if the source answered at once and its
    answer could be handed over with it. Raises Conflict for a reused key or signed
    request, SourceTrouble when the source cannot be reached now: the order is kept and sent again,
    and the same call meets the same exchange.
    """
    retried = await services.store.look_up(lambda conn: exchange_records.find_retried(conn, request))
    if retried is not None:
        return retried
    require_fresh(request, services.clock())

    for attempt, pause in enumerate(_PAUSES):
        if pause:
            await asyncio.sleep(pause)
        # The version of the agreement whose instant has come is in force before anything is decided.
        await services.agreements.keep_up(services, anew=attempt > 0)
        with suppress(FactsChanged):
            return await _decide(services, request)
    raise Unavailable("facts_changing", retry_after_seconds=1)


async def _decide(services: Services, request: SubmittedRequest) -> Exchange | Delivery:
    # 1 What the agreement alone refuses, before anything is looked up about anyone.
    now, footing = services.clock(), facts.footing_without_facts(services)
    asked = facts.question_without_facts(services, request, now=now)
    refusal = await services.allowed.refusal(services.engine, asked)
    if refusal is not None:
        return await recording.refuse_by_agreement(services, request, refusal, footing, now=asked.now)
    # 2 Facts, in one snapshot.
    now = services.clock()
    known = await services.store.look_up(lambda conn: facts.gather_for_request(conn, services, request))
    # 3 Policy.
    asked = facts.question(services, known, request, now=now)
    verdict = await ask_policy(services.engine, asked)
    if verdict.refusal is not None:
        footing = known.footing
        return await recording.refuse_by_agreement(services, request, verdict.refusal, footing, now=asked.now)
    # 4 Record: the decision stands only if no fact changed meanwhile. Then forward.
    exchange = await recording.record_decision(services, request, Decided(known, verdict), now=asked.now)
    return await _forward(services, exchange, _pass_on)


async def forward(services: Services, exchange: Exchange) -> Exchange:
    """Send a committed order and take in what comes back at once; safe to repeat.

    Raises SourceTrouble. After `source_unavailable` the order still waits in the outbox.
    """
    return await _forward(services, exchange, take_in)


async def _forward(
    services: Services, exchange: Exchange, use: Callable[[Services, Exchange, Answer], Awaitable[Outcome]]
) -> Exchange | Outcome:
    if exchange.state != "forwarded" or exchange.order_jws is None:
        return exchange
    # What a large answer takes in memory is given back when the answer is kept, or refused.
    async with AsyncExitStack() as until_kept:
        try:
            answer = await services.sources.send_order(
                exchange.source, exchange.order_jws, until_kept, about=exchange.subject
            )
        except SourceTrouble as trouble:
            trouble.extra["id"] = exchange.id
            if trouble.code != "source_unavailable":
                await exchange_ends.end(services, exchange, "failed", failure=trouble.code)
            else:
                await recording.send_again(services, exchange, after_seconds=trouble.retry_after_seconds or 0)
            raise
        if answer is not None:
            return await use(services, exchange, answer)
    await services.store.write(lambda tx: exchange_records.order_arrived(tx.conn, exchange.id))
    return exchange


async def take_in(services: Services, exchange: Exchange, unverified: Answer) -> Exchange:
    """Keep a source's answer, sealed and proven, until it is collected; wake whoever waits for it.

    The same answer again is the same event. Raises SourceTrouble for an answer that is not exactly
    what was ordered: nothing of it is kept, and the exchange is `failed`.
    """
    if exchange.state != "forwarded":
        return exchange
    await _verified(services, exchange, unverified)
    return await _keep(services, exchange, unverified)


async def _pass_on(services: Services, exchange: Exchange, unverified: Answer) -> Exchange | Delivery:
    """Take an answer in and hand it over in one transaction, for the caller who waits for it.

    If that cannot be, it is only taken in, and `hand_over` does the rest.
    """
    claims, now = await _verified(services, exchange, unverified), services.clock()
    # Before a large one leaves there must be room for it; and what is over is not handed over.
    if sum(len(one.jwe) for one in unverified.sealed) > SMALL_BYTES or now >= exchange.expires_at:
        return await _keep(services, exchange, unverified)
    try:
        permit = await release.recheck(services, exchange, now=now)
        leaving = release.minimise(release.as_held(unverified, claims), permit)
        kept, recorded = await recording.keep_and_hand_over(services, exchange, unverified, leaving)
    except FactsChanged:
        return await _keep(services, exchange, unverified)
    except Unavailable:
        # Nothing leaves now. What can still be kept need not be asked for again.
        with suppress(Unavailable):
            await _keep(services, exchange, unverified)
        raise
    services.arrivals.ring(exchange.id)
    return _delivery(services, kept, leaving, recorded)


async def _verified(services: Services, exchange: Exchange, unverified: Answer) -> AttestationClaims:
    try:
        return await release.verify_answer(services, exchange, unverified, now=services.clock())
    except SourceTrouble as trouble:
        trouble.extra["id"] = exchange.id
        await exchange_ends.end(services, exchange, "failed", failure=trouble.code)
        raise


async def _keep(services: Services, exchange: Exchange, verified: Answer) -> Exchange:
    answered = await recording.keep_answer(services, exchange, verified)
    services.arrivals.ring(exchange.id)
    return answered


async def hand_over(services: Services, exchange: Exchange) -> Delivery:
    """Answer for an exchange as things stand now; what leaves was recorded a moment before.

    The first POST, its replay and a later GET all end here, for the worker named in the request.
    Raises Refused, with paragraph and receipt, for what the agreement alone refused; Unavailable
    when the record cannot be written: nothing leaves.
    """
    if exchange.state in ("forwarded", "answered") and services.clock() >= exchange.expires_at:
        # The sweep comes by every half minute; what is over is not handed over until then.
        await exchange_ends.end(services, exchange, "expired")
        exchange = await _present(services, exchange.id)
    if exchange.state != "answered":
        return await _without_content(services, exchange)
    for attempt, pause in enumerate(_PAUSES):
        if pause:
            await asyncio.sleep(pause)
        await services.agreements.keep_up(services, anew=attempt > 0)
        with suppress(FactsChanged):
            # 5 Check again, with fresh facts; keep only what is permitted now …
            permit = await release.recheck(services, exchange, now=services.clock())
            leaving = release.minimise(await _held(services, exchange, permit), permit)
            # … and one transaction proves that no fact changed, and records what leaves.
            recorded = await recording.record_hand_over(services, exchange, leaving)
            # 6 Answer: after COMMIT.
            return _delivery(services, exchange, leaving, recorded)
        exchange = await _present(services, exchange.id)
        if exchange.state != "answered":
            return await _without_content(services, exchange)
    raise Unavailable("facts_changing", retry_after_seconds=1)


async def _present(services: Services, exchange_id: str) -> Exchange:
    return await services.store.look_up(lambda conn: exchange_records.present(conn, exchange_id))


async def _held(services: Services, exchange: Exchange, permit: release.ReleasePermit) -> release.HeldAnswer:
    return await services.store.read(lambda conn: release.held_answer(conn, services, exchange, permit))


def _delivery(
    services: Services, exchange: Exchange, leaving: release.Release, recorded: Recorded
) -> Delivery:
    state = leaving.state
    return Delivery(
        exchange,
        state,
        recorded,
        receipts.sign(services, exchange, recorded),
        baseline=leaving.baseline if state == "answered" else None,
        sealed=leaving.sealed,
        attestation=leaving.attestation,
        obligations=leaving.permit.verdict.obligations if state == "answered" else None,
    )


async def _without_content(services: Services, exchange: Exchange) -> Delivery:
    """Answer for an exchange from which nothing leaves (yet, or any more), as it was recorded."""
    recorded = await services.store.read(lambda conn: receipts.last_entry(conn, services, exchange))
    receipt = receipts.sign(services, exchange, recorded)
    if exchange.state == "refused" and exchange.failure is not None:
        paragraph = recorded.detail.get("paragraph")
        raise Refused(
            exchange.failure,
            refusal_sentence(exchange.failure),
            extra={"id": exchange.id, "paragraph": paragraph, "receipt": receipt},
        )
    return Delivery(exchange, exchange.state, recorded, receipt)
