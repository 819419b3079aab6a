"""A small application on the real edge: strict routes, problems, headers and log, and a resource to call."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Annotated, Any, cast

import orjson
import pytest
import structlog
from fastapi import APIRouter, Header, Query
from pydantic import Field
from starlette.testclient import TestClient

from adapters.protocol import ClientIdentifier, Slug, Wire
from gateway.http.app_factory import build_app
from gateway.http.strict_body import StrictRoute, strict_route
from gateway.logs import LibraryRecords, configure_logs
from gateway.services import Services


class Probe(Wire):
    client: ClientIdentifier
    purpose: Slug
    categories: tuple[Slug, ...] = Field(strict=False)


def probe_router(raise_this: Callable[[], None]) -> APIRouter:
    router = APIRouter(route_class=StrictRoute)

    @router.post("/v1/probes")
    async def post_probe(
        body: Probe,
        prefer: Annotated[str | None, Header(max_length=20)] = None,
        page_size: Annotated[int | None, Query(alias="pageSize")] = None,
    ) -> dict[str, str]:
        raise_this()
        return {"purpose": body.purpose}

    @router.get("/v1/probes/{id}")
    async def get_probe(id: str) -> dict[str, str]:
        raise_this()
        return {"id": "seen"}

    return router


def large_probe_router() -> APIRouter:
    router = APIRouter(route_class=strict_route(1024 * 1024, may_send_more=lambda *_: True))

    @router.post("/v1/large-probes")
    async def post_large_probe(body: dict[str, str]) -> dict[str, int]:
        return {"length": len(body["text"])}

    return router


class Edge:
    """The client, what the endpoint shall raise, and the log as it was written."""

    def __init__(self, log: io.BytesIO) -> None:
        self.raises: Exception | None = None
        self._log = log
        parts = SimpleNamespace(
            settings=SimpleNamespace(issuer="https://gate.example", client_cert_from="", max_in_flight=256),
            engine=None,
        )
        routers = [probe_router(self._raise), large_probe_router()]
        self.app = build_app(cast(Services, parts), routers)
        self.http = TestClient(self.app, base_url="https://gate.example")

    def _raise(self) -> None:
        if self.raises is not None:
            raise self.raises

    def fail_with(self, error: Exception) -> None:
        self.raises = error

    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.log().splitlines()]

    def log(self) -> bytes:
        return self._log.getvalue()


@pytest.fixture
def edge() -> Iterator[Edge]:
    log = io.BytesIO()
    configure_logs(log)
    yield Edge(log)
    structlog.reset_defaults()
    logging.captureWarnings(False)
    for handler in [each for each in logging.root.handlers if isinstance(each, LibraryRecords)]:
        logging.root.removeHandler(handler)


def valid_body(**override: object) -> dict[str, object]:
    return {
        "client": {"scheme": "v-number", "value": "1234567890"},
        "purpose": "legal_screening",
        "categories": ["perspective"],
        **override,
    }


@pytest.fixture
def body() -> Callable[..., dict[str, object]]:
    return valid_body
