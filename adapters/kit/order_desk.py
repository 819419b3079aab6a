"""Take in release orders and cancellations for one source, and answer: now, or later by the deliverer.

    verify ─▶ remember ─▶ ask the agency ─▶ keep what is ordered and still grounded ─▶ seal ─▶ attest
           ─▶ keep the answer ─▶ send

A crash at any arrow loses nothing: the gateway repeats an unanswered order, a waiting order is taken
up from the store, and an answer is sent from the store only.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final
from weakref import WeakValueDictionary

from adapters.kit.agency import Agency, Later, NotFound, Question
from adapters.kit.answering import Attestor, compose, provided, without
from adapters.kit.jose import LEEWAY_SECONDS
from adapters.kit.order_check import OrderCheck, OrderFacts, VerifiedOrder, order_digest
from adapters.kit.order_refused import OrderRefused
from adapters.kit.store import OrderStore, StoredOrder
from adapters.protocol import ORDER_MAX_SECONDS, Answer, Category, OrderAccepted

# An agency that names a moment beyond this is asked again then; who works weeks is polled, not trusted.
_MAX_WAIT_SECONDS: Final = 3600


class OrderDesk:
    """One per source. Safe for concurrent tasks of one event loop."""

    def __init__(
        self,
        *,
        check: OrderCheck,
        store: OrderStore,
        agency: Agency,
        attestor: Attestor,
        clock: Callable[[], int],
    ) -> None:
        self._check = check
        self._store = store
        self._agency = agency
        self._attestor = attestor
        self._clock = clock
        self._working: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def receive(self, unverified_order: str) -> Answer | OrderAccepted:
        """Answer an order, or say that the answer comes later. The same bytes get the same answer.

        Raises OrderRefused, OtherBytes, KeysUnavailable, AgencyTrouble; after the last two the same
        order may be sent again.
        """
        stored = await self._store.by_digest(order_digest(unverified_order))
        if stored is None:
            order = await self._check.verify(unverified_order)
            stored = await self._remember(order.facts)
        self._in_force(stored)
        return await self.finish(stored.exchange, told_to_wait=False)

    async def cancel(self, exchange: str, unverified_cancellation: str) -> tuple[Category, ...]:
        """Drop the named categories from whatever has not left; return those that will not leave.

        Durable on return, also for an order that has not arrived. Raises OrderRefused.
        """
        cancellation = await self._check.verify_cancellation(unverified_cancellation, exchange=exchange)
        now = self._clock()
        named = cancellation.categories
        before = await self._store.cancel(exchange, named, forget_at=now + ORDER_MAX_SECONDS + LEEWAY_SECONDS)
        if before is None:
            return named
        await self._withdraw_from_kept_answer(exchange)
        if before.state == "answered":
            return ()
        ordered = set(OrderFacts.model_validate_json(before.facts).categories)
        return tuple(category for category in named if category in ordered)

    async def finish(self, exchange: str, *, told_to_wait: bool) -> Answer | OrderAccepted:
        """Return the kept answer, or make it; ask the agency once at a time for one exchange.

        `told_to_wait`: the deliverer asks, whose turn it is; a repeated order only hears `accepted`.
        """
        lock = self._working.setdefault(exchange, asyncio.Lock())
        async with lock:
            while True:
                stored = await self._store.by_exchange(exchange)
                if stored is None:
                    raise OrderRefused("order_invalid", cause="forgotten")
                self._in_force(stored)
                if stored.answer is not None:
                    return await self._as_it_may_leave(stored, stored.answer)
                if stored.state == "waiting" and not told_to_wait:
                    return OrderAccepted(exchange=exchange)
                ready_in_seconds = await self._make(stored)
                if ready_in_seconds is not None:
                    pause = min(math.ceil(max(ready_in_seconds, 0)), _MAX_WAIT_SECONDS)
                    await self._store.wait(exchange, due_at=self._clock() + pause)
                    return OrderAccepted(exchange=exchange)

    async def ready(self) -> None:
        """Raise unless orders can be remembered."""
        await self._store.due(self._clock(), limit=1)

    async def _make(self, stored: StoredOrder) -> float | None:
        """Keep an answer and return None; or return the seconds after which the agency has one."""
        facts = OrderFacts.model_validate_json(stored.facts)
        order = self._check.reopen(facts)
        lapsed = self._lapsed(facts, stored)
        wanted = frozenset(facts.categories) - lapsed
        # Nothing left to ask for: then the agency is not even told that someone asked.
        reply = NotFound() if not wanted else await self._agency.ask(_question(order, wanted))
        if isinstance(reply, Later):
            return reply.ready_in_seconds
        seal_to = await self._check.encryption_key(facts.claims.recipient, facts.seal_to)
        now = self._clock()
        lapsed = self._lapsed(facts, stored)
        answer = await asyncio.to_thread(
            compose, order, reply, lapsed=lapsed, seal_to=seal_to, attestor=self._attestor, now=now
        )
        # Not kept when a cancellation crossed: `finish` then looks again, and asks without it.
        await self._store.keep_answer(
            stored.exchange,
            answer.model_dump_json(exclude_none=True),
            provided=frozenset(facts.categories) - lapsed,
            instead_of=None,
        )
        return None

    def _lapsed(self, facts: OrderFacts, stored: StoredOrder) -> frozenset[Category]:
        """Return what lost its ground by time or by a cancellation, and what may not be asked without it."""
        ended = {name for name, end in facts.lapses_at.items() if end <= self._clock()}
        ordered = frozenset(facts.categories)
        return ordered - self._check.still_asked(facts, ordered - ended - stored.cancelled)

    async def _as_it_may_leave(self, stored: StoredOrder, kept: str) -> Answer:
        """Return the kept answer without what a later version of the agreement closed since it was made."""
        closed = self._check.closed_since(OrderFacts.model_validate_json(stored.facts))
        if closed:
            kept = await self._withdraw_from_kept_answer(stored.exchange, closed) or kept
        return Answer.model_validate_json(kept)

    async def _withdraw_from_kept_answer(
        self, exchange: str, closed: frozenset[Category] = frozenset()
    ) -> str | None:
        """Take what was cancelled or closed out of the answer that is kept; return it as it is kept then."""
        while (stored := await self._store.by_exchange(exchange)) is not None and stored.answer is not None:
            answer, gone = Answer.model_validate_json(stored.answer), stored.cancelled | closed
            remaining = provided(answer, self._attestor)
            if not remaining & gone:
                return stored.answer
            redacted = without(answer, gone, attestor=self._attestor, now=self._clock())
            await self._store.keep_answer(
                exchange,
                redacted.model_dump_json(exclude_none=True),
                provided=remaining - gone,
                instead_of=stored.answer,
            )
        return None

    async def _remember(self, facts: OrderFacts) -> StoredOrder:
        return await self._store.remember(
            exchange=facts.claims.exchange,
            digest=facts.digest,
            request_jti=facts.request_jti,
            facts=facts.model_dump_json(),
            now=self._clock(),
            expires_at=facts.claims.exp,
            # As long as the request could be put into another order (promise 6).
            forget_at=max(facts.claims.exp, facts.request_expires_at) + LEEWAY_SECONDS,
        )

    def _in_force(self, stored: StoredOrder) -> None:
        if self._clock() >= stored.expires_at + LEEWAY_SECONDS:
            raise OrderRefused("order_invalid", cause="expired")


def _question(order: VerifiedOrder, wanted: frozenset[Category]) -> Question:
    return Question(
        client=order.client,
        categories=wanted,
        purpose=order.facts.claims.purpose,
        recipient=order.facts.claims.recipient,
        reference=order.facts.claims.exchange,
    )
