"""Cases on a real store: by the client's act, confirmed by two, and the same face for every stranger."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, func, insert, select
from sqlalchemy.exc import IntegrityError

from adapters.protocol import Role, Worker
from gateway import cases, clients
from gateway.errors import Conflict, Refused
from gateway.ledger.entry import open_detail
from gateway.ledger.proofs import ledger_size
from gateway.storage.tables import cases as case_rows
from gateway.storage.tables import clients as client_rows
from gateway.storage.tables import identifiers, ledger_details, reach
from gateway.storage.unit_of_work import Transaction
from tests.integration.gate import DESK, DESK_2, JURIST, MANAGER, VW, Gate, own_number, v_number
from tests.postgres import Cluster


async def revision_of(gate: Gate, client_id: str) -> int:
    statement = select(client_rows.c.revision).where(client_rows.c.id == client_id)
    return await gate.reads(lambda conn: conn.execute(statement).scalar_one())


# --- opening and confirming -------------------------------------------------------------


async def test_a_case_counts_once_a_second_worker_confirmed_it(gate: Gate) -> None:
    opened = await gate.opens()
    assert opened.case.state == "pending"
    assert await gate.finds() == 0

    confirmed = await cases.confirm_case(gate.services, gate.caller(), opened.case.id, DESK_2)

    assert confirmed.case.state == "active"
    assert await gate.finds() == 1


async def test_the_worker_who_opened_a_case_does_not_confirm_it(gate: Gate) -> None:
    opened = await gate.opens()
    with pytest.raises(Refused) as refused:
        await cases.confirm_case(gate.services, gate.caller(), opened.case.id, DESK)
    assert refused.value.code == "same_worker"
    assert await gate.finds() == 0


async def test_the_database_itself_refuses_a_mandate_of_one_login(gate: Gate) -> None:
    opened = await gate.opens()

    def activate_alone(by: str) -> Callable[..., None]:
        def work(tx: Transaction) -> None:
            tx.conn.execute(
                case_rows.update()
                .where(case_rows.c.id == opened.case.id)
                .values(state="active", confirmed_by=by)
            )

        return work

    with pytest.raises(IntegrityError):
        await gate.services.store.write(activate_alone(DESK.id))
    await gate.services.store.write(activate_alone(DESK_2.id))


async def test_another_party_finds_no_such_case_to_confirm(gate: Gate) -> None:
    opened = await gate.opens()
    codes = set()
    for case_id in (opened.case.id, "A" * 22):
        with pytest.raises(Refused) as refused:
            await cases.confirm_case(gate.services, gate.caller("askv"), case_id, DESK_2)
        codes.add((refused.value.code, refused.value.public))
    assert codes == {("not_found", None)}
    assert (
        await cases.confirm_case(gate.services, gate.caller(), opened.case.id, DESK_2)
    ).case.state == "active"


async def test_a_case_is_confirmed_once_and_who_did_so_may_say_it_again(gate: Gate) -> None:
    case = await gate.has_case()
    size = await gate.reads(ledger_size)
    assert await cases.confirm_case(gate.services, gate.caller(), case.case.id, DESK_2) == case
    with pytest.raises(Conflict):
        await cases.confirm_case(gate.services, gate.caller(), case.case.id, JURIST)
    assert await gate.reads(ledger_size) == size
    await cases.leave_case(gate.services, gate.caller(), case.case.id, MANAGER)
    with pytest.raises(Conflict):
        await cases.confirm_case(gate.services, gate.caller(), case.case.id, DESK_2)


@pytest.mark.parametrize("party", ["ind", "dtv", "avim", "gemeente-amsterdam"])
async def test_a_government_party_opens_no_case(gate: Gate, party: str) -> None:
    assert (await gate.opens("askv")).case.state == "pending"
    with pytest.raises(Refused) as refused:
        await gate.opens(party)
    assert refused.value.code == "not_for_this_party"


async def test_opening_does_the_same_work_for_a_known_and_an_unknown_client(gate: Gate) -> None:
    await gate.has_case()
    seen: list[list[str]] = []
    for value in ("2801234567", "2899999999"):
        statements: list[str] = []
        engine = gate.services.store._write_engine

        def listen(_c: object, _u: object, sql: str, *_: object, into: list[str] = statements) -> None:
            into.append(sql)

        event.listen(engine, "before_cursor_execute", listen)
        opened = await gate.opens("askv", client=v_number(value))
        event.remove(engine, "before_cursor_execute", listen)
        seen.append(statements)
        assert (opened.case.state, len(opened.case.id)) == ("pending", 22)
    assert seen[0] == seen[1]
    assert not any("FROM identifiers" in sql or "FROM reach" in sql for sql in seen[0])


async def test_two_parties_that_name_one_client_share_its_facts(gate: Gate) -> None:
    first = await gate.has_case()
    second = await gate.has_case("askv")
    assert second.case.client_id == first.case.client_id
    assert await gate.reads(lambda conn: cases.partners(conn, first.case.client_id)) == ("askv", VW)


async def test_what_was_recorded_of_a_pending_case_moves_to_the_known_client(
    gate: Gate,
) -> None:
    first = await gate.has_case()
    opened = await gate.opens("askv")
    await cases.confirm_case(gate.services, gate.caller("askv"), opened.case.id, DESK_2)

    def details(conn: Connection) -> list[str]:
        client = clients.by_id(conn, gate.services.vault, first.case.client_id)
        assert client is not None
        rows = conn.execute(
            select(ledger_details).where(ledger_details.c.client_id == client.id).order_by("index")
        ).mappings()
        return [str(open_detail(row, client.key).detail["case"]) for row in rows]

    assert await gate.reads(details) == [first.case.id] * 2 + [opened.case.id] * 2
    fresh = await gate.reads(lambda conn: clients.by_id(conn, gate.services.vault, opened.case.client_id))
    assert fresh is None


async def test_numbers_of_two_different_clients_make_no_case(gate: Gate) -> None:
    await gate.has_case(client=v_number("2801111111"), own="VW-1")
    await gate.has_case(client=v_number("2802222222"), own="VW-2")
    assert (await gate.has_case(client=v_number("2801111111"), own="VW-1")).case.state == "active"
    mixed = await gate.opens(client=v_number("2801111111"), own="VW-2")
    with pytest.raises(Conflict):
        await cases.confirm_case(gate.services, gate.caller(), mixed.case.id, DESK_2)


async def test_a_later_v_number_leads_to_the_client_known_by_own_number(gate: Gate) -> None:
    first = await gate.has_case(client=own_number("VW-2041"))
    later = await gate.has_case(own="VW-2041")
    assert later.case.client_id == first.case.client_id


async def test_every_change_raises_the_revision_and_has_its_entry(gate: Gate) -> None:
    case = await gate.has_case()
    client_id, caller = case.case.client_id, gate.caller()
    seen = [await revision_of(gate, client_id)]
    added = Worker(id="arts-001", role=Role.MEDICAL)
    await cases.add_worker(gate.services, caller, case.case.id, by=MANAGER, added=added)
    seen.append(await revision_of(gate, client_id))
    await cases.remove_worker(gate.services, caller, case.case.id, by=MANAGER, removed=added.id)
    seen.append(await revision_of(gate, client_id))
    await cases.leave_case(gate.services, caller, case.case.id, MANAGER)
    seen.append(await revision_of(gate, client_id))
    assert seen == sorted(set(seen))
    kinds = await gate.reads(
        lambda conn: conn.execute(select(ledger_details.c.kind).order_by("index")).scalars().all()
    )
    assert kinds == ["case_opened", "case_confirmed", "worker_added", "worker_removed", "case_left"]


def lies_on_disk(url: str, request: pytest.FixtureRequest) -> bytes:
    """Read the database as whoever steals the disk would."""
    if not url.startswith("sqlite"):
        running: Cluster = request.getfixturevalue("postgres")
        return running.lies_on_disk(url)
    file = Path(url.removeprefix("sqlite:///"))
    return b"".join(part.read_bytes() for part in file.parent.glob(file.name + "*"))


async def test_the_database_holds_no_number_in_the_clear(gate: Gate, request: pytest.FixtureRequest) -> None:
    await gate.has_case(own="VW-77001")
    held = lies_on_disk(gate.services.settings.database_url, request)
    assert VW.encode() in held
    assert b"2801234567" not in held
    assert b"VW-77001" not in held


# --- who finds what ---------------------------------------------------------------------


async def test_a_stranger_and_a_worker_off_the_case_find_what_an_unknown_client_gives(gate: Gate) -> None:
    await gate.has_case()
    assert await gate.finds() == 1
    assert await gate.finds("askv") == 0
    stranger = Worker(id="jurist-99", role=Role.CASEWORKER)
    for worker in (stranger, Worker(id=JURIST.id, role=Role.MEDICAL)):
        assert await cases.search_cases(gate.services, gate.caller(), v_number(), worker) == ()


async def test_involvement_needs_the_party_the_worker_and_the_role(gate: Gate) -> None:
    case = await gate.has_case()

    async def involved(party: str, worker: str, role: str) -> cases.Involvement:
        return await gate.reads(
            lambda conn: cases.involvement(conn, case.case.client_id, party, worker, role)
        )

    assert await involved(VW, JURIST.id, "caseworker") == cases.Involvement(True, "mandate", True)
    assert await involved(VW, JURIST.id, "medical") == cases.Involvement(True, "mandate", False)
    assert await involved(VW, "jurist-99", "caseworker") == cases.Involvement(True, "mandate", False)
    assert await involved("askv", JURIST.id, "caseworker") == cases.Involvement(False, None, False)
    nobody = await gate.reads(lambda conn: cases.involvement(conn, "", VW, JURIST.id, "caseworker"))
    assert nobody == cases.Involvement(False, None, False)


async def test_each_involved_party_asks_an_ngo_by_that_ngos_number(gate: Gate) -> None:
    first = await gate.has_case(own="VW-2041")

    async def reached(party: str) -> bool:
        found_ = await gate.reads(
            lambda conn: clients.reach(conn, gate.services.vault, party, own_number("VW-2041"), VW),
        )
        return found_ is not None and found_.id == first.case.client_id

    assert await reached(VW)
    assert not await reached("askv")
    await gate.has_case("askv", own="A-1")
    assert await reached("askv")
    by_askvs = await gate.reads(
        lambda conn: clients.reach(conn, gate.services.vault, VW, own_number("A-1"), "askv")
    )
    assert by_askvs is not None


# --- workers and leaving ----------------------------------------------------------------


async def test_only_the_casemanager_of_the_case_changes_its_workers(gate: Gate) -> None:
    case = await gate.has_case()
    added = Worker(id="jurist-13", role=Role.CASEWORKER)
    codes = []
    for by in (JURIST, Worker(id="regie-99", role=Role.CASEMANAGER)):
        with pytest.raises(Refused) as refused:
            await cases.add_worker(gate.services, gate.caller(), case.case.id, by=by, added=added)
        codes.append(refused.value.code)
    assert codes == ["role_may_not", "not_on_case"]
    with pytest.raises(Refused, match="not_found"):
        await cases.add_worker(gate.services, gate.caller("askv"), case.case.id, by=MANAGER, added=added)
    changed = await cases.add_worker(gate.services, gate.caller(), case.case.id, by=MANAGER, added=added)
    assert (added.id, "caseworker") in changed.workers


async def test_a_removed_worker_is_off_the_case_at_once(gate: Gate) -> None:
    case = await gate.has_case()
    assert await gate.finds() == 1
    await cases.remove_worker(gate.services, gate.caller(), case.case.id, by=MANAGER, removed=JURIST.id)
    assert await gate.finds() == 0


async def test_a_case_keeps_a_casemanager(gate: Gate) -> None:
    case = await gate.has_case()
    with pytest.raises(Conflict):
        await cases.remove_worker(gate.services, gate.caller(), case.case.id, by=MANAGER, removed=MANAGER.id)
    other = Worker(id="regie-08", role=Role.CASEMANAGER)
    await cases.add_worker(gate.services, gate.caller(), case.case.id, by=MANAGER, added=other)
    await cases.remove_worker(gate.services, gate.caller(), case.case.id, by=other, removed=MANAGER.id)


async def test_after_its_last_case_a_party_is_a_stranger_again(gate: Gate) -> None:
    first, second = await gate.has_case(), await gate.has_case()
    await gate.has_case("askv")
    await cases.leave_case(gate.services, gate.caller(), first.case.id, MANAGER)
    assert await gate.finds() == 1
    await cases.leave_case(gate.services, gate.caller(), second.case.id, MANAGER)
    assert await gate.finds() == 0
    assert await gate.finds("askv") == 1
    rows = select(func.count()).select_from(reach).where(reach.c.party_id == VW)
    assert await gate.reads(lambda conn: conn.execute(rows).scalar_one()) == 0
    with pytest.raises(Conflict):
        await cases.leave_case(gate.services, gate.caller(), second.case.id, MANAGER)


async def test_many_confirmations_at_once_make_one_client(gate: Gate) -> None:
    opened = [await gate.opens(party) for party in (VW, "askv", "leger-des-heils", "goedwerk")]
    done = await asyncio.gather(
        *(
            cases.confirm_case(gate.services, gate.caller(view.case.party), view.case.id, DESK_2)
            for view in opened
        )
    )
    assert len({view.case.client_id for view in done}) == 1
    assert await gate.reads(lambda conn: len(conn.execute(select(identifiers)).all())) == 1


async def test_a_number_that_another_client_has_is_never_taken_over(gate: Gate) -> None:
    case = await gate.has_case()
    subject = gate.services.vault.subject("v-number", "", "2801234567")
    with pytest.raises(IntegrityError):
        await gate.services.store.write(
            lambda tx: tx.conn.execute(
                insert(identifiers).values(subject=subject, client_id=case.case.client_id)
            )
        )
