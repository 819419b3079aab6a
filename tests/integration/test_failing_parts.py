"""A part of the gateway that fails: nothing is released, nothing is lost, and afterwards it works again."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError
from starlette.responses import Response

from adapters.kit.session import GatewaySession, SessionError
from adapters.protocol import Role
from gateway.cli.world import VW, persona, worker_of
from gateway.policy import asking
from gateway.policy.asking import Allowed
from gateway.policy.port import (
    CategoryDecision,
    Obligations,
    PolicyEngine,
    PolicyUnavailable,
    Question,
    Refusal,
    Verdict,
)
from gateway.services import Services
from gateway.storage.tables import exchanges
from tests import grounds
from tests.integration.edge import TEXT_MARK, V_NUMBERS, Answer, check_logs, recorded_logs
from tests.integration.rogue import Draft, Stage, complete, honest, staged
from tests.integration.town import v_number

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("town")) as running:
        yield running


@pytest.fixture(autouse=True)
def logs() -> Iterator[io.BytesIO]:
    with recorded_logs() as stream:
        yield stream
        check_logs(stream)


@contextmanager
def changed(stage: Stage, **parts: Any) -> Iterator[Services]:
    """Let the gateway use other parts for the length of a `with`."""
    whole = stage.place.services
    # Nothing is remembered of what the engine that works has answered.
    stage.place.replace_services(dataclasses.replace(whole, allowed=Allowed(), **parts))
    yield whole
    stage.place.replace_services(whole)


def unavailable(answer: Answer, code: str) -> None:
    assert (answer.status, answer.code) == (503, code)
    assert answer.json.keys() <= {"type", "title", "status", "detail", "code", "next_step"}


# --- a policy engine that does not answer -----------------------------------------------------------


class Engine:
    """An engine that fails from its nth question on, in a way of the test's choosing."""

    def __init__(self, works: PolicyEngine, fails: Callable[[Question], Any], *, questions: int = 0) -> None:
        self._works, self._fails, self._left = works, fails, questions

    async def decide(self, question: Question) -> Verdict:
        if self._left > 0:
            self._left -= 1
            return await self._works.decide(question)
        answer = self._fails(question)
        if asyncio.iscoroutine(answer):
            answer = await answer
        return answer  # type: ignore[no-any-return]  # garbage, on purpose


def _raises(error: Exception) -> Callable[[Question], Any]:
    def fail(_: Question) -> Any:
        raise error

    return fail


async def _never(_: Question) -> Any:
    await asyncio.sleep(60)


def _permitting(*categories: str, refusal: Refusal | None = None) -> Verdict:
    decisions = tuple(
        CategoryDecision(name, "permitted", "baseline", None, "r", "art. 1", None, None, 4_000_000_000)
        for name in categories
    )
    return Verdict(refusal, True, decisions, Obligations(90, False, False), 4_000_000_000)


ENGINES: dict[str, Callable[[Question], Any]] = {
    "says that it cannot": _raises(PolicyUnavailable()),
    "breaks, naming someone": _raises(RuntimeError(f"V-number {V_NUMBERS[0]}: {TEXT_MARK}")),
    "is not reached": _raises(ConnectionRefusedError("http://opa.internal/")),
    "never answers": _never,
    "answers nothing": lambda _: None,
    "answers yes": lambda _: True,
    "answers raw JSON": lambda _: {"allow": True, "decisions": {}},
    "decides on nothing": lambda _: _permitting(),
    "decides on something else": lambda _: _permitting("identity", "medical"),
    "permits all, and more": lambda question: _permitting(*question.categories, "medical"),
    "permits what is over": lambda question: dataclasses.replace(
        _permitting(*question.categories), decisions=_over(question)
    ),
    "permits and refuses": lambda question: _permitting(
        *question.categories, refusal=Refusal("party_suspended", "art. 1")
    ),
}


