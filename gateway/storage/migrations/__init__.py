"""Bring a database to the tables that this version of the code knows (Alembic, without async).

A new, empty database gets all tables at once and the mark of the newest migration: the test
`test_migrations` proves that both ways end in the same tables. Importing Alembic costs most of a
second, so it happens only where there is something to migrate.

A new migration: `alembic.command.revision(configuration(conn), message, autogenerate=True)` over a
migrated database; read what it wrote; raise `HEAD`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    select,
)

from gateway.errors import Unavailable
from gateway.storage.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config

# The newest revision in versions/; a test compares it with what Alembic finds there.
HEAD = "0006"

# As Alembic itself makes it.
_version = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def schemas() -> tuple[MetaData, ...]:
    """Return the tables of the gateway and of the consent package."""
    from consent.repository import metadata as consent_metadata
    from gateway.storage import agreement_tables  # noqa: F401  adds its tables to the same metadata

    return metadata, consent_metadata


def bring_up_to_date(conn: Connection, *, start: Callable[[Connection], None] | None) -> None:
    """Create or migrate, in the caller's transaction. `start` fills new tables; None forbids new ones.

    Of several gateways that begin at once, one does it and the others find it done.
    Raise Unavailable where the database is not the gateway's, or was made by a newer version.
    """
    if conn.dialect.name == "postgresql":
        from gateway.storage.postgresql import wait_for_turn

        wait_for_turn(conn)
    known = set(inspect(conn).get_table_names())
    found = _stamp(conn) if "alembic_version" in known else None
    if not known and start is not None:
        create_all(conn)
        start(conn)
    elif found is None:
        raise Unavailable("storage_unavailable", cause="the database is empty or not the gateway's")
    elif found != HEAD:
        upgrade(conn)


def create_all(conn: Connection) -> None:
    """Make every table, and mark the database as migrated. Durable when the caller commits."""
    for schema in schemas():
        schema.create_all(conn)
    _version.create(conn)
    conn.execute(insert(_version).values(version_num=HEAD))


def upgrade(conn: Connection, revision: str = "head") -> None:
    """Run the migrations in the caller's transaction (SQLite's DDL is transactional; see env.py)."""
    from alembic import command
    from alembic.util.exc import CommandError

    try:
        command.upgrade(configuration(conn), revision)
    except CommandError as error:
        cause = "the database was made by a newer version of the gateway"
        raise Unavailable("storage_unavailable", cause=cause) from error


def configuration(conn: Connection) -> Config:
    """Return Alembic's configuration for this connection; there is no alembic.ini."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = conn
    return config


def _stamp(conn: Connection) -> str | None:
    return conn.execute(select(_version.c.version_num)).scalar()
