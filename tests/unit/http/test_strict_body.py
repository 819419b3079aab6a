"""One reading of a body, or none: what two parsers could read differently never reaches an endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

JSON = {"Content-Type": "application/json"}


def problem(response: Any) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["code"]


def test_a_body_that_fits_is_read(edge: Any, body: Callable[..., dict[str, object]]) -> None:
    assert edge.http.post("/v1/probes", json=body()).json() == {"purpose": "legal_screening"}
    spelled_out = {"Content-Type": "Application/JSON; charset=UTF-8"}
    assert edge.http.post("/v1/probes", content=json.dumps(body()), headers=spelled_out).status_code == 200


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b'{"purpose": "a_purpose"} {}', "malformed_json"),
        (b'{"purpose": "\xff\xfe"}', "malformed_json"),
        (b'\xef\xbb\xbf{"purpose": "a_purpose"}', "malformed_json"),
        (b'{"purpose": "\\ud800"}', "malformed_json"),
        (b'{"purpose": "\\u0000"}', "malformed_json"),
        (b'{"purpose": NaN}', "malformed_json"),
        (b'{"purpose": 1e400}', "malformed_json"),
        (b'{"purpose": 12345678901234567890}', "malformed_json"),
        (b"[" * 2000 + b"]" * 2000, "malformed_json"),
        (b'{"purpose": "a_purpose", "purpose": "b_purpose"}', "duplicate_key"),
        (b'{"purpose": "a_purpose", "\\u0070urpose": "b_purpose"}', "duplicate_key"),
        (b'{"client": {"value": "1", "value": "2"}}', "duplicate_key"),
    ],
)
def test_json_that_parsers_disagree_on_is_refused(edge: Any, text: bytes, code: str) -> None:
    assert problem(edge.http.post("/v1/probes", content=text, headers=JSON)) == (400, code)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json, text/plain"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_another_media_type_is_refused(
    edge: Any, body: Callable[..., dict[str, object]], headers: dict[str, str]
) -> None:
    text = json.dumps(body())
    assert edge.http.post("/v1/probes", content=text, headers=JSON).status_code == 200
    response = edge.http.post("/v1/probes", content=text, headers=headers)
    assert problem(response) == (415, "unsupported_media_type")


def test_a_body_over_the_limit_is_refused_when_announced(edge: Any) -> None:
    response = edge.http.post("/v1/probes", content=b'"' + b"x" * 300_000 + b'"', headers=JSON)
    assert problem(response) == (413, "body_too_large")


def test_a_body_over_the_limit_is_refused_while_it_streams(edge: Any) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b"x" * 10_000

    response = edge.http.post("/v1/probes", content=endless(), headers=JSON)
    assert problem(response) == (413, "body_too_large")


def test_a_route_may_have_a_larger_limit_of_its_own(edge: Any) -> None:
    fits = edge.http.post("/v1/large-probes", json={"text": "x" * 500_000})
    assert fits.json() == {"length": 500_000}
    too_large = edge.http.post("/v1/large-probes", json={"text": "x" * 1_100_000})
    assert problem(too_large) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("override", "pointer", "code"),
    [
        ({"extra": 1}, "#/extra", "unknown_field"),
        ({"1234567890": 1}, "#/*", "unknown_field"),
        ({"purpose": 7}, "#/purpose", "wrong_type"),
        ({"purpose": "NOT A SLUG"}, "#/purpose", "wrong_format"),
        ({"client": {"scheme": "bsn", "value": "1"}}, "#/client/scheme", "unknown_value"),
        ({"client": {"scheme": "v-number"}}, "#/client/value", "missing_field"),
        ({"client": {"scheme": "v-number", "value": "123"}}, "#/client", "not_valid"),
        ({"categories": ["perspective", 3]}, "#/categories/1", "wrong_type"),
    ],
)
def test_a_field_that_does_not_fit_is_pointed_at(
    edge: Any, body: Callable[..., dict[str, object]], override: dict[str, object], pointer: str, code: str
) -> None:
    assert edge.http.post("/v1/probes", json=body()).status_code == 200
    response = edge.http.post("/v1/probes", json=body(**override))
    assert problem(response) == (400, "invalid_input")
    assert response.json()["errors"] == [{"pointer": pointer, "code": code}]


def test_all_errors_come_together(edge: Any, body: Callable[..., dict[str, object]]) -> None:
    url, headers = "/v1/probes?pageSize=many", {"Prefer": "x" * 21}
    response = edge.http.post(url, json=body(purpose=7, extra=1), headers=headers)
    assert {(error["pointer"], error["code"]) for error in response.json()["errors"]} == {
        ("#/purpose", "wrong_type"),
        ("#/extra", "unknown_field"),
        ("query:pageSize", "not_valid"),
        ("header:prefer", "wrong_length"),
    }
