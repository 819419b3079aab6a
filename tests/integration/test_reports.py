"""Counts by the quarter: for whom, of whom, once and then fixed, and every reading an entry in the ledger."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection, insert, select, update

from adapters.kit.keys import SigningKey
from adapters.kit.strict_json import encode_base64url
from gateway import reports
from gateway.agreements import Agreements
from gateway.app import ROUTERS
from gateway.cli.provision import Deployment
from gateway.errors import Refused, Unavailable
from gateway.http.app_factory import build_app
from gateway.ledger.checkpoint import LedgerSigner
from gateway.ledger.entry import open_detail
from gateway.oauth.resource import CALLER_SCOPE_KEY, Caller
from gateway.quarters import Quarter
from gateway.report_figures import FIGURES, ON_A_CASE, count
from gateway.storage.tables import cases, clients, counted_reports, exchanges, ledger_details, parties
from gateway.storage.unit_of_work import Store
from tests.integration.agreeing import Agreeing
from tests.integration.gate import VW, Gate, v_number
from tests.unit.counted_worlds import case, exchange

MAY = ("regie-organisatie", "gemeente-amsterdam")
MAY_NOT = {
    "avim": "art. 4.2 (003 §5.5.5)",
    "ind": "art. 4.5 (003 §5.1a)",
    "dtv": "art. 4.6 (003 §5.1b)",
    VW: "art. 4.1 (003 §5.1)",
    "advocatenpunt": "art. 4.8 (000 §2.1)",
    "goedwerk": "art. 4.7 (002 §3)",
    "toetsingscommissie": "art. 4.10 (003 §5.5.2)",
}
RO = MAY[0]
Call = Callable[..., Awaitable[httpx2.Response]]


@pytest.fixture
async def call(gate: Gate) -> AsyncIterator[Call]:
    app = build_app(gate.services, ROUTERS)

    async def as_party(scope: Any, receive: Any, send: Any) -> None:
        # Who calls is established by `gateway.oauth`, which has tests of its own.
        party = dict(scope["headers"])[b"x-party"].decode()
        scope[CALLER_SCOPE_KEY] = Caller(party, gate.services.agreement.kind(party) or "", party)
        await app(scope, receive, send)

    transport = httpx2.ASGITransport(app=as_party)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8400") as client:

        async def calls(path: object = "", *, party: str = RO) -> httpx2.Response:
            where = f"/v1/reports/{path}" if path else "/v1/reports"
            return await client.get(where, headers={"X-Party": party})

        yield calls


@pytest.fixture
async def over(gate: Gate) -> Quarter:
    """The quarter in which this gateway began its ledger, with twelve clients, and which is over now."""
    await gate.has_case()
    quarter = Quarter.of(gate.now)
    await rows(gate, cases, [case(f"c{n}", f"client-{n}", gate.now, None) for n in range(11)])
    gate.clock[0] = quarter.ends_at + 60
    return quarter


async def rows(gate: Gate, table: Any, new: Iterable[dict[str, object]]) -> None:
    """Write rows as the gateway has them, with the clients that they are about."""
    found = list(new)
    about = {str(row["client_id"]) for row in found if row["client_id"]}

    def work(conn: Connection) -> None:
        known = set(conn.scalars(select(clients.c.id)))
        fresh = [
            {"id": one, "revision": 1, "data_key_sealed": b"-", "created_at": 0} for one in about - known
        ]
        if fresh:
            conn.execute(insert(clients), fresh)
        for row in found:
            conn.execute(insert(table), row)

    await gate.services.store.write(lambda tx: work(tx.conn))


async def read(gate: Gate, quarter: Quarter, party: str = RO) -> bytes:
    return await reports.read_report(gate.services, gate.caller(party), quarter)


def figures(body: bytes) -> dict[str, tuple[int, int]]:
    return {one["figure"]: (one["at_least"], one["at_most"]) for one in json.loads(body)["figures"]}


async def entries(gate: Gate) -> list[dict[str, Any]]:
    """Open every entry about counts, in order."""
    vault = gate.services.vault
    wanted = (
        select(ledger_details)
        .where(ledger_details.c.kind.startswith("counts_"))
        .order_by(ledger_details.c.index)
    )
    found = await gate.reads(lambda conn: conn.execute(wanted).mappings().all())
    return [dict(open_detail(row, vault.party_key(row["party_id"])).detail) for row in found]


async def test_coordination_and_municipality_read_the_same_bytes(
    gate: Gate, call: Call, over: Quarter
) -> None:
    answers = [await call(over, party=party) for party in (*MAY, *reversed(MAY))]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert figures(answers[0].content) == dict.fromkeys(FIGURES, (0, 9)) | {ON_A_CASE: (10, 19)}
    # The health service may as the municipality may, and has not signed here.
    unsigned = await call(over, party="ggd-amsterdam")
    assert (unsigned.status_code, unsigned.json()["code"]) == (403, "agreement_not_signed")
    assert unsigned.json()["paragraph"] == "art. 1.4 (ours)"


@pytest.mark.parametrize("party", MAY_NOT)
async def test_no_other_kind_of_party_reads_counts(gate: Gate, call: Call, over: Quarter, party: str) -> None:
    assert (await call(over)).status_code == 200
    noted = await entries(gate)
    for path in (over, ""):
        refused = await call(path, party=party)
        assert (refused.status_code, refused.json()["code"]) == (403, "not_for_this_party")
        assert refused.json()["paragraph"] == MAY_NOT[party]
    assert await entries(gate) == noted


async def test_a_version_of_the_agreement_says_who_may(agreeing: Agreeing, call: Call, over: Quarter) -> None:
    kinds: Any = agreeing.document()["kinds"]
    del kinds["coordination"]["receives_counts"]
    kinds["ind"]["receives_counts"] = True
    assert [(await call(over, party=one)).status_code for one in (RO, "ind")] == [200, 403]
    await agreeing.has_in_force(kinds=kinds)
    refused, read_by_ind = await call(over), await call(over, party="ind")
    assert (refused.status_code, read_by_ind.status_code) == (403, 200)


async def test_there_is_a_report_of_quarters_that_are_over_since_the_gateway_began_and_of_no_other(
    gate: Gate, call: Call, over: Quarter
) -> None:
    listed = await call()
    assert listed.json() == {"reports": [{"quarter": str(over)}]}
    assert (await call(over)).status_code == 200
    (one,) = (await call()).json()["reports"]
    assert one["published_at"].endswith("Z")
    before = Quarter(over.year - 1, over.number)
    for other in (over.following, before, Quarter(2099, 4)):
        refused = await call(other)
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    for malformed in ("2026-Q5", "2026", "q3"):
        assert (await call(malformed)).status_code == 400
    gate.clock[0] = over.ends_at + 5  # by a slower clock than this one it may not be over yet
    assert (await call(over)).status_code == 404


async def test_what_was_published_stays_as_it_is_whatever_comes_to_light_later(
    gate: Gate, over: Quarter
) -> None:
    first = await read(gate, over)
    late = [case(f"late{n}", f"late-{n}", over.ends_at - 1000, None) for n in range(40)]
    await rows(gate, cases, late)
    again = await gate.reads(lambda conn: count(conn, over, {VW, "askv"}))
    assert again[ON_A_CASE] == 52
    for party in MAY:
        assert await read(gate, over, party) == first
    assert figures(first)[ON_A_CASE] == (10, 19)


async def test_each_reading_is_an_entry_that_says_who_read_which_report(gate: Gate, over: Quarter) -> None:
    body = await read(gate, over)
    await read(gate, over, "gemeente-amsterdam")
    digest = "sha-256:" + encode_base64url(hashlib.sha256(body).digest())
    told = {"quarter": str(over), "report": digest, "purpose": "aggregate_report", "at": gate.now}
    assert await entries(gate) == [
        {"kind": "counts_published", "party": "gateway", **told},
        {"kind": "counts_disclosed", "party": RO, **told},
        {"kind": "counts_disclosed", "party": "gemeente-amsterdam", **told},
    ]
    published = await gate.reads(lambda conn: conn.execute(select(counted_reports)).mappings().one())
    assert (published["quarter"], bytes(published["body"])) == (str(over), body)


async def test_nothing_is_read_or_published_that_cannot_be_noted(
    gate: Gate, over: Quarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise Unavailable("ledger_unavailable")

    with monkeypatch.context() as broken:
        broken.setattr(reports, "record", no_room)
        with pytest.raises(Unavailable):
            await read(gate, over)
    assert await gate.reads(lambda conn: conn.execute(select(counted_reports)).all()) == []
    assert figures(await read(gate, over))[ON_A_CASE] == (10, 19)


async def test_clients_are_counted_once_when_an_ngo_was_with_them_and_something_could_be_asked(
    gate: Gate, over: Quarter
) -> None:
    begin, end = over.begins_at, over.ends_at
    await rows(
        gate,
        cases,
        [
            case("until-the-end", "a", begin, end),  # left in the first second after it
            case("second-ngo", "a", begin, None, party_id=VW),
            case("left-before", "b", begin, end - 1),
            case("came-after", "c", end, None),
            case("pending", "d", begin, None, state="pending", confirmed_at=None, confirmed_by=None),
            case("no-ngo", "e", begin, None, party_id="goedwerk"),
        ],
    )
    asked = [
        exchange("first", "a", "legal_screening", begin),
        exchange("again", "a", "legal_screening", end - 1, requester=VW, state="failed"),
        exchange("other", "b", "legal_screening", begin, state="forwarded"),
        exchange("before", "c", "legal_screening", begin - 1),
        exchange("after", "d", "legal_screening", end),
        exchange("refused", "e", "legal_screening", begin, state="refused"),
        exchange("nobody", "f", "legal_screening", begin, state="nothing_to_share"),
        exchange("agency", "g", "case_conference", begin, requester="ind"),
        exchange("unlisted", "h", "medical_stay", begin),
        exchange("transfer", "h", "case_transfer", begin),
    ]
    await rows(gate, exchanges, asked)
    found = await gate.reads(lambda conn: count(conn, over, {VW, "askv"}))
    assert found == {ON_A_CASE: 13, "legal_screening": 2, "case_transfer": 1}


async def test_only_parties_that_signed_read_and_are_counted_and_none_that_is_suspended(
    gate: Gate, deployment: Deployment, over: Quarter
) -> None:
    keys: dict[str, SigningKey] = {
        party: deployment[party].keystore().signing("identity") for party in (RO, "leger-des-heils")
    }
    agreeing, anchor = Agreeing(gate, keys), gate.services.agreement.digest
    new = [case(f"hq{n}", f"hq-{n}", over.begins_at, None, party_id="askv") for n in range(30)]
    await rows(
        gate,
        cases,
        [case(f"ldh{n}", f"ldh-{n}", over.begins_at, None, party_id="leger-des-heils") for n in range(30)]
        + new,
    )
    services = gate.services

    def counted(conn: Connection) -> int:
        ngos = reports._require_counts(conn, services, RO, gate.now)
        return count(conn, over, ngos)[ON_A_CASE]

    assert await gate.reads(counted) == 72
    await agreeing.withdraws(anchor, "leger-des-heils")
    assert await gate.reads(counted) == 42
    await services.store.write(
        lambda tx: tx.conn.execute(update(parties).where(parties.c.id == "askv").values(status="suspended"))
    )
    assert await gate.reads(counted) == 1
    await agreeing.withdraws(anchor, RO)
    with pytest.raises(Refused) as refused:
        await read(gate, over)
    assert refused.value.code == "agreement_not_signed"
    await read(gate, over, "gemeente-amsterdam")


async def test_a_founder_that_leaves_stops_the_counts_too(agreeing: Agreeing, over: Quarter) -> None:
    gate = agreeing.gate
    await read(gate, over)
    await agreeing.withdraws(gate.services.agreement.digest, "askv")
    with pytest.raises(Refused) as refused:
        await read(gate, over)
    assert (refused.value.code, refused.value.extra) == (
        "agreement_not_in_force",
        {"paragraph": "art. 1.3 (ours)"},
    )


async def test_of_calls_that_come_at_once_one_publishes(gate: Gate, over: Quarter) -> None:
    bodies = await asyncio.gather(*(read(gate, over, party) for party in MAY * 4))
    assert len(set(bodies)) == 1
    kinds = [one["kind"] for one in await entries(gate)]
    assert (kinds.count("counts_published"), kinds.count("counts_disclosed")) == (1, 8)


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_of_two_gateways_one_publishes_and_what_the_other_counted_is_forgotten(
    gate: Gate, over: Quarter
) -> None:
    here = gate.services
    signer = LedgerSigner(here.register.ledger_origin, here.keys.seed("checkpoint"))
    store = await asyncio.to_thread(Store.open, here.settings.database_url, ledger=signer)
    there = replace(
        here,
        store=store,
        agreements=Agreements(here.agreement, here.register, here.engine, here.clock),  # type: ignore[arg-type]
    )
    await there.agreements.begin(there)
    first = await read(gate, over)
    # The other one had counted by then, something else.
    other = await store.write(lambda tx: reports._disclose(tx, there, RO, over, b"{}", gate.now))
    assert other == first
    together = await asyncio.gather(
        *(reports.read_report(each, gate.caller(RO), over) for each in (here, there) * 4)
    )
    assert set(together) == {first}
    assert [one["kind"] for one in await entries(gate)].count("counts_published") == 1
    store.close()


async def test_a_case_of_a_client_confirmed_by_two_is_what_counts(gate: Gate, call: Call) -> None:
    quarter = Quarter.of(gate.now)
    for number in range(10):
        await gate.has_case(client=v_number(f"28012345{number:02}"))
    await gate.opens(client=v_number("2801239999"))
    found = await gate.reads(lambda conn: count(conn, quarter, {VW}))
    assert found == {ON_A_CASE: 10}
    gate.clock[0] = quarter.ends_at + 60
    assert figures((await call(quarter)).content)[ON_A_CASE] == (10, 19)
