"""R4 and R5: disk, database, policy, keys and source fail, alone and in pairs; then all is well again."""

from __future__ import annotations

import dataclasses
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import asyncpg
from sqlalchemy import event

from adapters.kit.register import sign_key_list
from gateway.cli.provision import GATEWAY
from gateway.cli.world import IND, VW
from gateway.policy import asking
from tests.faults.invariants import Answered
from tests.faults.kills import ASKED, CONSENTED, EVERYTHING
from tests.faults.witness import Witness, impatient
from tests.integration.promises.people import newcomer
from tests.integration.test_failing_parts import ENGINES, Engine
from tests.integration.town import Town, v_number

Act = Callable[[Town, str], AbstractAsyncContextManager[None]]
_SLOW_SECONDS = 1.0
_ENGINE_SECONDS = 0.3
_STATEMENT_SECONDS = 0.02


def _disk(pragma: str) -> Act:
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


def _engine(how: str) -> Act:
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


def _source(mode: str, delay_seconds: float = 0.0) -> Act:
    @asynccontextmanager
    async def fault(town: Town, number: str) -> AsyncIterator[None]:
        await town.behave("ind", v_number=number, mode=mode, delay_seconds=delay_seconds)
        try:
            yield
        finally:
            await town.behave("ind", v_number=number, mode="ok")

    return fault


def _key_list(party: str, change: Callable[[Town, str], str | None]) -> Act:
    """Let the gateway find another key list of a party, or none; nobody remembers the one before."""

    @asynccontextmanager
    async def fault(town: Town, _: str) -> AsyncIterator[None]:
        file = town.deployment[GATEWAY].deployment_folder / f"key-lists/{party}.jws"
        before = file.read_text()
        found = change(town, party)
        if found is None:
            file.unlink()
        else:
            file.write_text(found)
        await _forget_keys(town)
        try:
            yield
        finally:
            file.write_text(before)
            await _forget_keys(town)

    return fault


async def _forget_keys(town: Town) -> None:
    town.services.key_lists._read.clear()
    town.services.key_lists._serials.clear()
    for requester in town.world.requesters.values():
        requester._key_directory._lists.clear()


def _signed(town: Town, party: str, *, now: int, exp: int) -> str:
    keystore = town.deployment[party].keystore()
    return sign_key_list(
        key=keystore.signing("identity"),
        party=party,
        serial=1,
        now=now,
        exp=exp,
        keys=[(use, keystore.public(use)) for use in keystore.uses if use != "identity"],
    )


def _over(town: Town, party: str) -> str:
    now = town.clock()
    return _signed(town, party, now=now - 7200, exp=now - 3600)


def _anothers(town: Town, party: str) -> str:
    other = town.deployment[GATEWAY].deployment_folder / "key-lists/askv.jws"
    return other.read_text()


@asynccontextmanager
async def _database_away(town: Town, _: str) -> AsyncIterator[None]:
    """Take the database away: SQLite's file cannot be opened, PostgreSQL lets nobody in."""
    if on_postgres(town):
        name = town.services.settings.database_url.rpartition("/")[2]
        await _administer(town, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", _ends(name))
        try:
            yield
        finally:
            await _administer(town, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        return

    def refuse(*_: Any) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    async with _at_each("do_connect", refuse, anew=True)(town, ""):
        yield


def _ends(name: str) -> str:
    return f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"


async def _administer(town: Town, *statements: str) -> None:
    url = town.services.settings.database_url.replace("+asyncpg", "").rpartition("/")[0]
    database = await asyncpg.connect(f"{url}/postgres")
    try:
        for statement in statements:
            await database.execute(statement)
    finally:
        await database.close()


def _at_each(what: str, act: Callable[..., None], *, anew: bool = False) -> Act:
    """Do something at each event of the gateway's database; `anew`: on connections that are new to it."""

    @asynccontextmanager
    async def fault(town: Town, _: str) -> AsyncIterator[None]:
        database = town.services.store._database
        engines: list[Any] = [database.write_engine, database.read_engine]
        for engine in engines:
            event.listen(engine, what, act)
            if anew:
                engine.dispose()
        try:
            yield
        finally:
            for engine in engines:
                event.remove(engine, what, act)
                if anew:
                    engine.dispose()

    return fault


@asynccontextmanager
async def _read_only_server(town: Town, _: str) -> AsyncIterator[None]:
    name = town.services.settings.database_url.rpartition("/")[2]
    setting = "default_transaction_read_only"
    await _administer(town, f"ALTER DATABASE {name} SET {setting} = on", _ends(name))
    try:
        yield
    finally:
        await _administer(town, f"ALTER DATABASE {name} RESET {setting}", _ends(name))


def on_postgres(town: Town) -> bool:
    """Say whether the gateway's database is a server."""
    return town.services.settings.database_url.startswith("postgresql")


@dataclass(frozen=True)
class Fault:
    """What fails, on which kind of database that can be had, and whether anything may leave meanwhile."""

    part: str
    act: Act
    sqlite: bool = True
    postgres: bool = True
    stops: bool = True

    def fits(self, town: Town) -> bool:
        return self.postgres if on_postgres(town) else self.sqlite


FAULTS: dict[str, Fault] = {
    # A full disk stops only what must be written.
    "the disk is full": Fault("disk", _disk("max_page_count = {pages}"), postgres=False, stops=False),
    "the disk is read-only": Fault("disk", _disk("query_only = ON"), postgres=False),
    "the server is read-only": Fault("disk", _read_only_server, sqlite=False),
    "the database is down": Fault("database", _database_away),
    "the database is slow": Fault(
        "database", _at_each("before_cursor_execute", lambda *_: time.sleep(_STATEMENT_SECONDS)), stops=False
    ),
    "policy is down": Fault("policy", _engine("is not reached")),
    "policy is slow": Fault("policy", _engine("never answers")),
    "policy answers garbage": Fault("policy", _engine("answers raw JSON")),
    "the requester's keys are gone": Fault("requester's keys", _key_list(VW, lambda *_: None)),
    "the requester's keys are over": Fault("requester's keys", _key_list(VW, _over)),
    "the requester's keys are another's": Fault("requester's keys", _key_list(VW, _anothers)),
    "the source's keys are gone": Fault("source's keys", _key_list(IND, lambda *_: None)),
    "the source's keys are over": Fault("source's keys", _key_list(IND, _over)),
    "the source is down": Fault("source", _source("down")),
    "the source is slow": Fault("source", _source("ok", _SLOW_SECONDS), stops=False),
    "the source answers garbage": Fault("source", _source("garbage")),
}


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
            await failing.enter_async_context(FAULTS[name].act(town, person.v_number))
        for _ in range(2):
            seen = await witness.send(prepared, request, wait_seconds=0)
            if isinstance(seen, Answered) and seen.categories and any(FAULTS[name].stops for name in names):
                wrong.append(f"R5: {sorted(seen.categories)} left while {' and '.join(names)}")
    async with impatient(town.services.settings.database_url):
        after = await witness.insist(lambda: witness.send(prepared, request))
    if not isinstance(after, Answered) or after.categories != EVERYTHING:
        wrong.append(f"I5: after {' and '.join(names)} the same call does not bring the answer: {after}")
    return wrong + await witness.conclude()
