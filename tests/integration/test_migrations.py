"""Migrating and creating end in the same tables on both databases; an interrupted migration leaves none."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, inspect, text

from gateway.cli.provision import Deployment, gateway_environment
from gateway.errors import Unavailable
from gateway.storage.database import Database
from gateway.storage.engine import SqliteDatabase
from gateway.storage.migrations import HEAD, configuration, create_all, schemas, upgrade
from gateway.storage.postgresql import PostgresDatabase
from gateway.storage.unit_of_work import Store
from tests.integration.released import BY_APPENDING, ENTRIES, ROWS, VERSIONS, as_released, everything
from tests.integration.storing import SIGNER, whole
from tests.postgres import Cluster

T = TypeVar("T")
TABLES = {name: table for schema in schemas() for name, table in schema.tables.items()}
OF_A_TABLE = (
    "get_indexes",
    "get_unique_constraints",
    "get_foreign_keys",
    "get_pk_constraint",
    "get_check_constraints",
)


def opened(url: str) -> Database:
    return SqliteDatabase.at(url, create=True) if url.startswith("sqlite") else PostgresDatabase.at(url)


def done(database: Database, work: Callable[[Connection], T]) -> T:
    """Do a work in a committed transaction, and return what it returned."""
    results: list[T] = []
    database.prepare(lambda conn: results.append(work(conn)))
    return results[0]


@pytest.fixture
def empty(database_url: str) -> Iterator[Database]:
    database = opened(database_url)
    yield database
    database.close()


@pytest.fixture(params=VERSIONS)
def migrated(request: pytest.FixtureRequest, empty: Database) -> Database:
    """A database of each released version, with rows in it, brought up to date."""
    done(empty, lambda conn: as_released(conn, request.param))
    done(empty, upgrade)
    return empty


@pytest.fixture
def second_url(database_url: str, request: pytest.FixtureRequest) -> str:
    """Another empty database of the same kind."""
    if database_url.startswith("sqlite"):
        return database_url.replace("gateway.sqlite", "second.sqlite")
    running: Cluster = request.getfixturevalue("postgres")
    return running.database()


def described(conn: Connection) -> dict[str, Any]:
    """Say everything about every table, in an order of its own."""
    look = inspect(conn)
    found: dict[str, Any] = {}
    for name in look.get_table_names():
        columns = [
            (c["name"], str(c["type"]), c["nullable"], str(c["default"])) for c in look.get_columns(name)
        ]
        more = {of: getattr(look, of)(name) for of in OF_A_TABLE}
        found[name] = (columns, {of: _sorted(said) for of, said in more.items()})
    return found


def _sorted(said: Any) -> Any:
    return sorted(said, key=lambda one: str(one["name"])) if isinstance(said, list) else said


def test_migrating_makes_what_creating_makes(migrated: Database, second_url: str) -> None:
    created = opened(second_url)
    done(created, create_all)
    assert done(migrated, described) == done(created, described)
    created.close()


def test_the_tables_of_the_code_need_no_other_migration(migrated: Database) -> None:
    def compare(conn: Connection) -> list[Any]:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        return list(compare_metadata(context, list(schemas())))

    assert done(migrated, compare) == []


def test_new_databases_are_marked_with_the_newest_migration(migrated: Database) -> None:
    def head(conn: Connection) -> str | None:
        return ScriptDirectory.from_config(configuration(conn)).get_current_head()

    assert done(migrated, head) == HEAD
    assert (
        done(migrated, lambda conn: conn.execute(text("SELECT version_num FROM alembic_version")).scalar())
        == HEAD
    )


def test_a_migration_that_fails_leaves_nothing(empty: Database) -> None:
    in_the_way = "CREATE TABLE outbox (id INTEGER)"
    done(empty, lambda conn: conn.execute(text(in_the_way)) and None)
    with pytest.raises(Exception, match="already exists"):
        done(empty, upgrade)
    assert done(empty, lambda conn: inspect(conn).get_table_names()) == ["outbox"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_store_brings_each_version_up_to_date_and_keeps_all_that_is_in_it(
    empty: Database, database_url: str, version: str
) -> None:
    await asyncio.to_thread(done, empty, lambda conn: as_released(conn, version))
    before = await asyncio.to_thread(done, empty, everything)
    store = Store.open(database_url, ledger=SIGNER)
    after = await store.read(lambda conn: everything(conn, TABLES))
    for name, rows in before.items():
        assert rows == [{column: row[column] for column in rows[0]} for row in after[name]], name
    assert (await whole(store)).entries == list(ENTRIES)
    # And it goes on: the next entry, the next numbers, an instant after January 2038.
    assert await store.write(lambda tx: tx.append(b"next")) == len(ENTRIES)
    for name, instant in (("outbox", "next_attempt_at"), ("consent_events", "at")):
        adding = insert(TABLES[name]).values({**ROWS[name], instant: 1 << 33})
        await store.write(lambda tx, adding=adding: tx.conn.execute(adding).rowcount)
        held = (await store.read(lambda conn: everything(conn, TABLES)))[name]
        assert [(row["id"], row[instant]) for row in held] == [(1, ROWS[name][instant]), (2, 1 << 33)]
    assert len((await whole(store)).entries) == len(ENTRIES) + 1
    store.close()


def test_every_table_of_every_version_has_rows_to_start_from(empty: Database) -> None:
    assert {*ROWS, *BY_APPENDING} == set(TABLES)
    done(empty, lambda conn: as_released(conn, VERSIONS[-1]))
    assert [name for name, rows in done(empty, everything).items() if not rows] == []


def test_gateways_that_begin_at_once_make_one_ledger(database_url: str) -> None:
    with ThreadPoolExecutor(4) as several:
        stores = list(several.map(lambda _: Store.open(database_url, ledger=SIGNER), range(4)))
    for at, store in enumerate(stores):
        assert asyncio.run(store.write(lambda tx: tx.append(b"entry"))) == at
    for store in stores:
        store.close()


def test_a_database_of_a_newer_version_is_refused(empty: Database, database_url: str) -> None:
    Store.open(database_url, ledger=SIGNER).close()
    Store.open(database_url, ledger=SIGNER).close()
    done(empty, lambda conn: conn.execute(text("UPDATE alembic_version SET version_num = '9999'")).rowcount)
    with pytest.raises(Unavailable) as refusal:
        Store.open(database_url, ledger=SIGNER)
    assert "newer version" in str(refusal.value.cause)


@pytest.mark.processes
@pytest.mark.parametrize("command", [("migrate",), ("serve", "gateway")])
def test_who_starts_on_a_database_of_a_newer_version_reads_why_it_does_not_start(
    deployment: Deployment, empty: Database, database_url: str, command: tuple[str, ...]
) -> None:
    environment = os.environ | gateway_environment(deployment) | {"POORT_DATABASE_URL": database_url}

    def poort(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gateway.cli", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert poort("migrate").returncode == 0
    done(empty, lambda conn: conn.execute(text("UPDATE alembic_version SET version_num = '9999'")).rowcount)
    refused = poort(*command)
    assert refused.returncode == 1
    assert "the database was made by a newer version of the gateway" in refused.stderr
    assert "Traceback" not in refused.stderr
