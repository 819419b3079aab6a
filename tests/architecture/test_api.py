"""The published API as a whole: who must authenticate, how names are written, what no address may hold."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast, get_args

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from gateway.app import ROUTERS
from gateway.http import openapi, parties
from gateway.http.app_factory import build_app
from gateway.http.strict_body import StrictRoute
from gateway.oauth import token as token_endpoint
from gateway.oauth.documents import TokenRefused
from gateway.oauth.resource import CALLER_SCOPE_KEY, Caller
from gateway.policy.port import Reason
from gateway.policy.wording import REASONS
from gateway.services import Services

# Whoever adds a line here says why it may be read by anyone.
OPEN = {
    ("get", "/parties/{id}/keys"),  # public keys; a party needs the gateway's before it has a token
    ("get", "/agreements"),  # an agreement is public, and proves itself
    ("get", "/agreements/in-force"),
    ("get", "/agreements/{digest}"),
    ("get", "/agreements/{digest}/text"),  # the same, to read; a browser has no token
    ("get", "/policy-bundle"),  # policies and agreements, under a signature
    ("post", "/oauth/token"),  # asks for a signed assertion instead
    ("get", "/oauth/jwks"),  # public keys
    ("get", "/.well-known/oauth-authorization-server"),  # how to get a token
    ("get", "/livez"),  # says that the process runs
    ("get", "/readyz"),  # says whether parts of the gateway answer, to whoever restarts it
}
# Beside the versions of the API, at the root of the gateway's address.
BESIDE = {path for _, path in OPEN if not path.startswith(("/parties/", "/agreements", "/policy-"))}
METHODS_WITH_BODY = {"post", "put", "patch"}


@pytest.fixture(scope="module")
def edge() -> TestClient:
    """The whole edge, where every call comes from an authenticated party; behind it there is nothing."""
    parts = SimpleNamespace(
        settings=SimpleNamespace(issuer="https://gate.example", client_cert_from="", max_in_flight=256)
    )
    app = build_app(cast(Services, parts), ROUTERS)

    async def signed_in(scope: Scope, receive: Receive, send: Send) -> None:
        scope[CALLER_SCOPE_KEY] = Caller("askv", "ngo", "askv")
        await app(scope, receive, send)

    return TestClient(signed_in, base_url="https://gate.example")


@pytest.fixture(scope="module")
def document(edge: TestClient) -> dict[str, Any]:
    return edge.get("/v1/openapi.json").json()  # type: ignore[no-any-return]


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
        # RFC 8615 gives that one its name.
        for segment in path.removeprefix("/.well-known").removeprefix("/").split("/"):
            assert re.fullmatch(r"[a-z][a-z0-9-]*|\{[a-z][A-Za-z]*\}", segment), path


def test_query_keys_are_camel_case(operations: dict[Any, Any]) -> None:
    for operation in operations.values():
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query":
                assert re.fullmatch(r"[a-z][a-z\d]*([A-Z][a-z\d]*)*", parameter["name"])


def test_no_address_has_room_for_an_identifier_of_a_client(operations: dict[Any, Any]) -> None:
    allowed = {
        "id",
        "quarter",
        "workerId",
        "leafIndex",
        "treeSize",
        "firstSize",
        "secondSize",
        "digest",
        "party",
    }
    # Of the agreement, a version by its digest, and words of a closed list.
    allowed |= {"against", "language", "format"}
    for name, operation in operations.items():
        in_address = {p["name"] for p in operation.get("parameters", []) if p["in"] in ("path", "query")}
        assert in_address <= allowed, name


def test_no_resource_passes_over_what_it_does_not_know_in_a_query(edge: TestClient) -> None:
    """Also the tiles: C2SP tlog-tiles gives them no query."""
    called = set()
    for router in (parties.router, openapi.router, *ROUTERS):
        for route in router.routes:
            assert isinstance(route, StrictRoute)
            for method in route.methods:
                path = re.sub(r"\{[^}]*\}", "x" * 22, route.path_format)
                answer = edge.request(method, f"{path}?notAParameter=9990000101")
                assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input"), path
                assert answer.json()["errors"] == [
                    {"pointer": "query:notAParameter", "code": "unknown_parameter"}
                ], path
                assert "9990000101" not in answer.text
                called.add(path)
    assert len(called) > 20


def test_every_error_is_a_problem_and_none_is_422(operations: dict[Any, Any]) -> None:
    for (method, _), operation in operations.items():
        assert "422" not in operation["responses"]
        assert method not in METHODS_WITH_BODY or "400" in operation["responses"]
        for status, response in operation["responses"].items():
            assert "API-Version" in response["headers"]
            if (operation["operationId"], status) == ("postOauthToken", "400"):  # RFC 6749 §5.2
                assert list(response["content"]) == ["application/json"]
                continue
            assert int(status) < 400 or list(response["content"]) == ["application/problem+json"]


def test_what_is_beside_the_versions_says_at_which_address(operations: dict[Any, Any]) -> None:
    assert {path for (_, path), operation in operations.items() if "servers" in operation} == BESIDE
    for (_, path), operation in operations.items():
        if path in BESIDE:
            assert [server["url"] for server in operation["servers"]] == ["https://gate.example"]
            assert {"200", "500"} <= set(operation["responses"])
            assert "schema" in operation["responses"]["200"]["content"]["application/json"]


def test_a_reader_of_the_document_alone_is_told_of_every_path_parameter_and_answer(
    document: dict[str, Any], operations: dict[Any, Any]
) -> None:
    untold: list[object] = []
    for name, operation in operations.items():
        untold += [name] * (not operation.get("description"))
        untold += [
            (name, one["name"]) for one in operation.get("parameters", []) if not one.get("description")
        ]
        for status, response in operation["responses"].items():
            if response.get("description", "") in ("", "Successful Response"):
                untold.append((name, status))
    untold += [
        name for name, shape in document["components"]["schemas"].items() if not shape.get("description")
    ]
    assert untold == []


def test_how_to_get_a_token_is_told_field_by_field(operations: dict[Any, Any]) -> None:
    token = operations["post", "/oauth/token"]
    (form,) = token["requestBody"]["content"].values()
    fields = form["schema"]["properties"]
    assert {"grant_type", "client_assertion_type", "client_assertion"} <= set(fields)
    assert [name for name, field in fields.items() if not field.get("description")] == []
    assert [one["name"] for one in token["parameters"]] == ["DPoP"]
    refused = token["responses"]["400"]["content"]["application/json"]["schema"]["$ref"]
    assert refused.endswith("/TokenRefused")
    assert set(get_args(TokenRefused.model_fields["error"].annotation)) == set(token_endpoint._ERRORS)
