"""Nothing in a query is passed over: what a resource does not know there, or finds twice, is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def test_a_parameter_that_the_resource_knows_is_read(
    edge: Any, body: Callable[..., dict[str, object]]
) -> None:
    assert edge.http.post("/v1/probes?pageSize=7", json=body()).status_code == 200
    assert edge.http.post("/v1/probes?", json=body()).status_code == 200


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("page=2", {("query:page", "unknown_parameter")}),
        ("pageSize=7&page=2", {("query:page", "unknown_parameter")}),
        ("page", {("query:page", "unknown_parameter")}),
        ("page_size=7", {("query:page_size", "unknown_parameter")}),  # the name in the code, not in the API
        ("pagesize=7", {("query:pagesize", "unknown_parameter")}),
        ("prefer=wait", {("query:prefer", "unknown_parameter")}),  # a header
        ("id=1", {("query:id", "unknown_parameter")}),
        ("pageSize=7&pageSize=7", {("query:pageSize", "repeated_parameter")}),
        ("pageSize=7&page%53ize=8", {("query:pageSize", "repeated_parameter")}),
        ("pageSize=7&pageSize", {("query:pageSize", "repeated_parameter")}),
        (
            "x=1&pageSize=7&pageSize=8",
            {("query:x", "unknown_parameter"), ("query:pageSize", "repeated_parameter")},
        ),
        ("=9990000101", {("query:*", "unknown_parameter")}),
        ("9990000101=1", {("query:*", "unknown_parameter")}),
        ("page%20size=1", {("query:*", "unknown_parameter")}),
        ("%ff%00=1", {("query:*", "unknown_parameter")}),
        ("caf%C3%A9=1", {("query:*", "unknown_parameter")}),
        ("a" * 40 + "=1", {("query:" + "a" * 40, "unknown_parameter")}),
        ("a" * 41 + "=1", {("query:*", "unknown_parameter")}),
    ],
)
def test_anything_else_is_refused_by_name_and_never_by_value(
    edge: Any, body: Callable[..., dict[str, object]], query: str, errors: set[tuple[str, str]]
) -> None:
    answer = edge.http.post(f"/v1/probes?{query}", json=body())
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert {(error["pointer"], error["code"]) for error in answer.json()["errors"]} == errors
    assert "9990000101" not in answer.text + edge.log().decode()


def test_a_value_is_not_repeated(edge: Any, body: Callable[..., dict[str, object]]) -> None:
    for query in ("client=v-number:9990000101", "pageSize=9990000101&pageSize=9990000101"):
        answer = edge.http.post(f"/v1/probes?{query}", json=body())
        assert answer.status_code == 400
        assert "9990000101" not in answer.text + edge.log().decode()


def test_a_great_many_parameters_make_no_great_answer(
    edge: Any, body: Callable[..., dict[str, object]]
) -> None:
    letters = [chr(97 + at // 26) + chr(97 + at % 26) for at in range(600)]
    answer = edge.http.post("/v1/probes?" + "&".join(f"{name}=1" for name in letters), json=body())
    assert answer.status_code == 400
    assert len(answer.json()["errors"]) == 16


def test_the_document_of_the_api_refuses_it_too(edge: Any) -> None:
    assert edge.http.get("/v1/openapi.json").status_code == 200
    assert edge.http.get("/v1/openapi.json?format=yaml").json()["code"] == "invalid_input"
