"""`/v1/dossier-requests`: ask for parts of a client's dossier, fetch the answer, close it.

Parse, call the spine, answer. A caller who is not on the client's case gets `nothing_to_share` here,
for a known and an unknown client alike: the same members, of the same length (promise 7).
"""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, cast

from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import Field

from adapters.protocol import BASELINE, ClientIdentifier, CompactJws, OpaqueId, PartyId, Slug, Wire, Worker
from gateway import exchange, exchange_ends, exchange_records, receipts
from gateway.errors import Conflict, InputRefused, Refused
from gateway.http.acting import ActingWorker, Authenticated, Parts
from gateway.http.in_flight import hold_room, stepped_aside
from gateway.http.strict_body import StrictRoute
from gateway.oauth.resource import Caller
from gateway.policy.wording import REASONS, next_step_sentence
from gateway.services import Services
from gateway.stages import Delivery, Exchange, State
from gateway.submission import submit

router = APIRouter(prefix="/v1/dossier-requests", route_class=StrictRoute, tags=["dossier requests"])

ExchangeId = Annotated[OpaqueId, Path(alias="id", description="The id of the dossier request.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=8,
        max_length=128,
        description="Required. The same key and body meet the same request; with another body: 409.",
    ),
]
Prefer = Annotated[
    str | None, Header(alias="Prefer", description="`wait=N` waits up to N seconds (RFC 7240).")
]

_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,4})(?:$|[,;\s])")
_POLL_AFTER_SECONDS = "2"
_NOTHING = (
    "Nothing can be shared with you. If your organisation guides this client, open a case with the"
    " client's mandate and put the worker on it."
)

_REASONS = "Why a category stays behind. " + " ".join(f"`{code}`: {REASONS[code]}" for code in REASONS)


class DossierRequest(Wire):
    """What is asked, and the same signed by the party that asks."""

    client: ClientIdentifier
    purpose: Slug
    source: PartyId
    categories: tuple[Slug, ...] = Field(strict=False, min_length=1, max_length=32)
    worker: Worker
    reason: Slug | None = None
    signed_request: CompactJws = Field(description="SD-JWT, typ `dossier-request+sd-jwt`, all disclosures.")


class CategoryDecision(Wire):
    """Permitted or withheld, by which rule and paragraph of the agreement, and what would help."""

    category: str
    outcome: str
    ground: str | None = None
    consent: str | None = None
    reason: str | None = Field(default=None, description=_REASONS)
    next_step: str | None = None
    rule: str | None = None
    paragraph: str


class DossierDocument(Wire):
    """One document that only the requester can open."""

    category: str
    jwe: str


class DossierAnswer(Wire):
    """What leaves: the baseline in the clear, all else sealed, and the source's attestation of both."""

    baseline: dict[str, Any]
    sealed: list[DossierDocument]
    attestation: str | None = None


class Obligations(Wire):
    """What the agreement asks of whoever receives this."""

    retention_days: int
    redistribute: bool
    notify_client: bool


class DossierRequestState(Wire):
    """A dossier request as it stands now."""

    id: OpaqueId
    state: State
    answer: DossierAnswer | None = None
    decisions: list[CategoryDecision] | None = None
    obligations: Obligations | None = None
    failure: str | None = None
    next_step: str | None = None
    expires_at: datetime | None = None
    receipt: str = Field(description="JWS of the gateway, typ `receipt+jwt`, with the ledger leaf.")


class LeafProof(Wire):
    """RFC 6962 §2.1.1: `hashes` lead from the leaf to the root of the checkpoint."""

    leaf_index: int
    tree_size: int
    hashes: list[str]


class ProvenReceipt(Wire):
    """A receipt with everything that an offline verifier needs besides the ledger's public key."""

    receipt: str
    inclusion_proof: LeafProof
    checkpoint: str = Field(description="C2SP signed note.")


