"""Who gets a place: callers nobody knows yet, one party, all parties together, and who only waits."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fastapi import Request
from starlette.types import Message, Receive, Scope, Send

from adapters.kit import jose
from adapters.kit.keys import SigningKey
from gateway.errors import Unavailable
from gateway.http import in_flight
from gateway.http.in_flight import ABORT_SCOPE_KEY, InFlight, known_as, stepped_aside

LIMIT = 8  # so one party has two, and so have all callers together who are not known yet


class Gate:
    """Requests that stay until they are let go, at a limit."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.remembered: dict[str, str] = {}  # token → party
        self.edge = InFlight(self._app, limit=LIMIT, party_of=self.remembered.get, between=lambda low, _: low)
        self.under_way: list[asyncio.Task[dict[str, Any]]] = []

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        party, status = scope["party"], 200
        try:
            if scope["proves_late"]:
                await self.go.wait()
            if party is not None:
                known_as(Request(scope), party)
            if scope["waits"]:
                with stepped_aside(Request(scope)) as may_wait:
                    status = 202 if may_wait else 204
                    if may_wait:
                        await self.go.wait()
            else:
                await self.go.wait()
        except Unavailable as full:
            status = 503 if full.code == "overloaded" else 500
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def call(
        self,
        party: str | None,
        *,
        path: str = "/v1/x",
        waits: bool = False,
        token: str = "x",
        proves_late: bool = False,
    ) -> int | None:
        """Begin a request; return its status if it ended at once."""
        heard: list[Message] = []
        headers = [] if party is None else [(b"authorization", b"DPoP " + token.encode())]
        scope = {
            "type": "http",
            "path": path,
            "headers": headers,
            "party": party,
            "waits": waits,
            "proves_late": proves_late,
        }

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            heard.append(message)

        async def serve() -> dict[str, Any]:
            await self.edge(scope, receive, send)
            return dict(heard[0])

        task = asyncio.create_task(serve())
        for _ in range(6):
            await asyncio.sleep(0)
        if task.done():
            return int((await task)["status"])
        self.under_way.append(task)
        return None

    async def ends(self) -> set[int]:
        """Let all go; nothing is counted afterwards."""
        self.go.set()
        statuses = {one["status"] for one in await asyncio.gather(*self.under_way)}
        edge = self.edge
        assert (edge.count, edge.unknown, dict(edge.of), dict(edge._waiting)) == (0, 0, {}, {})
        return statuses


async def test_one_party_has_a_quarter_of_the_places_and_the_others_get_theirs() -> None:
    gate = Gate()
    for party in ("a", "a", "b", "b", "c", "c"):
        assert await gate.call(party) is None
    assert await gate.call("a") == 503
    assert await gate.call("d") is None
    assert await gate.ends() == {200}


async def test_who_claims_to_be_a_party_that_is_full_is_turned_away_before_anything_is_verified() -> None:
    gate = Gate()
    token = jose.sign({"sub": "a"}, SigningKey.generate(), "at+jwt")
    assert await gate.call("b", token=token) is None
    for _ in range(2):
        assert await gate.call("a") is None
    assert await gate.call("b", token=token) == 503, "it says that it is a; b itself has a place left"
    assert await gate.call("b") is None
    assert await gate.ends() == {200}


async def test_a_party_is_full_before_it_has_proven_anything_if_its_token_was_verified_before() -> None:
    gate = Gate()
    gate.remembered |= {"of-a": "a", "of-b": "b"}
    for _ in range(2):
        assert await gate.call("a", token="of-a", proves_late=True) is None
    assert await gate.call("a", token="of-a", proves_late=True) == 503
    for _ in range(2):
        assert await gate.call("b", token="of-b", proves_late=True) is None
    assert dict(gate.edge.of) == {"a": 2, "b": 2}
    assert await gate.ends() == {200}, "who was counted already is not turned away once it is known"


async def test_a_name_in_a_token_that_nobody_verified_takes_no_place_of_that_party() -> None:
    gate = Gate()
    token = jose.sign({"sub": "a"}, SigningKey.generate(), "at+jwt")
    for _ in range(3):
        assert await gate.call("b", token=token, proves_late=True) is None
    assert dict(gate.edge.of) == {}
    for _ in range(2):
        assert await gate.call("a") is None
    assert await gate.call("a") == 503
    assert await gate.ends() == {200}


async def test_beyond_all_places_nobody_is_taken_on() -> None:
    gate = Gate()
    for party in "aabbccdd":
        assert await gate.call(party) is None
    assert await gate.call("e") == 503
    assert await gate.ends() == {200}


async def test_callers_who_are_not_known_have_a_small_pool_and_take_no_party_s_place() -> None:
    gate = Gate()
    for _ in range(2):
        assert await gate.call(None) is None
    assert await gate.call(None) == 503
    assert (gate.edge.count, gate.edge.unknown) == (0, 2)
    assert await gate.call(None, path="/livez") is None
    assert await gate.ends() == {200}
    assert await gate.call("a") == 200


async def test_who_only_waits_takes_no_place_and_one_party_cannot_be_everyone_who_waits() -> None:
    gate = Gate()
    for _ in range(LIMIT):
        assert await gate.call("a", waits=True) is None
    assert await gate.call("a", waits=True) == 204, "it is answered at once instead"
    assert gate.edge.count == 0
    assert await gate.call("b", waits=True) is None
    assert await gate.ends() == {202}


@pytest.mark.parametrize("stuck", ["http.response.start", "http.response.body"])
async def test_an_answer_that_nobody_takes_is_cut_off_at_its_first_byte_or_its_last(
    stuck: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "_GRACE_SECONDS", 0.05)
    edge, cut = InFlight(_answers, limit=LIMIT, party_of=lambda _: None), asyncio.Event()
    scope = {"type": "http", "path": "/v1/x", "headers": [], ABORT_SCOPE_KEY: cut.set}

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    sent: list[Message] = []

    async def takes(message: Message) -> None:
        sent.append(message)

    async def takes_nothing(message: Message) -> None:
        if message["type"] == stuck:
            await asyncio.Event().wait()

    await edge(scope, receive, takes)
    assert b"".join(one.get("body", b"") for one in sent) == json.dumps("x").encode()
    async with asyncio.timeout(2):
        with pytest.raises(ConnectionAbortedError):
            await edge(scope, receive, takes_nothing)
    assert cut.is_set()
    assert edge.unknown == 0


async def _answers(_: Scope, __: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps("x").encode()})
