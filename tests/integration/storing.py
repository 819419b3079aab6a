"""What the tests of the store share: works of one row and one leaf, and a look at the whole ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy import Connection, insert, select, text

from gateway.ledger import proofs
from gateway.ledger.checkpoint import LedgerSigner
from gateway.ledger.export import export
from gateway.ledger.merkle import Frontier, leaf_hash
from gateway.ledger.verify import UnverifiedBundle, verify_bundle
from gateway.storage.database import Database
from gateway.storage.engine import SqliteDatabase
from gateway.storage.postgresql import PostgresDatabase
from gateway.storage.tables import ledger_entries, ledger_tiles, replay
from gateway.storage.unit_of_work import Store, Transaction
from gateway.vault import DataKey

SIGNER = LedgerSigner("log.example/a", bytes(range(32)))
KEY = DataKey(b"k" * 32)


def on_sqlite(url: str) -> bool:
    return url.startswith("sqlite")


def database(url: str) -> Database:
    """Reach a database past the store."""
    return SqliteDatabase.at(url, create=True) if on_sqlite(url) else PostgresDatabase.at(url)


async def change(url: str, statement: str) -> None:
    """Change a row as whoever has the database's password could."""

    def work(conn: Connection) -> None:
        assert conn.execute(text(statement)).rowcount

    other = database(url)
    await asyncio.to_thread(other.transact, work)
    await asyncio.to_thread(other.close)


def note(key: str) -> Callable[[Transaction], int]:
    """A work with one row and one leaf."""

    def work(tx: Transaction) -> int:
        tx.conn.execute(insert(replay).values(key=key, expires_at=1))
        return tx.append(f"entry {key}".encode())

    return work


def keys(conn: Connection) -> set[str]:
    return set(conn.execute(select(replay.c.key)).scalars())


async def whole(store: Store) -> UnverifiedBundle:
    """Re-read everything and verify it offline: entries, tiles, checkpoint."""

    def read(conn: Connection) -> UnverifiedBundle:
        entries = [bytes(e) for e in conn.execute(select(ledger_entries.c.entry).order_by("index")).scalars()]
        assert len(export(conn)["entries"]) == len(entries)
        tree, stored = Frontier(), dict[tuple[int, int], bytes]()
        for entry in entries:
            for level, index, node in tree.append(leaf_hash(entry)):
                if level % 8 == 0:
                    stored[level // 8, index // 256] = stored.get((level // 8, index // 256), b"") + node
        assert {(t.level, t.number): t.hashes for t in conn.execute(select(ledger_tiles))} == stored
        assert proofs.ledger_size(conn) == len(entries)
        return UnverifiedBundle(proofs.latest_checkpoint(conn), entries)

    bundle = await store.read(read)
    verify_bundle(bundle, SIGNER.vkey)
    return bundle
