"""Withdrawals and receipts on a real store: one person, at once, with all that rested on the consent."""

import json

import pytest
from sqlalchemy import select

from adapters.kit import jose
from adapters.protocol import TYP_RECEIPT
from consent import repository
from consent.model import Decision
from consent.tables import consent_events
from gateway import cases, consent_receipts, exchange_records, withdrawals
from gateway.errors import Conflict
from gateway.stages import Exchange, Ordered
from gateway.storage.tables import clients as client_rows
from gateway.storage.tables import exchanges, ledger_details, outbox
from gateway.storage.unit_of_work import Transaction
from tests.integration.gate import DESK, JURIST, MANAGER, VW, Gate

DAY = 24 * 3600


async def test_one_person_withdraws_at_once_and_again_without_harm(gate: Gate) -> None:
    case = await gate.has_case()
    view = await gate.has_consent()
    assert await gate.covered() == ["decisions"]
    revision = select(client_rows.c.revision).where(client_rows.c.id == case.case.client_id)
    before = await gate.reads(lambda conn: conn.execute(revision).scalar_one())

    first = await withdrawals.withdraw(gate.services, gate.caller(), view.consent.id, DESK)
    assert await gate.covered() == []
    gate.passes(60)
    second = await withdrawals.withdraw(gate.services, gate.caller(), view.consent.id, JURIST)

    assert (second.ledger_index, second.effective_at) == (first.ledger_index, first.effective_at)
    assert await gate.reads(lambda conn: conn.execute(revision).scalar_one()) == before + 1
    happened = await gate.reads(lambda conn: repository.events(conn, view.consent.id))
    assert [noted.event for noted in happened] == ["recorded", "granted", "withdrawn"]
    entry = select(ledger_details.c.kind).where(ledger_details.c.index == first.ledger_index)
    assert await gate.reads(lambda conn: conn.execute(entry).scalar_one()) == "consent_withdrawn"


async def test_a_consent_that_waits_is_withdrawn_and_a_refusal_is_not(gate: Gate) -> None:
    await gate.has_case()
    pending = await gate.records()
    await withdrawals.withdraw(gate.services, gate.caller(), pending.consent.id, DESK)
    refused = await gate.records(decision=Decision.REFUSED)
    with pytest.raises(Conflict, match="state_conflict"):
        await withdrawals.withdraw(gate.services, gate.caller(), refused.consent.id, DESK)


async def test_a_party_that_left_can_still_stop_what_it_recorded(gate: Gate) -> None:
    case = await gate.has_case()
    view = await gate.has_consent()
    await cases.leave_case(gate.services, gate.caller(), case.case.id, MANAGER)
    stopped = await withdrawals.withdraw(gate.services, gate.caller(), view.consent.id, DESK)
    assert stopped.effective_at == gate.now


def exchange(gate: Gate, client_id: str, state: str, ordered: dict[str, Ordered], name: str) -> Exchange:
    return Exchange(
        id=name * 22,
        requester=VW,
        worker_id=JURIST.id,
        worker_role="caseworker",
        request_jti=name * 22,
        purpose="legal_screening",
        source="ind",
        categories=tuple(ordered),
        subject="0" * 64,
        client_id=client_id,
        state=state,  # type: ignore[arg-type]
        agreement_digest=gate.services.agreement.digest,
        ordered=ordered,
        order_jws=None,
        order_digest=None,
        attestation_sealed=None,
        failure=None,
        created_at=gate.now,
        expires_at=gate.now + DAY,
        ledger_index=0,
    )


async def test_a_withdrawal_takes_what_rested_on_it_and_nothing_else(gate: Gate) -> None:
    await gate.has_case()
    client_id = await gate.client_id()
    view, other = await gate.has_consent(), await gate.has_consent()
    ordered = {
        "perspective": Ordered("baseline", None),
        "decisions": Ordered("consent", view.consent.id),
        "dossier_documents": Ordered("consent", other.consent.id),
    }

    def work(tx: Transaction) -> None:
        for state, name in (("forwarded", "f"), ("answered", "a"), ("collected", "c")):
            one = exchange(gate, client_id, state, ordered, name)
            exchange_records.insert_exchange(tx.conn, one)
            exchange_records.store_documents(
                tx.conn, one.id, [("decisions", "jwe-1"), ("dossier_documents", "jwe-2")]
            )

    await gate.services.store.write(work)

    withdrawn = await withdrawals.withdraw(gate.services, gate.caller(), view.consent.id, DESK)

    assert withdrawn.lost == {"f" * 22: ["decisions"], "a" * 22: ["decisions"]}
    for name, left in (("f", 1), ("a", 1), ("c", 2)):
        held = await gate.reads(lambda conn, name=name: exchange_records.documents(conn, name * 22))  # type: ignore[misc]
        assert len(held) == left
        assert ("dossier_documents", "jwe-2") in held
    told = await gate.reads(lambda conn: conn.execute(select(outbox.c.exchange_id, outbox.c.topic)).all())
    assert [tuple(row) for row in told] == [("f" * 22, "cancellation")]
    marks = await gate.reads(
        lambda conn: conn.execute(select(exchanges.c.ordered).where(exchanges.c.id == "f" * 22)).scalar_one(),
    )
    assert json.loads(marks)["decisions"]["lost"] is True
    assert json.loads(marks)["dossier_documents"]["lost"] is False


async def test_events_are_only_appended(gate: Gate) -> None:
    await gate.has_case()
    view = await gate.has_consent()
    count = select(consent_events.c.id).where(consent_events.c.consent_id == view.consent.id)
    before = await gate.reads(lambda conn: conn.execute(count).scalars().all())
    await withdrawals.withdraw(gate.services, gate.caller(), view.consent.id, DESK)
    after = await gate.reads(lambda conn: conn.execute(count).scalars().all())
    assert after[: len(before)] == before
    assert len(after) == len(before) + 1


async def test_the_receipt_is_signed_and_names_no_client(gate: Gate) -> None:
    case = await gate.has_case(own="VW-2041")
    view = await gate.has_consent()
    await withdrawals.withdraw(gate.services, gate.caller(), view.consent.id, DESK)

    signed = await consent_receipts.receipt(gate.services, gate.caller(), view.consent.id)

    keys = gate.services.key_lists.verified("gateway").keys("receipt", gate.now)
    claims = jose.verify(signed.jws, keys, TYP_RECEIPT, max_bytes=65_536)
    wrapped = claims["consent_receipt"]
    assert isinstance(wrapped, dict)
    assert wrapped["dpv:hasRecordOfActivity"] == [json.loads(json.dumps(signed.record))]
    text = json.dumps(wrapped)
    for identifier in ("2801234567", "VW-2041", case.case.client_id):
        assert identifier not in text
    statuses = signed.record["dpv:hasConsentStatus"]
    assert isinstance(statuses, list)
    assert [status["@type"][0] for status in statuses] == [
        "dpv:ConsentRequested",
        "dpv:ConsentGiven",
        "dpv:ConsentWithdrawn",
    ]
