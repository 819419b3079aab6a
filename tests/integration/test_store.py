"""The store on both databases: groups, isolation, full disks, processes that die, ledgers that lie."""

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, insert, select
from sqlalchemy.exc import IntegrityError

from gateway.errors import Conflict, InputRefused, Refused, Unavailable
from gateway.ledger import merkle, proofs
from gateway.ledger.append import Appender
from gateway.ledger.checkpoint import LedgerSigner
from gateway.ledger.entry import Kind, record
from gateway.storage import engine as sqlite
from gateway.storage.engine import SqliteDatabase
from gateway.storage.tables import replay
from gateway.storage.unit_of_work import GROUP, Store, Transaction
from tests.integration.storing import KEY, SIGNER, keys, note, whole


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    """For what only a file can do."""
    return f"sqlite:///{tmp_path / 'gateway.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store.open(url, ledger=SIGNER)
    yield opened
    opened.close()


@contextmanager
def listening(target: Any, name: str, listener: Callable[..., None]) -> Iterator[None]:
    event.listen(target, name, listener)
    try:
        yield
    finally:
        event.remove(target, name, listener)


@contextmanager
def writer_pragma(pragma: str) -> Iterator[None]:
    """Make every new connection behave as on a worse disk."""
    with listening(Engine, "connect", lambda driver, _: driver.execute(pragma)):
        yield


@asynccontextmanager
async def held_back(store: Store) -> AsyncIterator[None]:
    """Keep the writer busy with a work of its own, so that what is written meanwhile becomes one group."""
    taken, released = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        taken.set()
        released.wait()

    holding = asyncio.create_task(store.write(hold))
    await asyncio.to_thread(taken.wait)
    try:
        yield
    finally:
        released.set()
    await holding


async def grouped(store: Store, *works: Callable[[Transaction], Any]) -> list[Any]:
    """Run works in one transaction, or as few as they fit in; return results and errors in their order."""
    async with held_back(store):
        waiting = [asyncio.create_task(store.write(work)) for work in works]
        await asyncio.sleep(0)  # every task has put its work in the queue
        assert store._waiting.qsize() == len(works)
    return await asyncio.gather(*waiting, return_exceptions=True)


# --- what a write promises -----------------------------------------------------------------


async def test_a_write_is_durable_and_proven_when_it_returns(store: Store, url: str) -> None:
    recorded = await store.write(
        lambda tx: record(tx, kind=Kind.CASE_OPENED, detail={"case": "c"}, key=KEY, now=1)
    )
    elsewhere = Store.open(url, ledger=SIGNER)
    proof = await elsewhere.read(lambda conn: proofs.inclusion(conn, recorded.index))
    checkpoint = SIGNER.key.open_checkpoint(await elsewhere.read(proofs.latest_checkpoint))
    elsewhere.close()
    merkle.verify_inclusion(recorded.leaf_hash, 0, checkpoint.size, proof.hashes, checkpoint.root)


async def test_waiting_works_share_a_commit(store: Store) -> None:
    commits: list[object] = []
    with listening(store._write_engine, "commit", lambda conn: commits.append(conn)):
        indices = await grouped(store, *[note(f"{at}") for at in range(GROUP)])
    assert indices == list(range(GROUP))
    assert len(commits) == 2  # the one that held the others up, and theirs
    await whole(store)


async def test_more_than_a_group_takes_more_than_one_commit(store: Store) -> None:
    commits: list[object] = []
    with listening(store._write_engine, "commit", lambda conn: commits.append(conn)):
        assert await grouped(store, *[note(f"{at}") for at in range(GROUP + 1)]) == list(range(GROUP + 1))
    assert len(commits) == 3
    await whole(store)


async def test_nobody_is_told_before_the_commit(store: Store) -> None:
    told: list[bool] = []
    tasks: list[asyncio.Task[int]] = []
    with listening(store._write_engine, "commit", lambda _: told.extend(task.done() for task in tasks)):
        tasks += [asyncio.create_task(store.write(note(f"{at}"))) for at in range(10)]
        await asyncio.gather(*tasks)
    assert told
    assert not any(told)


async def test_of_a_whole_group_one_is_told_in_each_turn_of_the_loop(store: Store) -> None:
    loop, turn, told = asyncio.get_running_loop(), 0, list[int]()

    def turned() -> None:
        nonlocal turn
        turn += 1
        if len(told) < 10:
            loop.call_soon(turned)

    async def tell(key: str) -> None:
        await store.write(note(key))
        told.append(turn)

    async with held_back(store):
        waiting = [asyncio.create_task(tell(f"{at}")) for at in range(10)]
        await asyncio.sleep(0)
        loop.call_soon(turned)
    await asyncio.gather(*waiting)
    assert len(set(told)) == 10


