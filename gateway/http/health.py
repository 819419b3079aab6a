"""Tell whoever runs the gateway whether it lives and whether it can do its work."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy import select

from gateway.errors import GatewayError, Unavailable
from gateway.policy.asking import check_policy
from gateway.services import Services, provided
from gateway.storage.tables import gateway_state

router = APIRouter(include_in_schema=False)


@router.get("/livez")
async def livez() -> dict[str, str]:
    """Answer that the process runs; it looks at nothing else, so that a restart is never in vain."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(parts: Annotated[Services, Depends(provided)]) -> dict[str, object]:
    """Answer that the store reads and policy decides by what is in force; a 503 problem otherwise.

    `sources` says how the circuit to each stands. One that is open makes no gateway unready: all of them
    would leave at once, for a trouble that is elsewhere.
    """
    await check_policy(parts.engine)
    try:
        await parts.store.read(lambda conn: conn.execute(select(gateway_state.c.id)).one())
    except GatewayError:
        raise
    except Exception as trouble:  # whatever the driver raises, the store does not answer
        raise Unavailable("storage_unavailable", cause=type(trouble).__name__) from trouble
    return {"status": "ready", "sources": parts.sources.states()}
