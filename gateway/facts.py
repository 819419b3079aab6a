"""Gather what policy may know of one request, in one snapshot, and say later whether it still stands.

For a party that is on no case of whoever it names, known and unknown clients take the same path:
one look-up that misses in `reach`, nothing after it that depends on the client (promise 7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, bindparam, exists, or_, select

from adapters.protocol import ClientIdentifier, Scheme
from consent import repository
from gateway import cases, clients, consents
from gateway.policy.port import Question
from gateway.stages import Facts, Footing, Signed
from gateway.storage.tables import clients as clients_table
from gateway.storage.tables import gateway_state, parties

if TYPE_CHECKING:
    from gateway.agreement_held import SignedBy
    from gateway.clients import ClientRef
    from gateway.policy.port import ConsentFact
    from gateway.services import Services
    from gateway.stages import Exchange, SubmittedRequest

# Built once: to build a statement costs several times what it costs to run it.
_STANDING = select(
    gateway_state.c.party_epoch,
    gateway_state.c.agreement_digest,
    *(
        select(parties.c.status).where(parties.c.id == bindparam(who)).scalar_subquery().label(who)
        for who in ("requester", "source")
    ),
)
_SAME_STATE = select(gateway_state.c.id).where(
    gateway_state.c.party_epoch == bindparam("party_epoch"),
    gateway_state.c.agreement_digest == bindparam("agreement_digest"),
    # Once the instant of the next version has come, nothing is recorded under this one: from here on another
    # gateway may, under the next. A version that is not loaded here is waited for by none.
    or_(
        gateway_state.c.next_agreement_at.is_(None),
        gateway_state.c.next_agreement_at > bindparam("at"),
        gateway_state.c.next_agreement_digest == bindparam("passed_over"),
    ),
)
_SAME_CLIENT_TOO = _SAME_STATE.where(
    exists().where(
        clients_table.c.id == bindparam("client_id"), clients_table.c.revision == bindparam("revision")
    )
)


class FactsChanged(Exception):
    """What was read is not, or no longer, what a decision may be recorded on: nothing was written."""


def number_owner(identifier: ClientIdentifier, source: str) -> str:
    """Say whose number this is in a dossier request: nobody's, or the source's (DESIGN §2)."""
    return "" if identifier.scheme is Scheme.V_NUMBER else source


def gather_for_request(conn: Connection, services: Services, request: SubmittedRequest) -> Facts:
    """Read the facts of a request that has just come in; the client is found by the exact number."""
    client = clients.reach(
        conn, services.vault, request.party, request.client, number_owner(request.client, request.source)
    )
    return _gather(
        conn,
        services,
        client,
        requester=request.party,
        source=request.source,
        purpose=request.purpose,
        categories=request.categories,
        worker=(request.worker.id, request.worker.role.value),
    )


def gather_for_hand_over(conn: Connection, services: Services, exchange: Exchange) -> Facts:
    """Read the facts of a recorded exchange anew; only the consents that its order rests on count."""
    client = None
    if exchange.client_id is not None:
        client = clients.by_id(conn, services.vault, exchange.client_id)
    facts = _gather(
        conn,
        services,
        client,
        requester=exchange.requester,
        source=exchange.source,
        purpose=exchange.purpose,
        categories=exchange.categories,
        worker=(exchange.worker_id, exchange.worker_role),
        only={entry.consent for entry in exchange.ordered.values() if entry.consent and not entry.lost},
    )
    return facts


def still_stand(conn: Connection, services: Services, footing: Footing, *, at: int) -> bool:
    """Compare every version that a decision stands on, in one statement, under the ledger's lock."""
    versions = {
        "party_epoch": footing.party_epoch,
        "agreement_digest": footing.agreement_digest,
        "at": at,
        "passed_over": services.agreements.passed_over,
    }
    if footing.client_id is None:
        return conn.execute(_SAME_STATE, versions).first() is not None
    client = {"client_id": footing.client_id, "revision": footing.revision}
    return conn.execute(_SAME_CLIENT_TOO, {**versions, **client}).first() is not None


