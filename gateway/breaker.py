"""Stop asking a source that does not answer, and find out with one order when it does again.

       calls about enough people fail in a row
    closed ─────────────────────────────────▶ open ◀───────────┐
      ▲                                        │ after a delay │ fails: wait twice as long
      │               answered                 ▼               │
      └─────────────────────────────────── half-open ──────────┘   one order goes, the others wait

People are counted, not calls: one whose file a source cannot answer from, however often somebody
asks, must not cut off everyone else.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Literal

State = Literal["closed", "open", "half_open"]

# A source that stays away is tried at least this often.
LONGEST_OPEN_SECONDS = 60.0


class CircuitOpen(Exception):
    """This source is not asked now; `seconds` until it may be worth while."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Attempt:
    """One call. What became of it is said at most once; if never (cancelled, say), it counts for nothing."""

    def __init__(self, about: Hashable) -> None:
        self.about = about
        self.outcome: Literal["answered", "failed", "unknown"] = "unknown"

    def answered(self) -> None:
        """The source spoke, whatever it said."""
        self.outcome = "answered"

    def failed(self) -> None:
        """It did not answer, not in time, or said that it cannot."""
        self.outcome = "failed"


class Breaker:
    """The circuit to one source, in this process. For one event loop: nothing here waits."""

    def __init__(
        self,
        *,
        failures: int,
        open_seconds: float,
        clock: Callable[[], float],
        on_change: Callable[[State], None] = lambda _: None,
    ) -> None:
        """`failures`: about different people, in a row. `clock`: seconds that never go back."""
        if failures < 1 or open_seconds <= 0:
            raise ValueError("a circuit opens after at least one failure, for some time")
        self._failures, self._open_seconds = failures, open_seconds
        self._clock, self._on_change = clock, on_change
        self._state: State = "closed"
        self._failed: set[Hashable] = set()
        self._delay_seconds, self._retry_at = open_seconds, 0.0
        self._probe: Attempt | None = None

    @property
    def state(self) -> State:
        """How things stand; `half_open` only while an order is finding out."""
        return self._state

    def refuse_if_open(self) -> None:
        """Raise CircuitOpen if an attempt would be refused now."""
        if self._state == "open" and self._clock() < self._retry_at:
            raise CircuitOpen(self._retry_at - self._clock())
        if self._state == "half_open":
            raise CircuitOpen(self._open_seconds)

    @contextmanager
    def attempt(self, about: Hashable) -> Iterator[Attempt]:
        """Run one call within; it says on the attempt how it went. Raises CircuitOpen instead of running."""
        self.refuse_if_open()
        attempt = Attempt(about)
        if self._state == "open":
            self._probe = attempt
            self._become("half_open")
        try:
            yield attempt
        finally:
            self._settle(attempt)

    def _settle(self, attempt: Attempt) -> None:
        probed = attempt is self._probe
        if probed:
            self._probe = None
        if attempt.outcome == "answered":
            # Also when it was sent before the circuit opened: an answer is the best proof there is.
            self._failed.clear()
            self._probe, self._delay_seconds = None, self._open_seconds
            self._become("closed")
        elif probed:
            if attempt.outcome == "failed":
                self._delay_seconds = min(2 * self._delay_seconds, LONGEST_OPEN_SECONDS)
                self._retry_at = self._clock() + self._delay_seconds
            # Of an unknown outcome nothing follows: the next order may find out at once.
            self._become("open")
        elif attempt.outcome == "failed" and self._state == "closed":
            self._failed.add(attempt.about)
            if len(self._failed) >= self._failures:
                self._retry_at = self._clock() + self._delay_seconds
                self._become("open")

    def _become(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self._on_change(state)
