"""`/v1/agreements`: the versions of the agreement, read by anyone, brought about by the parties.

Parse, call the use case, answer. An agreement is public, and proves itself: whoever reads a version here
verifies the signatures in it against a register of its own.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import Field, StringConstraints
from sqlalchemy import Connection

from adapters.protocol import CompactJws, PartyId, Wire, Worker
from gateway import agreement_records as records
from gateway import agreement_signing, agreement_versions
from gateway.agreement_state import Stage, VersionState, state, states
from gateway.errors import Refused
from gateway.http.acting import ActingWorker, Authenticated, Parts
from gateway.http.strict_body import StrictRoute

router = APIRouter(prefix="/v1/agreements", route_class=StrictRoute, tags=["agreements"])

Digest = Annotated[str, StringConstraints(pattern=r"^sha-256:[A-Za-z0-9_-]{43}$")]
Named = Annotated[Digest, Path(alias="digest", description="The digest that the parties sign.")]
# What another call of the same kind changes nothing about is answered with 200.
_KNOWN: dict[int | str, dict[str, Any]] = {200: {"description": "This version was proposed before."}}


class AgreementState(Wire):
    """How far a version is: who did what, and when. Its workers are the parties' own affair."""

    digest: Digest
    version: str = Field(description="What people call it.")
    state: Stage = Field(
        description="`signed`: by `signed` of the `needed` founders. `stopped`: it was in force until a"
        " founder took its signature back, and is again once that one signs. `lapsed`: its time is over."
    )
    signed: int = Field(description="How many of the founders that are needed have signed.")
    needed: int = Field(
        description="The founders of this version and of the one before it, save those who left that one."
    )
    signed_by: list[PartyId] = Field(description="All parties whose signature stands, founders and others.")
    waits_for: list[PartyId] = Field(description="The founders that are needed and have not signed.")
    supersedes: Digest | None = Field(default=None, description="The version before it.")
    valid_from: datetime = Field(description="When it comes into force if it is scheduled by then.")
    valid_until: datetime
    proposed_by: str = Field(description="The party; `gateway`: the version it was deployed with.")
    proposed_at: datetime
    approved_at: datetime | None = None
    activated_at: datetime | None = None
    in_force_at: datetime | None = None
    superseded_at: datetime | None = None


class AgreementList(Wire):
    """Every version that was proposed here, in the order in which they begin."""

    agreements: list[AgreementState]


class AgreementInForce(Wire):
    """The version that the gateway goes by, and the one that takes its place at an instant."""

    in_force: Digest
    next: Digest | None
    next_at: datetime | None


class AgreementPackage(Wire):
    """A version with all that was signed about it: enough to verify it without trusting the gateway."""

    agreement: dict[str, Any] = Field(description="The digest is over its canonical JSON (RFC 8785).")
    signatures: dict[PartyId, CompactJws] = Field(
        description="By party, typ `agreement-signature+jwt`, by its identity key."
    )
    withdrawals: dict[PartyId, CompactJws] = Field(
        description="By party, typ `agreement-withdrawal+jwt`; older than the signature: of one before it."
    )
    state: AgreementState


class AgreementProposal(Wire):
    """A version that is to follow the one in force, and the worker who proposes it (`admin` or `dpo`)."""

    agreement: dict[str, Any] = Field(description="As `poort agreement check` accepts it.")
    worker: Worker


class AgreementSigning(Wire):
    """A party's signature under a version, and the worker who brings it (`admin`)."""

    signature: CompactJws = Field(description="Claims: `iss`, `agreement` (the digest), `iat`.")
    worker: Worker


class AgreementWithdrawal(Wire):
    """The statement that takes a party's signature back, and the worker who brings it (`admin`)."""

    withdrawal: CompactJws = Field(description="Claims: `iss`, `agreement` (the digest), `iat`.")
    worker: Worker


@router.get("", response_model_exclude_none=True, summary="List the versions of the agreement")
async def get_agreements(parts: Parts) -> AgreementList:
    """Answer how far each version is. No token is asked: the agreement is public."""
    found = await parts.store.read(lambda conn: states(conn, parts.clock()))
    return AgreementList(agreements=[_shape(one) for one in found])


