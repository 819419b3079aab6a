"""`/v1/consents`: what a client allows, confirmed by a second worker, and its withdrawal.

Parse, call the use case, answer. Only the party that recorded a consent finds it here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import Field, StringConstraints, model_validator

from adapters.protocol import ClientIdentifier, CompactJws, OpaqueId, PartyId, Slug, Wire, Worker
from consent.model import Decision, State
from gateway import consent_receipts, consents, withdrawals
from gateway.consent_proposals import Proposal
from gateway.consent_records import ConsentView
from gateway.http.acting import ActingWorker, Authenticated, ClientSearch, Parts
from gateway.http.evidence import EvidenceBody
from gateway.http.strict_body import StrictRoute
from gateway.withdrawals import Withdrawal

router = APIRouter(prefix="/v1/consents", route_class=StrictRoute, tags=["consents"])

ConsentId = Annotated[OpaqueId, Path(alias="id", description="The consent, as its recorder knows it.")]
Instant = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
Parties = Annotated[tuple[PartyId, ...], Field(strict=False, min_length=1, max_length=32)]
Categories = Annotated[tuple[Slug, ...], Field(strict=False, max_length=32)]

_CONFIRM = "Have another worker on the case confirm it: POST /v1/consents/{id}/confirmation."
_REFUSED = "Do not ask again for this unless the client brings it up."
_NOTHING_SHARED = "Nothing had been handed over under this consent."
_SHARED = (
    "What was handed over under this consent before now ({often}) cannot be called back from here;"
    " whoever received it is bound by the agreement."
)


class ConsentRecording(Wire):
    """What a client decided, how, and per source the statement that the recording party signed."""

    client: ClientIdentifier
    purpose: Slug
    sources: Parties
    recipients: Parties
    categories: Annotated[tuple[Slug, ...], Field(strict=False, min_length=1, max_length=32)]
    explicit: Categories = ()
    valid_until: Instant | None = Field(default=None, description="RFC 3339, UTC; six months if absent.")
    decision: Decision = Field(default=Decision.GRANTED, strict=False)
    evidence: EvidenceBody
    worker: Worker
    statements: Annotated[tuple[CompactJws, ...], Field(strict=False, max_length=32)] = Field(
        default=(), description="SD-JWT, typ `consent-statement+sd-jwt`, all disclosures, one per source."
    )

    @model_validator(mode="after")
    def _valid_until_exists(self) -> ConsentRecording:
        if self.valid_until is not None:
            _seconds(self.valid_until)
        return self


class ConsentState(Wire):
    """A consent as the party that recorded it sees it."""

    id: OpaqueId
    state: State
    purpose: str
    sources: list[str]
    recipients: list[str]
    categories: list[str]
    explicit: list[str]
    valid_from: datetime
    valid_until: datetime
    recorded_at: datetime
    next_step: str | None = None


class ConsentsFound(Wire):
    """The consents that the caller recorded about one client; empty for whoever is not on the case."""

    consents: list[ConsentState]


class Withdrawn(Wire):
    """A withdrawal: no hand-over after `ledger_index` uses the consent."""

    state: Literal["withdrawn"] = "withdrawn"
    effective_at: datetime
    ledger_index: int
    cannot_undo: str


class ConsentReceipt(Wire):
    """ISO/IEC TS 27560 in JSON-LD (W3C DPV), and the same signed by the gateway."""

    receipt: str = Field(description="JWS, typ `receipt+jwt`; its claim `consent_receipt` wraps the record.")
    record: dict[str, Any]


@router.post("", status_code=201, response_model_exclude_none=True, summary="Record what a client decided")
async def post_consent(body: ConsentRecording, parts: Parts, caller: Authenticated) -> ConsentState:
    """Record a yes, which a second worker must confirm, or a no, which is final."""
    proposal = Proposal(
        client=body.client,
        purpose=body.purpose,
        sources=body.sources,
        recipients=body.recipients,
        categories=body.categories,
        explicit=body.explicit,
        valid_until=None if body.valid_until is None else _seconds(body.valid_until),
        decision=body.decision,
        evidence=body.evidence.evidence(),
        evidence_digest=body.evidence.digest(),
        unverified_statements=body.statements,
        worker=body.worker,
    )
    return _shape(await consents.record(parts, caller, proposal))


@router.post("/search", response_model_exclude_none=True, summary="Find what you recorded about a client")
async def search_consents(body: ClientSearch, parts: Parts, caller: Authenticated) -> ConsentsFound:
    """Find by the exact identifier; a stranger finds what there is for an unknown client: nothing."""
    found = await consents.search(parts, caller, body.client, body.worker)
    return ConsentsFound(consents=[_shape(view) for view in found])


@router.post("/{id}/confirmation", response_model_exclude_none=True, summary="Confirm a consent")
async def confirm_consent(
    body: ActingWorker, parts: Parts, caller: Authenticated, consent_id: ConsentId
) -> ConsentState:
    """Make a pending consent active by the word of a second worker; saying so again answers the same."""
    return _shape(await consents.confirm(parts, caller, consent_id, body.worker))


@router.post("/{id}/withdrawal", summary="Withdraw a consent")
async def withdraw_consent(
    body: ActingWorker, parts: Parts, caller: Authenticated, consent_id: ConsentId
) -> Withdrawn:
    """End a consent at once; doing so again answers the same."""
    return _withdrawn(await withdrawals.withdraw(parts, caller, consent_id, body.worker))


@router.get("/{id}/receipt", summary="Fetch the receipt of a consent")
async def get_receipt(parts: Parts, caller: Authenticated, consent_id: ConsentId) -> ConsentReceipt:
    """Return what the client takes home; it holds no identifier of theirs."""
    signed = await consent_receipts.receipt(parts, caller, consent_id)
    return ConsentReceipt(receipt=signed.jws, record=dict(signed.record))


def _shape(view: ConsentView) -> ConsentState:
    consent, terms = view.consent, view.terms
    return ConsentState(
        id=consent.id,
        state=view.state,
        purpose=terms.purpose,
        sources=list(terms.sources),
        recipients=list(terms.recipients),
        categories=list(terms.categories),
        explicit=list(terms.explicit),
        valid_from=_instant(consent.valid_from),
        valid_until=_instant(consent.valid_until),
        recorded_at=_instant(consent.created_at),
        next_step={State.PENDING: _CONFIRM, State.REFUSED: _REFUSED}.get(view.state),
    )


def _withdrawn(withdrawal: Withdrawal) -> Withdrawn:
    count = withdrawal.handed_over_before
    return Withdrawn(
        effective_at=_instant(withdrawal.effective_at),
        ledger_index=withdrawal.ledger_index,
        cannot_undo=_SHARED.format(often="once" if count == 1 else f"{count} times")
        if count
        else _NOTHING_SHARED,
    )


def _seconds(instant: str) -> int:
    return int(datetime.strptime(instant, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())


def _instant(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)
