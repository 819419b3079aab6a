"""The edge over real sockets: bodies that need a caller first, and what needs no token at all."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from gateway.http import health

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"Content-Type": "application/json"}


# --- bodies, against a resource that needs a caller ----------------------------------------


@pytest.mark.parametrize(
    ("data", "headers", "expected"),
    [
        (b'{"purpose": "a", "purpose": "b"}', JSON, (400, "duplicate_key")),
        (b'{"purpose": "a", "more": 1}', JSON, (400, "invalid_input")),
        (b'{"purpose": 1}', JSON, (400, "invalid_input")),
        (b'{"purpose": "\xff"}', JSON, (400, "malformed_json")),
        (b"[]", JSON, (400, "invalid_input")),
        (b'{"purpose": "' + b"x" * 300_000 + b'"}', JSON, (413, "body_too_large")),
        (b'{"purpose": "a"}', {"Content-Type": "text/plain"}, (415, "unsupported_media_type")),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_a_bad_body_gets_its_problem(
    gate: Any, data: bytes, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    async def post(data: bytes, headers: dict[str, str]) -> Any:
        token = await gate.token()
        return await gate.call(token, method="POST", path="/v1/probes", data=data, headers=headers)

    assert (await post(b'{"purpose": "a"}', JSON)).status == 200
    assert (await post(data, headers)).problem == expected


async def test_the_caller_is_asked_for_before_the_body_is_read(gate: Any) -> None:
    body = json.dumps({"purpose": "a"}).encode()
    answer = await gate.send("POST", "/v1/probes", data=body, headers=JSON)
    assert answer.problem == (401, "token_missing")
    broken = await gate.send("POST", "/v1/probes", data=b"{", headers=JSON)
    assert broken.problem == (401, "token_missing")


async def test_a_chunked_body_is_cut_off_at_the_limit(gate: Any) -> None:
    token = await gate.token()

    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 10_000

    answer = await gate.call(token, method="POST", path="/v1/probes", data=endless(), headers=JSON)
    assert answer.problem == (413, "body_too_large")


# --- what needs no token -------------------------------------------------------------------


async def test_anyone_may_read_a_partys_keys(gate: Any) -> None:
    answer = await gate.send("GET", "/v1/parties/ind/keys")
    stored = (gate.folder / "key-lists" / "ind.jws").read_text()
    assert (answer.status, answer.json) == (200, {"party": "ind", "key_list": stored})
    for unknown in ("nobody", "..", "IND", "ind.jws", "%2e%2e%2fregister"):
        assert (await gate.send("GET", f"/v1/parties/{unknown}/keys")).status == 404
    assert (await gate.send("GET", "/v1/parties/nobody/keys")).problem == (404, "not_found")


async def test_a_key_list_that_expired_is_not_served(own_gate: Any) -> None:
    assert (await own_gate.send("GET", "/v1/parties/ind/keys")).status == 200
    own_gate.clock.now += 401 * 24 * 3600
    assert (await own_gate.send("GET", "/v1/parties/ind/keys")).problem == (500, "internal_error")


async def test_health_tells_alive_from_ready(own_gate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "SHARED_SECONDS", 0)
    assert (await own_gate.send("GET", "/livez")).json == {"status": "alive"}
    assert (await own_gate.send("GET", "/readyz")).problem == (503, "policy_unavailable")
    object.__setattr__(own_gate.services, "engine", object())
    assert (await own_gate.send("GET", "/readyz")).json == {
        "status": "ready",
        "agreement": "in_force",
        "sources": {},
        "cancellations": {"undelivered": 0, "oldest_seconds": 0},
    }
    own_gate.services.store.close()
    assert (await own_gate.send("GET", "/readyz")).problem == (503, "storage_unavailable")
    assert (await own_gate.send("GET", "/livez")).status == 200


async def test_when_the_store_is_gone_nobody_is_authenticated(own_gate: Any) -> None:
    token = await own_gate.token()
    assert (await own_gate.call(token)).status == 200
    own_gate.services.store.close()
    answer = await own_gate.call(token)
    assert answer.problem == (503, "storage_unavailable")
    assert answer.headers["Retry-After"]


async def test_half_a_request_ends_without_a_trace(gate: Any) -> None:
    host, _, port = gate.issuer.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as half:
        half.sendall(b"POST /v1/probes HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
    assert (await gate.send("GET", "/livez")).status == 200
