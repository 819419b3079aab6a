"""The two questions that only PostgreSQL itself can answer: does COMMIT wait, and how often did it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import make_url


async def durable_commits(database_url: str, durable: bool) -> None:
    """Let new connections wait for the disk at COMMIT, or not."""
    connection = await _connected(database_url)
    try:
        name = '"' + str(make_url(database_url).database).replace('"', '""') + '"'
        # DDL takes no parameters; both words are ours.
        await connection.execute(
            f"ALTER DATABASE {name} SET synchronous_commit = {'on' if durable else 'off'}"
        )
    finally:
        await connection.close()


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