def _over(question: Question) -> tuple[CategoryDecision, ...]:
    permitted = _permitting(*question.categories).decisions
    return tuple(dataclasses.replace(one, valid_until=question.now) for one in permitted)


@pytest.mark.parametrize("answered", [0, 1, 2], ids=["at once", "with the facts", "at the hand-over"])
@pytest.mark.parametrize("engine", ENGINES)
async def test_without_a_verdict_nothing_leaves_and_nothing_is_lost(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, engine: str, answered: int
) -> None:
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.3)
    await stage.accepts()
    request, before = stage.prepared(), await stage.written()
    with changed(
        stage, engine=Engine(stage.place.services.engine, ENGINES[engine], questions=answered)
    ) as whole:
        unavailable(await stage.repeat(request), "policy_unavailable")
        after = await stage.written()
        unavailable(await stage.repeat(request), "policy_unavailable")
    assert stage.place.services is whole
    # Before the source was asked there is nothing at all; after, what it answered waits, sealed.
    assert after["exchanges"] - before["exchanges"] == (1 if answered == 2 else 0)
    assert after["orders sent"] - before["orders sent"] == (1 if answered == 2 else 0)
    complete(await stage.repeat(request))
    again = await stage.repeat(request)
    complete(again)
    complete(await stage.get(again.json["id"]))
    assert (await stage.written())["orders sent"] == before["orders sent"] + 1


async def test_an_engine_that_permits_a_stranger_is_not_believed(stage: Stage) -> None:
    await stage.accepts()
    stranger, before = stage.prepared(v_number("9991234567")), await stage.written()
    engine = Engine(stage.place.services.engine, lambda question: _permitting(*question.categories))
    with changed(stage, engine=engine):
        unavailable(await stage.repeat(stranger), "policy_unavailable")
    assert await stage.written() == before
    answer = await stage.repeat(stranger)
    assert (answer.status, answer.json["state"]) == (200, "nothing_to_share")


# --- a ledger that cannot be written ------------------------------------------------------------------


class NoAppends:
    """The store of the gateway, whose works fail as on a full disk where they append to the ledger."""

    def __init__(self, store: Any, *, entries: int) -> None:
        self._store, self._left = store, entries

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, work: Callable[[Any], Any]) -> Any:
        def limited(tx: Any) -> Any:
            append = tx.append

            def append_or_fail(entry: bytes) -> Any:
                if self._left <= 0:
                    full = sqlite3.OperationalError("database or disk is full")
                    # As either database says it.
                    full.sqlite_errorname, full.sqlstate = "SQLITE_FULL", "53100"  # type: ignore[attr-defined]
                    raise OperationalError("INSERT", {"detail": TEXT_MARK}, full)
                self._left -= 1
                return append(entry)

            tx.append = append_or_fail
            return work(tx)

        return await self._store.write(limited)


@contextmanager
def read_only(services: Services) -> Iterator[None]:
    """Make the database unwritable, as a disk does that was remounted."""
    url = services.settings.database_url
    with _read_only_file(services.store) if url.startswith("sqlite") else _read_only_server(url):
        yield


