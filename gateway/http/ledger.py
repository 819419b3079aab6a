"""Let every party check the ledger: head and proofs as resources, tiles as C2SP tlog-tiles has them.

Nothing in the ledger is personal; a token is asked because its growth tells how busy the gate is.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from gateway.errors import Refused
from gateway.http.strict_body import StrictRoute
from gateway.ledger import proofs, tiles
from gateway.oauth.resource import authenticated
from gateway.services import Services, provided

router = APIRouter(route_class=StrictRoute, tags=["ledger"], dependencies=[Depends(authenticated)])

NOTE_MEDIA_TYPE = "text/plain; charset=utf-8"
# A tile's bytes never change. Private: they were given to an authenticated caller.
_FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}

# Sizes and places are JSON integers that every parser reads exactly.
_MOST = 2**53 - 1
Hash = Annotated[str, Field(description="SHA-256, base64url without padding")]


class InclusionProof(BaseModel):
    """RFC 6962 §2.1.1: hashes from the leaf upwards."""

    leaf_index: int
    tree_size: int
    leaf_hash: Hash
    hashes: list[Hash]


class ConsistencyProof(BaseModel):
    """RFC 6962 §2.1.2: the ledger of the first size is the beginning of that of the second."""

    first_size: int
    second_size: int
    hashes: list[Hash]


@router.get(
    "/v1/ledger/checkpoint",
    summary="Get the ledger's newest signed head",
    response_class=PlainTextResponse,
    responses={200: {"description": "A C2SP checkpoint: a signed note."}},
)
async def get_checkpoint(parts: Annotated[Services, Depends(provided)]) -> Response:
    """Answer the newest committed checkpoint, to be verified with the key in the party register."""
    return Response(await parts.store.read(proofs.latest_checkpoint), media_type=NOTE_MEDIA_TYPE)


@router.get("/v1/ledger/inclusion-proofs", summary="Prove that an entry is in the ledger")
async def get_inclusion_proof(
    parts: Annotated[Services, Depends(provided)],
    leaf_index: Annotated[
        int,
        Query(
            alias="leafIndex",
            ge=0,
            le=_MOST,
            description="Which entry, counted from 0: `ledger.index` of a receipt.",
        ),
    ],
    tree_size: Annotated[
        int,
        Query(
            alias="treeSize",
            ge=0,
            le=_MOST,
            description="Under which checkpoint: its size, the second line of it.",
        ),
    ],
) -> InclusionProof:
    """Answer the proof for an entry under the checkpoint of `treeSize`."""
    proof = await parts.store.read(lambda conn: proofs.inclusion(conn, leaf_index, tree_size))
    return InclusionProof(
        leaf_index=proof.leaf_index,
        tree_size=proof.tree_size,
        leaf_hash=_text(proof.leaf_hash),
        hashes=_texts(proof.hashes),
    )


@router.get("/v1/ledger/consistency-proofs", summary="Prove that the ledger only grew")
async def get_consistency_proof(
    parts: Annotated[Services, Depends(provided)],
    first_size: Annotated[
        int,
        Query(
            alias="firstSize",
            ge=0,
            le=_MOST,
            description="The size of the checkpoint that you kept; at least 1.",
        ),
    ],
    second_size: Annotated[
        int,
        Query(
            alias="secondSize",
            ge=0,
            le=_MOST,
            description="The size of a later checkpoint.",
        ),
    ],
) -> ConsistencyProof:
    """Answer the proof that nothing of the first checkpoint was rewritten in the second."""
    hashes = await parts.store.read(lambda conn: proofs.consistency(conn, first_size, second_size))
    return ConsistencyProof(first_size=first_size, second_size=second_size, hashes=_texts(hashes))


@router.get("/ledger/checkpoint", include_in_schema=False)
async def get_tlog_checkpoint(parts: Annotated[Services, Depends(provided)]) -> Response:
    """Answer the checkpoint where C2SP tlog-tiles expects it."""
    return await get_checkpoint(parts)


@router.get("/ledger/tile/{path:path}", include_in_schema=False)
async def get_tile(path: str, parts: Annotated[Services, Depends(provided)]) -> Response:
    """Answer a tile of hashes or a bundle of entries, whole or as far as it was (tlog-tiles)."""
    named = tiles.parse_path(path)
    if named is None:
        raise Refused("not_found")
    level, number, width = named
    if level is None:
        content = await parts.store.read(lambda conn: proofs.entry_bundle(conn, number, width))
    else:
        content = await parts.store.read(lambda conn: proofs.tile(conn, level, number, width))
    return Response(content, media_type="application/octet-stream", headers=_FOR_EVER)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _texts(hashes: Sequence[bytes]) -> list[str]:
    return [_text(raw) for raw in hashes]
