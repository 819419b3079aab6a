"""`/v1/cases` and `/v1/case-invitations`: who is on a client's case, by the client's act.

Parse, call the use case, answer. Opening a case answers the same whoever is named (promise 7).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import Field, StringConstraints, model_validator

from adapters.protocol import ClientIdentifier, OpaqueId, PartyId, Role, Scheme, Wire, Worker, WorkerId
from gateway import cases, invitations
from gateway.cases import CaseView, Opening
from gateway.http.acting import ActingWorker, Authenticated, ClientSearch, Parts
from gateway.http.evidence import EvidenceBody
from gateway.http.strict_body import StrictRoute
from gateway.invitations import Acceptance

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["cases"])

CaseId = Annotated[OpaqueId, Path(alias="id", description="The id of the case, as its own party knows it.")]
InvitationId = Annotated[OpaqueId, Path(alias="id", description="The id of the invitation.")]
OwnNumber = Annotated[str, StringConstraints(min_length=1, max_length=32)]
Team = Annotated[tuple[Worker, ...], Field(strict=False, max_length=64)]

_CONFIRM = "Have another worker of your organisation confirm the mandate: POST /v1/cases/{id}/confirmation."
_ACCEPT = "Give the invitation's id to the party; it accepts at POST /v1/case-invitations/{id}/acceptance."


class CaseOpening(Wire):
    """What a party says when it opens a case on the client's mandate."""

    client: ClientIdentifier
    own_number: OwnNumber | None = Field(default=None, repr=False)
    casemanager: WorkerId
    workers: Team = ()
    mandate: EvidenceBody
    opened_by: Worker

    @model_validator(mode="after")
    def _own_number_is_one(self) -> CaseOpening:
        _check_own_number(self.own_number)
        return self


class WorkerAddition(Wire):
    """The casemanager who acts, and who comes onto the case."""

    worker: Worker
    added: Worker


class PartnerInvitation(Wire):
    """The casemanager who acts, and the party that is invited."""

    party: PartyId
    worker: Worker


class InvitationAcceptance(Wire):
    """What a party says when it joins: the same client, exactly, and who will work on the case."""

    client: ClientIdentifier
    own_number: OwnNumber | None = Field(default=None, repr=False)
    casemanager: WorkerId
    workers: Team = ()
    worker: Worker

    @model_validator(mode="after")
    def _own_number_is_one(self) -> InvitationAcceptance:
        _check_own_number(self.own_number)
        return self


class CaseWorker(Wire):
    """A worker on a case."""

    id: str
    role: Role


class CaseState(Wire):
    """A case as its own party sees it."""

    id: OpaqueId
    state: Literal["pending", "active", "left"]
    basis: Literal["mandate", "invitation"]
    workers: list[CaseWorker]
    opened_at: datetime
    next_step: str | None = None


class CasesFound(Wire):
    """The caller's own cases of one client; empty for whoever is not on the case."""

    cases: list[CaseState]


class Invitation(Wire):
    """An open invitation; nothing is shared before it is accepted."""

    invitation: OpaqueId
    party: PartyId
    state: Literal["open"] = "open"
    expires_at: datetime
    next_step: str = _ACCEPT


@router.post(
    "/cases", status_code=201, response_model_exclude_none=True, summary="Open a case on the client's mandate"
)
async def post_case(body: CaseOpening, parts: Parts, caller: Authenticated) -> CaseState:
    """Store a pending case; it involves nobody until a second worker confirms it."""
    opening = Opening(
        client=body.client,
        own_number=body.own_number,
        casemanager=body.casemanager,
        workers=body.workers,
        mandate=body.mandate.model_dump(mode="json", exclude_none=True),
        opened_by=body.opened_by,
    )
    return _shape(await cases.open_case(parts, caller, opening))


@router.post("/cases/search", response_model_exclude_none=True, summary="Find your own cases of a client")
async def search_cases(body: ClientSearch, parts: Parts, caller: Authenticated) -> CasesFound:
    """Find by the exact identifier; a stranger finds what there is for an unknown client: nothing."""
    found = await cases.search_cases(parts, caller, body.client, body.worker)
    return CasesFound(cases=[_shape(view) for view in found])


@router.post("/cases/{id}/confirmation", response_model_exclude_none=True, summary="Confirm a mandate")
async def confirm_case(body: ActingWorker, parts: Parts, caller: Authenticated, case_id: CaseId) -> CaseState:
    """Make a pending case active by the word of a second worker; saying so again answers the same."""
    return _shape(await cases.confirm_case(parts, caller, case_id, body.worker))


@router.post("/cases/{id}/workers", response_model_exclude_none=True, summary="Put a worker on the case")
async def add_worker(body: WorkerAddition, parts: Parts, caller: Authenticated, case_id: CaseId) -> CaseState:
    """Add a worker, by the casemanager; adding twice is adding once."""
    return _shape(await cases.add_worker(parts, caller, case_id, by=body.worker, added=body.added))


@router.post(
    "/cases/{id}/workers/{workerId}/removal",
    response_model_exclude_none=True,
    summary="Take a worker off the case",
)
async def remove_worker(
    body: ActingWorker,
    parts: Parts,
    caller: Authenticated,
    case_id: CaseId,
    removed: Annotated[WorkerId, Path(alias="workerId", description="The worker's pseudonym.")],
) -> CaseState:
    """Remove a worker in every role, by the casemanager; a case keeps a casemanager."""
    return _shape(await cases.remove_worker(parts, caller, case_id, by=body.worker, removed=removed))


@router.post("/cases/{id}/partners", status_code=201, summary="Invite a party onto the case")
async def invite_partner(
    body: PartnerInvitation, parts: Parts, caller: Authenticated, case_id: CaseId
) -> Invitation:
    """Invite, by the casemanager; government parties join only by the client's consent."""
    invited = await invitations.invite(parts, caller, case_id, by=body.worker, to_party=body.party)
    return Invitation(
        invitation=invited.id,
        party=invited.to_party,
        expires_at=datetime.fromtimestamp(invited.expires_at, UTC),
    )


@router.post(
    "/case-invitations/{id}/acceptance",
    status_code=201,
    response_model_exclude_none=True,
    summary="Accept an invitation",
)
async def accept_invitation(
    body: InvitationAcceptance, parts: Parts, caller: Authenticated, invitation_id: InvitationId
) -> CaseState:
    """Join with an own case, naming exactly the client of the invitation."""
    acceptance = Acceptance(
        client=body.client,
        own_number=body.own_number,
        casemanager=body.casemanager,
        workers=body.workers,
        worker=body.worker,
    )
    return _shape(await invitations.accept(parts, caller, invitation_id, acceptance))


@router.post("/cases/{id}/departure", response_model_exclude_none=True, summary="Leave the case")
async def leave_case(body: ActingWorker, parts: Parts, caller: Authenticated, case_id: CaseId) -> CaseState:
    """End the party's involvement, by the casemanager."""
    return _shape(await cases.leave_case(parts, caller, case_id, body.worker))


def _check_own_number(own_number: str | None) -> None:
    if own_number is not None:
        ClientIdentifier(scheme=Scheme.PARTY_NUMBER, value=own_number)


def _shape(view: CaseView) -> CaseState:
    case = view.case
    return CaseState.model_validate(
        {
            "id": case.id,
            "state": case.state,
            "basis": case.basis,
            "workers": [CaseWorker(id=worker, role=Role(role)) for worker, role in view.workers],
            "opened_at": datetime.fromtimestamp(case.opened_at, UTC),
            "next_step": _CONFIRM if case.state == "pending" else None,
        }
    )
