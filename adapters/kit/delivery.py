"""Finish the orders that were answered with `202`: ask the agency again when due, bring the answer.

One task per adapter. It remembers nothing: after a restart the store says what is due. An order leaves
it when the gateway has the answer, wants none, or the order has expired.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from adapters.kit.agency import AgencyTrouble
from adapters.kit.order_desk import OrderDesk
from adapters.kit.order_refused import KeysUnavailable, OrderRefused
from adapters.kit.session import Response, SessionError
from adapters.kit.store import OrderStore
from adapters.protocol import Answer

_AT_ONCE: Final = 4
_LONGEST_PAUSE_SECONDS: Final = 300
_FORGET_EVERY_SECONDS: Final = 600
# The gateway has an answer for this exchange already, or the exchange is over.
_WANTED_NO_MORE: Final = frozenset({404, 409, 410})

_log = structlog.get_logger("poort.adapter")


class Gateway(Protocol):
    """What a deliverer needs of `GatewaySession`."""

    async def request(self, method: str, path: str, json: object | None = None) -> Response: ...


class Deliverer:
    """Runs until cancelled; no failure of one order stops another."""

    def __init__(
        self,
        *,
        desk: OrderDesk,
        store: OrderStore,
        gateway: Gateway,
        clock: Callable[[], int],
        poll_seconds: float,
    ) -> None:
        self._desk = desk
        self._store = store
        self._gateway = gateway
        self._clock = clock
        self._poll_seconds = poll_seconds

    async def run(self) -> None:
        """Deliver what is due, again and again."""
        forget_at = 0
        while True:
            try:
                if self._clock() >= forget_at:
                    await self._store.forget(self._clock())
                    forget_at = self._clock() + _FORGET_EVERY_SECONDS
                await self.deliver_due()
            except Exception as failure:  # whatever it is, the next round must come
                _log.error("deliverer_failed", error=type(failure).__name__)
            await asyncio.sleep(self._poll_seconds)

    async def deliver_due(self) -> None:
        """Try once to finish each order that is due now."""
        due = await self._store.due(self._clock(), limit=_AT_ONCE)
        await asyncio.gather(*map(self._deliver, due))

    async def _deliver(self, exchange: str) -> None:
        try:
            answer = await self._desk.finish(exchange, told_to_wait=True)
            if not isinstance(answer, Answer):
                return  # the agency asks for more time; `finish` noted when
            response = await self._gateway.request(
                "POST",
                f"/v1/orders/{exchange}/answer",
                json=answer.model_dump(mode="json", exclude_none=True),
            )
        except OrderRefused as refused:
            # A key list may be renewed yet; an order that has expired stays so. Nothing leaves meanwhile.
            if refused.code == "order_refused_order_invalid":
                _log.warning("order_dropped", exchange=exchange, code=refused.code, cause=refused.cause)
                await self._store.settle(exchange)
            else:
                await self._retry(exchange, refused.code)
        except (AgencyTrouble, KeysUnavailable, SessionError, TimeoutError) as failure:
            await self._retry(exchange, str(failure))
        except Exception as failure:  # a fault in one order must not starve the others
            await self._retry(exchange, type(failure).__name__)
        else:
            await self._delivered(exchange, response.status)

    async def _delivered(self, exchange: str, status: int) -> None:
        if 200 <= status < 300 or status in _WANTED_NO_MORE:
            _log.info("answer_delivered", exchange=exchange, status=status)
            await self._store.settle(exchange)
        else:
            await self._retry(exchange, f"the gateway answered {status}")

    async def _retry(self, exchange: str, cause: str) -> None:
        stored = await self._store.by_exchange(exchange)
        attempts = 0 if stored is None else stored.attempts
        pause = min(2 ** min(attempts, 16), _LONGEST_PAUSE_SECONDS)
        _log.warning("delivery_postponed", exchange=exchange, cause=cause, pause_seconds=pause)
        await self._store.postpone(exchange, due_at=self._clock() + pause)
