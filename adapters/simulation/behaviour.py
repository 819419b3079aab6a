"""Make a simulated system slow, down, or wrong, for one person at a time. For tests and the sandbox only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from adapters.simulation.personas import PERSONAS, Behaviour, Mode

_HUGE_CHUNKS = 100  # of a megabyte
_FAILURES_BEFORE_BACK = 2


class BehaviourMessage(BaseModel):
    """`POST /_sim/behaviour`: counts of failures and clocks of `later` start anew."""

    model_config = ConfigDict(extra="forbid")

    v_number: str
    mode: Mode = "ok"
    delay_seconds: float = Field(default=0.0, ge=0)


class Behaviours:
    """What one simulated system does for whom."""

    def __init__(self, source: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._behaviours = {
            persona.v_number: persona.behaviours.get(source, Behaviour()) for persona in PERSONAS
        }
        self._monotonic = monotonic
        self._first_asked: dict[tuple[str, str], float] = {}
        self._failures: dict[str, int] = {}

    def of(self, v_number: str) -> Behaviour:
        """Return how questions about this person are treated now."""
        return self._behaviours.get(v_number, Behaviour())

    def set(self, v_number: str, behaviour: Behaviour) -> None:
        """Treat this person so from now on."""
        self._behaviours[v_number] = behaviour
        self._failures.pop(v_number, None)
        self._first_asked = {key: at for key, at in self._first_asked.items() if key[0] != v_number}

    def seconds_left(self, v_number: str, reference: str) -> float:
        """Return how long an officer still works on this question; 0 when the answer is there."""
        behaviour = self.of(v_number)
        if behaviour.mode != "later":
            return 0.0
        now = self._monotonic()
        asked_at = self._first_asked.setdefault((v_number, reference), now)
        return max(0.0, asked_at + behaviour.delay_seconds - now)

    async def interfere(self, v_number: str) -> Response | None:
        """Answer in the place of a system that misbehaves; None when it is to answer itself."""
        behaviour = self.of(v_number)
        if behaviour.mode != "later" and behaviour.delay_seconds:
            await asyncio.sleep(behaviour.delay_seconds)
        match behaviour.mode:
            case "down":
                return Response(status_code=503)
            case "down_then_back":
                seen = self._failures[v_number] = self._failures.get(v_number, 0) + 1
                return Response(status_code=503) if seen <= _FAILURES_BEFORE_BACK else None
            case "error":
                return Response("Traceback (most recent call last)", status_code=500)
            case "garbage":
                return Response("<html>Onderhoud</html>", media_type="text/html")
            case "duplicate_keys":
                return Response('{"a": 1, "a": 2}', media_type="application/json")
            case "huge":
                return StreamingResponse(_megabytes(), media_type="application/json")
        return None


def behaviour_router(behaviours: Behaviours) -> APIRouter:
    """Return what every simulated system has beside its own wire: control, and a sign of life."""
    router = APIRouter()

    @router.post("/_sim/behaviour", status_code=204)
    async def change(message: BehaviourMessage) -> Response:
        behaviours.set(message.v_number, Behaviour(message.mode, message.delay_seconds))
        return Response(status_code=204)

    @router.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    return router


async def _megabytes() -> AsyncIterator[bytes]:
    yield b'{"stukken": "'
    for _ in range(_HUGE_CHUNKS):
        yield b"x" * 1_000_000
    yield b'"}'
