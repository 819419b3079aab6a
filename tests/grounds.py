"""What a town of the tests stands on: a file and the compiled policy, or PostgreSQL and an OPA server.

`pytest --on production` puts every town on the second. Without that option they stand on the first, and
the promises are kept on both, on the second in a short form. One PostgreSQL serves the whole run, with a
database for each town; each town has an OPA of its own, for its bundle holds its own agreement and key.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import cache
from typing import Any

from sqlalchemy import Connection, inspect, text

from gateway.cli.opa_server import beside
from gateway.cli.provision import Deployment
from gateway.cli.stack import Stack
from gateway.services import Services
from gateway.storage.engine import database_file
from tests import opa
from tests.postgres import Cluster, cluster

FILE, PRODUCTION = "file", "production"
_running = ExitStack()
_chosen = [FILE]


def choose(ground: str) -> None:
    """Let every town from now on stand on this ground, if it says nothing else."""
    _chosen[0] = ground


def chosen() -> str:
    """Return where a town stands that says nothing else."""
    return _chosen[0]


@cache
def postgres() -> Cluster:
    """Return the PostgreSQL of this run, started at the first call; skip, loudly, where there is none."""
    return _running.enter_context(cluster())


def leave() -> None:
    """Stop what was started for the whole run."""
    _running.close()


@asynccontextmanager
async def under(deployment: Deployment, ground: str) -> AsyncIterator[dict[str, Any]]:
    """Prepare the ground for one town; yield the gateway's settings for it."""
    if ground == FILE:
        yield {"database_url": f"sqlite:///{deployment.folder / 'gateway.sqlite'}"}
        return
    server, named = beside(deployment, opa.binary(), now=int(time.time()))
    stack = Stack([server], deployment.folder / "logs")
    database_url = await asyncio.to_thread(postgres().database)
    await asyncio.to_thread(stack.start, lambda *_: None)
    try:
        yield {
            "database_url": database_url,
            "policy_engine": named["POORT_POLICY_ENGINE"],
            "opa_url": named["POORT_OPA_URL"],
        }
    finally:
        await asyncio.to_thread(stack.stop)


async def stored(services: Services) -> dict[str, bytes]:
    """Read all that a gateway keeps: the files of its database, and each column of each table.

    Both, because a file holds what was deleted and cuts a long value into pieces, and a row does neither.
    """
    columns = await services.store.read(_columns)
    return {
        "the database's files": await asyncio.to_thread(_files, services.settings.database_url),
        **columns,
    }


def _files(url: str) -> bytes:
    if not url.startswith("sqlite"):
        return postgres().lies_on_disk(url)
    file = database_file(url)
    return b"".join(path.read_bytes() for path in sorted(file.parent.glob(f"{file.name}*")))


def _columns(conn: Connection) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for table in inspect(conn).get_table_names():
        rows = conn.execute(text(f'SELECT * FROM "{table}"'))
        values = {name: list[bytes]() for name in rows.keys()}  # noqa: SIM118  # a result is no mapping
        for row in rows.mappings():
            for name, value in row.items():
                values[name].append(value if isinstance(value, bytes) else str(value).encode())
        found |= {f"{table}.{name}": b"\n".join(column) for name, column in values.items()}
    return found
