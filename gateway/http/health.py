"""Tell whoever runs the gateway whether it lives and whether it can do its work."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field
from sqlalchemy import Connection, select

from gateway.errors import GatewayError, Unavailable
from gateway.policy.asking import check_policy
from gateway.services import Services, provided
from gateway.storage.tables import gateway_state
from gateway.undelivered import Undelivered, cancellations

# Whoever gets here may ask as often as they like: for so long one look is good for all.
SHARED_SECONDS = 1.0

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process runs."""

    status: Literal["alive"] = "alive"


class Cancellations(BaseModel):
    """What was withdrawn, and the source has not confirmed."""

    undelivered: int = Field(description="How many; each is sent until its source confirms it.")
    oldest_seconds: int = Field(description="For how long the oldest of them waits; 0 without any.")


class Ready(BaseModel):
    """The gateway can do its work."""

    status: Literal["ready"] = "ready"
    agreement: Literal["in_force", "not_loaded"] = Field(
        description="`not_loaded`: a version that is to come does not verify here; the one in force stays."
    )
    sources: dict[str, str] = Field(description="How the circuit to each source stands.")
    cancellations: Cancellations


class Readiness:
    """The last look at the parts, shared by all who ask while it goes on and for a second."""

    def __init__(self) -> None:
        self._look: asyncio.Task[Undelivered] | None = None
        self._began = 0.0

    async def of(self, parts: Services) -> Undelivered:
        """Return what waits if the parts do their work; raise Unavailable if one does not."""
        now = asyncio.get_running_loop().time()
        if self._look is None or (self._look.done() and now - self._began >= SHARED_SECONDS):
            self._began, self._look = now, asyncio.create_task(_look_at(parts))
            self._look.add_done_callback(lambda look: look.cancelled() or look.exception())
        # Whoever asked first may leave: the others still wait for it.
        return await asyncio.shield(self._look)


@router.get("/livez", summary="Ask whether the process runs")
async def livez() -> Alive:
    """Answer that the process runs; it looks at nothing else, so that a restart is never in vain."""
    return Alive()


@router.get(
    "/readyz",
    summary="Ask whether the gateway can do its work",
    responses={503: {"description": "The store or the policy engine does not answer."}},
)
async def readyz(request: Request, parts: Annotated[Services, Depends(provided)]) -> Ready:
    """Answer that the store reads and policy decides by what is in force; a 503 problem otherwise.

    `sources` says how the circuit to each stands. One that is open makes no gateway unready: all of them
    would leave at once, for a trouble that is elsewhere.
    """
    readiness: Readiness = request.app.state.readiness
    waiting = await readiness.of(parts)
    return Ready(
        agreement="not_loaded" if parts.agreements.seen.refused else "in_force",
        sources=dict(parts.sources.states()),
        cancellations=Cancellations(undelivered=waiting.number, oldest_seconds=waiting.oldest_seconds),
    )


async def _look_at(parts: Services) -> Undelivered:
    seen = parts.agreements.seen
    if seen.state.digest in seen.refused:
        raise Unavailable("policy_unavailable", cause="the agreement in force is not loaded")
    await check_policy(parts.engine, seen.in_force.digest)
    now = parts.clock()

    def read(conn: Connection) -> Undelivered:
        conn.execute(select(gateway_state.c.id)).one()
        return cancellations(conn, now)

    try:
        return await parts.store.read(read)
    except GatewayError:
        raise
    except Exception as trouble:  # whatever the driver raises, the store does not answer
        raise Unavailable("storage_unavailable", cause=type(trouble).__name__) from trouble
