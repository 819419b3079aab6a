"""The library of a party that asks for dossiers: cases, consents, requests, and the proof of answers."""

from adapters.requester.client import Requester
from adapters.requester.errors import (
    GatewayRefused,
    GatewayUnreachable,
    LedgerForked,
    ProofRefused,
    RequesterError,
    StillWaiting,
)
from adapters.requester.exchange import Exchange, PreparedRequest
from adapters.requester.opening import OpenedDossier
from adapters.requester.receipts import LedgerReceipt

__all__ = [
    "Exchange",
    "GatewayRefused",
    "GatewayUnreachable",
    "LedgerForked",
    "LedgerReceipt",
    "OpenedDossier",
    "PreparedRequest",
    "ProofRefused",
    "Requester",
    "RequesterError",
    "StillWaiting",
]
