"""Open an answer: trust nothing that is not signed by the source, and nothing that is not whole.

1  the attestation is the source's, for us, on this request      (keys from our own register)
2  what stands in the clear is what the source attested
3  every sealed document is attested, and every attested document is there
4  each document opens with our key, and says inside what it says outside
5  the gateway's receipt covers the hand-over, to the last value
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import rfc8785

from adapters.kit.key_directory import KeyDirectory
from adapters.kit.keys import Keystore
from adapters.kit.register import RegisterError
from adapters.kit.sealing import OpenedDocument, SealingError, digest, open_sealed
from adapters.kit.session import SessionError
from adapters.kit.statements import StatementError, verify_attestation
from adapters.kit.strict_json import encode_base64url
from adapters.protocol import BASELINE, Category, CategoryAnswer
from adapters.requester.errors import ProofRefused
from adapters.requester.exchange import Exchange, SealedAnswer
from adapters.requester.receipts import Receipt, verify_receipt


@dataclass(frozen=True, slots=True)
class OpenedDossier:
    """An answer that was verified from end to end, except for the ledger: `Requester.receipt`."""

    exchange: str
    source: str
    perspective: str | None
    guidance: str | None
    partners: tuple[str, ...] | None
    answers: Mapping[Category, CategoryAnswer]
    documents: tuple[OpenedDocument, ...]
    receipt: Receipt


async def open_answer(
    exchange: Exchange,
    *,
    source: str,
    party: str,
    keystore: Keystore,
    key_directory: KeyDirectory,
    request: str | None = None,
) -> OpenedDossier:
    """Verify and open what was handed over; raise ProofRefused, and then nothing was opened.

    `partners` is the gateway's own statement, from the case: the receipt covers it, no source does.
    """
    answer = exchange.answer or SealedAnswer()
    attested = await _attested(answer, exchange.id, source, party, key_directory, request)
    _refuse_other_baseline(answer, attested)
    _refuse_other_documents(answer, attested)
    receipt = await _receipt(exchange, party, key_directory)
    _refuse_other_content(answer, receipt)
    documents = tuple(
        _open(document.jwe, document.category, exchange.id, keystore) for document in answer.sealed
    )
    partners = answer.baseline.get(Category.PARTNERS)
    return OpenedDossier(
        exchange=exchange.id,
        source=source,
        perspective=_value(answer, Category.PERSPECTIVE),
        guidance=_value(answer, Category.GUIDANCE),
        partners=tuple(partners) if isinstance(partners, list) else None,
        answers=attested,
        documents=documents,
        receipt=receipt,
    )


async def _attested(
    answer: SealedAnswer,
    exchange: str,
    source: str,
    party: str,
    key_directory: KeyDirectory,
    request: str | None,
) -> Mapping[Category, CategoryAnswer]:
    if answer.attestation is None:
        return {}
    try:
        keys = await key_directory.keys(source, "sign")
        claims = verify_attestation(
            answer.attestation,
            keys,
            issuer=source,
            audience=party,
            exchange=exchange,
            request=request,
        )
    except (StatementError, RegisterError, SessionError) as invalid:
        raise ProofRefused(
            "attestation_invalid", f"The answer is not one that {source} signed for this request."
        ) from invalid
    return claims.answers


def _refuse_other_baseline(answer: SealedAnswer, attested: Mapping[Category, CategoryAnswer]) -> None:
    in_clear = {name: value for name, value in answer.baseline.items() if name is not Category.PARTNERS}
    signed = {
        name: one.value
        for name, one in attested.items()
        if name in BASELINE and name is not Category.PARTNERS and one.value is not None
    }
    if in_clear != signed:
        raise ProofRefused("baseline_not_attested", "A value in the clear is not what the source signed.")


def _refuse_other_documents(answer: SealedAnswer, attested: Mapping[Category, CategoryAnswer]) -> None:
    came = Counter((document.category, digest(document.jwe)) for document in answer.sealed)
    signed = Counter((name, sealed) for name, one in attested.items() for sealed in one.sealed)
    if came - signed:
        raise ProofRefused("document_not_attested", "A document is not among those that the source signed.")
    if signed - came:
        raise ProofRefused("document_missing", "A document that the source signed did not arrive.")


def _refuse_other_content(answer: SealedAnswer, receipt: Receipt) -> None:
    content = {
        "baseline": {str(name): value for name, value in answer.baseline.items()},
        "attestation": answer.attestation,
    }
    covered = encode_base64url(hashlib.sha256(rfc8785.dumps(content)).digest())
    if receipt.ledger.detail.get("answer") != covered:
        raise ProofRefused("receipt_of_another", "The receipt covers other content than what came.")


async def _receipt(exchange: Exchange, party: str, key_directory: KeyDirectory) -> Receipt:
    if exchange.receipt is None:
        raise ProofRefused("receipt_missing", "The answer came without a receipt.")
    try:
        keys = await key_directory.keys("gateway", "receipt")
    except (RegisterError, SessionError) as invalid:
        raise ProofRefused("receipt_invalid", "The gateway's keys do not fit our register.") from invalid
    return verify_receipt(exchange.receipt, keys=keys, party=party, exchange=exchange.id)


def _open(jwe: str, category: Category, exchange: str, keystore: Keystore) -> OpenedDocument:
    try:
        document = open_sealed(jwe, keystore)
    except SealingError as closed:
        raise ProofRefused("document_does_not_open", "A document was not sealed to our key.") from closed
    # The sealed header binds the content to its place: a document moved elsewhere shows here.
    if (document.category, document.exchange) != (category, exchange):
        raise ProofRefused("document_of_another", "A document belongs to another request or category.")
    return document


def _value(answer: SealedAnswer, category: Category) -> str | None:
    value = answer.baseline.get(category)
    return value if isinstance(value, str) else None
