"""What only a server can do: go away, hang, come back, refuse, have another time; always in stated time."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from gateway.errors import Unavailable
from gateway.ledger.append import Appender
from gateway.storage import postgresql
from gateway.storage.postgresql import ANSWERS_WITHIN_SECONDS, PostgresDatabase
from gateway.storage.unit_of_work import Store, Transaction
from tests.integration.storing import SIGNER, keys, note, whole
from tests.postgres import USER, Cluster, cluster

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """A server of this module's own, to stop and to halt."""
    with cluster(on_disk=True) as running:
        yield running


@pytest.fixture
def url(server: Cluster) -> str:
    return server.database()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store.open(url, ledger=SIGNER)
    yield opened
    opened.close()


async def refused(call: Any) -> tuple[str, str, float]:
    """Return code, cause and seconds of a call that finds no database."""
    began = time.monotonic()
    with pytest.raises(Unavailable) as refusal:
        await call
    return refusal.value.code, str(refusal.value.cause), time.monotonic() - began


async def test_a_server_that_restarts_while_nobody_calls_costs_no_call(store: Store, server: Cluster) -> None:
    assert await store.write(note("a")) == 0
    assert await store.read(keys) == {"a"}
    server.stop()
    server.start()
    assert await store.read(keys) == {"a"}
    assert await store.write(note("b")) == 1
    assert len((await whole(store)).entries) == 2


async def test_a_server_that_is_away_is_reported_at_once_and_found_again(
    store: Store, server: Cluster, url: str
) -> None:
    assert await store.write(note("a")) == 0
    server.stop(at_once=True)
    try:
        for call in (store.write(note("b")), store.read(keys), store.write(note("c"))):
            code, _, seconds = await refused(call)
            assert (code, seconds < 3) == ("storage_unavailable", True)
        with pytest.raises(Unavailable):
            Store.open(url, ledger=SIGNER)
    finally:
        server.start()
    assert await store.write(note("b")) == 1
    assert await store.read(keys) == {"a", "b"}
    assert len((await whole(store)).entries) == 2


@pytest.mark.slow
async def test_a_server_that_hangs_is_given_up_in_the_stated_time(store: Store, server: Cluster) -> None:
    assert await store.write(note("a")) == 0
    assert await store.read(keys) == {"a"}
    halted = [server.process, *children(server.process)]
    for process in halted:
        os.kill(process, signal.SIGSTOP)
    try:
        calls = [store.write(note(f"while it hangs {at}")) for at in range(100)]
        calls += [store.read(keys) for _ in range(20)]
        outcomes = await asyncio.gather(*(refused(call) for call in calls))
    finally:
        for process in halted:
            os.kill(process, signal.SIGCONT)
    assert max(seconds for *_, seconds in outcomes) < ANSWERS_WITHIN_SECONDS + 3
    assert {code for code, *_ in outcomes} == {"storage_unavailable"}
    for _ in range(100):
        try:
            await store.write(note("b"))
            break
        except Unavailable:
            await asyncio.sleep(0.1)
    assert {"a", "b"} <= await store.read(keys)
    await whole(store)


def children(process: int) -> list[int]:
    with open(f"/proc/{process}/task/{process}/children") as listed:
        return [int(child) for child in listed.read().split()]


@pytest.mark.parametrize("stored", [False, True], ids=["not_stored", "stored"])
async def test_a_commit_whose_answer_is_lost_is_unavailable_for_the_whole_group(
    store: Store, server: Cluster, url: str, stored: bool
) -> None:
    assert await store.write(note("a")) == 0
    armed = [True]

    def cut(conn: Connection) -> None:
        if armed.pop() if armed else False:
            process = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
            if stored:
                conn.exec_driver_sql("COMMIT")
            server.sql(f"SELECT pg_terminate_backend({process}, 5000)")

    event.listen(store._write_engine, "commit", cut)
    outcomes = await asyncio.gather(*(store.write(note(key)) for key in "bc"), return_exceptions=True)
    assert isinstance(outcomes[0], Unavailable) or stored
    event.remove(store._write_engine, "commit", cut)
    held = await store.read(keys)
    assert await store.write(note("d")) == len(held)
    assert len((await whole(store)).entries) == len(held) + 1
    # Whoever was promised something finds it.
    for key, outcome in zip("bc", outcomes, strict=True):
        assert isinstance(outcome, Unavailable) or key in held


async def test_a_connection_lost_in_the_middle_of_a_group_fails_all_of_it(
    store: Store, server: Cluster
) -> None:
    def loses(tx: Transaction) -> None:
        process = tx.conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
        server.sql(f"SELECT pg_terminate_backend({process}, 5000)")
        note("lost")(tx)

    code, cause, _ = await refused(store.write(loses))
    assert code == "storage_unavailable"
    assert "lost" not in cause
    assert await store.write(note("a")) == 0
    assert await store.read(keys) == {"a"}