def question(services: Services, facts: Facts, request: SubmittedRequest | Exchange, *, now: int) -> Question:
    """Put the facts to policy: ids, enums and integers that the server built, never the caller's bytes."""
    requester = request.requester if hasattr(request, "requester") else request.party
    role = request.worker_role if hasattr(request, "worker_role") else request.worker.role.value
    digest = facts.footing.agreement_digest
    return Question(
        now=services.agreements.moment(digest, now),
        agreement=digest,
        founding_signed=facts.signed.founding,
        requester=requester,
        requester_status=facts.requester_status,
        requester_signed=facts.signed.requester,
        source=request.source,
        source_status=facts.source_status,
        source_signed=facts.signed.source,
        purpose=request.purpose,
        categories=request.categories,
        role=role,
        on_case=facts.involvement.on_case,
        case_basis=facts.involvement.basis,
        worker_on_case=facts.involvement.worker_on_case,
        consents=facts.consents,
    )


def question_without_facts(services: Services, request: SubmittedRequest, *, now: int) -> Question:
    """Ask what the agreement alone says, before anything is looked up about anyone."""
    seen = services.agreements.seen
    signed = _signed(seen.signed, request.party, request.source)
    digest = seen.in_force.digest
    return Question(
        now=services.agreements.moment(digest, now),
        agreement=digest,
        founding_signed=signed.founding,
        requester=request.party,
        requester_status="active",
        requester_signed=signed.requester,
        source=request.source,
        source_status="active",
        source_signed=signed.source,
        purpose=request.purpose,
        categories=request.categories,
        role=request.worker.role.value,
        on_case=False,
        case_basis=None,
        worker_on_case=False,
        consents=(),
    )


def footing_without_facts(services: Services) -> Footing:
    """Say what that question stands on: what this gateway saw of the agreement last."""
    seen = services.agreements.seen
    return Footing(None, 0, seen.state.epoch, seen.in_force.digest)


def _gather(
    conn: Connection,
    services: Services,
    client: ClientRef | None,
    *,
    requester: str,
    source: str,
    purpose: str,
    categories: tuple[str, ...],
    worker: tuple[str, str],
    only: set[str] | None = None,
) -> Facts:
    standing = conn.execute(_STANDING, {"requester": requester, "source": source}).one()
    agreement = services.agreements.deciding(standing.agreement_digest)
    if agreement is None:
        # Another gateway brought it into force, and we have not looked since; or it is none.
        raise FactsChanged
    by = services.agreements.standing(conn, agreement.digest, standing.party_epoch)
    client_id = "" if client is None else client.id
    involvement = cases.involvement(conn, client_id, requester, *worker)
    held: tuple[ConsentFact, ...] = ()
    partners: tuple[str, ...] = ()
    if client is not None:
        held = consents.consent_facts(conn, client_id, purpose, source, requester, categories, only=only)
        partners = agreement.listed_partners(cases.partners(conn, client_id))
    return Facts(
        footing=Footing(
            client_id=client_id or None,
            revision=0 if client is None else client.revision,
            party_epoch=standing.party_epoch,
            agreement_digest=agreement.digest,
        ),
        client=client,
        involvement=involvement,
        requester_status=standing.requester or "unknown",
        source_status=standing.source or "unknown",
        signed=_signed(by, requester, source),
        consents=held,
        partners=partners,
        consent_names=_names_of(conn, services, requester, held),
    )


def _signed(by: SignedBy, requester: str, source: str) -> Signed:
    return Signed(founding=by.founding, requester=requester in by.parties, source=source in by.parties)


def _names_of(
    conn: Connection, services: Services, party: str, held: tuple[ConsentFact, ...]
) -> dict[str, str]:
    """Name consents by our id for the party that recorded them, else by one of its own (DESIGN §7)."""
    recorders = repository.recorders(conn, {consent.id for consent in held})
    return {
        consent: consent if recorder == party else services.vault.pairwise_id(party, consent)
        for consent, recorder in recorders.items()
    }
