"""The published document follows the NLgov API Design Rules, and tells the truth about tokens and bodies."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter

from gateway.http.app_factory import build_app


@pytest.fixture
def document(edge: Any) -> dict[str, Any]:
    response = edge.http.get("/v1/openapi.json")
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "*"
    return response.json()  # type: ignore[no-any-return]


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def test_version_server_and_contact_are_stated(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "https://gate.example/v1"}]
    assert {"name", "url", "email"} <= set(document["info"]["contact"])
    assert document["info"]["version"] == "1.0.0"
    assert "glossary" in document["info"]["description"]


def test_paths_leave_the_version_to_the_server(document: dict[str, Any]) -> None:
    described = {"/parties/{id}/keys", "/probes", "/probes/{id}", "/large-probes"}
    oauth = {"/oauth/token", "/oauth/jwks", "/.well-known/oauth-authorization-server"}
    assert set(document["paths"]) == described | oauth | {"/livez", "/readyz"}
    assert "servers" not in document["paths"]["/probes"]["post"]
    assert document["paths"]["/oauth/token"]["post"]["servers"][0]["url"] == "https://gate.example"


def test_no_422_is_left_and_every_error_is_a_problem(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        assert "422" not in operation["responses"]
        for status, response in operation["responses"].items():
            assert "API-Version" in response["headers"]
            if int(status) >= 400 and (path, status) != ("/oauth/token", "400"):  # RFC 6749 §5.2
                assert list(response["content"]) == ["application/problem+json"]
    assert {"status", "title", "detail"} <= set(document["components"]["schemas"]["Problem"]["required"])
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_what_may_go_wrong_with_a_body_is_stated(document: dict[str, Any]) -> None:
    assert {"400", "413", "415", "503"} <= set(document["paths"]["/probes"]["post"]["responses"])
    assert {"400", "404"} <= set(document["paths"]["/parties/{id}/keys"]["get"]["responses"])


def test_an_open_resource_asks_no_token(document: dict[str, Any]) -> None:
    assert "security" not in document["paths"]["/parties/{id}/keys"]["get"]
    assert document["components"]["securitySchemes"]["dpop"]["scheme"] == "DPoP"


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    assert "getPartiesIdKeys" in names


def test_a_router_that_reads_leniently_is_not_taken(edge: Any) -> None:
    lenient = APIRouter()

    @lenient.post("/v1/lenient")
    async def post_lenient(body: dict[str, str]) -> None: ...

    with pytest.raises(TypeError, match="strict"):
        build_app(edge.app.state.services, [lenient])
