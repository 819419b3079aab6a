"""The library of a party that asks for dossiers: cases, consents, requests, their proof, the agreement."""

from adapters.requester.agreements import FetchedAgreement
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
    "FetchedAgreement",
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
