"""Whatever goes wrong, the answer is a problem document, has every answer's headers, and says no value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.errors import Conflict, GatewayError, InputRefused, NotAuthenticated, Refused, Unavailable

HEADERS = {
    "api-version": "1.0.0",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputRefused("unknown_category"), 400),
        (NotAuthenticated("token_invalid"), 401),
        (Refused("party_never_receives"), 403),
        (Refused("not_found"), 404),
        (Conflict("state_conflict"), 409),
        (Unavailable("ledger_unavailable"), 503),
    ],
)
def test_an_error_becomes_its_problem(edge: Any, error: GatewayError, status: int) -> None:
    assert edge.http.get("/v1/probes/1").status_code == 200
    edge.fail_with(error)
    response = edge.http.get("/v1/probes/1")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    shown = response.json()
    assert shown["status"] == status
    assert shown["code"] == error.code
    assert shown["type"] == f"urn:dossierpoort:error:{error.code}"
    assert all(shown[member] for member in ("title", "detail", "next_step"))


def test_what_an_error_says_in_public_is_the_detail_and_its_extras_are_added(edge: Any) -> None:
    extra = {"paragraph": "003 §5.1", "status": 200}
    edge.fail_with(Refused("party_never_receives", "AVIM answers, it never asks.", cause="x", extra=extra))
    shown = edge.http.get("/v1/probes/1").json()
    assert shown["detail"] == "AVIM answers, it never asks."
    assert shown["paragraph"] == "003 §5.1"
    assert shown["status"] == 403, "an extra does not hide what every problem has"
    assert "cause" not in shown


@pytest.mark.parametrize(
    ("code", "challenge"),
    [
        ("token_missing", 'DPoP algs="ES256"'),
        ("token_invalid", 'DPoP error="invalid_token", algs="ES256"'),
        ("proof_invalid", 'DPoP error="invalid_dpop_proof", algs="ES256"'),
        ("proof_replayed", 'DPoP error="invalid_dpop_proof", algs="ES256"'),
    ],
)
def test_a_401_says_how_to_authenticate(edge: Any, code: str, challenge: str) -> None:
    edge.fail_with(NotAuthenticated(code))
    assert edge.http.get("/v1/probes/1").headers["www-authenticate"] == challenge


def test_a_503_says_when_to_come_back(edge: Any) -> None:
    edge.fail_with(Unavailable("policy_unavailable"))
    assert edge.http.get("/v1/probes/1").headers["retry-after"] == "5"
    edge.fail_with(Unavailable("policy_unavailable", retry_after_seconds=30))
    assert edge.http.get("/v1/probes/1").headers["retry-after"] == "30"


def test_an_unforeseen_error_tells_nothing_of_itself(edge: Any) -> None:
    assert edge.http.get("/v1/probes/1").status_code == 200
    edge.fail_with(RuntimeError("client 1234567890 in /srv/gateway/exchange.py"))
    response = edge.http.get("/v1/probes/1")
    assert response.status_code == 500
    assert response.json()["code"] == "internal_error"
    assert "1234567890" not in response.text + edge.log().decode()
    assert {"event": "unforeseen_error", "error": "RuntimeError"}.items() <= edge.events()[-2].items()
    assert edge.events()[-1]["status"] == 500


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "page_not_found"),
        ("GET", "/v1/probes/1/", 404, "page_not_found"),
        ("POST", "/v1/probes/", 404, "page_not_found"),
        ("DELETE", "/v1/probes", 405, "method_not_allowed"),
        ("GET", "/docs", 404, "page_not_found"),
        ("GET", "/openapi.json", 404, "page_not_found"),
    ],
)
def test_the_router_answers_with_problems_too(
    edge: Any, method: str, path: str, status: int, code: str
) -> None:
    response = edge.http.request(method, path, follow_redirects=False)
    assert (response.status_code, response.json()["code"]) == (status, code)
    if status == 405:
        assert response.headers["allow"] == "POST"


def test_every_answer_carries_the_version_and_the_security_headers(
    edge: Any, body: Callable[..., dict[str, object]]
) -> None:
    fine = edge.http.post("/v1/probes", json=body())
    missing = edge.http.get("/v1/nothing")
    edge.fail_with(RuntimeError())
    failed = edge.http.get("/v1/probes/1")
    assert [fine.status_code, missing.status_code, failed.status_code] == [200, 404, 500]
    for response in (fine, missing, failed):
        assert {name: response.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize("where", ["value", "field", "type", "path", "query", "header", "method"])
def test_no_value_of_a_request_reaches_log_or_problem(
    edge: Any, body: Callable[..., dict[str, object]], where: str
) -> None:
    mark = "9081726354"
    client = {"scheme": "v-number", "value": mark}
    edge.http.post("/v1/probes", json=body(client=client))
    assert edge.events(), "the call was logged"
    if where == "value":
        answer = edge.http.post("/v1/probes", json=body(client=client, purpose=mark))
    elif where == "field":
        answer = edge.http.post("/v1/probes", json=body(client={**client, mark: mark}))
    elif where == "type":
        answer = edge.http.post("/v1/probes", content=f'{{"{mark}": {mark}', headers={"Content-Type": mark})
    elif where == "path":
        answer = edge.http.get(f"/v1/{mark}")
    elif where == "query":
        answer = edge.http.post(f"/v1/probes?pageSize={mark}x&{mark}={mark}", json=body())
    elif where == "header":
        answer = edge.http.post("/v1/probes", json=body(), headers={"Prefer": mark * 3})
    else:
        answer = edge.http.request(mark, "/v1/probes")
    assert 400 <= answer.status_code < 500
    assert mark not in answer.text
    assert mark not in edge.log().decode()


def test_a_request_is_logged_once_by_its_route(edge: Any) -> None:
    edge.http.get("/v1/probes/some-id")
    (event,) = edge.events()
    assert {key: event[key] for key in ("event", "method", "route", "status", "party")} == {
        "event": "request",
        "method": "GET",
        "route": "/v1/probes/{id}",
        "status": 200,
        "party": None,
    }
