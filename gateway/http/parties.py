"""Serve each party's signed key list to anyone who asks; readers verify it against their own register."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from gateway.errors import InputRefused, Refused
from gateway.http.strict_body import StrictRoute
from gateway.services import Services, provided

router = APIRouter(route_class=StrictRoute, tags=["parties"])


class PartyKeys(BaseModel):
    """A key list as its party signed it."""

    party: str = Field(description="Whose list it is.")
    key_list: str = Field(description="Compact JWS, typ `key-list+jwt`, signed by the party's identity key.")


@router.get("/v1/parties/{id}/keys", summary="Get a party's signed key list")
async def get_party_keys(
    party: Annotated[
        str, Path(alias="id", description="The party, as the register names it; `gateway` for this one.")
    ],
    parts: Annotated[Services, Depends(provided)],
) -> PartyKeys:
    """Answer the newest list that verifies. No token is asked: the list is public and proves itself.

    The gateway's own list is here too, as party `gateway`: the keys of orders, receipts, tokens, bundles.
    """
    try:
        return PartyKeys(party=party, key_list=parts.key_lists.compact(party))
    except InputRefused:
        raise Refused("not_found") from None
