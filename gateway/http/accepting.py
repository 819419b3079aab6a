"""Take connections in: many in one turn of the event loop, and only those that finish their TLS handshake.

libuv, under the loop, takes one connection per turn (its pull request 3696), and beside the work of many
requests a turn is long: who only has to be told that there is too much would wait seconds to be heard.
"""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from typing import Any

import uvicorn
import uvloop
from uvicorn.config import STARTUP_FAILURE

# From the connection to the end of its handshake; before that no protocol of ours knows of it.
HANDSHAKE_SECONDS = 10.0
# As many descriptors of the one listening socket are asked in each turn.
PER_TURN = 16


class AcceptingLoop(uvloop.Loop):
    """uvloop's own, with our patience for a handshake: uvicorn leaves it at a minute and has no setting."""

    async def create_server(self, *where: Any, ssl: Any = None, **options: Any) -> Any:
        """Listen as asked."""
        if ssl is not None:
            options["ssl_handshake_timeout"] = HANDSHAKE_SECONDS
        return await super().create_server(*where, ssl=ssl, **options)


def run(config: uvicorn.Config) -> None:
    """Serve until a signal ends it; exit where the port cannot be had, or the application does not start."""
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run(sockets=several(config.bind_socket()))
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def several(listening: socket.socket) -> list[socket.socket]:
    """Return a socket as many times as it is to be asked in each turn; all of them are one queue."""
    return [listening, *(listening.dup() for _ in range(PER_TURN - 1))]
