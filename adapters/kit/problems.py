"""Answer errors of an adapter as problem documents (RFC 9457): the one table of its status codes.

No document quotes what was sent or found: `code` is all that the gateway learns.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from adapters.kit.agency import AgencyTrouble
from adapters.kit.order_refused import (
    REASONS,
    AgreementUnavailable,
    KeysUnavailable,
    OrderRefused,
    OtherBytes,
)

TYPE_PREFIX: Final = "urn:dossierpoort:adapter:"
_RETRY_AFTER_SECONDS: Final = 5

# code → (status, title)
PROBLEMS: Final = {
    "malformed_json": (400, "The body is not JSON that everyone reads alike"),
    "duplicate_key": (400, "The body names a member twice"),
    "invalid_input": (400, "The body is not a message of this interface"),
    "body_too_large": (413, "The body is larger than a message can be"),
    "unsupported_media_type": (415, "The body must be application/json"),
    "page_not_found": (404, "There is nothing at this address"),
    "method_not_allowed": (405, "This address does not take this method"),
    "other_bytes_under_this_exchange": (409, "Another order stands under this exchange"),
    "agency_unavailable": (503, "The agency's system does not answer; send the same order again"),
    "agency_answer_invalid": (502, "The agency's system answered what may not leave"),
    "keys_unavailable": (503, "The parties' key lists cannot be fetched; send the same order again"),
    "agreement_unavailable": (503, "The agreement cannot be fetched; send the same order again"),
    "internal_error": (500, "The adapter failed; nothing left"),
    **{f"order_refused_{why}": (403, "The order was not believed; nothing left") for why in REASONS},
}

_log = structlog.get_logger("poort.adapter")


class BodyRefused(Exception):
    """The message itself is wrong; nothing was verified."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def problem(code: str) -> JSONResponse:
    """Return the problem document of a code of the table."""
    status, title = PROBLEMS[code]
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    return JSONResponse(
        {"type": TYPE_PREFIX + code, "title": title, "status": status, "code": code},
        status_code=status,
        headers=headers,
        media_type="application/problem+json",
    )


def install_problems(app: FastAPI) -> None:
    """Turn every error of the kit into its problem document."""

    @app.exception_handler(OrderRefused)
    async def refused(_: Request, error: OrderRefused) -> JSONResponse:
        _log.warning("order_refused", code=error.code, cause=error.cause)
        return problem(error.code)

    @app.exception_handler(OtherBytes)
    async def other_bytes(_: Request, __: OtherBytes) -> JSONResponse:
        return problem("other_bytes_under_this_exchange")

    @app.exception_handler(AgencyTrouble)
    async def trouble(_: Request, error: AgencyTrouble) -> JSONResponse:
        _log.warning("agency_trouble", code=error.code, cause=error.cause)
        return problem(error.code)

    @app.exception_handler(KeysUnavailable)
    async def no_keys(_: Request, __: KeysUnavailable) -> JSONResponse:
        return problem("keys_unavailable")

    @app.exception_handler(AgreementUnavailable)
    async def no_agreement(_: Request, error: AgreementUnavailable) -> JSONResponse:
        _log.warning("agreement_unavailable", cause=str(error))
        return problem("agreement_unavailable")

    @app.exception_handler(BodyRefused)
    async def body(_: Request, error: BodyRefused) -> JSONResponse:
        return problem(error.code)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        known = {404: "page_not_found", 405: "method_not_allowed"}
        return problem(known.get(error.status_code, "invalid_input"))


_TOLD: Final = (
    OrderRefused,
    OtherBytes,
    AgencyTrouble,
    KeysUnavailable,
    AgreementUnavailable,
    BodyRefused,
    HTTPException,
)


class ContainedRoute(APIRoute):
    """A route whose unexpected errors end here: outside, the server would log their words and trace."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the endpoint; errors of the table go on to their handlers."""
        endpoint = super().get_route_handler()

        async def contained(request: Request) -> Response:
            try:
                return await endpoint(request)
            except _TOLD:
                raise
            except Exception as error:
                # The type only: the words of an unexpected error may hold what must not be logged.
                _log.error("internal_error", error=type(error).__name__)
                return problem("internal_error")

        return contained
