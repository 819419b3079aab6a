"""The rows of a consent as the gateway keeps them: sealed beside the client, noted in the ledger."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from consent import repository
from consent.model import AgeGroup, Consent, Event, Evidence, Method, Noted, State, TeachBack, Terms, state_at
from gateway import clients
from gateway.clients import ClientRef
from gateway.errors import Refused
from gateway.ledger.entry import Kind, record

if TYPE_CHECKING:
    from gateway.services import Services
    from gateway.storage.unit_of_work import Transaction


@dataclass(frozen=True, slots=True)
class ConsentView:
    """A consent as the party that recorded it sees it: `state` at this moment, the rest as recorded."""

    consent: Consent
    state: State
    terms: Terms
    evidence: Evidence


def load(conn: Connection, consent_id: str, party: str) -> Consent:
    """Read a consent that this party recorded; raise Refused `not_found` for any other."""
    consent = repository.load(conn, consent_id, party=party)
    if consent is None:
        raise Refused("not_found")
    return consent


def client_of(conn: Connection, services: Services, consent: Consent) -> ClientRef:
    """Read the client of a consent."""
    client = clients.by_id(conn, services.vault, consent.client_id)
    if client is None:
        raise Refused("not_found")
    return client


def view(conn: Connection, client: ClientRef, consent: Consent, now: int) -> ConsentView:
    """Open what was recorded, for the party that recorded it."""
    sealed = repository.content_sealed(conn, consent.id)
    plain = json.loads(client.key.open(sealed, place=content_place(consent.id)))
    told = plain["evidence"]
    how = {
        "method": Method(told["method"]),
        "teach_back": TeachBack(told["teach_back"]),
        # Consents from before it was asked are kept as those of people of age (migration 0003).
        "age_group": AgeGroup(told.get("age_group", AgeGroup.FROM_16)),
    }
    return ConsentView(
        consent=consent,
        state=state_at(consent, now),
        terms=Terms(
            purpose=consent.purpose,
            valid_from=consent.valid_from,
            valid_until=consent.valid_until,
            **{name: tuple(plain[name]) for name in ("sources", "recipients", "categories", "explicit")},
        ),
        evidence=Evidence(**{**told, **how}),
    )


def note(
    tx: Transaction,
    client: ClientRef,
    consent: Consent,
    event: Event,
    kind: Kind,
    *,
    worker: str,
    now: int,
) -> int:
    """Record an event in the ledger and beside the consent; return the entry's index."""
    recorded = record(
        tx,
        kind=kind,
        detail={
            "consent": consent.id,
            "party": consent.recorded_by_party,
            "worker": worker,
            "purpose": consent.purpose,
            "evidence": consent.evidence_digest,
            "at": now,
        },
        key=client.key,
        now=now,
        party_id=consent.recorded_by_party,
        client_id=client.id,
    )
    repository.append_event(tx.conn, consent.id, Noted(event, now, worker, recorded.index))
    return recorded.index


def content(terms: Terms, evidence: Evidence) -> bytes:
    """Put what was asked and how it was answered into the bytes that are sealed."""
    plain = {
        "sources": terms.sources,
        "recipients": terms.recipients,
        "categories": terms.categories,
        "explicit": terms.explicit,
        "evidence": asdict(evidence),
    }
    return json.dumps(plain).encode()


def content_place(consent_id: str) -> str:
    """Name the place that the sealed terms belong to (`gateway.vault`)."""
    return f"consents.content_sealed:{consent_id}"


def statement_place(jti: str) -> str:
    """Name the place that a sealed statement belongs to."""
    return f"consent_statements.statement_sealed:{jti}"
