"""R2: every call of the store fails, once not stored, once stored, once stored when nobody waits any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from gateway.errors import Unavailable
from gateway.services import Services
from gateway.storage.unit_of_work import Store
from tests.faults.kills import Cell, day
from tests.faults.points import Place, PointedStore, Turns
from tests.faults.witness import impatient
from tests.integration.town import Town, town

# As the table of Sunlight has them: failed and not persisted, failed but persisted, timed out.
WAYS: tuple[Place, ...] = ("before", "after", "late")


@dataclass
class FailingStorage:
    """A town whose store fails where it is told to."""

    place: Town
    store: PointedStore
    turns: Turns
    armed: Cell | None = None
    reached: bool = False
    trace: list[Cell] = field(default_factory=list)

    def strike(self, name: str, number: int, place: Place) -> None:
        cell = Cell(name, number, place)
        self.trace.append(cell)
        if cell == self.armed:
            self.reached = True
            raise Unavailable("ledger_unavailable", cause="seeded by a test")

    async def cells(self, *, hurry: bool) -> list[Cell]:
        """Live a quiet day, and list each call of the store with each way to fail."""
        self.trace.clear()
        self.turns.passed.clear()
        witness = await day(self.place, hurry=hurry)
        passed = [cell for cell in self.trace if cell.place in WAYS]
        wrong = await witness.conclude()
        assert wrong == [], wrong
        return list(dict.fromkeys(passed))

    async def fails_at(self, cell: Cell, *, hurry: bool) -> tuple[list[str], bool]:
        """Live a day in which one call fails; return what is wrong, and whether the call was made."""
        self.turns.passed.clear()
        self.armed, self.reached = cell, False
        try:
            async with impatient(self.place.services.settings.database_url):
                witness = await day(self.place, hurry=hurry)
        finally:
            self.armed = None
        await self.store.quiet()
        return await witness.conclude(), self.reached


@asynccontextmanager
async def failing_storage(folder: Path, **settings: Any) -> AsyncIterator[FailingStorage]:
    """Run a town with a store around the gateway's own; the dispatcher keeps the one inside."""
    made: list[FailingStorage] = []

    def strike(name: str, number: int, place: Place) -> None:
        if made:
            made[0].strike(name, number, place)

    turns = Turns(strike)
    stores: list[PointedStore] = []

    def change(services: Services) -> Services:
        stores.append(PointedStore(services.store, turns))
        return replace(services, store=cast("Store", stores[0]))

    async with town(folder, change=change, **settings) as place:
        made.append(FailingStorage(place, stores[0], turns))
        yield made[0]
