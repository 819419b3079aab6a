"""`/v1/dossier-requests/{id}/explanation`: why this was the answer, in words, and what would change it.

For the party that asked and nobody else. It says what the answer said, never more: who was not on the case
reads the same whoever was named.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import Field

from adapters.protocol import OpaqueId, Wire
from gateway.explaining import explain
from gateway.http.acting import Authenticated, Parts
from gateway.http.dossier_requests import ExchangeId, own
from gateway.http.strict_body import StrictRoute

router = APIRouter(prefix="/v1/dossier-requests", route_class=StrictRoute, tags=["dossier requests"])


class InBothLanguages(Wire):
    """The same text in Dutch and in English."""

    nl: str
    en: str


class AgreementVersion(Wire):
    """A version of the agreement, by its digest and by the name that people call it."""

    digest: str
    version: str | None = None


class PossibleChange(Wire):
    """One way to what is withheld: what the client has to give, and who asks, or for what."""

    consent: Literal["none", "consent", "explicit_consent"] | None = Field(
        default=None,
        description="What the client has to give at the least; absent: it is not the client's to do.",
    )
    roles: list[str] | None = Field(
        default=None, description="Any one of these; absent: the role that asked."
    )
    purposes: list[str] | None = Field(
        default=None, description="Any one of these; absent: the purpose that was asked for."
    )
    sentence: InBothLanguages


class ExplainedDecision(Wire):
    """One category that was asked for: permitted or withheld, on what it rests, and what would change it."""

    category: str
    title: InBothLanguages | None = None
    outcome: Literal["permitted", "withheld"]
    sentence: InBothLanguages
    ground: str | None = None
    consent: str | None = None
    reason: str | None = None
    rule: str | None = None
    legal_basis: str | None = Field(
        default=None, description="Why the processing is lawful at all: another question than the ground."
    )
    paragraph: str | None = None
    article: InBothLanguages | None = Field(default=None, description="What that paragraph says.")
    next_step: InBothLanguages | None = None
    would_change: list[PossibleChange] = Field(
        description="By the agreement in force now alone, whatever this client consented to. Empty for what"
        " is permitted, and where nothing that the requester or the client can do would change it."
    )


class DossierRequestExplanation(Wire):
    """Why a dossier request was answered as it was, when that was last decided."""

    id: OpaqueId
    decided_at: datetime
    agreement: AgreementVersion = Field(description="The version by which it was decided.")
    in_force: str = Field(description="The digest of the version in force now.")
    purpose: str
    source: str
    sentence: InBothLanguages
    refusal: str | None = Field(default=None, description="Set where the agreement alone refused.")
    paragraph: str | None = None
    article: InBothLanguages | None = None
    decisions: list[ExplainedDecision] | None = Field(
        default=None, description="For who is on the client's case."
    )


@router.get("/{id}/explanation", response_model_exclude_none=True, summary="Ask why it was answered so")
async def get_explanation(
    parts: Parts, caller: Authenticated, exchange_id: ExchangeId
) -> DossierRequestExplanation:
    """Explain the last decision on a request, as it was recorded; nothing is decided or looked up anew."""
    known = await own(parts, caller, exchange_id)
    explained = await explain(parts, known)
    return DossierRequestExplanation(
        id=known.id, decided_at=datetime.fromtimestamp(explained.decided_at, UTC), **explained.as_document()
    )
