"""Turn rounds into figures: percentiles, ratios of interleaved rounds, and how sure they are."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

_RESAMPLES = 10_000
# Fixed, so that the same rounds always give the same interval.
_SEED = 20_260_101


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: what was compared, what came out, and what was aimed at."""

    id: str
    what: str
    measured: Interval
    goal: float
    at_most: bool  # else at least
    unit: str = "×"
    remark: str = ""

    @property
    def verdict(self) -> str:
        """Say whether the goal is met: `unsure` where the interval holds it."""
        good, bad = (
            (self.measured.high, self.measured.low)
            if self.at_most
            else (self.measured.low, self.measured.high)
        )
        sign = 1 if self.at_most else -1
        if sign * good <= sign * self.goal:
            return "met"
        return "missed" if sign * bad > sign * self.goal else "unsure"

    def as_json(self) -> dict[str, Any]:
        """Say it to a machine."""
        return asdict(self) | {"verdict": self.verdict}


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share lies (nearest rank); NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def ratio(pairs: Sequence[tuple[float, float]]) -> Interval:
    """Return the geometric mean of first ÷ second, one pair per block of interleaved rounds."""
    return _interval([math.log(first / second) for first, second in pairs], lambda mean: math.exp(mean))


def mean(values: Sequence[float]) -> Interval:
    """Return the mean of one value per round."""
    return _interval(list(values), lambda found: found)


def _interval(values: list[float], back: Callable[[float], float]) -> Interval:
    """Bootstrap the mean over rounds: what differs between rounds is the machine, not the samples."""
    chance = random.Random(_SEED)  # noqa: S311  # statistics, not secrets
    means = sorted(
        sum(chance.choices(values, k=len(values))) / len(values)
        for _ in range(_RESAMPLES if len(values) > 1 else 1)
    )
    point = sum(values) / len(values)
    low, high = means[int(0.025 * len(means))], means[min(int(0.975 * len(means)), len(means) - 1)]
    return Interval(back(point), back(low), back(high))
