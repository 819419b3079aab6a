"""A source that is down, slow, broken, or answers weeks later: nothing leaves early, nothing is lost."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
from starlette.responses import JSONResponse, Response, StreamingResponse

from adapters.protocol import Category, Role
from adapters.requester import PreparedRequest
from gateway.cli.world import VW, persona, worker_of
from tests.integration.edge import TEXT_MARK, Answer, Edge, check_logs, recorded_logs
from tests.integration.rogue import Behaviour, Draft, Stage, complete, honest, staged

pytestmark = pytest.mark.asyncio(loop_scope="module")

DTV = "dtv"
PreparedRequests = Callable[[], PreparedRequest]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("town"), source_timeout_seconds=1.0) as running:
        yield running


@pytest.fixture(autouse=True)
def logs() -> Iterator[io.BytesIO]:
    with recorded_logs() as stream:
        yield stream
        check_logs(stream)


async def kept_for_later(stage: Stage, answer: Answer) -> str:
    """The caller is told to come back, with an id; the order waits, and nothing of an answer is there."""
    assert (answer.status, answer.code) == (503, "source_unavailable")
    exchange_id = str(answer.json["id"])
    looked = await stage.get(exchange_id)
    assert (looked.status, looked.json["state"]) == (202, "forwarded")
    assert "answer" not in looked.json
    assert [row.topic for row in await stage.waiting(exchange_id)] == ["order"]
    await stage.nothing_kept(exchange_id)
    return exchange_id


async def test_a_source_that_is_down_loses_nothing(stage: Stage) -> None:
    await stage.accepts()
    await stage.source_leaves()
    request = stage.prepared()
    exchange_id = await kept_for_later(stage, await stage.repeat(request))
    key = {"Idempotency-Key": request.idempotency_key}
    meanwhile = await stage.edge.post("/v1/dossier-requests", request.body, **key)
    assert (meanwhile.status, meanwhile.json["id"]) == (202, exchange_id)
    assert meanwhile.json["state"] == "forwarded"

    before = len(stage.rogue.orders)
    await stage.source_returns()
    for answer in (await stage.get(exchange_id, wait_seconds=5), await stage.repeat(request)):
        complete(answer)
        assert answer.json["id"] == exchange_id
    assert len(stage.rogue.orders) == before + 1
    assert not await stage.waiting(exchange_id)


async def test_the_same_call_long_after_brings_the_answer_and_a_new_one_must_be_signed_anew(
    stage: Stage,
) -> None:
    # Only a request that starts something must be fresh: whoever repeats a call may have waited an hour.
    await stage.source_leaves()
    request, never_sent = stage.prepared(), stage.prepared()
    exchange_id = await kept_for_later(stage, await stage.repeat(request))
    await stage.source_returns()
    stage.passes(600)
    try:
        complete(await stage.get(exchange_id, wait_seconds=5))
        answer = await stage.repeat(request)
        complete(answer)
        assert answer.json["id"] == exchange_id
        stale = await stage.repeat(never_sent)
        assert (stale.status, stale.code) == (400, "invalid_signed_request")
    finally:
        stage.passes(-600)


async def _slow(draft: Draft) -> Response:
    await asyncio.sleep(4)
    return await honest(draft)


async def _drop_by_drop(draft: Draft) -> Response:
    async def drops() -> AsyncIterator[bytes]:
        for sign in json.dumps(draft.message):
            yield sign.encode()
            await asyncio.sleep(0.1)

    return StreamingResponse(drops(), media_type="application/json")


async def _broken_off(draft: Draft) -> Response:
    whole = json.dumps(draft.message).encode()

    async def half() -> AsyncIterator[bytes]:
        yield whole[: len(whole) // 2]
        raise ConnectionAbortedError

    length = {"Content-Length": str(len(whole))}
    return StreamingResponse(half(), media_type="application/json", headers=length)


def _status(status: int, content: bytes, media_type: str = "application/json") -> Behaviour:
    async def answer(_: Draft) -> Response:
        return Response(content, status, media_type=media_type)

    return answer


async def _failing_in_megabytes(_: Draft) -> Response:
    async def flood() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1_000_000

    return StreamingResponse(flood(), 500)


TROUBLES: dict[str, Behaviour] = {
    "slow": _slow,
    "drop by drop": _drop_by_drop,
    "broken off half-way": _broken_off,
    "500 with a stack trace": _status(500, f"Traceback: {TEXT_MARK}".encode(), "text/plain"),
    "500 with a hundred megabytes": _failing_in_megabytes,
    "502 of a proxy": _status(502, f"<html>{TEXT_MARK}</html>".encode(), "text/html"),
    "503 with nothing": _status(503, b""),
    "503 of our own adapter": _status(503, b'{"code": "agency_unavailable"}', "application/problem+json"),
    "503 that repeats a number": _status(503, b'{"code": "9990000101", "code": "9990000101"}'),
    "too many requests": _status(429, b"{}"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_source_in_trouble_is_asked_again_with_the_same_order(stage: Stage, trouble: str) -> None:
    await stage.accepts()
    request = stage.prepared()
    stage.rogue.behave = TROUBLES[trouble]
    began = time.monotonic()
    answer = await stage.repeat(request)
    assert time.monotonic() - began < 3
    exchange_id = await kept_for_later(stage, answer)
    first = stage.rogue.orders[-1]

    stage.rogue.behave = honest
    stage.passes(20)
    complete(await stage.get(exchange_id, wait_seconds=5))
    again = await stage.repeat(request)
    complete(again)
    assert again.json["id"] == exchange_id
    assert stage.rogue.orders[-1] == first


# --- an honest adapter before an agency whose system misbehaves ----------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def return_support(stage: Stage) -> PreparedRequests:
    """Let Amina consent to one category of DT&V; return what prepares a request for it and the baseline."""
    purpose, categories = "return_support", (Category.PERSPECTIVE, Category.RETURN_OPTIONS)
    await stage.place.consent(persona("amina"), categories[1:], source=DTV, purpose=purpose)
    return lambda: stage.place.world.vluchtelingenwerk.prepare(
        persona("amina"),
        purpose=purpose,
        source=DTV,
        categories=categories,
        worker=worker_of(VW, Role.CASEWORKER),
    )


def has_options(answer: Answer) -> None:
    assert answer.status == 200, answer.text
    assert answer.json["state"] == "answered", answer.text
    assert answer.json["answer"]["baseline"].keys() == {"perspective"}
    assert {one["category"] for one in answer.json["answer"]["sealed"]} == {"return_options"}


@pytest.mark.parametrize(
    "mode", ["down", "error", "garbage", "duplicate_keys", "huge", "wrong_client", "free_text"]
)
async def test_what_an_agency_may_not_answer_does_not_get_past_its_own_adapter(
    stage: Stage, return_support: PreparedRequests, mode: str
) -> None:
    has_options(await stage.repeat(return_support()))
    request = return_support()
    await stage.place.behave(DTV, v_number=persona("amina").value, mode=mode)
    exchange_id = await kept_for_later(stage, await stage.repeat(request))

    await stage.place.behave(DTV, v_number=persona("amina").value, mode="ok")
    stage.passes(20)
    has_options(await stage.get(exchange_id, wait_seconds=5))
    has_options(await stage.repeat(request))


async def test_what_an_agency_says_beyond_the_question_stays_at_its_adapter(
    stage: Stage, return_support: PreparedRequests
) -> None:
    await stage.place.behave(DTV, v_number=persona("amina").value, mode="extra")
    has_options(await stage.repeat(return_support()))
    await stage.place.behave(DTV, v_number=persona("amina").value, mode="ok")


# --- an answer that comes later --------------------------------------------------------------------


async def _accept(draft: Draft) -> Response:
    return JSONResponse({"exchange": draft.exchange, "state": "accepted"}, 202)


async def accepted(stage: Stage) -> Draft:
    """Let IND accept an order, and return the honest answer to it, not sent yet."""
    stage.rogue.behave = _accept
    request = stage.prepared()
    key = {"Idempotency-Key": request.idempotency_key}
    answer = await stage.edge.post("/v1/dossier-requests", request.body, **key)
    stage.rogue.behave = honest
    assert (answer.status, answer.json["state"]) == (202, "forwarded"), answer.text
    return stage.rogue.draft(stage.rogue.orders[-1])


async def delivered(stage: Stage, exchange_id: str, message: Any, *, party: str = "ind") -> tuple[int, str]:
    """Deliver an answer as a party; return the status and the state or the code."""
    async with Edge(stage.place, party) as source:
        answer = await source.post(f"/v1/orders/{exchange_id}/answer", message)
    return answer.status, answer.json["state"] if answer.status == 200 else answer.code


async def test_a_later_answer_is_taken_from_its_source_alone_and_once(stage: Stage) -> None:
    draft = await accepted(stage)
    message = draft.message
    for stranger in (DTV, VW, "askv"):
        assert await delivered(stage, draft.exchange, message, party=stranger) == (404, "not_found")
    assert await delivered(stage, "exchangeOfAnother0123456", message) == (404, "not_found")
    assert (await stage.get(draft.exchange)).json["state"] == "forwarded"
    for _ in range(2):
        assert await delivered(stage, draft.exchange, message) == (200, "taken")
    complete(await stage.get(draft.exchange))


BAD_DELIVERIES: dict[str, tuple[Callable[[Draft], Any], int, str]] = {
    "for another path": (
        lambda draft: {**draft.message, "exchange": "exchangeOfAnother0123456"},
        400,
        "invalid_input",
    ),
    "with an unknown member": (
        lambda draft: {**draft.message, "remark": TEXT_MARK},
        400,
        "invalid_input",
    ),
    "with a member twice": (
        lambda draft: b'{"exchange": "a", ' + json.dumps(draft.message).encode()[1:],
        400,
        "duplicate_key",
    ),
    "over the limit": (
        lambda draft: json.dumps({**draft.message, "attestation": "x" * (33 << 20)}).encode(),
        413,
        "body_too_large",
    ),
}


@pytest.mark.parametrize("bad", BAD_DELIVERIES)
async def test_a_later_answer_that_cannot_be_read_changes_nothing(stage: Stage, bad: str) -> None:
    spoil, status, code = BAD_DELIVERIES[bad]
    draft = await accepted(stage)
    assert await delivered(stage, draft.exchange, spoil(draft)) == (status, code)
    assert (await stage.get(draft.exchange)).json["state"] == "forwarded"
    await stage.nothing_kept(draft.exchange)
    assert await delivered(stage, draft.exchange, draft.message) == (200, "taken")
    complete(await stage.get(draft.exchange))


async def test_a_later_answer_other_than_ordered_ends_the_exchange(stage: Stage) -> None:
    draft = await accepted(stage)
    draft.answers["perspective"] = {"status": "provided", "value": f"yes, {TEXT_MARK}"}
    message = draft.message
    stage.rogue.sent = json.dumps(message).encode()
    assert await delivered(stage, draft.exchange, message) == (502, "source_answer_invalid")
    seen = await stage.get(draft.exchange)
    assert (seen.json["state"], seen.json["failure"]) == ("failed", "source_answer_invalid")
    assert "answer" not in seen.json
    await stage.nothing_kept(draft.exchange)