async def test_a_work_that_fails_leaves_nothing_and_the_others_go_on(store: Store) -> None:
    def fails(tx: Transaction) -> None:
        note("lost")(tx)
        tx.append(b"lost too")
        raise Conflict("state_conflict")

    results = await grouped(store, note("a"), fails, note("a"), note("b"))
    assert (results[0], results[3]) == (0, 1)
    assert isinstance(results[1], Conflict)
    assert isinstance(results[2], IntegrityError)
    assert await store.read(keys) == {"a", "b"}
    assert (await whole(store)).entries == [b"entry a", b"entry b"]


async def test_a_work_that_appends_nothing_does_not_touch_the_head(store: Store) -> None:
    await store.write(note("a"))
    before = await store.read(proofs.latest_checkpoint)
    await store.write(lambda tx: tx.conn.execute(insert(replay).values(key="b", expires_at=1)).rowcount)
    assert await store.read(proofs.latest_checkpoint) == before
    assert await store.read(keys) == {"a", "b"}


async def test_a_work_cannot_commit_by_itself(store: Store) -> None:
    def commits(tx: Transaction) -> None:
        note("smuggled")(tx)
        tx.conn.commit()

    assert await store.write(note("a")) == 0
    with pytest.raises(Unavailable):
        await store.write(commits)
    assert await store.write(note("b")) == 1
    assert await store.read(keys) == {"a", "b"}
    await whole(store)


async def test_a_transaction_is_of_no_use_after_its_work(store: Store) -> None:
    kept: list[Transaction] = []
    await store.write(kept.append)
    with pytest.raises(RuntimeError):
        kept[0].append(b"late")
    await whole(store)


async def test_an_entry_that_does_not_fit_the_standard_is_refused(store: Store) -> None:
    assert await store.write(lambda tx: tx.append(bytes(65_535))) == 0
    for entry in (b"", bytes(65_536)):
        with pytest.raises(ValueError):
            await store.write(lambda tx, entry=entry: tx.append(entry))
    await whole(store)


async def test_a_cancelled_caller_does_not_hurt_the_others(store: Store) -> None:
    async with held_back(store):
        cancelled = asyncio.create_task(store.write(note("cancelled")))
        other = asyncio.create_task(store.write(note("other")))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.sleep(0)
    await other
    assert cancelled.cancelled()
    assert await store.read(keys) == {"cancelled", "other"}  # it may still commit, and did
    await whole(store)


async def test_a_read_sees_one_moment_and_cannot_write(store: Store) -> None:
    await store.write(note("a"))
    with pytest.raises(Unavailable):
        await store.read(lambda conn: conn.execute(insert(replay).values(key="b", expires_at=1)))
    assert await store.read(keys) == {"a"}


async def test_a_look_up_is_not_older_than_its_call_and_cannot_write(store: Store) -> None:
    for name in ("a", "b"):
        await store.write(note(name))
        assert name in await store.look_up(keys)
    with pytest.raises(Unavailable):
        await store.look_up(lambda conn: conn.execute(insert(replay).values(key="c", expires_at=1)))
    assert await store.look_up(keys) == {"a", "b"}


async def test_a_look_up_waits_for_no_long_read(file_url: str) -> None:
    store = Store.open(file_url, ledger=SIGNER)
    await store.write(note("a"))
    begun, over = threading.Barrier(sqlite.READERS + 1), threading.Event()

    def long(conn: Connection) -> set[str]:
        begun.wait(10)
        over.wait(10)
        return keys(conn)

    reading = [asyncio.create_task(store.read(long)) for _ in range(sqlite.READERS)]
    await asyncio.to_thread(begun.wait, 10)
    async with asyncio.timeout(5):
        assert await store.look_up(keys) == {"a"}
    over.set()
    assert await asyncio.gather(*reading) == [{"a"}] * sqlite.READERS
    store.close()


async def test_even_a_work_that_ends_threads_does_not_end_the_writer(store: Store) -> None:
    def leaves(tx: Transaction) -> None:
        raise SystemExit

    with pytest.raises(Unavailable):
        await store.write(leaves)
    assert await store.write(note("a")) == 0


def test_a_store_serves_several_loops_and_says_when_it_is_closed(url: str) -> None:
    store = Store.open(url, ledger=SIGNER)
    assert asyncio.run(store.write(note("a"))) == 0
    assert asyncio.run(store.write(note("b"))) == 1
    store.close()
    store.close()
    for call in (lambda: store.write(note("c")), lambda: store.read(keys)):
        with pytest.raises(Unavailable) as refusal:
            asyncio.run(call())  # type: ignore[arg-type]
        assert refusal.value.code == "storage_unavailable"


