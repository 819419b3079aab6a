"""Cancellations that do not arrive: those who run the gateway see them, and they cut nobody else off."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from starlette.responses import JSONResponse, Response

from adapters.protocol import ORDER_MAX_SECONDS, ClientIdentifier
from gateway import dispatch
from gateway.cli import operate
from gateway.cli.world import IND, persona
from gateway.dispatch import Dispatcher
from gateway.http import health
from tests.integration.edge import check_logs, recorded_logs
from tests.integration.rogue import Draft, Stage, honest, staged

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAILURES, OPEN_SECONDS = 2, 1.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(
        tmp_path_factory.mktemp("town"), source_failures_to_open=FAILURES, source_open_seconds=OPEN_SECONDS
    ) as running:
        yield running


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.BytesIO]:
    monkeypatch.setattr(health, "SHARED_SECONDS", 0)
    with recorded_logs() as stream:
        yield stream
        check_logs(stream)


async def accepts(draft: Draft) -> Response:
    return JSONResponse({"exchange": draft.exchange, "state": "accepted"}, 202)


async def away(_: Draft) -> Response:
    return JSONResponse({"code": "away"}, 503)


async def ready(stage: Stage) -> Any:
    async with aiohttp.ClientSession() as http, http.get(stage.edge.url + "/readyz") as answer:
        assert answer.status == 200
        return await answer.json()


async def forwarded(stage: Stage, client: ClientIdentifier) -> str:
    """Ask for what an officer will look at; return the exchange."""
    stage.rogue.behave = accepts
    prepared = stage.prepared(client)
    answer = await stage.edge.post(
        "/v1/dossier-requests", prepared.body, **{"Idempotency-Key": secrets.token_urlsafe(16)}
    )
    stage.rogue.behave = honest
    assert (answer.status, answer.json["state"]) == (202, "forwarded"), answer.text
    return str(answer.json["id"])


async def called_off(stage: Stage, exchange_id: str) -> None:
    worker = stage.prepared().body["worker"]
    answer = await stage.edge.post(f"/v1/dossier-requests/{exchange_id}/cancellation", {"worker": worker})
    assert answer.json["state"] == "cancelled", answer.text


async def until(holds: Callable[[], bool], within_seconds: float = 15.0) -> None:
    async with asyncio.timeout(within_seconds):
        while not holds():  # noqa: ASYNC110 - anything may change it
            await asyncio.sleep(0.05)


async def test_cancellations_about_one_person_open_the_circuit_for_nobody_else(stage: Stage) -> None:
    await stage.accepts()
    bilal = [await forwarded(stage, persona("bilal")) for _ in range(FAILURES + 1)]
    stage.rogue.takes_cancellations = 503
    for exchange_id in bilal:
        await called_off(stage, exchange_id)
    await until(lambda: set(bilal) <= set(stage.rogue.cancellations))
    assert (await ready(stage))["sources"][IND] == "closed"
    await stage.accepts()

    # The control: as many about different people do.
    stage.rogue.cancellations.clear()
    both = [await forwarded(stage, persona(name)) for name in ("amina", "bilal")]
    for exchange_id in both:
        await called_off(stage, exchange_id)
    stage.rogue.behave = away
    async with asyncio.timeout(15):
        while (await ready(stage))["sources"][IND] == "closed":
            stage.passes(10)
            await asyncio.sleep(0.2)
    stage.rogue.behave, stage.rogue.takes_cancellations = honest, 200
    await _all_delivered(stage)


async def _all_delivered(stage: Stage) -> None:
    async with asyncio.timeout(20):
        while (said := await ready(stage))["cancellations"]["undelivered"]:
            stage.passes(300)
            await asyncio.sleep(0.3)
    assert said["cancellations"] == {"undelivered": 0, "oldest_seconds": 0}


@pytest.mark.parametrize("status", [404, 503])
async def test_a_cancellation_that_waits_is_shown_and_logged_until_it_is_delivered(
    stage: Stage, logs: io.BytesIO, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused with 4xx it is sent again as well; shown either way."""
    stage.rogue.takes_cancellations = status
    exchange_id = await forwarded(stage, persona("amina"))
    assert (await ready(stage))["cancellations"]["undelivered"] == 0
    await called_off(stage, exchange_id)
    await until(lambda: exchange_id in stage.rogue.cancellations)
    assert (await ready(stage))["cancellations"]["undelivered"] == 1
    dispatcher = Dispatcher(stage.place.services)
    await dispatcher.end_expired()
    assert "cancellations.not_delivered" not in logs.getvalue().decode(), "it may arrive at any moment"

    stage.passes(dispatch._LATE_SECONDS)
    await dispatcher.end_expired()
    (line,) = [
        event
        for event in map(json.loads, logs.getvalue().decode().splitlines())
        if event["event"] == "cancellations.not_delivered"
    ]
    assert (line["number"], line["oldest_seconds"] >= dispatch._LATE_SECONDS) == (1, True)
    await asyncio.to_thread(operate.health, stage.edge.url)
    assert "no source has confirmed: 1" in " ".join(capsys.readouterr().out.split())
    stage.rogue.takes_cancellations = 200
    await _all_delivered(stage)


async def test_an_order_that_expires_while_the_circuit_is_open_is_called_off_when_the_source_is_back(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    await stage.accepts()
    exchange_id = await forwarded(stage, persona("amina"))
    stage.rogue.behave, stage.rogue.takes_cancellations = away, 503
    for name in ("amina", "bilal"):
        assert (await stage.repeat(stage.prepared(persona(name)))).code == "source_unavailable"
    assert (await ready(stage))["sources"][IND] == "open"
    await asyncio.to_thread(operate.health, stage.edge.url)
    assert f"{IND} (open)" in capsys.readouterr().out

    stage.passes(ORDER_MAX_SECONDS + 1)
    await Dispatcher(stage.place.services).end_expired()
    waiting = (await ready(stage))["cancellations"]
    assert waiting["undelivered"] >= 1
    stage.passes(90)
    assert (await ready(stage))["cancellations"]["oldest_seconds"] >= 90
    assert exchange_id not in stage.rogue.cancellations or stage.rogue.takes_cancellations == 503
    stage.rogue.behave, stage.rogue.takes_cancellations = honest, 200
    await _all_delivered(stage)
    assert exchange_id in stage.rogue.cancellations
    assert (await ready(stage))["sources"][IND] == "closed"
