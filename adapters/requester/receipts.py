"""Verify the gateway's receipt down to the ledger: signature, commitment, inclusion, checkpoint.

receipt (JWS of the gateway) ── detail + salt ──▶ commitment ──▶ entry ──▶ leaf hash
                                                                            │ inclusion proof
checkpoint (the ledger's own key, pinned in our register) ──▶ root ◀────────┘
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import rfc8785
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from adapters.kit.jose import JoseError, verify
from adapters.kit.register import Register
from adapters.kit.strict_json import NotBase64Url, decode_base64url, encode_base64url
from adapters.kit.transparency import (
    Checkpoint,
    TransparencyError,
    leaf_hash,
    verify_checkpoint,
    verify_inclusion,
)
from adapters.protocol import TYP_RECEIPT
from adapters.requester.errors import ProofRefused

# Also written by the gateway's ledger; the version is part of what is hashed.
_ENTRY_PREFIX = b"dossierpoort/entry/v1 "
_MAX_RECEIPT_BYTES = 65_536


class _Signed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)


class LedgerLeaf(_Signed):
    """Where the ledger holds the record, and what opens its commitment."""

    origin: str
    index: int
    leaf_hash: str
    salt: str
    detail: dict[str, JsonValue]


class Receipt(_Signed):
    """A receipt whose signature and commitment were verified."""

    iss: Literal["gateway"]
    aud: str
    exchange: str
    iat: int
    ledger: LedgerLeaf


class InclusionProof(_Signed):
    """From the leaf to the root of the checkpoint (RFC 6962 §2.1.1); hashes in base64url without padding."""

    leaf_index: int
    tree_size: int
    hashes: list[str]


class LedgerProof(_Signed):
    """`GET …/receipt`: the receipt with what ties it to the signed state of the whole ledger."""

    receipt: str
    inclusion_proof: InclusionProof
    checkpoint: str


@dataclass(frozen=True, slots=True)
class LedgerReceipt:
    """A receipt that the ledger was proven to hold, at `tree_size` entries."""

    receipt: Receipt
    tree_size: int
    proof: LedgerProof


def verify_receipt(
    unverified_receipt: str, *, keys: Mapping[str, Mapping[str, object]], party: str, exchange: str
) -> Receipt:
    """Return the receipt if the gateway signed it, for us, on this exchange; raise ProofRefused."""
    try:
        claims = verify(unverified_receipt, keys, TYP_RECEIPT, max_bytes=_MAX_RECEIPT_BYTES)
        receipt = Receipt.model_validate(claims)
    except (JoseError, ValidationError) as invalid:
        raise ProofRefused("receipt_invalid", "The receipt is not signed by the gateway.") from invalid
    detail = receipt.ledger.detail
    ours = receipt.aud == party and receipt.exchange == exchange
    if not ours or detail.get("exchange", exchange) != exchange or detail.get("requester", party) != party:
        raise ProofRefused("receipt_of_another", "The receipt is not of this request.")
    if leaf_hash(_entry(receipt.ledger)) != _bytes(receipt.ledger.leaf_hash):
        raise ProofRefused(
            "receipt_commitment_invalid", "The receipt does not open the entry in the ledger that it names."
        )
    return receipt


def verify_ledger_proof(receipt: Receipt, proof: LedgerProof, register: Register) -> Checkpoint:
    """Prove that the ledger holds the receipt's entry; return the checkpoint that proves it.

    The ledger's key and name come from our own register. Whether it is the ledger that we saw before is
    `adapters.requester.continuity`. Raises ProofRefused.
    """
    if proof.inclusion_proof.leaf_index != receipt.ledger.index:
        raise ProofRefused("inclusion_proof_invalid", "The proof is of another entry than the receipt.")
    try:
        checkpoint = verify_checkpoint(
            proof.checkpoint, vkey=register.ledger_vkey, origin=register.ledger_origin
        )
        verify_inclusion(
            leaf=_bytes(receipt.ledger.leaf_hash),
            index=receipt.ledger.index,
            size=checkpoint.size,
            hashes=[_bytes(hash_) for hash_ in proof.inclusion_proof.hashes],
            root=checkpoint.root,
        )
    except TransparencyError as invalid:
        raise ProofRefused(invalid.code, "The ledger does not prove that it holds this entry.") from invalid
    return checkpoint


def _entry(leaf: LedgerLeaf) -> bytes:
    commitment = hmac.new(_bytes(leaf.salt), rfc8785.dumps(dict(leaf.detail)), hashlib.sha256).digest()
    return _ENTRY_PREFIX + encode_base64url(commitment).encode() + b"\n"


def _bytes(encoded: str) -> bytes:
    try:
        return decode_base64url(encoded)
    except NotBase64Url as malformed:
        raise ProofRefused(
            "receipt_invalid", "The receipt holds something that is not base64url."
        ) from malformed
