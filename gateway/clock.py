"""Time as a parameter: whoever needs now is handed a clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Return the present as integer Unix seconds (UTC)."""

    def __call__(self) -> int: ...


def system_clock() -> int:
    """Read the machine's clock."""
    return int(time.time())