async def test_tiles_grow_beyond_256_in_groups_of_any_size(store: Store, url: str) -> None:
    total = 0
    for count in (1, 254, 1, 1, 300, 512, 7):

        def work(tx: Transaction, first: int = total, count: int = count) -> list[int]:
            return [tx.append(b"%d" % at) for at in range(first, first + count)]

        assert await store.write(work) == list(range(total, total + count))
        total += count
    assert len((await whole(store)).entries) == total
    Store.open(url, ledger=SIGNER).close()


# --- faults --------------------------------------------------------------------------------


async def fill(store: Store) -> tuple[list[int], Unavailable]:
    done: list[int] = []
    for at in range(10_000):

        def work(tx: Transaction, at: int = at) -> int:
            tx.conn.execute(insert(replay).values(key=f"{at}" + "x" * 2000, expires_at=1))
            return tx.append(b"%d" % at)

        try:
            done.append(await store.write(work))
        except Unavailable as error:
            return done, error
    raise AssertionError("the disk never filled up")


async def test_a_full_disk_is_reported_and_loses_nothing_that_was_promised(file_url: str) -> None:
    Store.open(file_url, ledger=SIGNER).close()
    with writer_pragma("PRAGMA max_page_count = 120"):
        store = Store.open(file_url, ledger=SIGNER)
        done, error = await fill(store)
        assert error.code == "ledger_unavailable"
        assert "x" * 20 not in str(error.cause)  # operators do not read what is stored
        assert done == list(range(len(done)))
        assert len(done) > 3
        assert len((await whole(store)).entries) == len(done)
        with pytest.raises(Unavailable):  # still full, still answering
            await store.write(lambda tx: tx.append(bytes(60_000)))
        store.close()
    store = Store.open(file_url, ledger=SIGNER)  # the disk has room again
    assert await store.write(note("room")) == len(done)
    await whole(store)
    store.close()


async def test_a_read_only_database_is_reported_and_read(file_url: str) -> None:
    store = Store.open(file_url, ledger=SIGNER)
    assert await store.write(note("a")) == 0
    store.close()
    engine = sqlite.writing_engine(file_url)
    event.listen(engine, "connect", lambda driver, _: driver.execute("PRAGMA query_only = ON"))
    store = Store(SqliteDatabase(engine, sqlite.reading_engine(file_url)), Appender(SIGNER))
    for work in (note("b"), lambda tx: tx.append(b"b")):
        with pytest.raises(Unavailable) as refusal:
            await store.write(work)
        assert refusal.value.code == "ledger_unavailable"
    assert await store.read(keys) == {"a"}
    await whole(store)
    store.close()


class Failing(LedgerSigner):
    """A signing key that stops answering: an HSM that is gone."""

    broken = False

    def sign(self, size: int, root: bytes) -> str:
        if self.broken:
            raise RuntimeError("the key store does not answer")
        return super().sign(size, root)


async def test_a_ledger_that_cannot_be_signed_takes_its_whole_group_back(url: str) -> None:
    signer = Failing(SIGNER.origin, bytes(range(32)))
    store = Store.open(url, ledger=signer)
    assert await grouped(store, note("a"), lambda tx: "no leaf") == [0, "no leaf"]
    signer.broken = True
    results = await grouped(store, note("b"), lambda tx: "no leaf", note("a"))
    assert [getattr(result, "code", None) for result in results] == ["ledger_unavailable"] * 3
    assert len({id(result) for result in results}) == 3
    assert await store.write(lambda tx: "no leaf") == "no leaf"
    signer.broken = False
    assert await store.write(note("c")) == 1
    assert (await whole(store)).entries == [b"entry a", b"entry c"]
    store.close()


FAULTS = ["ledger_entries", "ledger_tiles", "ledger_head", "COMMIT"]


