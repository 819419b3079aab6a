"""Wake those who wait for an answer (`Prefer: wait=N`, RFC 7240 §4.3)."""

from __future__ import annotations

import asyncio
from collections import defaultdict


class Arrivals:
    """One bell per exchange. Ringing tells nothing: who wakes reads the database."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)

    def ring(self, exchange_id: str) -> None:
        """Wake everyone who waits for this exchange."""
        for bell in self._waiting.get(exchange_id, ()):
            bell.set()

    def awaited(self) -> list[str]:
        """Name the exchanges that someone waits for here: their answer may come in at another gateway."""
        return list(self._waiting)

    def expect(self, exchange_id: str) -> Expectation:
        """Begin to listen; what rings from now on is heard, also before `wait` is called."""
        return Expectation(self._waiting, exchange_id)


class Expectation:
    """A bell that one caller holds for the length of a `with` block."""

    def __init__(self, waiting: dict[str, set[asyncio.Event]], exchange_id: str) -> None:
        self._waiting, self._exchange_id, self._bell = waiting, exchange_id, asyncio.Event()

    def __enter__(self) -> Expectation:
        self._waiting[self._exchange_id].add(self._bell)
        return self

    def __exit__(self, *_: object) -> None:
        bells = self._waiting[self._exchange_id]
        bells.discard(self._bell)
        if not bells:
            del self._waiting[self._exchange_id]

    async def wait(self, seconds: float) -> None:
        """Return when the bell rings or the seconds are over, whichever comes first."""
        try:
            await asyncio.wait_for(self._bell.wait(), seconds)
        except TimeoutError:
            return
