"""Promise 4: every COMMIT of a request fails in turn, and what left is compared with the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, select

from adapters.kit.jose import unverified_payload
from adapters.kit.strict_json import decode_base64url
from adapters.protocol import Category, ClientIdentifier
from adapters.requester.errors import GatewayRefused
from gateway.cli.world import VW
from gateway.errors import Unavailable
from gateway.ledger.merkle import leaf_hash
from gateway.storage.tables import hand_overs, ledger_details, ledger_entries
from gateway.storage.unit_of_work import Transaction
from tests.integration.promises.moments import AtCommit, Moments
from tests.integration.promises.people import Left, nobody, someone, what_left
from tests.integration.town import Town

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASKED = (Category.PERSPECTIVE, Category.PARTNERS, Category.APPLICATION_STATUS)
NAMES = frozenset(map(str, ASKED))
REQUESTS = "/v1/dossier-requests"


def _disk_gone(*, persisted: bool) -> AtCommit:
    """Make a COMMIT fail: before it was done, or done with its answer lost."""

    def fail(conn: Connection) -> None:
        if persisted:
            conn.exec_driver_sql("COMMIT")
        raise OSError("the disk is gone")

    return fail


async def _with_consent(place: Town) -> ClientIdentifier:
    client = someone()
    await place.open_case(client)
    await place.consent(client, ASKED[2:])
    return client


async def _entries(place: Town, exchange: str, kind: str) -> list[int]:
    found = select(ledger_details.c.index).where(
        ledger_details.c.exchange_id == exchange, ledger_details.c.kind == kind
    )
    return await place.services.store.read(lambda conn: list(conn.execute(found).scalars()))


async def _is_in_the_ledger(place: Town, left: Left, receipt: str) -> bool:
    """Compare the entry that stands in the ledger with the leaf that the receipt was signed over."""
    entry = select(ledger_entries.c.entry).where(ledger_entries.c.index == left.index)
    stored = await place.services.store.read(lambda conn: conn.execute(entry).scalar_one())
    ledger: Any = unverified_payload(receipt)["ledger"]
    return leaf_hash(bytes(stored)) == decode_base64url(ledger["leaf_hash"])


@pytest.mark.parametrize("persisted", [False, True], ids=["not_persisted", "persisted"])
async def test_when_a_commit_of_a_new_request_fails_nothing_leaves(
    place: Town, moments: Moments, persisted: bool
) -> None:
    client, party = await _with_consent(place), place.world.vluchtelingenwerk
    moments.watch("POST", REQUESTS)
    assert what_left(await party.send(place.prepare(client, ASKED))).categories == NAMES
    writes = [number for number, call in enumerate(moments.calls) if call == "write"]
    assert len(writes) >= 3

    for number in writes:
        prepared = place.prepare(client, ASKED)
        moments.watch("POST", REQUESTS, number=number, at_commit=_disk_gone(persisted=persisted))
        with pytest.raises(GatewayRefused) as refused:
            await party.send(prepared)
        assert refused.value.status == 503
        assert not {"answer", "decisions", "receipt"} & set(refused.value.problem)
        # The same call again meets the same exchange, and now it leaves, once and recorded once.
        moments.watch("", "")
        answered = await party.send(prepared, wait_seconds=0)
        if answered.state == "forwarded":
            await place.dispatch()
            answered = await party.send(prepared)
        left = what_left(answered)
        assert left.categories == NAMES
        assert await _is_in_the_ledger(place, left, str(answered.receipt))
        *unreleased, released = await _entries(place, answered.id, "handed_over")
        assert released == left.index
        # A record without a release may remain where COMMIT was lost; never the other way round.
        assert len(unreleased) == (1 if persisted and number == writes[-1] else 0)


@pytest.mark.parametrize("persisted", [False, True], ids=["not_persisted", "persisted"])
async def test_when_a_commit_of_a_look_at_it_fails_nothing_leaves(
    place: Town, moments: Moments, persisted: bool
) -> None:
    client, party = await _with_consent(place), place.world.vluchtelingenwerk
    exchange = await party.send(place.prepare(client, ASKED))
    moments.watch("GET", f"{REQUESTS}/{exchange.id}")
    assert what_left(await party.get(exchange.id)).categories == NAMES
    writes = [number for number, call in enumerate(moments.calls) if call == "write"]
    assert len(writes) == 2
    for number in writes:
        fails = _disk_gone(persisted=persisted)
        moments.watch("GET", f"{REQUESTS}/{exchange.id}", number=number, at_commit=fails)
        with pytest.raises(GatewayRefused) as refused:
            await party.get(exchange.id)
        assert refused.value.status == 503
        assert "answer" not in refused.value.problem
        moments.watch("", "")
        assert what_left(await party.get(exchange.id)).categories == NAMES


async def test_a_store_that_tells_before_the_commit_is_caught(
    place: Town, moments: Moments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the same judgement, on a gateway that does not wait for the disk."""
    client, party = await _with_consent(place), place.world.vluchtelingenwerk
    exchange = await party.send(place.prepare(client, ASKED))
    assert await _is_in_the_ledger(place, what_left(exchange), str(exchange.receipt))
    honest = moments.store.write

    async def hasty(work: Callable[[Transaction], Any]) -> Any:
        told: list[Any] = []

        def telling(tx: Transaction) -> Any:
            told.append(work(tx))
            return told[0]

        try:
            return await honest(telling)
        except Unavailable:
            return told[0]

    monkeypatch.setattr(moments.store, "write", hasty)
    gone = _disk_gone(persisted=False)
    moments.watch("GET", f"{REQUESTS}/{exchange.id}", number=5, at_commit=gone)
    leaked = await party.get(exchange.id)
    assert moments.calls == ["write", "read", "read", "read", "read", "write"]
    assert what_left(leaked).categories == NAMES
    assert what_left(leaked).index not in await _entries(place, exchange.id, "handed_over")


