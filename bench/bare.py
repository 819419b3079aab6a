"""What the gateway is compared with: a FastAPI pass-through that commits one row, and nothing else.

    parse → one durable commit → the same source, by the same HTTP client → the answer's bytes

It knows no caller, no consent, no policy and no ledger. It forwards orders that were made beforehand,
so that the source behind it does for it exactly what it does for the gateway.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Protocol

import aiohttp
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel
from sqlalchemy import make_url

_TABLE = "CREATE TABLE IF NOT EXISTS passed (id TEXT PRIMARY KEY, body TEXT NOT NULL)"


class PassThrough(BaseModel):
    """A call: an order to forward, none for what is refused at the door."""

    id: str
    order: str | None = None


class Rows(Protocol):
    """One row, durable on return."""

    async def keep(self, row_id: str, body: str) -> None:
        """Insert and commit."""

    async def close(self) -> None:
        """Let go of the database."""


class SqliteRows:
    """SQLite as the gateway sets it (WAL, synchronous=FULL), one thread, one commit per row."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        self._connection.execute(_TABLE)
        self._thread = ThreadPoolExecutor(1)

    async def keep(self, row_id: str, body: str) -> None:
        """Insert and commit; the driver is outside any transaction, so each statement is one."""
        await asyncio.get_running_loop().run_in_executor(
            self._thread, self._connection.execute, "INSERT INTO passed VALUES (?, ?)", (row_id, body)
        )

    async def close(self) -> None:
        """Close the file."""
        self._thread.shutdown()
        self._connection.close()


class PostgresRows:
    """PostgreSQL by asyncpg, without any layer between."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: str) -> PostgresRows:
        """Connect, and make the table."""
        import asyncpg

        plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        pool = await asyncpg.create_pool(plain, min_size=1, max_size=16)
        await pool.execute(_TABLE)
        return cls(pool)

    async def keep(self, row_id: str, body: str) -> None:
        """Insert and commit: outside a transaction block each statement is one."""
        await self._pool.execute("INSERT INTO passed VALUES ($1, $2)", row_id, body)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()


async def _rows(url: str) -> Rows:
    if make_url(url).get_backend_name() == "sqlite":
        return SqliteRows(str(make_url(url).database))
    return await PostgresRows.open(url)


def create_app(database_url: str, source_url: str) -> FastAPI:
    """Make the pass-through."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.rows = await _rows(database_url)
        async with aiohttp.ClientSession(
            trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as app.state.http:
            yield
        await app.state.rows.close()

    app = FastAPI(
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/pass")
    async def forward(message: PassThrough, request: Request) -> Response:
        await app.state.rows.keep(message.id, message.order or "")
        if message.order is None:
            return Response(b'{"state":"refused"}', 403, media_type="application/json")
        async with app.state.http.post(source_url + "/v1/orders", json={"order": message.order}) as answer:
            return Response(await answer.read(), answer.status, media_type="application/json")

    return app


if __name__ == "__main__":
    uvicorn.run(
        create_app(os.environ["BENCH_DATABASE_URL"], os.environ["BENCH_SOURCE_URL"]),
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        loop="uvloop",
        http="httptools",
    )
