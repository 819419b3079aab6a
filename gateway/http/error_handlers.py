"""Bring every error that an endpoint or the framework raises to a problem document."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from gateway.errors import GatewayError, InputRefused
from gateway.http.problems import internal_error, problem_response

# pydantic's error type → our code. A type that is not here is `not_valid`.
_FIELD_CODES: Mapping[str, str] = {
    "missing": "missing_field",
    "extra_forbidden": "unknown_field",
    "enum": "unknown_value",
    "literal_error": "unknown_value",
    "string_pattern_mismatch": "wrong_format",
    "string_too_long": "wrong_length",
    "string_too_short": "wrong_length",
    "too_long": "wrong_length",
    "too_short": "wrong_length",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
}
# A name that the caller chose may itself be an identifier, so it is repeated only if it looks like a field.
_REPEATABLE_NAME = re.compile(r"[A-Za-z_-]{1,48}")

_logger = structlog.get_logger("gateway.http")


def add_problem_handlers(app: FastAPI) -> None:
    """Answer with a problem document whatever an endpoint or the router raises on purpose."""
    app.add_exception_handler(GatewayError, _gateway_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)


def field_errors(errors: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Say where and what of each failed check, never the value.

    A pointer is `#/client/value` in the body (RFC 6901) and `header:prefer` elsewhere.
    """
    return [{"pointer": _pointer(error["loc"]), "code": _field_code(error["type"])} for error in errors]


async def _gateway_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, GatewayError)  # noqa: S101 - the registration above says so; this is for mypy
    if error.cause is not None:
        _logger.warning("refused", code=error.code, cause=error.cause)
    return problem_response(error)


async def _validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    return problem_response(InputRefused("invalid_input", extra={"errors": field_errors(error.errors())}))


async def _http_exception(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    known = {404: "page_not_found", 405: "method_not_allowed", 413: "body_too_large"}
    if error.status_code in known:
        response = problem_response(InputRefused(known[error.status_code]))
        for name, value in (error.headers or {}).items():
            response.headers[name] = value
        return response
    if error.status_code < 500:
        return problem_response(InputRefused("invalid_input"))
    return internal_error(error)


def _field_code(pydantic_type: str) -> str:
    if pydantic_type in _FIELD_CODES:
        return _FIELD_CODES[pydantic_type]
    return "wrong_type" if pydantic_type.endswith("_type") else "not_valid"


def _pointer(location: Sequence[int | str]) -> str:
    where, *path = location or ("body",)
    shown = [str(part) if isinstance(part, int) or _REPEATABLE_NAME.fullmatch(part) else "*" for part in path]
    if where == "body":
        return "#" + "".join(f"/{part}" for part in shown)
    return f"{where}:{'/'.join(shown)}"
