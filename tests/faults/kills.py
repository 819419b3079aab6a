"""R1: one day at the gate, with a gateway killed at one of its points, and everybody coming back.

The day passes every state that an exchange has: it is asked, answered at once and later, fetched again,
acknowledged, called off; a consent is given, and withdrawn while a source works.
"""

from __future__ import annotations

import asyncio
import json
import random
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
# The longest between the kills of one day: as long as a day takes when nothing happens.
LONGEST_PAUSE_SECONDS = 1.5


@dataclass(frozen=True)
class Cell:
    """A point, its how-manieth passage in a day, and where in it."""

    name: str
    nth: int
    place: str

    def __str__(self) -> str:
        return f"{self.name} #{self.nth} {self.place}"

    @classmethod
    def read(cls, text: str) -> Cell:
        """Read what `str` writes."""
        name, nth, place = text.rsplit(" ", 2)
        return cls(name, int(nth.removeprefix("#")), place)


async def day(town: Town, *, hurry: bool = False, witness: Witness | None = None) -> Witness:
    """Live through one day, whatever happens to the gateway; the evidence is with the witness.

    `hurry` leaves out what takes seconds: the officer at the source, and what follows. Several days
    may be lived at once, each with another client, before one `witness`.
    """
    witness = witness or Witness(town)
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
    return witness


async def killed_at(city: City, cell: Cell, *, hurry: bool = False) -> tuple[list[str], bool]:
    """Live a day with one kill in it; return what is wrong, and whether the point was reached."""
    kills = city.kills
    city.child.arm(name=cell.name, nth=cell.nth, place=cell.place)
    try:
        async with impatient(city.database_url):
            witness = await day(city.town, hurry=hurry)
    finally:
        city.child.disarm()
    return await witness.conclude(), city.kills > kills


async def one_of_two_killed_at(city: City, cell: Cell) -> tuple[list[str], bool]:
    """Live a day that begins at the first gateway; it is killed at a point, and the second goes on alone."""
    assert city.front is not None
    city.front.first, city.child.stays_down = True, True
    city.child.arm(name=cell.name, nth=cell.nth, place=cell.place)
    try:
        async with impatient(city.database_url):
            witness = await day(city.town)
        reached = city.child.process is None or city.child.process.poll() is not None
    finally:
        city.child.disarm()
        city.front.first = False
        if city.child.process is not None and city.child.process.poll() is not None:
            await city.child.start()
        city.child.stays_down = False
    return await witness.conclude(), reached


async def under_load(city: City, disturb: Any, *, clients: int = 4) -> list[str]:
    """Live several days at once, with different clients, while something is done to the gateways."""
    witness = Witness(city.town)
    await witness.until_done(witness.arrive)
    async with impatient(city.database_url):
        days = [
            asyncio.create_task(day(city.town, hurry=number > 0, witness=witness))
            for number in range(clients)
        ]
        try:
            await disturb()
        finally:
            ended = await asyncio.gather(*days, return_exceptions=True)
    for one in ended:
        if isinstance(one, BaseException):
            raise one
    return await witness.conclude()


async def killed_at_random(city: City, seed: int) -> tuple[list[str], bool]:
    """Kill a gateway twice at moments, and of several one, that the seed draws, while many ask."""
    draw = random.Random(seed)
    kills = city.kills

    async def disturb() -> None:
        for _ in range(2):
            await asyncio.sleep(draw.uniform(0, LONGEST_PAUSE_SECONDS))
            draw.choice(city.children).kill()

    return await under_load(city, disturb), city.kills > kills


async def cells(city: City, *, hurry: bool = False) -> list[Cell]:
    """Live a quiet day, and list every point that it passed which changes or shows anything."""
    if city.front is not None:
        city.front.first = True
    city.child.arm(trace=str(city.child.trace))
    witness = await day(city.town, hurry=hurry)
    city.child.disarm()
    if city.front is not None:
        city.front.first = False
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
