"""A server that does nothing, to show what the generator itself can do: `-m bench.noop PORT`."""

from __future__ import annotations

import sys

import uvicorn
from starlette.types import Receive, Scope, Send

_BODY = b"x" * 8192


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body, answer eight kilobytes."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8192")]})
    await send({"type": "http.response.body", "body": _BODY})


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        lifespan="off",
        access_log=False,
        log_level="warning",
        loop="uvloop",
        http="httptools",
    )
