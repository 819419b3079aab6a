"""`/v1/orders/{id}/answer`: a source delivers what took it longer than the call."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path

from adapters.protocol import MAX_ANSWER_BYTES, Answer, OpaqueId, Wire
from gateway import exchange, exchange_records
from gateway.errors import InputRefused, Refused
from gateway.http.strict_body import strict_route
from gateway.oauth.resource import Caller, authenticated
from gateway.services import Services, provided


def _is_source(parts: Services, caller: Caller) -> bool:
    return parts.sources.knows(caller.party)


router = APIRouter(
    prefix="/v1/orders",
    route_class=strict_route(MAX_ANSWER_BYTES, may_send_more=_is_source),
    tags=["orders"],
)


class AnswerTaken(Wire):
    """The gateway has the answer, or had it before."""

    exchange: OpaqueId
    state: Literal["taken"] = "taken"


@router.post("/{id}/answer", summary="Deliver the answer to an order")
async def post_answer(
    body: Answer,
    parts: Annotated[Services, Depends(provided)],
    caller: Annotated[Caller, Depends(authenticated)],
    exchange_id: Annotated[OpaqueId, Path(alias="id", description="The exchange that the order names.")],
) -> AnswerTaken:
    """Verify and keep an answer, exactly as one that came at once. The same answer again is no error."""
    known = await parts.store.look_up(lambda conn: exchange_records.load(conn, exchange_id))
    if known is None or known.source != caller.party or known.order_jws is None:
        raise Refused("not_found")
    if body.exchange != exchange_id:
        raise InputRefused("invalid_input", "The answer names another exchange than the path.")
    await exchange.take_in(parts, known, body)
    return AnswerTaken(exchange=exchange_id)
