"""R6: a source with real keys answers what it may not, to some of the orders of an hour and not to others.

What it sends is of three kinds: words that are signed and not what was ordered, no answer at all
(`tests/integration/test_hostile_sources.py` holds how each of them is refused), and what costs the reader
memory or time. The seed draws how many ask at once, and which of their orders are answered so.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from adapters.kit import jose
from adapters.protocol import Category
from adapters.requester import PreparedRequest
from gateway.cli.world import IND
from tests.faults.city import City, city
from tests.faults.invariants import Answered, Request, Served
from tests.faults.kills import ASKED, CONSENTED, EVERYTHING
from tests.faults.witness import Witness, impatient
from tests.integration.promises.people import someone
from tests.integration.rogue import Draft, Rogue, honest
from tests.integration.test_hostile_sources import NOT_AN_ANSWER, SPOILED
from tests.integration.test_overload import ALLOCATOR, memory

# An answer may weigh 32 MB by the protocol; what is sent is ten times that. What is allowed beside it is
# for what any requests cost.
ALLOWED_BYTES = 96 << 20
_HUNDRED_MEGABYTES = 100_000_000
_TIMEOUT_SECONDS = 1
# The gateway ends a call by its own deadline; a source that decided on that would take five minutes.
_HANGS_AFTER_SECONDS = 60
_DROPS = 6000
# What the gateway itself holds is not the source's to give or to keep.
_OWN = {str(Category.PARTNERS)}

Sends = Callable[[Rogue, Draft], Response]


async def _endless() -> AsyncIterator[bytes]:
    yield b'{"exchange": "'
    for _ in range(300):
        yield b"x" * 1_000_000


async def _drops() -> AsyncIterator[bytes]:
    """An answer that never ends, a byte at a time, each in good time."""
    yield b'{"exchange": "'
    for _ in range(_DROPS):
        await asyncio.sleep(0.05)
        yield b"x"


def _json(content: bytes, **headers: str) -> Sends:
    return lambda *_: Response(content, media_type="application/json", headers=headers)


def _spoiled(spoil: Callable[[Rogue, Draft], object]) -> Sends:
    def send(rogue: Rogue, draft: Draft) -> Response:
        spoil(rogue, draft)
        return JSONResponse(draft.message)

    return send


def _plain(send: Callable[[Draft], Response]) -> Sends:
    return lambda _, draft: send(draft)


_BOMB = gzip.compress(b'{"exchange": "' + b"x" * _HUNDRED_MEGABYTES + b'"}', 1)
COSTLY: dict[str, Sends] = {
    "without an end": lambda *_: StreamingResponse(_endless(), media_type="application/json"),
    "drop by drop": lambda *_: StreamingResponse(_drops(), media_type="application/json"),
    "a bomb": _json(_BOMB, **{"content-encoding": "gzip"}),
    "a bomb in a bomb": _json(gzip.compress(_BOMB), **{"content-encoding": "gzip, gzip"}),
    "brackets": _json(b"[" * 200_000),
    "members": _json(json.dumps({str(number): number for number in range(100_000)}).encode()),
    "the same member": _json(b'{"a":1' + b',"a":1' * 200_000 + b"}"),
    "digits": _json(b'{"exchange": ' + b"9" * 500_000 + b"}"),
    "headers": _json(b"{}", **{f"x-{number}": "x" * 4000 for number in range(200)}),
    "in circles": lambda *_: RedirectResponse("/v1/orders", status_code=307),
}
SENT: dict[str, Sends] = {
    **COSTLY,
    **{f"signed, {name}": _spoiled(spoil) for name, spoil in SPOILED.items()},
    **{f"no answer: {name}": _plain(send) for name, send in NOT_AN_ANSWER.items()},
}


@dataclass
class HostileCity:
    """A city whose IND is a rogue."""

    city: City
    rogue: Rogue

    @property
    def children(self) -> object:
        """The gateways' processes."""
        return self.city.children


@asynccontextmanager
async def hostile_city(folder: Path, database_url: str = "") -> AsyncIterator[HostileCity]:
    """Run a city with a rogue at IND's address."""
    rogue = Rogue()
    settings = {
        "POORT_SOURCES": json.dumps({IND: rogue.url}),
        "POORT_SOURCE_TIMEOUT_SECONDS": str(_TIMEOUT_SECONDS),
        **ALLOCATOR,
    }
    async with (
        city(folder, database_url=database_url, **settings) as running,
        rogue.serve(running.town.deployment),
    ):
        yield HostileCity(running, rogue)


