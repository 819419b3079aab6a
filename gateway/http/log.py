"""Log one event per request, and answer what nobody foresaw.

An event names the route's template, never the path or the query, so that whatever a caller puts
there (a V-number, say) stays out of the log. FastAPI's own telemetry records full paths: it is off.
"""

from __future__ import annotations

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.problems import internal_error
from gateway.oauth.resource import CALLER_SCOPE_KEY

# A method is the caller's text too.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_logger = structlog.get_logger("gateway.http")


class RequestLog:
    """The last resort for errors, inside `ResponseHeaders` and outside everything else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request; log it once, also if it failed."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0  # until an answer started

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except ConnectionAbortedError:  # we cut it (`gateway.http.in_flight`)
            raise
        except Exception as unforeseen:  # the boundary where every unforeseen error must end
            response = internal_error(unforeseen)
            if status:
                # Half an answer is out: cut the connection, so that nobody takes it for a whole one.
                raise ConnectionAbortedError from None
            await response(scope, receive, send_and_note)
        finally:
            _log(scope, status, time.perf_counter() - started)


def _log(scope: Scope, status: int, seconds: float) -> None:
    caller = scope.get(CALLER_SCOPE_KEY)
    _logger.info(
        "request",
        method=scope["method"] if scope["method"] in _METHODS else "other",
        route=getattr(scope.get("route"), "path", "unmatched"),
        status=status,
        duration_ms=round(seconds * 1000, 1),
        party=caller.party if caller is not None else None,
    )