async def test_a_gateway_that_stands_still_under_the_lock_is_thrown_out(
    url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else every other gateway would wait for one that sleeps, or that lost its network."""
    monkeypatch.setitem(postgresql._SERVER_SETTINGS, "idle_in_transaction_session_timeout", "1s")
    sleepy = Store(PostgresDatabase.at(url), Appender(SIGNER))

    def sleeps(tx: Transaction) -> int:
        index = note("sleeping")(tx)
        time.sleep(2)
        return index

    sleeping = asyncio.create_task(sleepy.write(sleeps))
    await asyncio.sleep(0.3)
    assert await store.write(note("a")) == 0
    with pytest.raises(Unavailable):
        await sleeping
    assert await sleepy.write(note("b")) == 1
    assert await store.read(keys) == {"a", "b"}
    assert len((await whole(store)).entries) == 2
    sleepy.close()


async def test_a_statement_that_takes_too_long_is_ended_and_the_others_go_on(store: Store) -> None:
    slow = asyncio.create_task(store.write(lambda tx: tx.conn.execute(text("SELECT pg_sleep(30)")).scalar()))
    await asyncio.sleep(0.05)
    other = asyncio.create_task(store.write(note("a")))
    code, cause, seconds = await refused(slow)
    assert code == "storage_unavailable"
    assert "57014" in cause
    assert seconds < postgresql.TRANSACTION_SECONDS
    assert await other == 0
    await whole(store)


async def test_a_database_that_may_not_be_written_is_reported_and_read(
    store: Store, server: Cluster, url: str
) -> None:
    assert await store.write(note("a")) == 0
    name = url.rpartition("/")[2]
    server.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    store._write_engine.pool.dispose()  # the setting holds from the next connection on
    server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    await asyncio.sleep(0.2)
    code, cause, _ = await refused(store.write(note("b")))
    assert (code, "25006" in cause) == ("ledger_unavailable", True)
    assert await store.read(keys) == {"a"}


def test_a_gateway_with_another_time_than_its_database_does_not_write(url: str) -> None:
    Store.open(url, ledger=SIGNER).close()
    for difference, allowed in ((0, True), (3, True), (60, False), (-60, False)):
        database = PostgresDatabase.at(url, clock=lambda by=difference: int(time.time()) + by)
        store = Store(database, Appender(SIGNER))
        if allowed:
            assert asyncio.run(store.write(lambda tx: "in time")) == "in time"
        else:
            _, cause, _ = asyncio.run(refused(store.write(lambda tx: "in time")))
            assert "clock differs" in cause
        store.close()


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_no_gateway_starts_on_a_server_that_does_not_wait_for_its_disk(url: str, setting: str) -> None:
    Store.open(url, ledger=SIGNER).close()
    with cluster(f"{setting}=off") as forgetful:
        database = forgetful.database()
        with pytest.raises(Unavailable) as refusal:
            Store.open(database, ledger=SIGNER)
        assert refusal.value.cause == f"the database does not wait for its disk: {setting} is off"
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        assert forgetful.sql(tables, database=database.rpartition("/")[2]) == "0"


async def test_a_server_that_no_longer_waits_for_its_disk_is_read_and_not_written(
    store: Store, server: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await store.write(note("a")) == 0
    with monkeypatch.context() as otherwise:
        otherwise.setattr(server, "options", (*server.options, "fsync=off"))
        server.stop()
        server.start()
        code, cause, _ = await refused(store.write(note("b")))
        assert (code, "fsync is off" in cause) == ("storage_unavailable", True)
        assert await store.read(keys) == {"a"}
    server.stop()
    server.start()
    assert await store.write(note("b")) == 1


@pytest.mark.parametrize("level", ["off", "local", "remote_write"])
async def test_what_role_and_database_say_of_commit_does_not_reach_the_gateway(
    server: Cluster, url: str, level: str
) -> None:
    server.sql(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = {level}")
    server.sql(f"ALTER ROLE {USER} SET synchronous_commit = {level}")
    asked = "SHOW synchronous_commit"
    try:
        assert server.sql(asked, database=url.rpartition("/")[2]) == level
        store = Store.open(url, ledger=SIGNER)
        assert await store.write(lambda tx: tx.conn.exec_driver_sql(asked).scalar_one()) == "on"
        store.close()
    finally:
        server.sql(f"ALTER ROLE {USER} RESET synchronous_commit")


def test_a_connection_on_which_commit_does_not_wait_is_refused(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a pooler that hands out connections of its own, with settings of its own."""
    Store.open(url, ledger=SIGNER).close()
    monkeypatch.setitem(postgresql._SERVER_SETTINGS, "synchronous_commit", "local")
    with pytest.raises(Unavailable) as refusal:
        Store.open(url, ledger=SIGNER)
    assert refusal.value.cause == "the database does not wait for its disk: synchronous_commit is local"


async def test_what_an_operator_reads_of_an_error_holds_nothing_that_is_stored(store: Store) -> None:
    await store.write(note("a"))

    def breaks(tx: Transaction) -> None:
        tx.conn.execute(text("SELECT 1 / 0 FROM nothing_such WHERE key = '2801234567'"))

    code, cause, _ = await refused(store.write(breaks))
    assert code == "storage_unavailable"
    assert "42P01" in cause
    assert "2801234567" not in cause


async def test_a_read_sees_one_moment(store: Store) -> None:
    await store.write(note("a"))
    seen: list[set[str]] = []
    loop = asyncio.get_running_loop()

    def reads(conn: Connection) -> None:
        seen.append(keys(conn))
        asyncio.run_coroutine_threadsafe(store.write(note("b")), loop).result(10)
        seen.append(keys(conn))

    await store.read(reads)
    assert seen == [{"a"}, {"a"}]
    assert await store.read(keys) == {"a", "b"}
