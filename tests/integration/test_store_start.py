"""A store starts on what is whole and its own, and on nothing else."""

import asyncio
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text

from gateway.errors import Unavailable
from gateway.ledger import LedgerDoesNotVerify
from gateway.ledger.append import Appender
from gateway.ledger.checkpoint import LedgerSigner
from gateway.ledger.entry import Kind, record
from gateway.storage import engine as sqlite
from gateway.storage.tables import ledger_entries
from gateway.storage.unit_of_work import Store, Transaction
from tests.integration.storing import KEY, SIGNER, change, database, note, on_sqlite, whole


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


def test_a_database_is_readable_by_its_owner_only(file_url: str) -> None:
    store = Store.open(file_url, ledger=SIGNER)
    asyncio.run(store.write(note("a")))
    path = sqlite.database_file(file_url)
    for file in path.parent.glob(path.name + "*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    store.close()


async def test_a_missing_or_foreign_database_is_refused(url: str) -> None:
    with pytest.raises(Unavailable):
        Store.open(url, ledger=SIGNER, create=False)
    other = database(url)
    await asyncio.to_thread(
        other.transact, lambda conn: conn.execute(text("CREATE TABLE something (id INTEGER)")) and None
    )
    await asyncio.to_thread(other.close)
    with pytest.raises(Unavailable):
        Store.open(url, ledger=SIGNER)


def test_what_is_no_database_is_refused(file_url: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        Store.open(file_url, ledger=SIGNER, create=False)
    assert not sqlite.database_file(file_url).exists()
    for bad in (
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql://localhost/x",
        "postgresql+psycopg://localhost/x",
    ):
        with pytest.raises(ValueError):
            Store.open(bad, ledger=SIGNER)
    (tmp_path / "garbage.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(Unavailable):
        Store.open(f"sqlite:///{tmp_path / 'garbage.db'}", ledger=SIGNER)


def test_a_store_does_not_open_with_another_signing_key(url: str) -> None:
    Store.open(url, ledger=SIGNER).close()
    Store.open(url, ledger=SIGNER).close()
    with pytest.raises(LedgerDoesNotVerify):
        Store.open(url, ledger=LedgerSigner(SIGNER.origin, bytes(32)))
    with pytest.raises(LedgerDoesNotVerify):
        Store.open(url, ledger=LedgerSigner("log.example/b", bytes(range(32))))


class SkipsTheFlush(Appender):
    """The positive control: works are committed, the ledger does not hear of them."""

    def flush(self, conn: Connection, entries: Any) -> None:
        pass


class SkipsTheTiles(Appender):
    """Entries are stored, tree and head are not."""

    def flush(self, conn: Connection, entries: Any) -> None:
        first = self.begin(conn)
        conn.execute(insert(ledger_entries), [{"index": first, "entry": entries[0]}])


@pytest.mark.parametrize("appender", [SkipsTheFlush, SkipsTheTiles])
async def test_a_store_that_forgets_its_ledger_is_caught_when_it_starts(
    url: str, appender: type[Appender]
) -> None:
    def work(tx: Transaction) -> object:
        return record(tx, kind=Kind.CASE_OPENED, detail={"case": "c"}, key=KEY, now=1)

    store = Store.open(url, ledger=SIGNER)
    await store.write(work)
    store.close()
    Store.open(url, ledger=SIGNER).close()
    broken = Store(database(url), appender(SIGNER))
    await broken.write(work)
    broken.close()
    with pytest.raises(LedgerDoesNotVerify):
        Store.open(url, ledger=SIGNER)


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM ledger_head",
        "UPDATE ledger_head SET size = size - 1",
        "UPDATE ledger_head SET checkpoint = ''",
        "UPDATE ledger_head SET checkpoint = replace(checkpoint, '300', '299')",
        "DELETE FROM ledger_tiles WHERE level = 0 AND number = 1",
        "DELETE FROM ledger_tiles WHERE level = 1",
        "UPDATE ledger_tiles SET hashes = substr(hashes, 1, 32) WHERE level = 0 AND number = 1",
        "UPDATE ledger_tiles SET hashes = {longer} WHERE number = 1",
        "UPDATE ledger_tiles SET hashes = {zeros} WHERE level = 1",
        'DELETE FROM ledger_entries WHERE "index" = 299',
        'UPDATE ledger_entries SET entry = {byte} WHERE "index" = 270',
        'INSERT INTO ledger_entries ("index", entry) VALUES (300, {byte})',
    ],
)
async def test_a_ledger_that_was_touched_at_its_end_does_not_start(url: str, tampering: str) -> None:
    store = Store.open(url, ledger=SIGNER)
    await store.write(lambda tx: [tx.append(b"%d" % at) for at in range(300)])
    store.close()
    Store.open(url, ledger=SIGNER).close()
    await change(url, tampering.format(**_SPELLING[on_sqlite(url)]))
    with pytest.raises(LedgerDoesNotVerify):
        Store.open(url, ledger=SIGNER)


_SPELLING = {
    True: {
        "byte": "x'00'",
        "zeros": "zeroblob(length(hashes))",
        "longer": "CAST(hashes || zeroblob(32) AS BLOB)",
    },
    False: {
        "byte": "decode('00', 'hex')",
        "zeros": "decode(repeat('00', length(hashes)), 'hex')",
        "longer": "hashes || decode(repeat('00', 32), 'hex')",
    },
}


async def test_a_head_that_someone_else_moved_is_noticed_while_running(store: Store, url: str) -> None:
    assert await store.write(note("a")) == 0
    await change(url, "UPDATE ledger_head SET size = 7")
    with pytest.raises(Unavailable) as refusal:
        await store.write(note("b"))
    assert refusal.value.code == "ledger_unavailable"
    await change(url, "UPDATE ledger_head SET size = 1")
    assert await store.write(note("b")) == 1
    await whole(store)