@contextmanager
def _read_only_server(url: str) -> Iterator[None]:
    server, name = grounds.postgres(), url.rpartition("/")[2]

    def from_now_on(change: str) -> None:
        server.sql(f"ALTER DATABASE {name} {change}")
        server.sql(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")

    from_now_on("SET default_transaction_read_only = on")
    yield
    from_now_on("RESET default_transaction_read_only")


@contextmanager
def _read_only_file(store: Any) -> Iterator[None]:
    engine = store._write_engine

    def forbid(driver: Any, _: Any) -> None:
        driver.execute("PRAGMA query_only = ON")

    event.listen(engine, "connect", forbid)
    engine.dispose()
    yield
    event.remove(engine, "connect", forbid)
    engine.dispose()


@pytest.mark.parametrize("entries", [0, 1], ids=["of the decision", "of the hand-over"])
async def test_what_the_ledger_does_not_take_does_not_leave(stage: Stage, entries: int) -> None:
    await stage.accepts()
    request, before = stage.prepared(), await stage.written()
    with changed(stage, store=NoAppends(stage.place.services.store, entries=entries)):
        for _ in range(2):
            unavailable(await stage.repeat(request), "ledger_unavailable")
    after = await stage.written()
    for name in ("exchanges", "idempotency", "ledger_details", "orders sent"):
        assert after[name] - before[name] == entries, name
    answer = await stage.repeat(request)
    complete(answer)
    complete(await stage.get(answer.json["id"]))
    assert (await stage.written())["orders sent"] == before["orders sent"] + 1


async def test_an_answer_that_the_ledger_cannot_take_stays_until_it_can(stage: Stage) -> None:
    await stage.accepts()
    answer = await stage.ask()
    complete(answer)
    before = await stage.written()
    with changed(stage, store=NoAppends(stage.place.services.store, entries=0)):
        unavailable(await stage.get(answer.json["id"]), "ledger_unavailable")
    assert await stage.written() == before
    complete(await stage.get(answer.json["id"]))


async def test_a_consent_is_withdrawn_or_the_caller_is_told_that_it_is_not(stage: Stage) -> None:
    client, desk = persona("bilal"), worker_of(VW, Role.DESK)
    consent = await stage.place.consent(client)
    path, body = f"/v1/consents/{consent}/withdrawal", {"worker": desk.model_dump(mode="json")}
    with changed(stage, store=NoAppends(stage.place.services.store, entries=0)):
        unavailable(await stage.edge.post(path, body), "ledger_unavailable")
    await stage.accepts(client)
    withdrawn = await stage.edge.post(path, body)
    assert (withdrawn.status, withdrawn.json["state"]) == (200, "withdrawn")


async def test_a_database_that_cannot_be_written_stops_every_call(stage: Stage) -> None:
    await stage.accepts()
    request, before = stage.prepared(), await stage.written()
    known = (await stage.repeat(request)).json["id"]
    fresh = stage.prepared()
    with read_only(stage.place.services):
        for answer in (
            await stage.repeat(fresh),
            await stage.repeat(request),
            await stage.get(known),
            await stage.edge.post("/v1/cases/search", {}),
            await stage.edge.call("GET", f"/v1/dossier-requests/{known}/receipt"),
        ):
            unavailable(answer, "ledger_unavailable")
        async with GatewaySession(stage.edge.url, VW, stage.rogue.key(VW), stage.place.clock) as signing_in:
            with pytest.raises(SessionError) as refused:
                await signing_in.request("GET", f"/v1/dossier-requests/{known}")
        assert (refused.value.code, refused.value.status) == ("token_refused", 503)
    complete(await stage.get(known))
    complete(await stage.repeat(fresh))
    assert (await stage.written())["orders sent"] == before["orders sent"] + 2


async def test_an_answer_that_cannot_be_kept_is_asked_for_again(stage: Stage) -> None:
    # The disk fills while the source works: its answer is lost here, and the source still has it.
    await stage.accepts()
    request, disk = stage.prepared(), ExitStack()

    async def answer_while_the_disk_fills(draft: Draft) -> Response:
        disk.enter_context(read_only(stage.place.services))
        return await honest(draft)

    stage.rogue.behave = answer_while_the_disk_fills
    unavailable(await stage.repeat(request), "ledger_unavailable")
    stage.rogue.behave = honest
    disk.close()
    order = stage.rogue.orders[-1]
    known = await stage.place.services.store.read(
        lambda conn: conn.execute(select(exchanges).order_by(exchanges.c.ledger_index.desc())).first()
    )
    assert known is not None
    assert (known.state, known.order_jws) == ("forwarded", order)
    await stage.nothing_kept(known.id)
    stage.passes(stage.place.services.settings.source_limits.longest_call_seconds + 1)
    complete(await stage.get(known.id, wait_seconds=5))
    complete(await stage.repeat(request))
    assert stage.rogue.orders[-1] == order
