"""Sign the receipt of a consent: what the client takes home, and can show to anyone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from adapters.kit import jose
from adapters.protocol import SPECIAL, TYP_RECEIPT
from consent import receipts, repository
from gateway import consent_records
from gateway.vault import new_id

if TYPE_CHECKING:
    from gateway.oauth.resource import Caller
    from gateway.services import Services


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """The record in JSON-LD, and the JWS (typ `receipt+jwt`) whose claim `consent_receipt` wraps it."""

    jws: str = field(repr=False)
    record: Mapping[str, receipts.Json]


async def receipt(services: Services, caller: Caller, consent_id: str) -> SignedReceipt:
    """Make a receipt of a consent that the caller recorded, as it stands now."""
    now = services.clock()

    def work(conn: Connection) -> dict[str, receipts.Json]:
        consent = consent_records.load(conn, consent_id, caller.party)
        client = consent_records.client_of(conn, services, consent)
        seen = consent_records.view(conn, client, consent, now)
        parties = {caller.party, *seen.terms.sources, *seen.terms.recipients}
        setting = receipts.Setting(
            base=services.settings.issuer.rstrip("/"),
            client_pseudonym=services.vault.pairwise_id(caller.party, client.id),
            controller=caller.party,
            names={party: services.agreement.name(party) or party for party in parties},
            special=frozenset(category.value for category in SPECIAL),
        )
        return receipts.record(
            consent, seen.terms, seen.evidence, repository.events(conn, consent.id), setting
        )

    record = await services.store.read(work)
    wrapped = receipts.receipt(
        record, receipt_id=new_id(), publisher=services.settings.issuer, created_at=now
    )
    claims = {"iss": "gateway", "aud": caller.party, "iat": now, "consent_receipt": wrapped}
    return SignedReceipt(jose.sign(claims, services.keys.signing("receipt"), TYP_RECEIPT), record)
