"""Promise 5: marks go through every flow; afterwards no disk, log, problem or ledger entry holds one."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from adapters.kit.strict_json import encode_base64url
from adapters.protocol import Category, Role
from adapters.simulation.personas import Persona
from gateway.cli.evidence import signed_on_paper
from gateway.cli.world import IND, PURPOSE, VW, worker_of
from gateway.storage.tables import exchanges, ledger_entries, sealed_documents
from tests import grounds
from tests.integration.promises import marks
from tests.integration.promises.conftest import Watched
from tests.integration.promises.people import newcomer
from tests.integration.town import PAPERS, Town, v_number

pytestmark = pytest.mark.asyncio(loop_scope="session")

GIVEN, FAMILY, NATION = "Zonnebloesem", "Kanariëgeel", "Papegaaiaanse"
INTERPRETER, OWN_NUMBER, KEY = "tolk.nachtegaal.7", "VW-MEREL-2041", "geheime-sleutel-van-specht"
ALL = (
    Category.PERSPECTIVE,
    Category.PARTNERS,
    *PAPERS,
    Category.IDENTITY,
    Category.APPLICATION_STATUS,
    Category.FLIGHT_NARRATIVE,
)
# What the simulated IND writes in every dossier: titles, facts, and the first bytes of a paper.
CONTENT = (
    "Beschikking op de aanvraag",
    "Dossierstuk 1",
    "Rapport nader gehoor",
    "asiel, herhaald",
    "%PDF-1.",
)
SEARCHED = ("ind-adapter.sqlite", "vvs-adapter.sqlite")


def _marks(person: Persona) -> tuple[str, ...]:
    return (
        person.v_number,
        person.vvs_number,
        GIVEN,
        FAMILY,
        NATION,
        person.birth_date,
        INTERPRETER,
        OWN_NUMBER,
        KEY,
        *CONTENT,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def marked(watched: Watched) -> Persona:
    """Bring a marked client through every flow: opened, asked, opened again, withdrawn, failed, refused."""
    place = watched.town
    person = newcomer(
        given_name=GIVEN,
        family_name=FAMILY,
        nationality=NATION,
        birth_date="1977-03-23",
        vvs_number="VVS-LIJSTER-1",
        document_kilobytes=20,
    )
    client, party = v_number(person.v_number), place.world.vluchtelingenwerk
    desk, second, jurist = (
        worker_of(VW, Role.DESK),
        worker_of(VW, Role.DESK, 1),
        worker_of(VW, Role.CASEWORKER),
    )
    paper = signed_on_paper(desk.id, "ti", interpreter=INTERPRETER)
    case = await party.open_case(
        client,
        opened_by=desk,
        casemanager=worker_of(VW, Role.CASEMANAGER).id,
        workers=[jurist, desk, second],
        mandate=paper,
        own_number=OWN_NUMBER,
    )
    await party.confirm_case(str(case["id"]), worker=second)
    await place.invite(str(case["id"]), client, "goedwerk")
    consent = await place.consent(
        client, ALL[2:], explicit=(Category.FLIGHT_NARRATIVE,), interpreter=INTERPRETER
    )
    asked = await party.request_dossier(
        client, purpose=PURPOSE, source=IND, categories=ALL, worker=jurist, idempotency_key=KEY
    )
    opened = await party.open(asked, source=IND)
    assert set(opened.answers) == set(ALL) - {Category.PARTNERS}
    texts = b"".join(document.content for document in opened.documents)
    travelled = {GIVEN, FAMILY, NATION, person.birth_date, "asiel, herhaald", "%PDF-1."}
    assert marks.found(travelled, texts) == travelled
    await place.ask(client, (Category.GUIDANCE, Category.PERSPECTIVE), source=VW)
    await place.ask(client, ALL, by="askv")
    await _trouble(place, person, consent)
    # And an answer that nobody has collected yet.
    await place.behave("ind", v_number=person.v_number, mode="ok")
    await place.consent(client, PAPERS)
    await place.ask(client, PAPERS)
    return person


async def _trouble(place: Town, person: Persona, consent: str) -> None:
    """Everything that goes wrong is a place where a mark could be said aloud."""
    client, party = v_number(person.v_number), place.world.vluchtelingenwerk
    for mode in ("free_text", "extra", "garbage", "duplicate_keys", "error", "wrong_client", "down"):
        await place.behave("ind", v_number=person.v_number, mode=mode)
        prepared = place.prepare(client, ALL)
        answer = await place.call(
            VW, "POST", "/v1/dossier-requests", prepared.body, Idempotency_Key=prepared.idempotency_key
        )
        assert not marks.found(_marks(person), repr(answer.body).encode()), mode
    await place.behave("ind", v_number=person.v_number, mode="later", delay_seconds=3600)
    waiting = await party.send(place.prepare(client, ALL), wait_seconds=0)
    await party.withdraw_consent(consent, worker=worker_of(VW, Role.DESK))
    await party.cancel(waiting.id, worker=worker_of(VW, Role.CASEWORKER))
    body = {**place.prepare(client, ALL).body}
    bad: list[tuple[str, str, Any]] = [
        ("POST", "/v1/dossier-requests", {**body, person.v_number: FAMILY}),
        ("POST", "/v1/dossier-requests", {**body, "client": {"scheme": "v-number", "value": OWN_NUMBER}}),
        ("POST", "/v1/dossier-requests", {**body, "purpose": FAMILY}),
        ("POST", "/v1/dossier-requests", {**body, "worker": {"id": FAMILY, "role": GIVEN}}),
        ("POST", "/v1/cases/search", {"client": body["client"], "worker": body["worker"], FAMILY: GIVEN}),
        ("GET", f"/v1/dossier-requests/{person.v_number}", None),
        ("GET", f"/v1/dossier-requests/{encode_base64url(person.v_number.encode() * 2)}", None),
        ("GET", f"/v1/clients/{person.v_number}?name={GIVEN}", None),
    ]
    for method, path, content in bad:
        answer = await place.call(VW, method, path, content, Idempotency_Key=KEY)
        assert answer.status >= 400
        assert not marks.found(_marks(person), repr(answer.body).encode()), (path, answer.body)


async def test_no_file_of_any_process_holds_a_mark(marked: Persona, watched: Watched) -> None:
    folder = watched.town.deployment.folder
    assert {path.name for path in folder.glob("*.sqlite")} >= set(SEARCHED)
    assert marks.found_in_folder(_marks(marked), folder) == {}


async def test_no_row_and_no_byte_of_the_database_holds_a_mark(marked: Persona, watched: Watched) -> None:
    services = watched.town.services
    newest = select(exchanges.c.id).order_by(exchanges.c.ledger_index.desc()).limit(1)
    exchange = await services.store.read(lambda conn: conn.execute(newest).scalar_one())
    kept = await grounds.stored(services)
    # The control: what was written last, and may be in the log that is written ahead, is seen.
    assert set(marks.found_among([exchange], kept.items())) >= {"the database's files", "exchanges.id"}
    assert marks.found_among(_marks(marked), kept.items()) == {}


async def test_no_log_holds_a_mark(marked: Persona, watched: Watched) -> None:
    written = watched.log.getvalue()
    assert b"dossier-requests" in written
    assert b"outbox.not_delivered" in written or b"agency" in written
    assert marks.found(_marks(marked), written) == set()


async def test_no_entry_and_no_order_holds_a_mark(marked: Persona, watched: Watched) -> None:
    store = watched.town.services.store
    entries = await store.read(lambda conn: conn.execute(select(ledger_entries.c.entry)).scalars().all())
    orders = await store.read(lambda conn: conn.execute(select(exchanges.c.order_jws)).scalars().all())
    sealed = await store.read(lambda conn: conn.execute(select(sealed_documents.c.jwe)).scalars().all())
    assert len(entries) > 10
    assert all(bytes(entry).startswith(b"dossierpoort/entry/v1 ") for entry in entries)
    assert all(len(bytes(entry)) == len(bytes(entries[0])) for entry in entries)
    assert any(orders)
    assert sealed
    for content in (*map(bytes, entries), *(str(text).encode() for text in (*orders, *sealed))):
        assert marks.found(_marks(marked), content) == set()


async def test_the_baseline_is_not_kept_in_the_clear_either(marked: Persona, watched: Watched) -> None:
    columns = await grounds.stored(watched.town.services)
    assert set(columns) > {"exchanges.attestation_sealed", "cases.content_sealed", "exchanges.subject"}
    for column, values in columns.items():
        assert b'"value"' not in values, column
        assert encode_base64url(b'"value":"yes"')[:14].encode() not in values, column
