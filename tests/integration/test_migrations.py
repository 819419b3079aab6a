"""Migrating and creating end in the same tables, and an interrupted migration leaves none."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text

from gateway.errors import Unavailable
from gateway.ledger.checkpoint import LedgerSigner
from gateway.storage import engine as sqlite
from gateway.storage.migrations import HEAD, configuration, create_all, schemas, upgrade
from gateway.storage.unit_of_work import Store

SIGNER = LedgerSigner("log.example/a", bytes(range(32)))


@pytest.fixture
def migrated(tmp_path: Path):
    engine = sqlite.writing_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    upgrade(engine)
    yield engine
    engine.dispose()


def columns(engine: Engine, table: str) -> list[tuple[object, ...]]:
    return [(c["name"], str(c["type"]), c["nullable"]) for c in inspect(engine).get_columns(table)]


def test_migrating_makes_what_creating_makes(migrated: Engine, tmp_path: Path) -> None:
    created = create_engine(f"sqlite:///{tmp_path / 'created.db'}")
    with created.begin() as conn:
        create_all(conn)
    names = set(inspect(created).get_table_names())
    assert set(inspect(migrated).get_table_names()) == names
    for name in names:
        assert columns(migrated, name) == columns(created, name)
        for of in ("get_indexes", "get_unique_constraints", "get_foreign_keys", "get_pk_constraint"):
            assert getattr(inspect(migrated), of)(name) == getattr(inspect(created), of)(name), (name, of)

    def checks(engine: Engine, name: str) -> dict[str, str]:
        found = inspect(engine).get_check_constraints(name)
        return {str(check["name"]): check["sqltext"] for check in found}

    for name in names:
        assert checks(migrated, name) == checks(created, name)
    created.dispose()


def test_the_tables_of_the_code_need_no_other_migration(migrated: Engine) -> None:
    with migrated.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, list(schemas())) == []


def test_new_databases_are_marked_with_the_newest_migration(migrated: Engine) -> None:
    with migrated.connect() as conn:
        assert ScriptDirectory.from_config(configuration(conn)).get_current_head() == HEAD
        assert conn.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    engine = sqlite.writing_engine(f"sqlite:///{tmp_path / 'half.db'}")
    with engine.connect() as conn, conn.begin() as begun:
        conn.execute(text("CREATE TABLE outbox (id INTEGER)"))  # in the way of the migration
        sqlite.allow_commit(conn)
        begun.commit()
    with pytest.raises(Exception, match="already exists"):
        upgrade(engine)
    assert inspect(engine).get_table_names() == ["outbox"]
    engine.dispose()


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'newer.db'}"
    Store.open(url, ledger=SIGNER).close()
    Store.open(url, ledger=SIGNER).close()
    engine = create_engine(url)
    with engine.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(Unavailable) as refusal:
        Store.open(url, ledger=SIGNER)
    assert "newer version" in str(refusal.value.cause)