@pytest.mark.parametrize("persisted", [False, True], ids=["not_persisted", "persisted"])
@pytest.mark.parametrize("step", FAULTS)
async def test_every_step_of_an_append_may_fail_before_or_after_it_was_done(
    store: Store, step: str, persisted: bool
) -> None:
    """Sunlight's table: every write fails, once done and once not; then everything is re-read."""
    assert await store.write(note("before")) == 0
    armed = [True]

    def fault(message: str) -> None:
        if armed[0]:
            armed[0] = False
            raise RuntimeError(message)

    def on_statement(_c: Any, _cur: Any, statement: str, *_: Any) -> None:
        if step in statement and not statement.startswith("SELECT"):
            fault("the disk is gone")

    def on_commit(conn: Connection) -> None:
        if step == "COMMIT" and armed[0]:
            if persisted:  # stored, but the answer is lost
                conn.exec_driver_sql("COMMIT")
            fault("the disk is gone")

    name = "after_cursor_execute" if persisted else "before_cursor_execute"
    with (
        listening(store._write_engine, name, on_statement),
        listening(store._write_engine, "commit", on_commit),
        pytest.raises(Unavailable) as refusal,
    ):
        await store.write(note("during"))
    assert not armed[0]
    assert refusal.value.code == "ledger_unavailable"
    stored = step == "COMMIT" and persisted
    assert await store.write(note("after")) == (2 if stored else 1)
    expected = {"before", "after"} | ({"during"} if stored else set())
    assert await store.read(keys) == expected
    assert len((await whole(store)).entries) == len(expected)


CHILD = """
    import asyncio, sys
    from gateway.ledger.checkpoint import LedgerSigner
    from gateway.storage.tables import replay
    from gateway.storage.unit_of_work import Store
    from sqlalchemy import insert

    store = Store.open(sys.argv[1], ledger=LedgerSigner("log.example/a", bytes(range(32))))

    async def work(at):
        def row_and_leaf(tx):
            tx.conn.execute(insert(replay).values(key=str(at), expires_at=1))
            return tx.append(b"entry %d" % at)
        index = await store.write(row_and_leaf)
        print(at, index, flush=True)

    async def main():
        for first in range(0, 10**9, 8):
            await asyncio.gather(*[work(at) for at in range(first, first + 8)])

    asyncio.run(main())
"""


def killed_after(lines: int, url: str) -> list[str]:
    """Let a child write, kill it in the middle of it, and return all that it was promised."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), url],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    promised = [child.stdout.readline() for _ in range(lines)]
    child.kill()  # SIGKILL: nothing of it runs any more
    promised += child.stdout.readlines()
    child.stdout.close()
    child.wait()
    assert len(promised) >= lines
    return promised


@pytest.mark.parametrize("lines", [1, 40, 333])
async def test_a_process_killed_while_it_writes_loses_nothing_it_promised(url: str, lines: int) -> None:
    promised = killed_after(lines, url)
    store = Store.open(url, ledger=SIGNER)
    entries = (await whole(store)).entries
    for line in promised:
        if line.endswith("\n"):
            at, index = line.split()
            assert entries[int(index)] == f"entry {at}".encode()
    assert await store.read(
        lambda conn: conn.execute(select(func.count()).select_from(replay)).scalar()
    ) == len(entries)
    assert await store.write(note("after")) == len(entries)
    store.close()


# --- proofs out of the database ------------------------------------------------------------


async def test_proofs_and_tiles_are_given_for_what_is_there_and_refused_beyond(store: Store) -> None:
    await store.write(lambda tx: [tx.append(b"%d" % at) for at in range(300)])

    def read(conn: Connection) -> None:
        checkpoint = SIGNER.key.open_checkpoint(proofs.latest_checkpoint(conn))
        shown = proofs.inclusion(conn, 299, 300)
        merkle.verify_inclusion(shown.leaf_hash, 299, 300, shown.hashes, checkpoint.root)
        assert proofs.consistency(conn, 300, 300) == []
        assert len(proofs.tile(conn, 0, 1, 44)) == 44 * 32
        assert proofs.tile(conn, 0, 0, 10) == proofs.tile(conn, 0, 0, 256)[:320]
        assert proofs.entry_bundle(conn, 1, 44).startswith(b"\x00\x03256")
        for refused in (
            lambda: proofs.inclusion(conn, 0, 301),
            lambda: proofs.consistency(conn, 1, 301),
            lambda: proofs.tile(conn, 0, 1, 45),
            lambda: proofs.tile(conn, 0, 1, 256),
            lambda: proofs.tile(conn, 9, 0, 1),
            lambda: proofs.entry_bundle(conn, 1, 45),
        ):
            with pytest.raises(Refused) as refusal:
                refused()
            assert refusal.value.code == "not_found"
        for wrong in (
            lambda: proofs.inclusion(conn, 300, 300),
            lambda: proofs.inclusion(conn, 0, 0),
            lambda: proofs.consistency(conn, 2, 1),
            lambda: proofs.consistency(conn, 0, 1),
        ):
            with pytest.raises(InputRefused):
                wrong()

    await store.read(read)