async def test_each_release_has_exactly_one_entry_and_one_row_per_category(place: Town) -> None:
    client, party = await _with_consent(place), place.world.vluchtelingenwerk
    prepared = place.prepare(client, ASKED)
    answers = [await party.send(prepared), await party.send(prepared)]
    answers += [await party.get(answers[0].id) for _ in range(3)]
    left = [what_left(answer) for answer in answers]
    assert {answer.id for answer in answers} == {answers[0].id}
    assert [one.categories for one in left] == [NAMES] * 5
    assert await _entries(place, answers[0].id, "handed_over") == [one.index for one in left]
    for answer, one in zip(answers, left, strict=True):
        assert await _is_in_the_ledger(place, one, str(answer.receipt))
        rows = select(hand_overs.c.category, hand_overs.c.outcome).where(
            hand_overs.c.ledger_index == one.index
        )
        recorded = await place.services.store.read(lambda conn, rows=rows: conn.execute(rows).all())  # type: ignore[misc]
        assert {(row.category, row.outcome) for row in recorded} == {(name, "permitted") for name in NAMES}


async def test_a_receipt_is_proven_by_the_ledger_that_the_party_knows(place: Town) -> None:
    client, party = await _with_consent(place), place.world.vluchtelingenwerk
    exchange = await party.send(place.prepare(client, ASKED))
    proven = await party.receipt(exchange.id)
    assert proven.receipt.ledger.index == what_left(exchange).index
    assert proven.receipt.ledger.detail["kind"] == "handed_over"
    assert proven.tree_size > proven.receipt.ledger.index


async def test_refusals_are_recorded_too(place: Town) -> None:
    client, party = await _with_consent(place), place.world.vluchtelingenwerk
    handed_over = await party.send(place.prepare(client, ASKED))
    assert what_left(handed_over).detail["kind"] == "handed_over"

    withheld = await party.send(place.prepare(client, (Category.IDENTITY,)))
    assert what_left(withheld).detail["kind"] == "request_refused"
    assert len(await _entries(place, withheld.id, "request_refused")) == 1

    strange = await party.send(place.prepare(nobody(), ASKED))
    assert what_left(strange).detail["kind"] == "nothing_to_share"
    assert len(await _entries(place, strange.id, "nothing_to_share")) == 1

    with pytest.raises(GatewayRefused) as refused:
        await party.send(place.prepare(client, ASKED, purpose="curiosity"))
    exchange = str(refused.value.problem["id"])
    assert len(await _entries(place, exchange, "request_refused")) == 1
    said: Any = unverified_payload(str(refused.value.problem["receipt"]))["ledger"]
    assert said["detail"]["refusal"] == "purpose_not_in_agreement"
    assert (said["detail"]["requester"], said["detail"]["purpose"]) == (VW, "curiosity")
