"""Whatever a body holds, the edge answers as its document says: a result or a problem, never a 500."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

JSON = {"Content-Type": "application/json"}
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "client": st.fixed_dictionaries({}, optional={"scheme": ANY_JSON, "value": ANY_JSON}) | ANY_JSON,
        "purpose": ANY_JSON,
        "categories": ANY_JSON,
    },
)
per_example = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(answer: Any) -> None:
    assert answer.status_code in (200, 400, 413, 415)
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code


@per_example
@given(body=ANY_JSON | NEARLY)
def test_any_json_gets_an_answer_of_the_document(edge: Any, body: Any) -> None:
    check(edge.http.post("/v1/probes", content=json.dumps(body), headers=JSON))


@per_example
@given(body=st.binary(max_size=200))
def test_any_bytes_get_an_answer_of_the_document(edge: Any, body: bytes) -> None:
    check(edge.http.post("/v1/probes", content=body, headers=JSON))
