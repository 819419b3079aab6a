"""Describe the API: OpenAPI 3.1 as the NLgov API Design Rules 2.2.1 want it, made from the code.

FastAPI's own document is the start. What it gets wrong for us is corrected here, in one place:
invalid input is 400 and not 422, errors are problem documents, the version is in the server's
address and in a header of every answer, and a token is needed where the code asks who calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response

from gateway.http.headers import API_VERSION
from gateway.http.problems import PROBLEM_MEDIA_TYPE, TYPE_PREFIX
from gateway.http.strict_body import StrictRoute, needs_caller

PREFIX = "/v1"
_SCHEME = "dpop"
_BY_CERTIFICATE = "certificate"
# What a developer needs beyond the shapes: signing, opening, verifying.
_DESCRIPTION = Path(__file__).with_name("api_guide.md").read_text("utf-8")
_TAGS = {
    "parties": "The parties' public keys.",
    "agreements": "The versions of the privacy agreement: who signed which, and which is in force.",
    "cases": "Which party is on a client's case, by the client's own act.",
    "consents": "What a client allows, confirmed by a second person, and its withdrawal.",
    "dossier requests": "Ask for parts of a dossier; look at what came.",
    "orders": "Where sources deliver answers that took longer.",
    "reports": "Counts by the quarter, never about a person.",
    "ledger": "The log, open to every party, that proves what was decided and handed over.",
    "policy": "What an OPA server beside a gateway decides by, where there is one.",
    "tokens": "How a party signs in (OAuth 2.0): beside `/v1`, not under it.",
    "health": "For whoever runs the gateway: beside `/v1`, without a token.",
}
_PROBLEM_SCHEMA = {
    "type": "object",
    "description": "RFC 9457. It never repeats a value of the request.",
    "required": ["type", "title", "status", "detail", "code", "next_step"],
    "properties": {
        "type": {"type": "string", "format": "uri", "examples": [TYPE_PREFIX + "invalid_input"]},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable; see `docs/errors.md`."},
        "next_step": {"type": "string", "description": "What to do about it."},
        "errors": {
            "type": "array",
            "description": "With `invalid_input`: every field that failed (`pointer`, `code`)."
            " With `agreement_invalid`: every fault (`place`, `nl`, `en`).",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("pointer", "code", "place", "nl", "en")},
            },
        },
        "missing": {
            "type": "array",
            "description": "With `agreement_not_ready`: what has to be done first, each in a sentence.",
            "items": {"type": "string"},
        },
    },
}
_MEANINGS = {
    400: "The request does not fit the API.",
    401: "The token or the proof is not accepted.",
    403: "Not allowed.",
    404: "Nothing here for this caller.",
    409: "Contradicts an earlier call or the state of the resource.",
    413: "The body is too large.",
    415: "Another media type than this resource reads.",
    500: "Something went wrong inside; nothing was released.",
    502: "What the source said was refused; nothing of it was released.",
    503: "A part does not answer; nothing was released.",
}
# What FastAPI says of every answer that comes with no word of ours.
_FRAMEWORKS_WORDS = "Successful Response"
_VERSION_HEADER = {"API-Version": {"description": "Full version of the API.", "schema": {"type": "string"}}}

router = APIRouter(include_in_schema=False, route_class=StrictRoute)


@router.get(PREFIX + "/openapi.json")
async def openapi_json(request: Request) -> Response:
    """Publish the document to anyone, on any page (/core/publish-openapi)."""
    state = request.app.state
    if not hasattr(state, "openapi_json"):
        # Once: however many ask and do not take it off, these bytes are in memory one time.
        state.openapi_json = bytes(JSONResponse(request.app.openapi()).body)
    headers = {"Access-Control-Allow-Origin": "*"}
    return Response(state.openapi_json, media_type="application/json", headers=headers)


def describe(app: FastAPI, routes: Iterable[APIRoute], issuer: str) -> dict[str, Any]:
    """Make the document of an app; `routes` are those that it should describe."""
    document = get_openapi(
        title="Dossierpoort",
        version=API_VERSION,
        openapi_version="3.1.0",
        summary="The gate between agencies that help undocumented people",
        description=_DESCRIPTION,
        routes=app.routes,
        contact={
            "name": "Dossierpoort",
            "url": "https://dossierpoort.example/contact",
            "email": "api@dossierpoort.example",
        },
        license_info={"name": "EUPL-1.2", "identifier": "EUPL-1.2"},
        servers=[{"url": issuer.rstrip("/") + PREFIX}],
    )
    secured = {
        (route.path_format, method.lower())
        for route in routes
        if needs_caller(route)
        for method in route.methods or ()
    }
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if path.startswith(PREFIX + "/"):
                _add_statuses(operation, secured=(path, method) in secured, method=method)
            else:
                operation["servers"] = [{"url": issuer.rstrip("/"), "description": "Beside the versions."}]
            _correct(operation, schemas)
    # The version is the server's, so that a client is generated once for all versions (/core/uri-version).
    document["paths"] = {path.removeprefix(PREFIX): item for path, item in document["paths"].items()}
    for generated in ("HTTPValidationError", "ValidationError"):
        schemas.pop(generated, None)
    schemas["Problem"] = _PROBLEM_SCHEMA
    document["components"]["securitySchemes"] = {
        _SCHEME: {
            "type": "http",
            "scheme": "DPoP",
            "description": "Token of `/oauth/token`, and a fresh proof in the header `DPoP` (RFC 9449).",
        },
        _BY_CERTIFICATE: {
            "type": "http",
            "scheme": "bearer",
            "description": "Token of `/oauth/token`, bound to the connection's certificate (RFC 8705).",
        },
    }
    used = {tag for item in document["paths"].values() for op in item.values() for tag in op.get("tags", [])}
    document["tags"] = [{"name": name, "description": text} for name, text in _TAGS.items() if name in used]
    return document


def _add_statuses(operation: dict[str, Any], *, secured: bool, method: str) -> None:
    """Say of a resource which refusals it may answer, and who may call it."""
    responses = operation["responses"]
    for parameter in operation.get("parameters", []):
        if parameter["name"] == "Idempotency-Key":
            # Our own problem document says so; FastAPI's would come before it.
            parameter.update(required=True, schema={"type": "string", "minLength": 8, "maxLength": 128})
    in_path = any(parameter["in"] == "path" for parameter in operation.get("parameters", []))
    statuses = [400, 503]  # at least for a query that it does not know
    if "requestBody" in operation:
        statuses += [413, 415]
    if secured:
        statuses += [401, 403]
        operation["security"] = [{_SCHEME: []}, {_BY_CERTIFICATE: []}]
    if in_path:
        statuses += [404]
    if secured and method in ("post", "put"):
        statuses += [409]
    if {"dossier requests", "orders"} & set(operation.get("tags", [])):
        statuses += [502]
    for status in statuses:
        responses.setdefault(str(status), {"description": _MEANINGS[status]})


def _correct(operation: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    """Let every answer say what it is; a refusal is a problem unless the code says what else it is."""
    responses = operation["responses"]
    responses.pop("422", None)
    responses.setdefault("500", {"description": _MEANINGS[500]})
    for status, response in responses.items():
        response["headers"] = {**response.get("headers", {}), **_VERSION_HEADER}
        if int(status) >= 400:
            problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
            response.setdefault("content", {PROBLEM_MEDIA_TYPE: problem})
        elif response["description"] == _FRAMEWORKS_WORDS:
            response["description"] = _described(response, schemas) or _FRAMEWORKS_WORDS
    operation["responses"] = dict(sorted(responses.items()))


def _described(response: Mapping[str, Any], schemas: Mapping[str, Any]) -> str | None:
    """Return what the shape of an answer says of itself."""
    reference = response["content"].get("application/json", {}).get("schema", {}).get("$ref", "")
    described: str | None = schemas.get(reference.rpartition("/")[2], {}).get("description")
    return described
