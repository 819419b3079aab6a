"""Invitations: the casemanager asks another party onto the client's case, and that party accepts.

Who accepts must name the same client exactly; a wrong client, a wrong party, an invitation that lapsed
and one that never was are all the same `not_found`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Row, insert, select, update

from adapters.protocol import ClientIdentifier, Worker
from consent.repository import names_recipient
from gateway import case_records, clients
from gateway.case_records import Case, CaseContent
from gateway.cases import (
    JOINS_BY_INVITATION,
    CaseView,
    active_case,
    client_of,
    note,
    own_numbers,
    require_mandate_role,
    team_of,
)
from gateway.clients import Number
from gateway.errors import Conflict, InputRefused, Refused
from gateway.ledger.entry import Kind
from gateway.storage.tables import cases, invitations
from gateway.terms import ONLY_BY_STATUTE
from gateway.vault import Vault, new_id

if TYPE_CHECKING:
    from typing import Any

    from gateway.oauth.resource import Caller
    from gateway.services import Services
    from gateway.storage.unit_of_work import Transaction

# An invitation that nobody accepts lapses: involvement follows the client's present situation.
INVITATION_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Invited:
    """An open invitation."""

    id: str
    to_party: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a party says when it accepts."""

    client: ClientIdentifier
    own_number: str | None = field(repr=False)
    casemanager: str
    workers: tuple[Worker, ...]
    worker: Worker


async def invite(services: Services, caller: Caller, case_id: str, *, by: Worker, to_party: str) -> Invited:
    """Invite a party onto the case, by its casemanager. Nothing is shared before it accepts."""
    if to_party not in services.register.parties or to_party == caller.party:
        raise InputRefused("unknown_party")

    def work(tx: Transaction) -> Invited:
        now = services.clock()
        case = active_case(tx.conn, case_id, caller.party, by)
        _require_may_join(tx.conn, services, case.client_id, to_party, now)
        invited = Invited(new_id(), to_party, now + INVITATION_SECONDS)
        tx.conn.execute(
            insert(invitations).values(
                id=invited.id,
                case_id=case.id,
                to_party=to_party,
                invited_by=by.id,
                state="open",
                created_at=now,
                expires_at=invited.expires_at,
            )
        )
        more = {"invitation": invited.id, "invited": to_party}
        note(
            tx, Kind.CASE_INVITED, case, client_of(tx.conn, services, case), now=now, worker=by.id, more=more
        )
        return invited

    return await services.store.write(work)


async def accept(services: Services, caller: Caller, invitation_id: str, acceptance: Acceptance) -> CaseView:
    """Join the case with an own, active case, if the client named is the client of the invitation."""
    require_mandate_role(acceptance.worker)
    team = team_of(acceptance.casemanager, acceptance.workers)
    own = own_numbers(acceptance.own_number, caller.party)

    def work(tx: Transaction) -> CaseView:
        now = services.clock()
        inviting = _inviting_case(tx.conn, invitation_id, caller.party, now)
        named = _number_named(tx.conn, services.vault, caller.party, acceptance.client, inviting)
        _require_may_join(tx.conn, services, inviting.client_id, caller.party, now)
        client = clients.by_id(tx.conn, services.vault, inviting.client_id)
        if client is None:
            raise Refused("not_found")
        if clients.claim_identifiers(tx, services.vault, client.id, own) != client.id:
            raise Conflict("state_conflict", "Your number for this client belongs to another client.")
        case = Case(
            id=new_id(),
            client_id=client.id,
            party=caller.party,
            state="active",
            basis="invitation",
            opened_by=acceptance.worker.id,
            confirmed_by=None,
            opened_at=now,
            confirmed_at=now,
        )
        _close(tx, invitation_id)
        numbers = tuple(dict.fromkeys((named, *own)))
        content = CaseContent(numbers, {"method": "invitation", "invitation": invitation_id})
        case_records.insert_case(tx, case, content, client.key, team)
        case_records.connect(tx, services.vault, client, caller.party, numbers)
        clients.raise_revision(tx, client.id)
        more = {"invitation": invitation_id}
        note(tx, Kind.CASE_JOINED, case, client, now=now, worker=acceptance.worker.id, more=more)
        return CaseView(case, case_records.workers(tx.conn, case.id))

    return await services.store.write(work)


def _require_may_join(conn: Connection, services: Services, client_id: str, party: str, now: int) -> None:
    """Refuse parties that an invitation alone cannot involve: a consent must name them, or a law allow it.

    Policy looks for that consent or law again at every question: when it ends, so does the involvement.
    """
    kind = services.register.kind(party)
    if kind in JOINS_BY_INVITATION:
        return
    if kind in ONLY_BY_STATUTE:
        # No yes involves whoever the client depends on; a law does, and then they are invited like others.
        if not services.agreement.statute_in_force_for(kind, now):
            raise Refused("not_for_this_party", "This kind of party joins a case only by a law in force.")
    elif not names_recipient(conn, client_id, party, now=now):
        raise Refused("not_for_this_party", "This kind of party joins a case only by the client's consent.")


def _inviting_case(conn: Connection, invitation_id: str, party: str, now: int) -> Row[Any, Any]:
    """Read client and party of the case that an invitation to this party comes from, if it stands."""
    row = conn.execute(
        select(cases.c.client_id, cases.c.party_id)
        .join(invitations, invitations.c.case_id == cases.c.id)
        .where(
            invitations.c.id == invitation_id,
            invitations.c.to_party == party,
            invitations.c.state == "open",
            invitations.c.expires_at > now,
            cases.c.state == "active",
        )
    ).one_or_none()
    if row is None:
        raise Refused("not_found")
    return row


def _number_named(
    conn: Connection, vault: Vault, party: str, identifier: ClientIdentifier, inviting: Row[Any, Any]
) -> Number:
    """Return the number if it is exactly the invited client's.

    A party number may be the accepting party's own, known from an earlier case, or the inviter's:
    a client without a V-number has no other (docs/domain.md, client identifiers).
    """
    for owner in (party, inviting.party_id):
        number = Number.of(identifier, owner)
        if clients.holder_of(conn, vault, number) == inviting.client_id:
            return number
    raise Refused("not_found")


def _close(tx: Transaction, invitation_id: str) -> None:
    done = tx.conn.execute(
        update(invitations)
        .where(invitations.c.id == invitation_id, invitations.c.state == "open")
        .values(state="accepted")
    )
    if done.rowcount != 1:
        raise Refused("not_found")
