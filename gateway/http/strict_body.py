"""Read a JSON body so that every part of the system reads the same from it, or refuse it.

Parsers differ on duplicate members, huge numbers and lone surrogates, and attacks live in the
difference: the strict parser refuses them all. The limit holds while the body streams in, and the
caller is authenticated before a byte of the body is read.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from adapters.kit import strict_json
from gateway.errors import InputRefused
from gateway.http.in_flight import hold_room
from gateway.oauth.resource import authenticated
from gateway.services import services

MAX_BODY_BYTES = 256 * 1024
# Above this, parsing would hold up everyone else on the event loop for milliseconds.
_PARSE_ASIDE_BYTES = 64 * 1024


class StrictRoute(APIRoute):
    """The route class of every resource. Raises InputRefused and NotAuthenticated."""

    max_body_bytes: ClassVar[int] = MAX_BODY_BYTES

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler: authenticate, then read, then let it validate."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            if needs_caller(self):
                caller = await authenticated(request)
                if self.max_body_bytes > MAX_BODY_BYTES:
                    size = min(_announced(request) or self.max_body_bytes, self.max_body_bytes)
                    await hold_room(request, services(request).room, f"party {caller.party}", size)
            if self.body_field is not None:
                body = await read_json_body(request, self.max_body_bytes)
                request = _ReadRequest(request, *body)
            return await handle(request)

        return handle_strictly


def strict_route(max_body_bytes: int) -> type[StrictRoute]:
    """Make a route class for a resource whose bodies may be larger, in bytes."""

    class LargerBodies(StrictRoute):
        pass

    LargerBodies.max_body_bytes = max_body_bytes
    return LargerBodies


def needs_caller(route: APIRoute) -> bool:
    """Tell whether a route, or anything it depends on, asks for the authenticated caller."""
    pending: list[Dependant] = [route.dependant]
    while pending:
        dependant = pending.pop()
        if dependant.call is authenticated:
            return True
        pending.extend(dependant.dependencies)
    return False


async def read_json_body(request: Request, max_bytes: int) -> tuple[bytes, object]:
    """Return the body and what it says; raise InputRefused before more than `max_bytes` are held."""
    _require_json(request)
    raw = await read_limited(request, max_bytes)
    if not raw:
        raise InputRefused("malformed_json", "The body is empty.")
    try:
        if len(raw) > _PARSE_ASIDE_BYTES:
            return raw, await run_in_threadpool(strict_json.loads, raw, max_bytes=max_bytes)
        return raw, strict_json.loads(raw, max_bytes=max_bytes)
    except strict_json.StrictJsonError as refused:
        raise InputRefused(refused.code) from None


async def read_limited(request: Request, max_bytes: int) -> bytes:
    """Read the body; raise `body_too_large` as soon as it is known to be, whatever was announced."""
    if (_announced(request) or 0) > max_bytes:
        raise InputRefused("body_too_large", f"At most {max_bytes} bytes are read here.")
    chunks, held = [], 0
    try:
        async for chunk in request.stream():
            held += len(chunk)
            if held > max_bytes:
                raise InputRefused("body_too_large", f"At most {max_bytes} bytes are read here.")
            chunks.append(chunk)
    except ClientDisconnect:
        raise InputRefused("malformed_json", "The body ends before it is whole.") from None
    return b"".join(chunks)


def _announced(request: Request) -> int | None:
    """Return how many bytes the body is said to have, if that is said."""
    length = request.headers.get("content-length", "")
    return int(length[:20]) if length.isascii() and length.isdigit() else None


def media_type(request: Request) -> str:
    """Return the media type of the body in lower case; "" unless named once, in UTF-8, uncompressed."""
    named = request.headers.getlist("content-type")
    if len(named) != 1 or request.headers.get("content-encoding", "identity").lower() != "identity":
        return ""
    kind, *parameters = (part.strip().lower() for part in named[0].split(";"))
    if any(parameter not in ("charset=utf-8", 'charset="utf-8"') for parameter in parameters):
        return ""
    return kind


def _require_json(request: Request) -> None:
    if media_type(request) != "application/json":
        raise InputRefused("unsupported_media_type")


class _ReadRequest(Request):
    """A request whose body was read and parsed: FastAPI takes these instead of parsing itself."""

    def __init__(self, request: Request, raw: bytes, parsed: object) -> None:
        super().__init__(request.scope, request.receive)
        self._body = raw
        self._json = parsed
