"""Read a request so that every part of the system reads the same from it, or refuse it.

Parsers differ on duplicate members, huge numbers and lone surrogates, and attacks live in the
difference: the strict parser refuses them all, and so does the query (`strict_query`). The limit holds
while the body streams in, and the caller is authenticated before a byte of the body is read.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from adapters.kit import strict_json
from gateway.errors import InputRefused, Refused
from gateway.http.in_flight import hold_room, known_as
from gateway.http.strict_query import query_names, require_query
from gateway.oauth.resource import Caller, authenticated
from gateway.received import read_json
from gateway.services import Services, services

MAX_BODY_BYTES = 256 * 1024


class StrictRoute(APIRoute):
    """The route class of every resource. Raises InputRefused and NotAuthenticated."""

    max_body_bytes: ClassVar[int] = MAX_BODY_BYTES
    # Who may send a body that is larger than others; whoever may not learns only that nothing is there.
    may_send_more: ClassVar[Callable[[Services, Caller], bool]]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler: authenticate, then read, then let it validate."""
        handle = super().get_route_handler()
        known = query_names(self.dependant)

        async def handle_strictly(request: Request) -> Response:
            caller = await authenticated(request) if needs_caller(self) else None
            if caller is not None:
                known_as(request, caller.party)
            require_query(request, known)
            if caller is not None and self.max_body_bytes > MAX_BODY_BYTES:
                await self._make_room(request, caller)
            if self.body_field is not None:
                body = await read_json_body(request, self.max_body_bytes)
                request = _ReadRequest(request, *body)
            return await handle(request)

        return handle_strictly

    async def _make_room(self, request: Request, caller: Caller) -> None:
        parts = services(request)
        # Before it: who announces a body and never sends it would hold room that others need.
        if not type(self).may_send_more(parts, caller):
            raise Refused("not_found")
        size = min(_announced(request) or self.max_body_bytes, self.max_body_bytes)
        await hold_room(request, parts.room, caller.party, size)


def strict_route(
    max_body_bytes: int, *, may_send_more: Callable[[Services, Caller], bool]
) -> type[StrictRoute]:
    """Make a route class for a resource whose bodies may be larger, in bytes, for these callers alone."""

    class LargerBodies(StrictRoute):
        pass

    LargerBodies.max_body_bytes = max_body_bytes
    LargerBodies.may_send_more = staticmethod(may_send_more)
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
        return raw, await read_json(raw, max_bytes=max_bytes)
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
