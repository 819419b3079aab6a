"""Consents: recorded at the desk, confirmed by a second worker; withdrawing is `gateway.withdrawals`.

Only the party that recorded a consent sees it here; another's is `not_found`, like one that never was.
What policy reads of consents (`consent_facts`) is only what is active: refused, withdrawn and expired
look the same from outside, namely like nothing (DESIGN §2).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from adapters.protocol import ClientIdentifier, Role, Scheme, Worker
from consent import repository, service
from consent.errors import ConsentError
from consent.model import AgeGroup, Consent, Decision, Event, Method, State
from gateway import cases, clients, consent_records
from gateway.clients import ClientRef
from gateway.consent_proposals import Proposal, Verified, translate, verify
from gateway.consent_records import ConsentView
from gateway.errors import Conflict, Refused
from gateway.ledger.entry import Kind
from gateway.policy.port import ConsentFact
from gateway.vault import new_id

if TYPE_CHECKING:
    from gateway.oauth.resource import Caller
    from gateway.services import Services
    from gateway.storage.unit_of_work import Transaction

# Policy needs one consent that covers; a few let it choose, and a hundred thousand would cost it a second.
FACTS_PER_CATEGORY = 4
# What a search shows at most, newest first.
SEARCH_LIMIT = 100


async def record(services: Services, caller: Caller, proposal: Proposal) -> ConsentView:
    """Store what the client decided: a yes is pending until a second worker confirms, a no is final."""
    # 1 What the agreement and the signatures say, whoever the client is.
    verified = verify(services, caller, proposal, now=services.clock())
    # 2 Is this worker at the desk of a case of this client? Unknown clients and strangers: the same no.
    await services.store.read(lambda conn: _client_at_desk(conn, services, caller.party, verified))

    # 3 The same, in the transaction that stores it.
    def work(tx: Transaction) -> ConsentView:
        client = _client_at_desk(tx.conn, services, caller.party, verified)
        return _store(tx, services, caller.party, client, verified)

    try:
        return await services.store.write(work)
    except IntegrityError as used:
        raise Conflict(
            "request_replayed", "A consent statement with this `jti` was recorded before."
        ) from used


async def confirm(services: Services, caller: Caller, consent_id: str, worker: Worker) -> ConsentView:
    """Make a pending consent active by the word of a second worker on the case.

    The same worker may say so again, at any gateway: the answer is the same, and nothing is recorded anew.
    """

    def work(tx: Transaction) -> ConsentView:
        now = services.clock()
        consent = consent_records.load(tx.conn, consent_id, caller.party)
        involved = cases.involvement(tx.conn, consent.client_id, caller.party, worker.id, worker.role.value)
        if not (involved.on_case and involved.worker_on_case):
            raise Refused("not_on_case")
        client = consent_records.client_of(tx.conn, services, consent)
        try:
            first_time = service.confirm(tx.conn, consent, worker=worker.id, now=now)
        except ConsentError as refused:
            raise translate(refused) from refused
        if not first_time:
            return consent_records.view(tx.conn, client, consent, now)
        clients.raise_revision(tx, client.id)
        consent_records.note(
            tx, client, consent, Event.GRANTED, Kind.CONSENT_CONFIRMED, worker=worker.id, now=now
        )
        return consent_records.view(
            tx.conn, client, consent_records.load(tx.conn, consent_id, caller.party), now
        )

    return await services.store.write(work)


async def search(
    services: Services, caller: Caller, identifier: ClientIdentifier, worker: Worker
) -> tuple[ConsentView, ...]:
    """List what the caller recorded about one client; whoever is not on the case finds nothing."""

    def work(conn: Connection) -> tuple[ConsentView, ...]:
        client = clients.reach_own(conn, services.vault, caller.party, identifier)
        involved = cases.involvement(
            conn, "" if client is None else client.id, caller.party, worker.id, worker.role.value
        )
        if client is None or not involved.worker_on_case:
            return ()
        now = services.clock()
        found = repository.of_client(conn, client.id, party=caller.party, limit=SEARCH_LIMIT)
        return tuple(consent_records.view(conn, client, consent, now) for consent in found)

    return await services.store.read(work)


def consent_facts(
    conn: Connection,
    client_id: str,
    purpose: str,
    source: str,
    recipient: str,
    categories: Sequence[str],
    *,
    only: Collection[str] | None = None,
) -> tuple[ConsentFact, ...]:
    """Read the active consents that cover the requested categories, a few each, for policy to judge.

    `only` restricts to these consents, so that one an order rests on is not crowded out by later ones.
    """
    return tuple(
        ConsentFact(
            id=row.id,
            category=category,
            source=source,
            recipient=recipient,
            purpose=purpose,
            status=row.state,
            confirmed=row.confirmed_by is not None,
            explicit=row.explicit,
            minor=row.minor,
            guardian=row.guardian,
            valid_from=row.valid_from,
            valid_until=row.valid_until,
        )
        for category in categories
        for row in repository.living_grants(
            conn,
            client_id=client_id,
            purpose=purpose,
            source=source,
            recipient=recipient,
            category=category,
            limit=FACTS_PER_CATEGORY,
            only=only,
        )
    )


def statements_for(
    conn: Connection, services: Services, client: ClientRef, consent_ids: Collection[str], source: str
) -> dict[str, str]:
    """Return the signed statement (compact SD-JWT, every disclosure) of each consent for one source."""
    return {
        consent_id: client.key.open(sealed, place=consent_records.statement_place(jti)).decode()
        for consent_id, jti, sealed in repository.statements_sealed(conn, consent_ids, source)
    }


def _client_at_desk(conn: Connection, services: Services, party: str, verified: Verified) -> ClientRef:
    proposal = verified.proposal
    client = clients.reach_own(conn, services.vault, party, proposal.client)
    involved = cases.involvement(
        conn, "" if client is None else client.id, party, proposal.worker.id, Role.DESK.value
    )
    if client is None or not involved.worker_on_case:
        raise Refused("not_on_case")
    for statement in verified.statements:
        named, source = statement.claims.client, statement.claims.aud
        if named is None or named.scheme is Scheme.V_NUMBER:
            continue
        theirs = clients.reach(conn, services.vault, party, named, source)
        if theirs is None or theirs.id != client.id:
            raise Refused("not_on_case")
    return client


def _store(
    tx: Transaction, services: Services, party: str, client: ClientRef, verified: Verified
) -> ConsentView:
    proposal, terms, now = verified.proposal, verified.terms, services.clock()
    refused = proposal.decision is Decision.REFUSED
    consent = Consent(
        id=new_id(),
        client_id=client.id,
        recorded_by_party=party,
        recorded_by=proposal.worker.id,
        confirmed_by=None,
        purpose=terms.purpose,
        state=State.REFUSED if refused else State.PENDING,
        legal_basis=verified.legal_basis,
        minor=proposal.evidence.age_group is AgeGroup.UNDER_16,
        guardian=proposal.evidence.method is Method.GUARDIAN_AND_CHILD,
        valid_from=terms.valid_from,
        valid_until=terms.valid_until,
        evidence_digest=proposal.evidence_digest,
        created_at=now,
        changed_at=now,
    )
    sealed = client.key.seal(
        consent_records.content(terms, proposal.evidence), place=consent_records.content_place(consent.id)
    )
    statements = {
        one.claims.jti: (
            one.claims.aud,
            client.key.seal(one.compact.encode(), place=consent_records.statement_place(one.claims.jti)),
        )
        for one in verified.statements
    }
    service.record(tx.conn, consent, terms, content_sealed=sealed, statements_sealed=statements)
    event, kind = Event.RECORDED, Kind.CONSENT_RECORDED
    if refused:
        event, kind = Event.REFUSED, Kind.CONSENT_REFUSED
    consent_records.note(tx, client, consent, event, kind, worker=proposal.worker.id, now=now)
    return consent_records.view(tx.conn, client, consent, now)
