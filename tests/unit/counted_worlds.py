"""Worlds of made-up clients, counted by the product, and a reader who puts all published figures together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from sqlalchemy import create_engine, insert

from gateway.quarters import Quarter
from gateway.report_figures import ON_A_CASE, PURPOSES, count, document, in_tens
from gateway.storage.tables import cases, exchanges, metadata

NGO = "askv"
QUARTERS = tuple(Quarter(2026 + n // 4, n % 4 + 1) for n in range(10))
Cell = tuple[int, str]  # which quarter, which figure
Bounds = tuple[int, int]
# Of one cell: what is published of its true number.
Publish = Callable[[int], Bounds]


@dataclass(frozen=True)
class World:
    """Who is counted where: for each cell the clients in it. A client is a number."""

    cells: Mapping[Cell, frozenset[int]]

    @property
    def quarters(self) -> tuple[Quarter, ...]:
        return QUARTERS[: 1 + max((at for at, _ in self.cells), default=0)]

    @property
    def numbers(self) -> dict[Cell, int]:
        """The truth, which no report tells."""
        figures = (ON_A_CASE, *PURPOSES)
        return {
            (at, name): len(self.cells.get((at, name), ()))
            for at in range(len(self.quarters))
            for name in figures
        }

    def with_numbers(self, numbers: Mapping[Cell, int]) -> World:
        """Return a world in which each cell has another number of clients, and nothing else differs."""
        strangers = iter(range(1000, 100_000))
        changed = dict(self.cells)
        for cell, wanted in numbers.items():
            now = sorted(changed.get(cell, ()))
            changed[cell] = frozenset(now[:wanted]) | {
                next(strangers) for _ in range(max(0, wanted - len(now)))
            }
        return World(changed)

    def reports(self) -> tuple[bytes, ...]:
        """Return the report of each quarter, as the product counts and writes it."""
        engine = create_engine("sqlite://")
        with engine.begin() as conn:
            metadata.create_all(conn)
            rows = [*self._rows()]
            for table in (cases, exchanges):
                if found := [row for of, row in rows if of is table]:
                    conn.execute(insert(table), found)
            counted = {one: count(conn, one, {NGO}) for one in self.quarters}
        engine.dispose()
        for at, quarter in enumerate(self.quarters):
            truth = {name: number for (of, name), number in self.numbers.items() if of == at and number}
            assert {name: number for name, number in counted[quarter].items() if number} == truth
        return tuple(document(one, counts) for one, counts in counted.items())

    def _rows(self) -> Iterator[tuple[object, dict[str, object]]]:
        for (at, name), clients in self.cells.items():
            quarter = QUARTERS[at]
            for client in clients:
                mark = f"{at}-{name}-{client}"
                if name == ON_A_CASE:
                    yield cases, case(mark, client, quarter.ends_at - 10, quarter.ends_at + 10)
                else:
                    # On a case for as long as it takes to be asked about.
                    yield cases, case(mark, client, quarter.begins_at, quarter.begins_at + 100)
                    yield exchanges, exchange(mark, client, name, quarter.begins_at + 50)


def case(mark: str, client: object, since: int, left_at: int | None, **more: object) -> dict[str, object]:
    """A row of `cases`."""
    return {
        "id": mark[:32],
        "client_id": str(client),
        "party_id": NGO,
        "state": "active" if left_at is None else "left",
        "basis": "mandate",
        "opened_by": "desk-1",
        "confirmed_by": "desk-2",
        "content_sealed": b"-",
        "opened_at": since,
        "confirmed_at": since,
        "left_at": left_at,
        **more,
    }


def exchange(mark: str, client: object, purpose: str, at: int, **more: object) -> dict[str, object]:
    """A row of `exchanges`."""
    return {
        "id": mark[:32],
        "requester": NGO,
        "worker_id": "jurist-1",
        "worker_role": "caseworker",
        "request_jti": mark,
        "purpose": purpose,
        "source": "ind",
        "categories": "[]",
        "subject": mark,
        "client_id": str(client),
        "state": "collected",
        "agreement_digest": "sha-256:agreement",
        "ordered": "{}",
        "created_at": at,
        "expires_at": at + 1000,
        "ledger_index": 0,
        **more,
    }


@dataclass
class Reader:
    """Who knows every published figure and how figures hang together, and works out what else is true.

    Each fact is linear: a weighted sum of cells lies between two numbers. What follows is found by bounding
    each cell by all others, over and over, until nothing gets narrower.
    """

    bounds: dict[Cell, Bounds] = field(default_factory=dict)
    facts: list[tuple[dict[Cell, int], Bounds]] = field(default_factory=list)

    @classmethod
    def of(cls, reports: Iterable[bytes]) -> Reader:
        """Read published reports."""
        said = [json.loads(report) for report in reports]
        return cls(
            {
                (at, one["figure"]): (one["at_least"], one["at_most"])
                for at, report in enumerate(said)
                for one in report["figures"]
            }
        )

    def learns(self, weights: Mapping[Cell, int], low: int, high: int) -> None:
        """Take a fact that the reader knows from elsewhere, or that holds by the meaning of the figures."""
        self.facts.append((dict(weights), (low, high)))

    def works_out(self) -> None:
        """Narrow every cell as far as it goes."""
        narrower = True
        while narrower:
            narrower = False
            for weights, total in self.facts:
                for cell, weight in weights.items():
                    others = self._sum({one: by for one, by in weights.items() if one != cell})
                    least, most = total[0] - others[1], total[1] - others[0]
                    low, high = (-(-least // weight), most // weight) if weight > 0 else _negated(least, most)
                    known = self.bounds[cell]
                    found = (max(known[0], low), min(known[1], high))
                    narrower |= found != known
                    self.bounds[cell] = found

    def _sum(self, weights: Mapping[Cell, int]) -> Bounds:
        low = sum(by * self.bounds[cell][0 if by > 0 else 1] for cell, by in weights.items())
        high = sum(by * self.bounds[cell][1 if by > 0 else 0] for cell, by in weights.items())
        return low, high

    def tells(self) -> list[tuple[str, Bounds]]:
        """Say what the reader knows more exactly than to within ten: of a cell, or of a difference of two."""
        self.works_out()
        found = [(str(cell), within) for cell, within in self.bounds.items()]
        known = {(one, two): within for weights, within in self.facts for one, two in [_pair(weights)] if one}
        for one, two in combinations(self.bounds, 2):
            low, high = self._sum({one: 1, two: -1})
            least, most = known.get((one, two), (low, high))
            found.append((f"{one} - {two}", (max(low, least), min(high, most))))
        return [(what, within) for what, within in found if within[1] - within[0] < 9]


def _negated(least: int, most: int) -> Bounds:
    return -most, -least


def _pair(weights: Mapping[Cell, int]) -> tuple[Cell | None, Cell | None]:
    """Return which cell minus which other a fact is about."""
    signs = {by: cell for cell, by in weights.items()}
    return (signs[1], signs[-1]) if len(weights) == 2 and set(signs) == {1, -1} else (None, None)


def everything_that_is_so(world: World) -> Iterator[tuple[dict[Cell, int], int, int]]:
    """Yield each order that holds between two cells of a world: that no client left, say, or all were asked.

    More than a reader can know: which cells are at least as large as which others, throughout.
    """
    numbers = world.numbers
    for one, two in combinations(numbers, 2):
        low = 0 if numbers[one] >= numbers[two] else -100_000
        high = 0 if numbers[one] <= numbers[two] else 100_000
        if low != high:
            yield {one: 1, two: -1}, low, high


__all__ = ["NGO", "QUARTERS", "Reader", "World", "case", "everything_that_is_so", "exchange", "in_tens"]
