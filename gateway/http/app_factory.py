"""Put the HTTP edge together around whatever routers the composition root hands over."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.types import Lifespan

from gateway.http import health, openapi, parties, policy_bundle
from gateway.http.client_certificate import ClientCertificates
from gateway.http.error_handlers import add_problem_handlers
from gateway.http.headers import API_VERSION, ResponseHeaders
from gateway.http.in_flight import InFlight
from gateway.http.log import RequestLog
from gateway.http.strict_body import StrictRoute
from gateway.oauth import token
from gateway.oauth.resource import VerifiedTokens
from gateway.services import Services


def build_app(
    services: Services,
    routers: Iterable[APIRouter],
    *,
    lifespan: Lifespan[FastAPI] | None = None,
) -> FastAPI:
    """Make the gateway's application; `routers` add their resources, with full paths under /v1.

    Raises TypeError for a route that would read its body leniently.
    """
    app = FastAPI(
        title="Dossierpoort",
        version=API_VERSION,
        # On by default, and records full paths and queries.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        redirect_slashes=False,  # NLgov /core/no-trailing-slash: 404, no redirect
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        lifespan=lifespan,
    )
    app.state.services = services
    app.state.verified_tokens = tokens = VerifiedTokens()
    app.state.readiness = health.Readiness()
    app.state.offered_bundle = policy_bundle.Offered()
    resources = [parties.router, *routers]
    for router in (health.router, token.router, openapi.router, *resources):
        app.include_router(router)
    described = [route for router in resources for route in _checked_routes(router)]
    app.openapi = _once(lambda: openapi.describe(app, described, services.settings.issuer))  # type: ignore[method-assign]  # FastAPI asks for it so
    add_problem_handlers(app)
    # The last one added is the outermost.
    app.add_middleware(ClientCertificates, trusted_hop=services.settings.client_cert_from)
    app.add_middleware(
        InFlight,
        limit=services.settings.max_in_flight,
        party_of=lambda token: tokens.party_of(token, services.clock()),
    )
    app.add_middleware(RequestLog)
    app.add_middleware(ResponseHeaders)
    return app


def _checked_routes(router: APIRouter) -> list[APIRoute]:
    checked: list[APIRoute] = []
    for route in router.routes:
        if not isinstance(route, StrictRoute):
            raise TypeError(f"{route!r} does not read strictly: give its router route_class=StrictRoute")
        if route.include_in_schema and not route.path.startswith(openapi.PREFIX + "/"):
            raise TypeError(f"{route.path} is outside {openapi.PREFIX}, so it cannot be described")
        checked.append(route)
    return checked


def _operation_id(route: APIRoute) -> str:
    """Name an operation by its address, which is unique: `getConsentsIdReceipt`."""
    words = re.findall(r"[A-Za-z]+", route.path_format.removeprefix(openapi.PREFIX))
    return min(route.methods or {"any"}).lower() + "".join(word[0].upper() + word[1:] for word in words)


def _once(make: Any) -> Any:
    made: list[dict[str, Any]] = []

    def document() -> dict[str, Any]:
        if not made:
            made.append(make())
        return made[0]

    return document
