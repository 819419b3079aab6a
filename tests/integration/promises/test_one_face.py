"""Promise 7: for who is not on the case, a known client, a withdrawn one and nobody are one and the same.

Compared are status, headers in order, body and receipt (a random id, a signature and the time apart,
of which the length counts), every SQL statement, every call to the store, and the ledger's growth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import Connection, select

from adapters.kit.keys import SigningKey
from adapters.kit.statements import make_consent_statement
from adapters.protocol import Category, ClientIdentifier, Role
from adapters.requester.calls import client_body, instant, worker_body
from adapters.requester.desk import evidence_digest
from gateway import clients
from gateway.cli.evidence import signed_on_paper
from gateway.cli.world import IND, PURPOSE, VW, worker_of
from gateway.clients import ClientRef, Number
from gateway.storage.tables import clients as clients_table
from gateway.vault import Vault, new_id
from tests.integration.promises.conftest import Watched
from tests.integration.promises.faces import Face, look
from tests.integration.promises.moments import Moments
from tests.integration.promises.people import nobody, someone
from tests.integration.town import BASELINE, PAPERS, Town, second_worker

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASKV = "askv"
DESK, MANAGER, JURIST = (worker_of(ASKV, role) for role in (Role.DESK, Role.CASEMANAGER, Role.CASEWORKER))
KINDS = ("known", "with a consent", "with a withdrawn consent", "left by this party")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def people(watched: Watched) -> Mapping[str, ClientIdentifier]:
    """Four clients whom the gateway knows, none of them ASKV's."""
    place = watched.town
    four = {kind: someone() for kind in KINDS}
    for client in four.values():
        await place.open_case(client)
    await place.consent(four["with a consent"], PAPERS)
    withdrawn = await place.consent(four["with a withdrawn consent"], PAPERS)
    await place.world.vluchtelingenwerk.withdraw_consent(withdrawn, worker=worker_of(VW, Role.DESK))
    case = await place.open_case(four["left by this party"], by=ASKV)
    asked = await place.ask(four["left by this party"], BASELINE, by=ASKV)
    assert asked.state == "answered"
    await place.world.requesters[ASKV].leave_case(case, worker=MANAGER)
    return four


def _request(place: Town, client: ClientIdentifier) -> tuple[str, Mapping[str, Any], dict[str, str]]:
    prepared = place.prepare(client, (*BASELINE, *PAPERS), by=ASKV)
    return "/v1/dossier-requests", prepared.body, {"Idempotency_Key": prepared.idempotency_key}


def _opening(place: Town, client: ClientIdentifier) -> tuple[str, Mapping[str, Any], dict[str, str]]:
    body = {
        "client": client_body(client),
        "casemanager": MANAGER.id,
        "workers": [worker_body(JURIST), worker_body(DESK)],
        "mandate": signed_on_paper(DESK.id, "ti"),
        "opened_by": worker_body(DESK),
    }
    return "/v1/cases", body, {}


def _case_search(place: Town, client: ClientIdentifier) -> tuple[str, Mapping[str, Any], dict[str, str]]:
    return "/v1/cases/search", {"client": client_body(client), "worker": worker_body(JURIST)}, {}


def _consent_search(place: Town, client: ClientIdentifier) -> tuple[str, Mapping[str, Any], dict[str, str]]:
    return "/v1/consents/search", {"client": client_body(client), "worker": worker_body(DESK)}, {}


def _consent(place: Town, client: ClientIdentifier) -> tuple[str, Mapping[str, Any], dict[str, str]]:
    now, paper = place.clock(), signed_on_paper(DESK.id, "ti")
    statement = make_consent_statement(
        key=_signing(place),
        iss=ASKV,
        aud=IND,
        jti=new_id(),
        now=now,
        nbf=now,
        exp=now + 3600,
        purpose=PURPOSE,
        evidence=evidence_digest(paper),
        recipients=(ASKV,),
        categories=(Category.DECISIONS,),
        explicit=(),
        client=client,
    )
    body = {
        "client": client_body(client),
        "purpose": PURPOSE,
        "sources": [IND],
        "recipients": [ASKV],
        "categories": ["decisions"],
        "explicit": [],
        "valid_until": instant(now + 3600),
        "evidence": paper,
        "worker": worker_body(DESK),
        "statements": [statement],
    }
    return "/v1/consents", body, {}


def _signing(place: Town) -> SigningKey:
    return place.deployment[ASKV].keystore().signing("sign")


CALLS = {
    "a dossier request": (_request, 200),
    "the opening of a case": (_opening, 201),
    "a search for cases": (_case_search, 200),
    "a consent": (_consent, 201),
    "a search for consents": (_consent_search, 200),
}


async def _face(place: Town, moments: Moments, call: str, client: ClientIdentifier) -> Face:
    path, body, headers = CALLS[call][0](place, client)
    return await look(place, moments, ASKV, "POST", path, body, **headers)


@pytest.mark.parametrize("call", CALLS)
async def test_a_stranger_sees_the_same_whoever_is_named(
    place: Town, moments: Moments, people: Mapping[str, ClientIdentifier], call: str
) -> None:
    own = someone()
    await place.open_case(own, by=ASKV)
    allowed = await _face(place, moments, call, own)
    assert allowed.status == CALLS[call][1]

    unknown = await _face(place, moments, call, nobody())
    assert call == "the opening of a case" or allowed != unknown
    assert unknown.statements
    for kind, client in people.items():
        assert await _face(place, moments, call, client) == unknown, kind