_WORKING: dict[int | str, dict[str, Any]] = {
    202: {"model": DossierRequestState, "description": "The source is working; look at `Location` again."}
}


@router.post(
    "",
    response_model_exclude_none=True,
    responses=_WORKING,
    summary="Ask for parts of a dossier",
)
async def post_dossier_request(
    request: Request,
    body: DossierRequest,
    parts: Parts,
    caller: Authenticated,
    response: Response,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> DossierRequestState:
    """Decide, forward what may be asked, and answer: 200 when it is decided, 202 while the source works."""
    if idempotency_key is None:
        raise InputRefused("idempotency_key_missing")
    submitted = submit(
        parts,
        caller,
        client=body.client,
        purpose=body.purpose,
        source=body.source,
        categories=_once(body.categories),
        worker=body.worker,
        unverified_request=body.signed_request,
        idempotency_key=idempotency_key,
        raw_body=await request.body(),
    )
    asked = await exchange.ask(parts, submitted)
    if isinstance(asked, Delivery):
        return _shape(parts, asked)
    settled = await _wait(request, parts, asked, _seconds(prefer, parts))
    return await _answer(request, parts, settled, response)


@router.get("/{id}", response_model_exclude_none=True, responses=_WORKING, summary="Fetch a dossier request")
async def get_dossier_request(
    request: Request,
    parts: Parts,
    caller: Authenticated,
    response: Response,
    exchange_id: ExchangeId,
    prefer: Prefer = None,
) -> DossierRequestState:
    """Answer as things stand now: what lost its ground since is withheld, and each answer is recorded."""
    known = await own(parts, caller, exchange_id)
    settled = await _wait(request, parts, known, _seconds(prefer, parts))
    return await _answer(request, parts, settled, response)


@router.post("/{id}/acknowledgement", response_model_exclude_none=True, summary="Say that it arrived")
async def acknowledge(
    body: ActingWorker, parts: Parts, caller: Authenticated, exchange_id: ExchangeId
) -> DossierRequestState:
    """Close an answered request; the gateway deletes the sealed bytes."""
    return await _end(parts, await own(parts, caller, exchange_id, body.worker), "collected")


@router.post("/{id}/cancellation", response_model_exclude_none=True, summary="Call a request off")
async def cancel(
    body: ActingWorker, parts: Parts, caller: Authenticated, exchange_id: ExchangeId
) -> DossierRequestState:
    """End an open request; the source is told to stop."""
    return await _end(parts, await own(parts, caller, exchange_id, body.worker), "cancelled")


@router.get("/{id}/receipt", summary="Fetch the receipt with its proof")
async def get_receipt(parts: Parts, caller: Authenticated, exchange_id: ExchangeId) -> ProvenReceipt:
    """Return the receipt of the last thing recorded of this request, provable without the gateway."""
    known = await own(parts, caller, exchange_id)
    proven = await parts.store.read(lambda conn: receipts.prove(conn, parts, known))
    return ProvenReceipt(
        receipt=proven.receipt,
        inclusion_proof=LeafProof(
            leaf_index=proven.inclusion.leaf_index,
            tree_size=proven.inclusion.tree_size,
            hashes=[receipts.base64url(node) for node in proven.inclusion.hashes],
        ),
        checkpoint=proven.checkpoint,
    )


async def own(parts: Services, caller: Caller, exchange_id: str, worker: Worker | None = None) -> Exchange:
    """Find a request of the caller's; another party's is as absent as one that never was."""
    known = await parts.store.look_up(lambda conn: exchange_records.load(conn, exchange_id))
    if known is None or known.requester != caller.party:
        raise Refused("not_found")
    if worker is not None and (worker.id, worker.role.value) != (known.worker_id, known.worker_role):
        raise Refused("not_found")
    return known


async def _wait(request: Request, parts: Services, known: Exchange, seconds: int) -> Exchange:
    if known.state != "forwarded" or seconds <= 0:
        return known
    with parts.arrivals.expect(known.id) as expectation:
        current = await parts.store.look_up(lambda conn: exchange_records.present(conn, known.id))
        with stepped_aside(request) as may_wait:
            if current.state == "forwarded" and may_wait:
                await expectation.wait(seconds)
    return await parts.store.look_up(lambda conn: exchange_records.present(conn, known.id))


async def _end(parts: Services, known: Exchange, state: State) -> DossierRequestState:
    if not await exchange_ends.end(parts, known, state):
        current = await parts.store.look_up(lambda conn: exchange_records.present(conn, known.id))
        if current.state != state:
            raise Conflict("state_conflict", f"This request is {current.state}.")
    current = await parts.store.look_up(lambda conn: exchange_records.present(conn, known.id))
    return _shape(parts, await exchange.hand_over(parts, current))


async def _answer(
    request: Request, parts: Services, known: Exchange, response: Response
) -> DossierRequestState:
    if known.state == "answered" and not BASELINE.issuperset(known.ordered):
        size = await parts.store.read(lambda conn: exchange_records.held_bytes(conn, known.id))
        await hold_room(request, parts.room, known.requester, size)
    delivery = await exchange.hand_over(parts, known)
    if delivery.state == "forwarded":
        response.status_code = 202
        response.headers["Location"] = f"/v1/dossier-requests/{known.id}"
        response.headers["Retry-After"] = _POLL_AFTER_SECONDS
    return _shape(parts, delivery)


def _shape(parts: Services, delivery: Delivery) -> DossierRequestState:
    known = delivery.exchange
    if delivery.state == "nothing_to_share":
        return DossierRequestState(
            id=known.id, state="nothing_to_share", next_step=_NOTHING, receipt=delivery.receipt
        )
    answer = None
    if delivery.baseline is not None:
        sealed = [DossierDocument(category=category, jwe=jwe) for category, jwe in delivery.sealed]
        answer = DossierAnswer(
            baseline=dict(delivery.baseline), sealed=sealed, attestation=delivery.attestation
        )
    said = cast("list[dict[str, Any]]", delivery.recorded.detail["categories"])
    return DossierRequestState(
        id=known.id,
        state=delivery.state,
        answer=answer,
        decisions=[_decision(parts, known, category) for category in said] or None,
        obligations=Obligations(**asdict(delivery.obligations)) if delivery.obligations else None,
        failure=known.failure,
        next_step=_NEXT_STEP.get(delivery.state),
        expires_at=datetime.fromtimestamp(known.expires_at, UTC),
        receipt=delivery.receipt,
    )


def _decision(parts: Services, known: Exchange, said: Any) -> CategoryDecision:
    step, asked = said.get("next_step"), (known.requester, known.source, known.purpose)
    elsewhere = parts.agreement.opens_elsewhere(*asked, said["category"])
    return CategoryDecision(**{**said, "next_step": next_step_sentence(step, elsewhere=elsewhere)})


_NEXT_STEP: dict[State, str] = {
    "forwarded": "The source is working on it. Fetch this request again, or wait with `Prefer: wait=30`.",
    "answered": "Open and verify the answer, then acknowledge it: the gateway then deletes what it holds.",
    "refused": "Nothing may be shared as things stand; `decisions` says per category what would help.",
    "failed": "Nothing was released. Make a new signed request; if that fails too, tell the source.",
    "collected": "Nothing is held here any more. Ask again if you need it again.",
    "cancelled": "Ask again with a new signed request if it is needed after all.",
    "expired": "The source did not answer in time, or nobody collected. Ask again.",
}


def _once(categories: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(categories)) != len(categories):
        raise InputRefused("invalid_input", "A category is named twice.")
    return categories


def _seconds(prefer: str | None, parts: Services) -> int:
    """Read `wait=N`; RFC 7240 §2: a preference that is not understood is ignored."""
    found = _WAIT.search(prefer or "")
    return min(int(found[1]), parts.settings.wait_max_seconds) if found else 0
