"""What may be under way at once: orders at a source, and bytes of large answers in memory.

Whoever finds it full waits a little, in a queue that is never long, and is then told to come back:
a gateway that takes on more than it can do answers nobody.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import ceil
from secrets import SystemRandom

from adapters.protocol import MAX_ANSWER_BYTES

# Smaller messages are not counted: many thousands of them fit where one large answer does.
SMALL_BYTES = 64 * 1024
# How long a large answer waits for others to be stored or sent.
ROOM_WAIT_SECONDS = 10.0
# Of one holder; beyond this it is told at once.
_ROOM_QUEUE = 32
# Per place at a source. With the default of 16 places a source that hangs keeps 80 callers waiting.
_PLACE_QUEUE = 4
# The room is for as many holders at least: nobody has more than one such part of it.
_SHARES = 4
LEAST_ROOM_BYTES = _SHARES * MAX_ANSWER_BYTES
# Requests of known parties under way at once, unless the settings say otherwise.
MAX_IN_FLIGHT = 256

Between = Callable[[int, int], int]
BETWEEN: Between = SystemRandom().randint


def spread(seconds: int, between: Between) -> int:
    """Pick a number of seconds up to half less or half more: who left together must not return together."""
    return max(1, between((seconds + 1) // 2, seconds + seconds // 2))


class Full(Exception):
    """There is no place, or no room, and the queue is long or did not move in time."""


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """What one source may cost, all times in seconds. The defaults of the settings are these."""

    timeout_seconds: float = 10.0  # for a whole call, until the last byte
    connect_seconds: float = 2.0
    concurrency: int = 16
    place_wait_seconds: float = 1.0
    failures_to_open: int = 5  # about different people, in a row
    open_seconds: float = 5.0  # then one order finds out; twice as long after each that fails

    @property
    def longest_call_seconds(self) -> int:
        """Count the seconds after which a call has ended, whatever the source does."""
        # The deadline stands still while an answer waits for room.
        return ceil(self.place_wait_seconds + self.timeout_seconds + ROOM_WAIT_SECONDS)


class Places:
    """A number of places at one source."""

    def __init__(self, places: int, *, wait_seconds: float) -> None:
        if places < 1:
            raise ValueError("without a place nothing could ever be sent")
        self._places, self._wait_seconds = places, wait_seconds
        self._semaphore = asyncio.Semaphore(places)
        self._taken = self._queued = 0

    @property
    def free(self) -> int:
        """Count the places that nobody has or waits for."""
        return max(0, self._places - self._taken - self._queued)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place for the length of the block; raise Full if there is none soon."""
        if self._queued >= _PLACE_QUEUE * self._places:
            raise Full
        self._queued += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._semaphore.acquire()
        except TimeoutError:
            raise Full from None
        finally:
            self._queued -= 1
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
            self._semaphore.release()


@dataclass(slots=True, eq=False)
class _Queued:
    holder: str
    size: int
    granted: asyncio.Future[None]


class Room:
    """Bytes for large answers, in the order of asking. No party has more than a quarter, be it as source
    or as requester: one that sends or reads slowly leaves the rest to everyone else."""

    def __init__(self, total_bytes: int) -> None:
        if total_bytes < LEAST_ROOM_BYTES:
            raise ValueError("one share of the room must hold the largest answer")
        self._total, self._share = total_bytes, total_bytes // _SHARES
        self._held: Counter[str] = Counter()
        self._queue: deque[_Queued] = deque()

    @property
    def held_bytes(self) -> int:
        """Count what is taken now."""
        return self._held.total()

    @asynccontextmanager
    async def held(self, holder: str, size: int) -> AsyncIterator[None]:
        """Have room for so many bytes for the length of the block; raise Full if there is none in time.

        `holder`: a party, by its id in the register alone, or it would have as many shares as names.
        """
        if size > self._share or sum(queued.holder == holder for queued in self._queue) >= _ROOM_QUEUE:
            raise Full
        queued = _Queued(holder, size, asyncio.get_running_loop().create_future())
        self._queue.append(queued)
        try:
            self._grant()
            try:
                async with asyncio.timeout(ROOM_WAIT_SECONDS):
                    await queued.granted
            except TimeoutError:
                raise Full from None
            yield
        finally:
            if queued in self._queue:
                self._queue.remove(queued)
            else:
                self._held[holder] -= size
            self._grant()

    def _grant(self) -> None:
        free = self._total - self.held_bytes
        for queued in list(self._queue):
            if queued.size > free:
                return  # first come, first served: else a large answer would wait for ever
            if self._held[queued.holder] + queued.size > self._share:
                continue
            self._queue.remove(queued)
            self._held[queued.holder] += queued.size
            free -= queued.size
            if not queued.granted.done():
                queued.granted.set_result(None)
