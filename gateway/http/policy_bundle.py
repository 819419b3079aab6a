"""Offer what an OPA server decides by, so that it learns of a new version of the agreement by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Header, Request, Response

from gateway.errors import Refused
from gateway.http.strict_body import StrictRoute
from gateway.policy.bundle import KEY_USE, PATH
from gateway.policy.port import RemotePolicy
from gateway.services import Services, provided

if TYPE_CHECKING:
    from gateway.policy.bundle import PolicyBundle

MEDIA_TYPE = "application/gzip"
# Asked for each time, by what the reader has: a version that was signed is offered at once.
_CACHING = {"Cache-Control": "no-cache"}

router = APIRouter(route_class=StrictRoute, tags=["policy"])


class Offered:
    """The archive of the newest bundle, packed and signed once for all who ask."""

    def __init__(self) -> None:
        self._of: PolicyBundle | None = None
        self._archive = b""
        self._packing = asyncio.Lock()

    async def archive(self, bundle: PolicyBundle, parts: Services) -> bytes:
        """Return the signed archive of this bundle."""
        async with self._packing:
            if bundle is not self._of:
                key, issuer, now = parts.keys.signing(KEY_USE), parts.register.issuer, parts.clock()
                # A large agreement takes seconds to pack; nobody else waits for them.
                self._archive = await asyncio.to_thread(bundle.signed, key, issuer=issuer, now=now)
                self._of = bundle
            return self._archive


@router.get(
    PATH,
    summary="Get the signed policy bundle for an OPA server",
    response_class=Response,
    responses={
        200: {
            "description": "Policies and the versions of the agreement, signed: OPA's own form.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        },
        304: {"description": "The reader has this revision."},
        404: {"description": "Policy runs in the gateway itself."},
    },
)
async def get_policy_bundle(
    request: Request,
    parts: Annotated[Services, Depends(provided)],
    if_none_match: Annotated[
        str, Header(description="The ETags of what the reader has; it stands for the bundle's revision.")
    ] = "",
) -> Response:
    """Answer the bundle that this gateway's OPA is to decide by; 404 where policy runs in the gateway itself.

    No token is asked: agreement and policies are public, and the signature proves whose they are.
    """
    engine = parts.engine
    if not isinstance(engine, RemotePolicy):
        raise Refused("not_found", "Policy runs in the gateway itself; there is no bundle to fetch.")
    bundle = engine.bundle
    # Weak (RFC 9110 §8.8.1): another gateway signs the same content with other bytes.
    headers = {**_CACHING, "ETag": f'W/"{bundle.revision}"'}
    if _has(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    offered: Offered = request.app.state.offered_bundle
    return Response(await offered.archive(bundle, parts), media_type=MEDIA_TYPE, headers=headers)


def _has(if_none_match: str, tag: str) -> bool:
    """Compare weakly, as this header asks for (RFC 9110 §13.1.2)."""
    known = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return bool(known & {"*", tag.removeprefix("W/")})
