"""R1: one day at the gate, with the gateway killed at one of its points, and everybody coming back.

The day passes every state that an exchange has: it is asked, answered at once and later, fetched again,
acknowledged, called off; a consent is given, and withdrawn while a source works.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from adapters.protocol import Category, ClientIdentifier
from tests.faults.city import City
from tests.faults.invariants import Answered
from tests.faults.witness import Witness, impatient
from tests.integration.promises.people import newcomer
from tests.integration.town import Town, v_number

ASKED = (Category.PERSPECTIVE, Category.PARTNERS, Category.APPLICATION_STATUS, Category.DECISIONS)
CONSENTED = ASKED[2:]
EVERYTHING = frozenset(map(str, ASKED))
PLACES = ("before", "within", "after")


@dataclass(frozen=True)
class Cell:
    """A point, its how-manieth passage in a day, and where in it."""

    name: str
    nth: int
    place: str

    def __str__(self) -> str:
        return f"{self.name} #{self.nth} {self.place}"


async def day(town: Town, *, hurry: bool = False) -> tuple[Witness, ClientIdentifier]:
    """Live through one day, whatever happens to the gateway; the evidence is with the witness.

    `hurry` leaves out what takes seconds: the officer at the source, and what follows.
    """
    witness = Witness(town)
    await witness.until_done(witness.arrive)
    person = newcomer()
    client = v_number(person.v_number)
    await witness.until_done(lambda: town.open_case(client))
    consent = await witness.consent(client, CONSENTED)

    first = await _asked(witness, client)
    assert isinstance(first, Answered), f"never answered: {first}"
    assert first.categories == EVERYTHING, f"{first.state}, and only {sorted(first.categories)}"
    await witness.insist(lambda: witness.get(first.request, first.exchange))
    if not hurry:
        await town.behave("ind", v_number=person.v_number, mode="later", delay_seconds=0.6)
        later = asyncio.create_task(_asked(witness, client))
        called_off = await _asked_once(witness, client)
        await witness.insist(lambda: witness.end(called_off.request, called_off.exchange, "cancellation"))
        await later
        at_work = asyncio.create_task(_asked(witness, client))
        await asyncio.sleep(0.2)
        await witness.withdraw(consent)
        await at_work
        await town.behave("ind", v_number=person.v_number, mode="ok")
    else:
        await witness.withdraw(consent)
    again = await witness.insist(lambda: witness.get(first.request, first.exchange))
    assert isinstance(again, Answered)
    await witness.insist(lambda: witness.end(first.request, first.exchange, "acknowledgement"))
    return witness, client


async def killed_at(city: City, cell: Cell, *, hurry: bool = False) -> tuple[list[str], bool]:
    """Live a day with one kill in it; return what is wrong, and whether the point was reached."""
    kills = city.child.kills
    city.child.arm(name=cell.name, nth=cell.nth, place=cell.place)
    try:
        async with impatient(city.child.environment["POORT_DATABASE_URL"]):
            witness, _ = await day(city.town, hurry=hurry)
    finally:
        city.child.disarm()
    return await witness.conclude(), city.child.kills > kills


async def cells(city: City, *, hurry: bool = False) -> list[Cell]:
    """Live a quiet day, and list every point that it passed which changes or shows anything."""
    city.child.arm(trace=str(city.child.trace))
    witness, _ = await day(city.town, hurry=hurry)
    city.child.disarm()
    wrong = await witness.conclude()
    assert not wrong, wrong
    passed: list[list[Any]] = [json.loads(line) for line in city.child.traced()]
    found = [Cell(*one) for one in passed if not one[0].startswith("read ") and one[2] in PLACES]
    return list(dict.fromkeys(found))


async def _asked(witness: Witness, client: ClientIdentifier) -> Any:
    """Ask, and come back until it is settled."""
    prepared, request = witness.prepare(client, ASKED)
    return await witness.insist(lambda: witness.send(prepared, request))


async def _asked_once(witness: Witness, client: ClientIdentifier) -> Answered:
    """Ask, and come back until there is an exchange."""
    prepared, request = witness.prepare(client, ASKED)
    while True:
        seen = await witness.send(prepared, request, wait_seconds=0)
        if isinstance(seen, Answered):
            return seen
        await asyncio.sleep(0.1)
