"""R4 on PostgreSQL: the server is killed, or only its connections are, while two gateways are asked."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from tests.faults.city import City
from tests.faults.kills import LONGEST_PAUSE_SECONDS, under_load
from tests.postgres import Cluster

_DOWN_SECONDS = 0.5
_TERMINATE = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


def _connections_end(server: Cluster) -> None:
    server.sql(_TERMINATE)


def _server_dies(server: Cluster) -> None:
    """Stop it without a shutdown, as a power cut would, and let it recover from what is on disk."""
    server.stop(at_once=True)
    server.start()


def _server_is_away(server: Cluster) -> None:
    server.stop(at_once=True)


BREAKS: dict[str, Callable[[Cluster], None]] = {
    "all its connections end": _connections_end,
    "the server dies": _server_dies,
    "the server dies and stays away": _server_is_away,
}


async def broken(running: City, server: Cluster, name: str, seed: int) -> list[str]:
    """Break the server at a moment that the seed draws, twice, while several clients ask."""
    draw = random.Random(seed)

    async def disturb() -> None:
        for _ in range(2):
            await asyncio.sleep(draw.uniform(0, LONGEST_PAUSE_SECONDS))
            await asyncio.to_thread(BREAKS[name], server)
            if name == "the server dies and stays away":
                await asyncio.sleep(_DOWN_SECONDS)
                await asyncio.to_thread(server.start)

    return await under_load(running, disturb)
