"""What the stack is made of, for `poort demo` and `poort up`: the database, the engine, how many gateways."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from gateway.cli.present import fail

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TABLES = (
    "SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
    " WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname <> 'information_schema' AND nspname !~ '^pg_'"
)


class Engine(StrEnum):
    """What answers the gateways' questions to the policy."""

    WASM = "wasm"
    OPA = "opa"


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to build the stack. Nothing given: one gateway, SQLite, the compiled policy."""

    gateways: int = 1
    database_url: str | None = field(default=None, repr=False)  # may hold a password
    opa: Path | None = None  # a program that decides beside the gateways
    opa_url: str = ""  # where it listens; a free port if not given


SMALLEST: Final = Shape()

Gateways = Annotated[
    int, typer.Option(min=1, max=2, help="How many gateways; two need a PostgreSQL that they share.")
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        envvar="POORT_DATABASE_URL",
        show_envvar=True,
        help="An empty PostgreSQL database, postgresql+asyncpg://user@host/name; a SQLite file if not given."
        " One with a password belongs into the variable: other users can read a command line.",
    ),
]
PolicyEngine = Annotated[
    Engine,
    typer.Option(
        envvar="POORT_POLICY_ENGINE",
        help="Who decides: the compiled policy in each gateway, or an OPA server beside them.",
    ),
]
OpaBinary = Annotated[
    Path | None,
    typer.Option(envvar="POORT_OPA_BINARY", help="The OPA to run; the one on PATH if not given."),
]
OpaUrl = Annotated[
    str,
    typer.Option(
        envvar="POORT_OPA_URL",
        help="Where that OPA listens, http://127.0.0.1:<port>; a free port if not given.",
    ),
]


def chosen(gateways: int, database_url: str | None, engine: Engine, opa: Path | None, opa_url: str) -> Shape:
    """Check what was asked for before anything starts; leave with exit code 1 where it cannot be had."""
    if gateways > 1 and not database_url:
        fail(
            "Two gateways need a database that both can use: give an empty PostgreSQL one with"
            " --database-url. `make demo-production` makes one and throws it away."
        )
    if database_url is not None:
        _refuse_unfit(database_url)
    if engine is not Engine.OPA:
        return Shape(gateways, database_url)
    address = urlsplit(opa_url)
    if opa_url and (address.scheme != "http" or address.hostname not in _LOOPBACK):
        fail(
            "OPA is started here, beside the gateways, with a bundle signed by their new key:"
            " --opa-url is http://127.0.0.1:<port>, or not given."
        )
    return Shape(gateways, database_url, _find(opa), opa_url.rstrip("/"))


def _find(named: Path | None) -> Path:
    from gateway.cli.opa_server import find_opa
    from gateway.cli.stack import StackFailed

    try:
        return find_opa(named)
    except StackFailed as missing:
        fail(str(missing))


def _refuse_unfit(url: str) -> None:
    """Leave unless this is a PostgreSQL database without a table. The URL is not repeated: it is a secret."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    from gateway.storage.postgresql import DRIVER

    try:
        driver = make_url(url).drivername
    except ArgumentError:
        driver = ""
    if driver != DRIVER:
        fail(f"The database is {DRIVER}://<user>@<host>/<name>; without --database-url it is a SQLite file.")
    try:
        tables = asyncio.run(_count_tables(url))
    except (SQLAlchemyError, OSError) as trouble:
        cause: Any = getattr(trouble, "orig", None) or trouble
        fail(f"The database of --database-url cannot be used ({type(cause.__cause__ or cause).__name__}).")
    if tables:
        fail(
            f"The database of --database-url is not empty: it holds {tables} tables, and they are not ours to"
            " touch. Every run makes its keys anew and could not read what another left: give an empty one"
            " (createdb)."
        )


async def _count_tables(url: str) -> int:
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    engine = create_async_engine(url, poolclass=NullPool, connect_args={"timeout": 5}, hide_parameters=True)
    try:
        async with engine.connect() as connection:
            return int((await connection.execute(text(_TABLES))).scalar_one())
    finally:
        await engine.dispose()