class Beside(Witness):
    """A witness to whom the rogue's orders count as what a source has in its books."""

    def __init__(self, place: HostileCity) -> None:
        self._rogue = place.rogue
        super().__init__(place.city.town)

    def _served(self) -> list[Served]:
        return [*super()._served(), *map(_taken_in, self._rogue.orders)]


def _taken_in(order: str) -> Served:
    claims = jose.unverified_payload(order)
    request = jose.unverified_payload(str(claims["request"]).partition("~")[0])
    categories = frozenset(str(ordered["category"]) for ordered in claims["categories"])
    return Served(IND, str(claims["exchange"]), str(request["jti"]), categories)


@dataclass
class Spoiler:
    """Answers orders as it is told, some of them honestly, and remembers which it did not."""

    rogue: Rogue
    sends: Sends
    drawn: random.Random
    exchanges: set[str] = field(default_factory=set)

    async def __call__(self, draft: Draft) -> Response:
        if self.exchanges and draft.exchange not in self.exchanges and self.drawn.random() < 0.25:
            return await honest(draft)
        self.exchanges.add(draft.exchange)
        return self.sends(self.rogue, draft)


async def answered_with(place: HostileCity, sends: Sends, seed: int) -> tuple[list[str], bool]:
    """Let a source answer so while some ask, then honestly; return what is wrong, and whether it did."""
    witness, drawn = Beside(place), random.Random(seed)
    await witness.arrive()
    client = someone()
    await place.city.town.open_case(client)
    await witness.consent(client, CONSENTED)
    asking = [witness.prepare(client, ASKED) for _ in range(1 + drawn.randrange(4))]
    place.rogue.elsewhere, spoiler = 0, Spoiler(place.rogue, sends, drawn)
    process = place.city.child.process
    assert process is not None
    before = _forget_peak(process.pid)
    place.rogue.behave = spoiler
    began = time.monotonic()
    async with asyncio.timeout(5 * _HANGS_AFTER_SECONDS):
        seen = await asyncio.gather(
            *(witness.send(prepared, request, wait_seconds=2) for prepared, request in asking)
        )
    took_seconds, took_bytes = time.monotonic() - began, memory(process.pid, "VmHWM") - before
    place.rogue.behave = honest
    wrong = [
        f"R6: {sorted(one.categories - _OWN)} left in exchange {one.exchange}"
        for one in seen
        if isinstance(one, Answered) and one.exchange in spoiler.exchanges and one.categories - _OWN
    ]
    if took_seconds > _HANGS_AFTER_SECONDS:
        wrong.append(f"R6: the callers waited {took_seconds:.0f} s")
    if took_bytes > ALLOWED_BYTES:
        wrong.append(f"R6: it cost {took_bytes >> 20} MB")
    if place.rogue.elsewhere:
        wrong.append("R6: an address that the source named was called")
    if process.poll() is not None:
        wrong.append("R6: the gateway has ended")
    asking.append(witness.prepare(client, ASKED))
    wrong += await _afterwards(place, witness, spoiler, asking)
    return wrong, bool(spoiler.exchanges)


async def _afterwards(
    place: HostileCity, witness: Witness, spoiler: Spoiler, asking: list[tuple[PreparedRequest, Request]]
) -> list[str]:
    """The source is honest again: what failed stays so, and was asked for once; all else arrives."""
    wrong: list[str] = []
    failed: set[str] = set()
    async with impatient(place.city.database_url):
        for prepared, request in asking:
            after = await witness.insist(partial(witness.send, prepared, request))
            if not isinstance(after, Answered):
                wrong.append(f"R6: afterwards a caller is told {after.status}")
            elif after.state == "failed" and after.exchange in spoiler.exchanges:
                failed.add(after.exchange)
                if after.categories:
                    wrong.append(f"R6: exchange {after.exchange} failed and holds {sorted(after.categories)}")
            elif after.categories != EVERYTHING:
                wrong.append(f"R6: afterwards exchange {after.exchange} holds {sorted(after.categories)}")
    sent = Counter(_taken_in(order).exchange for order in place.rogue.orders)
    wrong += [f"R6: the order of {one} was sent {sent[one]} times" for one in failed if sent[one] != 1]
    # The one thing that only this source's own doing excuses: an exchange that failed for good.
    spoilt = {answer.request.jti for answer in witness.evidence.answers if answer.exchange in failed}
    return wrong + [
        sentence
        for sentence in await witness.conclude()
        if not any(f"the request {jti} failed for good" in sentence for jti in spoilt)
    ]


def _forget_peak(process: int) -> int:
    """Begin the most that a process has taken anew; return what it has now, in bytes (proc(5))."""
    Path(f"/proc/{process}/clear_refs").write_text("5")
    return memory(process, "VmRSS")
