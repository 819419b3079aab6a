"""An answer that crosses a withdrawal: what lost its ground is not even kept, and the rest arrives."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import JSONResponse, Response

from adapters.protocol import Role
from gateway.cli.world import VW, persona, worker_of
from tests.integration.edge import Edge, stored_bytes
from tests.integration.rogue import Draft, Stage, complete, honest, staged


async def _later(draft: Draft) -> Response:
    return JSONResponse({"exchange": draft.exchange, "state": "accepted"}, 202)


async def _accepted(stage: Stage) -> Draft:
    """Let IND take an order in, to be answered later; return the honest answer to it."""
    request = stage.prepared()
    stage.rogue.behave = _later
    key = {"Idempotency-Key": request.idempotency_key}
    answer = await stage.edge.post("/v1/dossier-requests", request.body, **key)
    stage.rogue.behave = honest
    assert (answer.status, answer.json["state"]) == (202, "forwarded"), answer.text
    return stage.rogue.draft(stage.rogue.orders[-1])


async def _deliver(stage: Stage, draft: Draft) -> list[bytes]:
    """Deliver it as IND; return the sealed bytes that were in it."""
    message = draft.message
    async with Edge(stage.place, "ind") as source:
        taken = await source.post(f"/v1/orders/{draft.exchange}/answer", message)
    assert taken.status == 200, taken.text
    return [sealed["jwe"].encode() for sealed in message["sealed"]]


async def test_what_lost_its_ground_is_not_kept_when_its_answer_comes(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        first = await _accepted(stage)
        kept = await _deliver(stage, first)
        assert len(kept) == 2
        complete(await stage.get(first.exchange))
        disk = await stored_bytes(stage.place)
        assert all(part in disk for part in kept)

        crossing = await _accepted(stage)
        desk, ours = worker_of(VW, Role.DESK), stage.place.world.vluchtelingenwerk
        found = await ours.search_consents(persona("amina"), worker=desk)
        for consent in found["consents"]:  # type: ignore[union-attr]
            if consent["state"] == "active":  # type: ignore[index, call-overload]
                await ours.withdraw_consent(str(consent["id"]), worker=desk)  # type: ignore[index, call-overload]
        sent = await _deliver(stage, crossing)
        disk = await stored_bytes(stage.place)
        assert not [part for part in sent if part in disk]
        seen = await stage.get(crossing.exchange)
        assert seen.json["answer"]["baseline"].keys() == {"perspective", "partners"}
        assert not seen.json["answer"].get("sealed")
