"""The published API as a whole: who must authenticate, how names are written, what no address may hold."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast, get_args

import pytest
from starlette.testclient import TestClient

from gateway.app import ROUTERS
from gateway.http.app_factory import build_app
from gateway.policy.port import Reason
from gateway.policy.wording import REASONS
from gateway.services import Services

# Whoever adds a line here says why it may be read by anyone.
OPEN = {("get", "/parties/{id}/keys")}  # public keys; a party needs the gateway's before it has a token
METHODS_WITH_BODY = {"post", "put", "patch"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    parts = SimpleNamespace(settings=SimpleNamespace(issuer="https://gate.example", client_cert_from=""))
    client = TestClient(build_app(cast(Services, parts), ROUTERS), base_url="https://gate.example")
    return client.get("/v1/openapi.json").json()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def test_everything_but_public_keys_asks_for_a_token(operations: dict[Any, Any]) -> None:
    assert len(operations) > 20
    assert {name for name, operation in operations.items() if not operation.get("security")} == OPEN


def test_a_shape_has_one_name_and_says_what_it_is_to_a_reader_of_this_document_alone(
    document: dict[str, Any],
) -> None:
    shapes = document["components"]["schemas"]
    assert {"ActingWorker", "ClientSearch", "Category"} & set(shapes) >= {"ActingWorker", "ClientSearch"}
    # FastAPI puts the module before a name that two classes have.
    assert [name for name in shapes if "__" in name] == []
    assert [
        name for name, shape in shapes.items() if "domain.md" in shape.get("description", "").lower()
    ] == []


def test_a_decision_explains_every_reason_that_it_may_give(document: dict[str, Any]) -> None:
    reason = document["components"]["schemas"]["CategoryDecision"]["properties"]["reason"]
    assert [
        code for code in get_args(Reason) if f"`{code}`: {REASONS[code]}" not in reason["description"]
    ] == []


def test_every_operation_has_a_name_a_summary_and_a_tag_that_is_explained(
    document: dict[str, Any], operations: dict[Any, Any]
) -> None:
    explained = {tag["name"] for tag in document["tags"]}
    names = [operation["operationId"] for operation in operations.values()]
    assert len(names) == len(set(names))
    for name, operation in operations.items():
        assert operation.get("summary"), name
        assert set(operation.get("tags", [])) <= explained, name
        assert operation.get("tags"), name


def test_paths_are_kebab_case_without_a_slash_at_the_end(document: dict[str, Any]) -> None:
    for path in document["paths"]:
        for segment in path.removeprefix("/").split("/"):
            assert re.fullmatch(r"[a-z][a-z0-9-]*|\{[a-z][A-Za-z]*\}", segment), path


def test_query_keys_are_camel_case(operations: dict[Any, Any]) -> None:
    for operation in operations.values():
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query":
                assert re.fullmatch(r"[a-z][a-z\d]*([A-Z][a-z\d]*)*", parameter["name"])


def test_no_address_has_room_for_an_identifier_of_a_client(operations: dict[Any, Any]) -> None:
    allowed = {"id", "workerId", "leafIndex", "treeSize", "firstSize", "secondSize"}
    for name, operation in operations.items():
        in_address = {p["name"] for p in operation.get("parameters", []) if p["in"] in ("path", "query")}
        assert in_address <= allowed, name


def test_every_error_is_a_problem_and_none_is_422(operations: dict[Any, Any]) -> None:
    for (method, _), operation in operations.items():
        assert "422" not in operation["responses"]
        assert method not in METHODS_WITH_BODY or "400" in operation["responses"]
        for status, response in operation["responses"].items():
            assert "API-Version" in response["headers"]
            assert int(status) < 400 or list(response["content"]) == ["application/problem+json"]
