"""Clients with one consent, and with very many: what P4 compares. In this process, on a database of its own.

The rows are written as they lie after years, not recorded one by one: nothing of recording them is measured.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from sqlalchemy import insert

from adapters.protocol import Category, ClientIdentifier, Role, Scheme
from bench.town import Town
from consent.model import State
from consent.tables import consent_grants, consents
from gateway import cases, clients
from gateway.app import compose
from gateway.cases import Opening
from gateway.cli.provision import GATEWAY
from gateway.cli.world import IND, PURPOSE, VW, worker_of
from gateway.clock import system_clock
from gateway.oauth.resource import Caller
from gateway.settings import Settings
from gateway.stages import SubmittedRequest
from gateway.vault import new_id

if TYPE_CHECKING:
    from gateway.services import Services
    from gateway.storage.unit_of_work import Transaction

ASKED = ("perspective", "partners", "decisions")
COVERED = "decisions"
_DIGEST = "sha-256:" + "A" * 43
_DAY = 24 * 3600
# One consent in so many is about the very thing that is asked for; the others are about something else.
_COVERING_ONE_IN = 2
_BATCH = 5_000


@dataclass(frozen=True, slots=True)
class Crowded:
    """A client with a number of active consents, and a request about them."""

    consents: int
    client_id: str
    request: SubmittedRequest
    ordered: str  # the covering consent that ends first: the last one that a search comes to


@asynccontextmanager
async def gateway_here(town: Town) -> AsyncIterator[Services]:
    """Open a gateway's parts in this process: on a SQLite file of its own, or on the same PostgreSQL."""
    holder = town.deployment[GATEWAY]
    on_file = town.database_url.startswith("sqlite")
    settings = Settings(
        issuer=town.gateway_url,
        database_url=f"sqlite:///{town.folder / 'crowd.sqlite'}" if on_file else town.database_url,
        keys_folder=holder.keys_folder,
        keys_passphrase=SecretStr(holder.passphrase),
        deployment_folder=holder.deployment_folder,
        profile="demo",
        sources={},
    )
    services = compose(settings, clock=system_clock)
    try:
        await services.agreements.begin(services)
        yield services
    finally:
        await services.sources.close()
        services.store.close()


async def crowded(services: Services, number: str, count: int) -> Crowded:
    """Let a client have a case at VluchtelingenWerk, and so many active consents."""
    client = ClientIdentifier(scheme=Scheme.V_NUMBER, value=number)
    await _open_case(services, client)
    vault, now = services.vault, services.clock()
    found = await services.store.read(lambda conn: clients.reach_own(conn, vault, VW, client))
    assert found is not None  # noqa: S101  # the case was opened just now
    rows, ids = list(_grants(found.id, count, now)), []
    for first in range(0, len(rows), _BATCH):
        some = rows[first : first + _BATCH]
        await services.store.write(lambda tx, some=some: _insert(tx, found.id, some, now))
    covering = [row for row in rows if row["category"] == COVERED and row["source"] == IND]
    ids = sorted(covering, key=lambda row: int(row["active_until"]))
    worker = worker_of(VW, Role.CASEWORKER)
    request = SubmittedRequest(
        party=VW,
        client=client,
        purpose=PURPOSE,
        source=IND,
        categories=ASKED,
        worker=worker,
        signed_request="",
        jti=new_id(),
        signed_at=now,
        expires_at=now + _DAY,
        idempotency_key="",
        fingerprint="",
    )
    return Crowded(count, found.id, request, str(ids[0]["consent_id"]))


async def _open_case(services: Services, client: ClientIdentifier) -> None:
    desk, second = worker_of(VW, Role.DESK), worker_of(VW, Role.DESK, 1)
    opening = Opening(
        client=client,
        own_number=None,
        casemanager=worker_of(VW, Role.CASEMANAGER).id,
        workers=(desk, second, worker_of(VW, Role.CASEWORKER)),
        mandate={"method": "signature_on_paper", "evidence_digest": _DIGEST, "language": "ti"},
        opened_by=desk,
    )
    caller = Caller(VW, services.register.kind(VW), VW)
    opened = await cases.open_case(services, caller, opening)
    await cases.confirm_case(services, caller, opened.case.id, second)


def _grants(client_id: str, count: int, now: int) -> Iterator[dict[str, Any]]:
    """Make the lines of consents, one each: every second one covers what is asked for."""
    others = itertools.cycle(
        itertools.product(
            ("legal_guidance", "future_orientation", "case_conference", PURPOSE),
            ("dtv", "goedwerk", IND),
            (VW, "askv"),
            [one.value for one in Category if one.value not in ASKED],
        )
    )
    for number in range(count):
        purpose, source, recipient, category = (
            (PURPOSE, IND, VW, COVERED) if number % _COVERING_ONE_IN == 0 else next(others)
        )
        yield {
            "consent_id": new_id(),
            "client_id": client_id,
            "purpose": purpose,
            "source": source,
            "recipient": recipient,
            "category": category,
            "explicit": False,
            "active_until": now + 90 * _DAY + number,
        }


def _insert(tx: Transaction, client_id: str, grants: list[Mapping[str, Any]], now: int) -> None:
    tx.conn.execute(
        insert(consents),
        [
            {
                "id": grant["consent_id"],
                "client_id": client_id,
                "recorded_by_party": VW,
                "recorded_by": "desk-1",
                "confirmed_by": "desk-2",
                "purpose": grant["purpose"],
                "state": State.ACTIVE.value,
                "legal_basis": "GDPR 6(1)(f)",
                "minor": False,
                "guardian": False,
                "valid_from": now - _DAY,
                "valid_until": grant["active_until"],
                "content_sealed": b"",
                "evidence_digest": _DIGEST,
                "created_at": now,
                "changed_at": now,
            }
            for grant in grants
        ],
    )
    tx.conn.execute(insert(consent_grants), grants)
