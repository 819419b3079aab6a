"""The gateway, with a thread that looks every few milliseconds at what the others spend their CPU time on.

    python -m bench.profiled FILE serve gateway

A thread's CPU time since the last look goes to the first part of `PARTS` that is on its stack. When the
gateway ends, FILE holds CPU seconds per part. To look costs a little itself, so ratios are never taken here.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType

from gateway.cli import main

_EVERY_SECONDS = 0.002
# How long a thread may keep the interpreter when another wants it. By default 50 times this: a look comes
# then when a thread waits, and what it did before that would be put down to the waiting.
_TURN_SECONDS = 0.0001
# What it is called, and where in our sources it happens; the first that is on the stack counts.
PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("log", ("/structlog/", "gateway/http/log.py:_log")),
    ("policy, twice", ("gateway/policy/",)),
    ("the order: sign it, seal who it is about", ("gateway/orders.py:make",)),
    ("verify the answer of the source", ("gateway/release.py:verify_answer",)),
    ("receipt", ("gateway/receipts.py:sign",)),
    ("tiles and checkpoint", ("gateway/ledger/append.py",)),
    ("ledger entry, and its sealed detail", ("gateway/ledger/entry.py",)),
    ("facts, twice", ("gateway/facts.py:_gather",)),
    ("verify the signed request", ("gateway/submission.py",)),
    ("token, proof and its single use", ("gateway/oauth/",)),
    ("call the source (HTTP client)", ("gateway/source_line.py", "/aiohttp/")),
    ("transactions: the other rows", ("gateway/exchange_recording.py",)),
    ("transactions: BEGIN, savepoint, COMMIT", ("gateway/storage/unit_of_work.py:_run",)),
    ("look-ups: begin, end, the other rows", ("gateway/storage/",)),
    ("the exchange itself", ("gateway/exchange.py",)),
    ("HTTP server: parse, route, validate, answer", ("/fastapi/", "/starlette/", "/uvicorn/protocols/")),
)
OTHER = "event loop and all else"


class Looking(threading.Thread):
    """Adds up CPU seconds per part until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(name="bench-profile", daemon=True)
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._known: dict[int, float] = {}
        self._over = threading.Event()

    def run(self) -> None:
        """Look until `stop`."""
        while not self._over.wait(_EVERY_SECONDS):
            frames = sys._current_frames()
            for thread in threading.enumerate():
                if thread is not self and thread.ident in frames:
                    self._charge(thread.ident, frames[thread.ident])

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()

    def _charge(self, thread: int, frame: FrameType) -> None:
        try:
            now = time.clock_gettime(time.pthread_getcpuclockid(thread))
        except OSError:  # it has just ended
            return
        used = now - self._known.get(thread, now)
        self._known[thread] = now
        if used > 0:
            self.spent[part_of(frame)] += used


def part_of(innermost: FrameType) -> str:
    """Name the part that a stack belongs to."""
    places: list[str] = []
    frame: FrameType | None = innermost
    while frame is not None:
        places.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")
        frame = frame.f_back
    for name, marks in PARTS:
        if any(mark in place for mark in marks for place in places):
            return name
    return OTHER


if __name__ == "__main__":
    file = Path(sys.argv.pop(1))
    # uvicorn ends by the signal that it got, once it has shut down: let that be an orderly end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    sys.setswitchinterval(_TURN_SECONDS)
    looking = Looking()
    # What came before is the start: the benchmark says when it begins to count.
    signal.signal(signal.SIGUSR1, lambda *_: looking.spent.clear())
    looking.start()
    try:
        main()
    finally:
        looking.stop()
        file.write_text(json.dumps(looking.spent))
