"""Turn an agency's record into the answer to one order: keep only what is ordered, seal, attest.

An answer that is not of the closed form is not made at all: AgencyTrouble, and nothing leaves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from adapters.kit import sealing, statements
from adapters.kit.agency import AgencyTrouble, Finding, NotFound, Record
from adapters.kit.keys import SigningKey
from adapters.kit.order_check import VerifiedOrder
from adapters.protocol import (
    BASELINE,
    MAX_ANSWER_BYTES,
    Answer,
    Category,
    CategoryAnswer,
    CategoryStatus,
    SealedDocument,
    SourceRefusal,
)

# An attestation names every document by its digest, and stays within one statement's size.
MAX_DOCUMENTS: Final = 500
# What is left of an answer beside attestation and JSON.
_MAX_SEALED_CHARS: Final = MAX_ANSWER_BYTES - 1024 * 1024
_MAX_NAME: Final = 100
_LAPSED: Final = CategoryAnswer(status=CategoryStatus.REFUSED, refusal=SourceRefusal.CONSENT_LAPSED)


@dataclass(frozen=True, slots=True)
class Attestor:
    """Signs for one source."""

    party: str
    key: SigningKey

    def attest(
        self,
        *,
        recipient: str,
        exchange: str,
        order: str,
        request: str,
        answers: Mapping[Category, CategoryAnswer],
        now: int,
    ) -> str:
        """Sign the answers; raise AgencyTrouble when one is not of the closed form of its category."""
        try:
            return statements.make_attestation(
                key=self.key,
                iss=self.party,
                aud=recipient,
                exchange=exchange,
                order=order,
                request=request,
                now=now,
                answers=answers,
            )
        except statements.StatementError as refused:
            raise AgencyTrouble("agency_answer_invalid", refused.code) from refused


def compose(
    order: VerifiedOrder,
    reply: Record | NotFound,
    *,
    lapsed: Collection[Category],
    seal_to: Mapping[str, object],
    attestor: Attestor,
    now: int,
) -> Answer:
    """Make the answer: every ordered category is answered, and nothing else is.

    `lapsed` are the categories that lost their ground; they are answered as refused, without content.
    CPU-bound for large documents: run it on a thread.
    """
    if isinstance(reply, Record) and reply.about != order.client:
        raise AgencyTrouble("agency_answer_invalid", "the record is about another client")
    answers: dict[Category, CategoryAnswer] = {}
    documents: list[SealedDocument] = []
    for category in order.facts.categories:
        if category in lapsed:
            answers[category] = _LAPSED
        elif isinstance(reply, NotFound):
            answers[category] = CategoryAnswer(status=CategoryStatus.CLIENT_NOT_FOUND)
        else:
            finding = reply.findings.get(category, Finding())
            sealed = [] if category in BASELINE else _seal(category, finding, order, seal_to)
            documents += sealed
            answers[category] = _answer(category, finding, sealed)
    if len(documents) > MAX_DOCUMENTS:
        raise AgencyTrouble("agency_answer_invalid", "more documents than one answer carries")
    if sum(len(document.jwe) for document in documents) > _MAX_SEALED_CHARS:
        raise AgencyTrouble("agency_answer_invalid", "the documents weigh more than one answer carries")
    attestation = attestor.attest(
        recipient=order.facts.claims.recipient,
        exchange=order.facts.claims.exchange,
        order=order.facts.digest,
        request=order.facts.request_jti,
        answers=answers,
        now=now,
    )
    return Answer(exchange=order.facts.claims.exchange, attestation=attestation, sealed=tuple(documents))


def without(answer: Answer, dropped: Collection[Category], *, attestor: Attestor, now: int) -> Answer:
    """Sign an answer that was made but not sent anew, with these categories refused and their bytes gone."""
    said = statements.verify_attestation(answer.attestation, {attestor.key.kid: dict(attestor.key.public)})
    attestation = attestor.attest(
        recipient=said.aud,
        exchange=said.exchange,
        order=said.order,
        request=said.request,
        answers={name: _LAPSED if name in dropped else given for name, given in said.answers.items()},
        now=now,
    )
    kept = tuple(document for document in answer.sealed if document.category not in dropped)
    return Answer(exchange=answer.exchange, attestation=attestation, sealed=kept)


def provided(answer: Answer, attestor: Attestor) -> frozenset[Category]:
    """Name the categories of which the answer says anything but that it lapsed."""
    said = statements.verify_attestation(answer.attestation, {attestor.key.kid: dict(attestor.key.public)})
    return frozenset(category for category, given in said.answers.items() if given != _LAPSED)


def _answer(category: Category, finding: Finding, sealed: Collection[SealedDocument]) -> CategoryAnswer:
    if sealed:
        partial = finding.refusal is SourceRefusal.THIRD_PARTY_INTEREST
        return CategoryAnswer(
            status=CategoryStatus.PROVIDED,
            sealed=tuple(sealing.digest(document.jwe) for document in sealed),
            refusal=finding.refusal if partial else None,
        )
    if finding.refusal is not None:
        return CategoryAnswer(status=CategoryStatus.REFUSED, refusal=finding.refusal)
    if category not in BASELINE:
        return CategoryAnswer(status=CategoryStatus.NOTHING_HELD)
    match finding.unverified_value:
        case None:
            return CategoryAnswer(status=CategoryStatus.NOTHING_HELD)
        case "yes" | "no" as value:
            return CategoryAnswer(status=CategoryStatus.PROVIDED, value=value)
    # 000 §2.5: that, never why. A text in this place could carry anything.
    raise AgencyTrouble("agency_answer_invalid", "a baseline value that is neither yes nor no")


def _seal(
    category: Category, finding: Finding, order: VerifiedOrder, seal_to: Mapping[str, object]
) -> list[SealedDocument]:
    # Refused outright: what came along with the refusal stays here.
    if finding.refusal is not None and finding.refusal is not SourceRefusal.THIRD_PARTY_INTEREST:
        return []
    try:
        return [
            SealedDocument(
                category=category,
                jwe=sealing.seal(
                    document.content,
                    media_type=document.media_type,
                    name=_plain_name(document.name),
                    category=category,
                    exchange=order.facts.claims.exchange,
                    to=seal_to,
                ),
            )
            for document in finding.documents
        ]
    except sealing.SealingError as refused:
        raise AgencyTrouble("agency_answer_invalid", refused.code) from refused


def _plain_name(name: str) -> str:
    """Make a file name of an agency's title: no folders, nothing that a reader's disk could act on."""
    plain = "".join(sign if sign.isalnum() or sign in " ._-()" else "_" for sign in name)
    return plain.strip(" .")[:_MAX_NAME] or "document"