@router.get("/in-force", summary="Get which version is in force, and which comes next")
async def get_agreement_in_force(parts: Parts) -> AgreementInForce:
    """Answer what decisions rest on now. Sources ask this now and then, and verify what they fetch."""
    now = parts.clock()
    head = await parts.store.read(records.head)
    if head.next_digest is not None and head.next_at is not None and head.next_at <= now:
        # Its instant has come: nothing is recorded any more under the one before it.
        return AgreementInForce(in_force=head.next_digest, next=None, next_at=None)
    return AgreementInForce(in_force=head.in_force, next=head.next_digest, next_at=_instant(head.next_at))


@router.get("/{digest}", response_model=AgreementPackage, summary="Get a version with its signatures")
async def get_agreement(parts: Parts, digest: Named) -> Response:
    """Answer the document byte for byte as its digest has it, and what the parties signed about it."""
    now = parts.clock()

    def work(conn: Connection) -> bytes:
        document = records.document(conn, digest)
        if document is None:
            raise Refused("not_found")
        signatures, withdrawals = records.signed_statements(conn, digest)
        rest = {
            "signatures": signatures,
            "withdrawals": withdrawals,
            "state": _shape(state(conn, digest, now)).model_dump(mode="json", exclude_none=True),
        }
        return b'{"agreement":' + document + b"," + json.dumps(rest).encode()[1:]

    return Response(await parts.store.read(work), media_type="application/json")


@router.post(
    "",
    status_code=201,
    response_model_exclude_none=True,
    responses=_KNOWN,
    summary="Propose a version",
)
async def post_agreement(
    body: AgreementProposal, parts: Parts, caller: Authenticated, response: Response
) -> AgreementState:
    """Put a version before the parties; by a founding party. The same document again is the same version."""
    found, is_new = await agreement_versions.propose(parts, caller, body.agreement, body.worker)
    if not is_new:
        response.status_code = 200
    return _shape(found)


@router.post("/{digest}/approvals", response_model_exclude_none=True, summary="Approve a version")
async def approve_agreement(
    body: ActingWorker, parts: Parts, caller: Authenticated, digest: Named
) -> AgreementState:
    """Approve as a second person (`dpo`) of a founding party; from then on parties can sign."""
    return _shape(await agreement_versions.approve(parts, caller, digest, body.worker))


@router.put("/{digest}/signatures/{party}", response_model_exclude_none=True, summary="Sign a version")
async def sign_agreement(
    body: AgreementSigning,
    parts: Parts,
    caller: Authenticated,
    digest: Named,
    party: Annotated[PartyId, Path(description="The party that signs: the one that calls.")],
) -> AgreementState:
    """Keep the caller's own signature. Founders sign before the version begins, others also later."""
    signed = await agreement_signing.sign(parts, caller, digest, party, body.signature, body.worker)
    return _shape(signed)


@router.post("/{digest}/withdrawals", response_model_exclude_none=True, summary="Take a signature back")
async def withdraw_agreement(
    body: AgreementWithdrawal, parts: Parts, caller: Authenticated, digest: Named
) -> AgreementState:
    """Take the caller's own signature back: what rests on it stops at once."""
    return _shape(await agreement_signing.withdraw(parts, caller, digest, body.withdrawal, body.worker))


@router.post("/{digest}/activation", response_model_exclude_none=True, summary="Schedule a signed version")
async def activate_agreement(
    body: ActingWorker, parts: Parts, caller: Authenticated, digest: Named
) -> AgreementState:
    """Have a version come into force at the instant it names itself; by a founding party (`admin`, `dpo`)."""
    return _shape(await agreement_versions.activate(parts, caller, digest, body.worker))


def _shape(found: VersionState) -> AgreementState:
    row = found.row
    return AgreementState.model_validate(
        {
            "digest": row.digest,
            "version": row.version,
            "state": found.state,
            "signed": len(found.signed),
            "needed": len(found.needed),
            "signed_by": sorted(found.signed_by),
            "waits_for": sorted(found.needed - found.signed_by),
            "supersedes": row.supersedes,
            "proposed_by": row.proposed_by_party,
            **{
                name: _instant(getattr(row, name))
                for name in AgreementState.model_fields
                if name.endswith("_at") or name.startswith("valid_")
            },
        }
    )


def _instant(at: int | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
