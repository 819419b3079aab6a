"""Send orders and cancellations to the adapters of the sources.

Whatever a source sends is unverified here: `gateway.release.verify_answer` checks what it signed.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial

import structlog
from pydantic import ValidationError

from adapters.protocol import Answer
from gateway.breaker import Breaker, State
from gateway.errors import SourceTrouble
from gateway.limits import Room, SourceLimits
from gateway.source_line import SourceLine

_log = structlog.get_logger("gateway.sources")


class Sources:
    """A line to each source, with limits of its own: one that hangs holds up no other."""

    def __init__(
        self,
        urls: Mapping[str, str],
        *,
        limits: SourceLimits,
        room: Room,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`room` is shared by all; `tls` says who vouches for the adapters and which certificate is ours."""
        self._lines = {
            source: SourceLine(
                source, url, limits=limits, breaker=_breaker(source, limits), room=room, tls=tls
            )
            for source, url in urls.items()
        }

    def knows(self, source: str) -> bool:
        """Say whether an adapter of this source is connected."""
        return source in self._lines

    def states(self) -> dict[str, State]:
        """Say of each connected source how the circuit to it stands, in this process."""
        return {source: line.breaker.state for source, line in self._lines.items()}

    def ready_for(self, source: str) -> int:
        """Count the messages that may be sent now besides those of callers; raise KeyError for a stranger."""
        return self._lines[source].ready_for

    async def send_order(
        self, source: str, order: str, until_kept: AsyncExitStack, *, about: str
    ) -> Answer | None:
        """Send an order; return the answer, or None when a person at the source will look.

        Idempotent at the source by exchange. `about`: the exchange's subject. The room of a large answer
        is given back when `until_kept` closes. Raises SourceTrouble: `source_unavailable` when it may be
        sent again (NotSent: it never left), `source_refused_order` and `source_answer_invalid` when not.
        """
        status, body = await self._line(source).call("/v1/orders", {"order": order}, until_kept, about=about)
        if status == 202:
            return None
        try:
            return Answer.model_validate(body)
        except ValidationError as invalid:
            raise SourceTrouble("source_answer_invalid", cause="answer has the wrong shape") from invalid

    async def send_cancellation(
        self, source: str, exchange_id: str, cancellation: str, *, about: str
    ) -> None:
        """Tell a source which categories lost their ground; raise SourceTrouble if it may not know yet.

        `about`: the exchange's subject, as with its order, or one person's exchanges would count as many.
        """
        path = f"/v1/orders/{exchange_id}/cancellation"
        async with AsyncExitStack() as until_read:
            message = {"cancellation": cancellation}
            status, _ = await self._line(source).call(path, message, until_read, about=about)
        if status != 200:
            raise SourceTrouble("source_answer_invalid", cause="a cancellation is not done later")

    async def close(self) -> None:
        """Close every connection."""
        for line in self._lines.values():
            await line.close()

    def _line(self, source: str) -> SourceLine:
        if source not in self._lines:
            raise SourceTrouble("source_unavailable", cause="no adapter connected")
        return self._lines[source]


def _breaker(source: str, limits: SourceLimits) -> Breaker:
    return Breaker(
        failures=limits.failures_to_open,
        open_seconds=limits.open_seconds,
        clock=time.monotonic,
        on_change=partial(_changed, source),
    )


def _changed(source: str, state: State) -> None:
    _log.warning("source.circuit", source=source, state=state)
