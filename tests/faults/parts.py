"""R4 and R5: disk, policy engine and source fail, each alone and two at a time; then all is well again."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import event

from gateway.policy import asking
from tests.faults.invariants import Answered
from tests.faults.kills import ASKED, CONSENTED, EVERYTHING
from tests.faults.witness import Witness, impatient
from tests.integration.promises.people import newcomer
from tests.integration.test_failing_parts import ENGINES, Engine
from tests.integration.town import Town, v_number

Fault = Callable[[Town, str], AbstractAsyncContextManager[None]]
_SLOW_SECONDS = 1.0
_ENGINE_SECONDS = 0.3


def _disk(pragma: str) -> Fault:
    @asynccontextmanager
    async def fault(town: Town, _: str) -> AsyncIterator[None]:
        engine: Any = town.services.store._write_engine

        def spoil(driver: Any, _record: Any) -> None:
            pages = driver.execute("PRAGMA page_count").fetchone()[0]
            driver.execute(f"PRAGMA {pragma.format(pages=pages)}")

        event.listen(engine, "connect", spoil)
        engine.dispose()
        try:
            yield
        finally:
            event.remove(engine, "connect", spoil)
            engine.dispose()

    return fault


def _engine(how: str) -> Fault:
    @asynccontextmanager
    async def fault(town: Town, _: str) -> AsyncIterator[None]:
        whole, patience = town.services, patch.object(asking, "ANSWER_SECONDS", _ENGINE_SECONDS)
        patience.start()
        town.replace_services(dataclasses.replace(whole, engine=Engine(whole.engine, ENGINES[how])))
        try:
            yield
        finally:
            patience.stop()
            town.replace_services(whole)

    return fault


def _source(mode: str, delay_seconds: float = 0.0) -> Fault:
    @asynccontextmanager
    async def fault(town: Town, number: str) -> AsyncIterator[None]:
        await town.behave("ind", v_number=number, mode=mode, delay_seconds=delay_seconds)
        try:
            yield
        finally:
            await town.behave("ind", v_number=number, mode="ok")

    return fault


FAULTS: dict[str, Fault] = {
    "the disk is full": _disk("max_page_count = {pages}"),
    "the disk is read-only": _disk("query_only = ON"),
    "policy is down": _engine("is not reached"),
    "policy is slow": _engine("never answers"),
    "policy answers garbage": _engine("answers raw JSON"),
    "the source is down": _source("down"),
    "the source is slow": _source("ok", _SLOW_SECONDS),
    "the source answers garbage": _source("garbage"),
}
# Of these a caller may get nothing while they last; a slow source only takes its time.
_STOPPING = frozenset(FAULTS) - {"the source is slow", "the disk is full"}


async def with_faults(town: Town, *names: str) -> list[str]:
    """Ask while these parts fail, and again when they are well; return what is wrong."""
    witness = Witness(town)
    await witness.arrive()
    person = newcomer()
    client = v_number(person.v_number)
    await town.open_case(client)
    await witness.consent(client, CONSENTED)
    prepared, request = witness.prepare(client, ASKED)
    wrong: list[str] = []
    async with AsyncExitStack() as failing:
        for name in names:
            await failing.enter_async_context(FAULTS[name](town, person.v_number))
        for _ in range(2):
            seen = await witness.send(prepared, request, wait_seconds=0)
            if isinstance(seen, Answered) and seen.categories and _STOPPING & set(names):
                wrong.append(f"R5: {sorted(seen.categories)} left while {' and '.join(names)}")
    async with impatient(town.services.settings.database_url):
        after = await witness.insist(lambda: witness.send(prepared, request))
    if not isinstance(after, Answered) or after.categories != EVERYTHING:
        wrong.append(f"I5: after {' and '.join(names)} the same call does not bring the answer: {after}")
    return wrong + await witness.conclude()
