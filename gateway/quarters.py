"""Calendar quarters as the parties count them: in Amsterdam, whatever the clock of a machine says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

QUARTER_PATTERN: Final = r"^20[0-9]{2}-Q[1-4]$"
_ZONE: Final = "Europe/Amsterdam"


@dataclass(frozen=True, slots=True, order=True)
class Quarter:
    """Three months of a year; `str()` gives `2026-Q3`."""

    year: int
    number: int  # 1 to 4

    @classmethod
    def read(cls, text: str) -> Quarter:
        """Return the quarter that a text of the form `2026-Q3` names; raise ValueError for another text."""
        if re.fullmatch(QUARTER_PATTERN, text) is None:
            raise ValueError("a quarter is written as 2026-Q3")
        return cls(int(text[:4]), int(text[-1]))

    @classmethod
    def of(cls, at: int) -> Quarter:
        """Return the quarter in which an instant (Unix seconds) lies."""
        local = datetime.fromtimestamp(at, ZoneInfo(_ZONE))
        return cls(local.year, (local.month + 2) // 3)

    @property
    def begins_at(self) -> int:
        """Return its first second, in Unix seconds."""
        return int(datetime(self.year, 3 * self.number - 2, 1, tzinfo=ZoneInfo(_ZONE)).timestamp())

    @property
    def ends_at(self) -> int:
        """Return the first second after it, in Unix seconds."""
        return self.following.begins_at

    @property
    def following(self) -> Quarter:
        """Return the next quarter."""
        return Quarter(self.year + self.number // 4, self.number % 4 + 1)

    def __str__(self) -> str:
        """Return its name."""
        return f"{self.year}-Q{self.number}"