async def test_the_answer_to_a_stranger_has_no_reason_in_it(
    place: Town, moments: Moments, people: Mapping[str, ClientIdentifier]
) -> None:
    face = await _face(place, moments, "a dossier request", people["with a consent"])
    assert '"state":"nothing_to_share"' in face.body.replace(" ", "")
    assert "decisions" not in face.body
    assert face.entries == 1, "what a stranger asked is recorded, under the stranger's own key"


OTHERS = [
    ("POST", "/v1/consents/{consent}/confirmation", DESK),
    ("POST", "/v1/consents/{consent}/withdrawal", DESK),
    ("GET", "/v1/consents/{consent}/receipt", None),
    ("POST", "/v1/cases/{case}/confirmation", DESK),
    ("POST", "/v1/cases/{case}/departure", MANAGER),
    ("POST", "/v1/cases/{case}/workers/vw-jurist-12/removal", MANAGER),
    ("GET", "/v1/dossier-requests/{exchange}", None),
    ("GET", "/v1/dossier-requests/{exchange}/receipt", None),
    ("POST", "/v1/dossier-requests/{exchange}/acknowledgement", JURIST),
    ("POST", "/v1/dossier-requests/{exchange}/cancellation", JURIST),
]


async def _ids(place: Town, by: str) -> dict[str, str]:
    """Make a case, a consent and an exchange of a party; return their ids."""
    client = someone()
    case = await place.open_case(client, by=by)
    path, body, _ = _consent(place, client)
    if by == VW:
        consent = await place.consent(client)
    else:
        recorded = await place.call(by, "POST", path, body)
        assert isinstance(recorded.body, dict)
        consent = str(recorded.body["id"])
    exchange = await place.ask(client, BASELINE, by=by)
    return {"consent": consent, "case": case, "exchange": exchange.id}


@pytest.mark.parametrize(("method", "path", "worker"), OTHERS, ids=[path for _, path, _ in OTHERS])
async def test_another_partys_id_is_as_absent_as_one_that_never_was(
    place: Town, moments: Moments, method: str, path: str, worker: Any
) -> None:
    body = None if worker is None else {"worker": worker_body(worker)}
    own = path.format(**await _ids(place, ASKV)).replace("vw-jurist-12", JURIST.id)
    if path.endswith("confirmation"):
        body = {"worker": worker_body(second_worker(ASKV))}
    allowed = await look(place, moments, ASKV, method, own, body)
    assert allowed.status in (200, 409), "409: a case that is confirmed already is the caller's own"

    theirs = path.format(**await _ids(place, VW))
    nowhere = path.format(consent=new_id(), case=new_id(), exchange=new_id())
    absent = await look(place, moments, ASKV, method, nowhere, body)
    assert absent.status == 404
    assert await look(place, moments, ASKV, method, theirs, body) == absent


async def test_an_invitation_to_another_party_is_as_absent_as_one_that_never_was(
    place: Town, moments: Moments
) -> None:
    client = someone()
    case = await place.open_case(client)
    manager = worker_of(VW, Role.CASEMANAGER)
    body = {
        "client": client_body(client),
        "casemanager": MANAGER.id,
        "workers": [],
        "worker": worker_body(MANAGER),
    }

    async def invite(partner: str) -> str:
        invited = await place.world.vluchtelingenwerk.invite_partner(case, partner, worker=manager)
        return f"/v1/case-invitations/{invited['invitation']}/acceptance"

    theirs = await invite("goedwerk")
    absent = await look(place, moments, ASKV, "POST", f"/v1/case-invitations/{new_id()}/acceptance", body)
    assert absent.status == 404
    assert await look(place, moments, ASKV, "POST", theirs, body) == absent
    assert (await look(place, moments, ASKV, "POST", await invite(ASKV), body)).status == 201


def _leaky(
    conn: Connection, vault: Vault, party: str, identifier: ClientIdentifier, owner: str
) -> ClientRef | None:
    """Do a little more for a client whom someone else knows."""
    found = _honest(conn, vault, party, identifier, owner)
    holder = clients.holder_of(conn, vault, Number(identifier.scheme.value, owner, identifier.value))
    if holder is not None:
        conn.execute(select(clients_table.c.revision).where(clients_table.c.id == holder)).scalar()
    return found


_honest = clients.reach


async def test_one_more_look_at_a_known_client_is_noticed(
    place: Town,
    moments: Moments,
    people: Mapping[str, ClientIdentifier],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: the same comparison, on a gateway that does more for clients it knows."""
    call = "a dossier request"
    known = people["known"]
    assert await _face(place, moments, call, known) == await _face(place, moments, call, nobody())
    monkeypatch.setattr(clients, "reach", _leaky)
    leaked, unknown = await _face(place, moments, call, known), await _face(place, moments, call, nobody())
    assert (leaked.status, leaked.body, leaked.headers) == (unknown.status, unknown.body, unknown.headers)
    assert leaked != unknown
    assert len(leaked.statements) == len(unknown.statements) + 1
