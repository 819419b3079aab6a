"""The question that only PostgreSQL itself can answer: how often did COMMIT wait for the disk."""

from __future__ import annotations

from typing import Any

from sqlalchemy import make_url


async def waits_for_the_disk(database_url: str) -> int:
    """Return how often the server has synced its log since its statistics began."""
    connection = await _connected(database_url)
    try:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        return int(await connection.fetchval("SELECT wal_sync FROM pg_stat_wal"))
    finally:
        await connection.close()


async def _connected(database_url: str) -> Any:
    import asyncpg

    plain = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    return await asyncpg.connect(plain)
