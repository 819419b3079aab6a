"""Consents on a real store: confirmed by two, invisible to strangers, quick to read."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select, update
from sqlalchemy.exc import IntegrityError

from adapters.protocol import Role, Worker
from consent import repository
from consent.model import Decision, Event, State
from consent.tables import consent_grants
from consent.tables import consents as consent_rows
from gateway import consent_receipts, consents, withdrawals
from gateway.consent_records import ConsentView
from gateway.errors import Conflict, Refused
from gateway.ledger.proofs import ledger_size
from gateway.storage.unit_of_work import Transaction
from tests.integration.gate import DESK, DESK_2, JURIST, VW, Gate, evidence, v_number

DAY = 24 * 3600


async def test_a_consent_opens_nothing_before_a_second_worker_confirms_it(gate: Gate) -> None:
    await gate.has_case()
    recorded = await gate.records()
    assert recorded.state is State.PENDING
    assert await gate.covered() == []

    confirmed = await consents.confirm(gate.services, gate.caller(), recorded.consent.id, DESK_2)

    assert confirmed.state is State.ACTIVE
    assert await gate.covered() == ["decisions"]
    assert await gate.covered("decisions", "medical", "dossier_documents") == [
        "decisions",
        "dossier_documents",
    ]
    assert await gate.covered(recipient="askv") == []
    assert await gate.covered(purpose="legal_guidance") == []


@pytest.mark.parametrize(
    ("worker", "code"),
    [
        (DESK, "same_worker"),
        (Worker(id="desk-99", role=Role.DESK), "not_on_case"),
        (Worker(id=DESK_2.id, role=Role.MEDICAL), "not_on_case"),
    ],
)
async def test_only_a_second_worker_on_the_case_confirms(gate: Gate, worker: Worker, code: str) -> None:
    await gate.has_case()
    recorded = await gate.records()
    with pytest.raises(Refused) as refused:
        await consents.confirm(gate.services, gate.caller(), recorded.consent.id, worker)
    assert refused.value.code == code
    assert (
        await consents.confirm(gate.services, gate.caller(), recorded.consent.id, JURIST)
    ).state == "active"


async def test_the_database_itself_refuses_a_consent_of_one_login(gate: Gate) -> None:
    await gate.has_case()
    recorded = await gate.records()

    def activate(by: str | None) -> Callable[[Transaction], None]:
        def work(tx: Transaction) -> None:
            tx.conn.execute(
                update(consent_rows)
                .where(consent_rows.c.id == recorded.consent.id)
                .values(state="active", confirmed_by=by)
            )

        return work

    for alone in (None, DESK.id):
        with pytest.raises(IntegrityError):
            await gate.services.store.write(activate(alone))
    await gate.services.store.write(activate(DESK_2.id))


@pytest.mark.parametrize("when", ["confirmed by another", "lapsed", "withdrawn"])
async def test_only_a_consent_that_waits_is_confirmed(gate: Gate, when: str) -> None:
    await gate.has_case()
    recorded = await gate.records()
    if when == "confirmed by another":
        await consents.confirm(gate.services, gate.caller(), recorded.consent.id, JURIST)
    elif when == "lapsed":
        gate.passes(91 * DAY)
    else:
        await withdrawals.withdraw(gate.services, gate.caller(), recorded.consent.id, JURIST)
    with pytest.raises(Conflict, match="state_conflict"):
        await consents.confirm(gate.services, gate.caller(), recorded.consent.id, DESK_2)


async def test_a_confirmation_repeated_after_a_lost_answer_is_the_first_one(gate: Gate) -> None:
    await gate.has_case()
    recorded = await gate.records()

    async def confirms() -> ConsentView:
        return await consents.confirm(gate.services, gate.caller(), recorded.consent.id, DESK_2)

    first = await confirms()
    size = await gate.reads(ledger_size)
    gate.passes(60)
    assert await confirms() == first
    assert await asyncio.gather(*(confirms() for _ in range(8))) == [first] * 8
    assert await gate.reads(ledger_size) == size
    events = await gate.reads(lambda conn: repository.events(conn, recorded.consent.id))
    assert [noted.event for noted in events] == [Event.RECORDED, Event.GRANTED]

    off_case = Worker(id=DESK_2.id, role=Role.MEDICAL)
    with pytest.raises(Refused, match="not_on_case"):
        await consents.confirm(gate.services, gate.caller(), recorded.consent.id, off_case)
    await withdrawals.withdraw(gate.services, gate.caller(), recorded.consent.id, JURIST)
    with pytest.raises(Conflict, match="state_conflict"):
        await confirms()
    assert await gate.covered() == []


async def test_known_unknown_and_strange_clients_get_the_same_no(gate: Gate) -> None:
    await gate.has_case()
    await gate.has_case("askv", client=v_number("2805555555"))
    assert (await gate.records()).state is State.PENDING
    said = set()
    for client, worker in (
        (v_number("2805555555"), DESK),  # another party's client
        (v_number("2809999999"), DESK),  # nobody's
        (v_number(), Worker(id="desk-99", role=Role.DESK)),  # a worker who is not on the case
    ):
        with pytest.raises(Refused) as refused:
            await gate.records(client=client, worker=worker)
        said.add((refused.value.code, refused.value.public, str(refused.value.extra)))
    assert said == {("not_on_case", None, "{}")}


async def test_a_no_is_recorded_and_opens_nothing(gate: Gate) -> None:
    await gate.has_case()
    refused = await gate.records(decision=Decision.REFUSED)
    assert refused.state is State.REFUSED
    assert await gate.covered() == []
    with pytest.raises(Conflict):
        await consents.confirm(gate.services, gate.caller(), refused.consent.id, DESK_2)
    seen = await consents.search(gate.services, gate.caller(), v_number(), DESK)
    assert [view.state for view in seen] == [State.REFUSED]


async def test_only_who_recorded_a_consent_finds_it(gate: Gate) -> None:
    await gate.has_case()
    await gate.has_case("askv")
    view = await gate.has_consent()
    assert len(await consents.search(gate.services, gate.caller(), v_number(), JURIST)) == 1
    assert await consents.search(gate.services, gate.caller("askv"), v_number(), JURIST) == ()
    assert await consents.search(gate.services, gate.caller("goedwerk"), v_number(), JURIST) == ()
    assert await consents.search(gate.services, gate.caller(), v_number("2809999999"), JURIST) == ()
    off_case = Worker(id="jurist-99", role=Role.CASEWORKER)
    assert await consents.search(gate.services, gate.caller(), v_number(), off_case) == ()
    said = set()
    for consent_id in (view.consent.id, "A" * 22):
        for act in (consents.confirm, withdrawals.withdraw):
            with pytest.raises(Refused) as refused:
                await act(gate.services, gate.caller("askv"), consent_id, DESK_2)
            said.add((refused.value.code, refused.value.public))
        with pytest.raises(Refused) as refused:
            await consent_receipts.receipt(gate.services, gate.caller("askv"), consent_id)
        said.add((refused.value.code, refused.value.public))
    assert said == {("not_found", None)}


async def test_a_consent_whose_time_is_over_is_shown_as_expired(gate: Gate) -> None:
    await gate.has_case()
    await gate.has_consent()
    gate.passes(90 * DAY)
    seen = await consents.search(gate.services, gate.caller(), v_number(), JURIST)
    assert [view.state for view in seen] == [State.EXPIRED]


async def test_the_database_holds_nothing_of_a_consent_in_the_clear(gate: Gate) -> None:
    await gate.has_case()
    how = evidence(interpreter="tolk-marked-4711")
    await gate.has_consent(evidence=how.evidence(), evidence_digest=how.digest())
    rows = await gate.reads(lambda conn: conn.execute(select(consent_rows)).mappings().all())
    assert rows
    assert b"tolk-marked" not in b"".join(row["content_sealed"] for row in rows)
    assert "tolk-marked" not in str([{k: v for k, v in row.items() if k != "content_sealed"} for row in rows])


async def test_facts_are_read_by_the_index_however_many_consents_a_client_gave(gate: Gate) -> None:
    await gate.has_case()
    view = await gate.has_consent()
    client_id = await gate.client_id()
    batch = 5_000

    def add(tx: Transaction, first: int) -> None:
        consent = dict(tx.conn.execute(select(consent_rows).limit(1)).mappings().one())
        chosen = select(consent_grants).where(consent_grants.c.category == "decisions").limit(1)
        grant = dict(tx.conn.execute(chosen).mappings().one())
        ids = [f"old-{number:018}" for number in range(first, first + batch)]
        tx.conn.execute(insert(consent_rows), [{**consent, "id": name, "state": "withdrawn"} for name in ids])
        tx.conn.execute(
            insert(consent_grants), [{**grant, "consent_id": name, "active_until": None} for name in ids]
        )

    for first in range(0, 4 * batch, batch):
        await gate.services.store.write(lambda tx, first=first: add(tx, first))

    def plan(conn: Connection, only: set[str] | None = None) -> tuple[str, list[str]]:
        ran: list[tuple[str, Any]] = []

        def keep(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            ran.append((statement, parameters))

        event.listen(conn, "before_cursor_execute", keep)
        asked = ("legal_screening", "ind", VW, ["decisions"])
        found = consents.consent_facts(conn, client_id, *asked, only=only)
        assert only is None or not consents.consent_facts(conn, "another", *asked, only=only)
        event.remove(conn, "before_cursor_execute", keep)
        statement, parameters = next(one for one in ran if one[0] != "BEGIN")
        explain = "EXPLAIN QUERY PLAN" if conn.dialect.name == "sqlite" else "EXPLAIN"
        rows = conn.exec_driver_sql(f"{explain} {statement}", parameters)
        return "\n".join(str(row) for row in rows), [fact.id for fact in found]

    planned, found = await gate.reads(plan)
    assert found == [view.consent.id]
    assert "ix_consent_grants" in planned
    assert not re.search(r"Seq Scan on consent_grants|SCAN consent_grants", planned)

    # At a hand-over the consents are known: nothing is walked to find them.
    planned, found = await gate.reads(lambda conn: plan(conn, {view.consent.id}))
    assert found == [view.consent.id]
    assert not re.search(r"look_up|Seq Scan on consent_grants|SCAN consent_grants", planned)
