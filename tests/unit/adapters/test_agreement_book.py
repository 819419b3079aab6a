"""A source learns versions from a gateway that may lie; an order is judged by its own time and by now."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from adapters.kit.agreement_book import MAX_UNKNOWN, AgreementBook, from_gateway
from adapters.kit.agreement_chain import Package
from adapters.kit.order_refused import AgreementUnavailable, OrderRefused
from adapters.kit.register import agreement_digest
from adapters.kit.session import Response, SessionError
from adapters.kit.store import OrderStore
from adapters.protocol import Category, OrderClaims, OrderedCategory
from tests.unit.kit.agreements import DAY, FIRST, NOW, SECOND, THIRD, chain, package, successor

FROM = int(SECOND["valid_from"])
D1, D2, D3 = agreement_digest(FIRST), agreement_digest(SECOND), agreement_digest(THIRD)


class Gateway:
    """Serves versions and the state of affairs, as told; it may be down, silent, or lie."""

    def __init__(self) -> None:
        self.now = NOW
        self.served: dict[str, Mapping[str, object]] = {}
        self.asked: list[str] = []
        self.status = 200
        self.silent = self.broken = False
        self.serve(package(FIRST, ("vw", "ind", "askv")))
        self.say(in_force=D1)

    def serve(self, *packages: Package, under: str | None = None) -> None:
        for one in packages:
            self.served[under or agreement_digest(one.agreement)] = {
                "agreement": one.agreement,
                "signatures": one.signatures,
                "withdrawals": one.withdrawals,
            }

    def say(self, **state: object) -> None:
        self.served["in-force"] = state

    async def request(self, method: str, path: str) -> Response:
        assert (method, path.rpartition("/")[0]) == ("GET", "/v1/agreements")
        self.asked.append(path.rpartition("/")[2])
        if self.silent:
            await asyncio.Event().wait()
        if self.broken:
            raise RuntimeError("not what anyone foresaw")
        if self.status == 0:
            raise SessionError("gateway_unreachable")
        body = self.served.get(self.asked[-1])
        return Response(404 if body is None else self.status, {}, dict(body or {}))

    def clock(self) -> int:
        return self.now


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[OrderStore]:
    made = OrderStore(path)
    yield made
    made.close()


@pytest_asyncio.fixture
async def book(gateway: Gateway, store: OrderStore) -> AsyncIterator[AgreementBook]:
    yield await opened(gateway, store)


async def opened(gateway: Gateway, store: OrderStore, learn_seconds: float = 10.0) -> AgreementBook:
    made = AgreementBook(chain(), store, from_gateway(gateway), gateway.clock, learn_seconds=learn_seconds)
    await made.load()
    return made


def order(agreement: str, iat: int) -> OrderClaims:
    return OrderClaims(
        iss="gateway",
        aud="ind",
        jti="o" * 22,
        exchange="e" * 22,
        iat=iat,
        exp=iat + 60,
        agreement=agreement,
        purpose="legal_screening",
        recipient="askv",
        categories=(OrderedCategory(category=Category.PERSPECTIVE, ground="baseline"),),
        request="a.b.c~",
        client="a..b.c.d",
    )


async def judges(book: AgreementBook, agreement: str, iat: int) -> list[str]:
    return [version.digest for version in await book.judging(order(agreement, iat))]


async def refused(book: AgreementBook, agreement: str, iat: int) -> str | None:
    with pytest.raises(OrderRefused) as error:
        await book.judging(order(agreement, iat))
    assert error.value.code == "order_refused_other_agreement"
    return error.value.cause


# --- which versions judge ------------------------------------------------------------------


async def test_an_order_under_the_version_in_force_asks_nobody(book: AgreementBook, gateway: Gateway) -> None:
    assert await judges(book, D1, NOW) == [D1]
    assert gateway.asked == []


async def test_an_order_under_a_new_version_makes_the_source_learn_it(
    book: AgreementBook, gateway: Gateway
) -> None:
    gateway.serve(package(SECOND))
    gateway.now = FROM
    assert await judges(book, D2, FROM) == [D2]
    asked = len(gateway.asked)
    assert await judges(book, D2, FROM) == [D2]
    assert len(gateway.asked) == asked, "learnt once"


async def test_versions_in_between_are_learnt_on_the_way_back_to_one_that_is_known(
    book: AgreementBook, gateway: Gateway
) -> None:
    gateway.serve(package(SECOND), package(THIRD))
    gateway.now = THIRD["valid_from"]
    assert await judges(book, D3, gateway.now) == [D3]
    assert gateway.asked == [D3, D2, D1]


async def test_an_order_from_before_the_instant_is_judged_by_what_holds_now_as_well(
    book: AgreementBook, gateway: Gateway
) -> None:
    gateway.serve(package(SECOND))
    gateway.say(in_force=D1, next=D2)
    await book.refresh()
    assert await judges(book, D1, FROM - 1) == [D1]
    gateway.now = FROM
    assert await judges(book, D1, FROM - 1) == [D1, D2]
    assert await judges(book, D2, FROM) == [D2]


async def test_dating_an_order_back_or_ahead_gains_nothing(book: AgreementBook, gateway: Gateway) -> None:
    gateway.serve(package(SECOND))
    gateway.now = FROM + 5 * DAY
    assert await judges(book, D2, gateway.now) == [D2]
    assert await judges(book, D1, FROM - DAY) == [D1, D2], "the newer one judges whatever the date says"
    await refused(book, D1, gateway.now)
    await refused(book, D2, FROM - DAY)


async def test_clocks_may_differ_by_ten_seconds_around_the_instant(
    book: AgreementBook, gateway: Gateway
) -> None:
    gateway.serve(package(SECOND))
    gateway.say(in_force=D1, next=D2)
    await book.refresh()
    gateway.now = FROM - 5
    assert await judges(book, D2, FROM) == [D2], "the gateway is ahead of us"
    assert await judges(book, D2, FROM - 10) == [D2, D1]
    await refused(book, D2, FROM - 11)
    gateway.now = FROM + 20
    assert await judges(book, D1, FROM + 9) == [D1, D2]
    await refused(book, D1, FROM + 10)


async def test_a_version_that_was_in_force_for_seconds_is_found_by_an_order_of_those(
    book: AgreementBook, gateway: Gateway
) -> None:
    third = successor(SECOND, valid_from=FROM + 5)
    gateway.serve(package(SECOND), package(third))
    gateway.now = FROM + 6
    assert await judges(book, agreement_digest(third), FROM + 6) == [agreement_digest(third)]
    assert await judges(book, D2, FROM + 2) == [D2, agreement_digest(third)]


# --- what is kept --------------------------------------------------------------------------


async def test_what_was_learnt_outlives_the_process_and_needs_no_gateway(
    gateway: Gateway, store: OrderStore
) -> None:
    gateway.serve(package(SECOND), package(THIRD))
    gateway.now = THIRD["valid_from"]
    before = await opened(gateway, store)
    assert await judges(before, D3, gateway.now) == [D3]
    gateway.serve(package(THIRD, withdrawn={"ind": gateway.now}))
    await before.refresh()
    gateway.status = 0
    after = await opened(gateway, store)
    (version,) = after.standing(order(D3, gateway.now))
    assert (version.digest, version.founding_signed) == (D3, False)
    assert await judges(after, D2, gateway.now - 1) == [D2, D3]


async def test_what_left_the_anchor_is_known_before_what_follows_from_it(
    gateway: Gateway, store: OrderStore
) -> None:
    onward = successor(FIRST, founding_set=["vw", "askv"])
    gateway.serve(package(FIRST, ("vw", "ind", "askv"), {"ind": NOW}), package(onward, ("vw", "askv")))
    gateway.now = FROM
    digest = agreement_digest(onward)
    assert await judges(await opened(gateway, store), digest, FROM) == [digest]
    gateway.status = 0
    assert await judges(await opened(gateway, store), digest, FROM) == [digest]


async def test_a_version_that_was_changed_in_the_file_is_left_out(
    gateway: Gateway, store: OrderStore, path: Path
) -> None:
    gateway.serve(package(SECOND))
    gateway.now = FROM
    assert await judges(await opened(gateway, store), D2, FROM) == [D2]
    with sqlite3.connect(path) as file:
        changed = "UPDATE agreements SET package = replace(package, '\"1+\"', '\"1-\"') WHERE digest = ?"
        assert file.execute(changed, (D2,)).rowcount == 1
    file.close()
    gateway.status = 0
    with capture_logs() as logs:
        again = await opened(gateway, store)
    assert [one["event"] for one in logs] == ["agreement_not_loaded"]
    with pytest.raises(AgreementUnavailable):
        await again.judging(order(D2, FROM))


# --- a gateway that lies -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("served", "cause"),
    [
        (package(SECOND, ("vw",)), "agreement_not_signed"),
        (package(SECOND, ()), "agreement_not_signed"),
        (Package(SECOND, package(FIRST).signatures, {}), "agreement_not_signed"),
        (package(SECOND, withdrawn={"ind": NOW}), "agreement_not_signed"),
        (Package({**SECOND, "rules": {}}, package(SECOND).signatures, {}), "agreement_invalid"),
        (Package({}, {}, {}), "agreement_invalid"),
        (None, "not served"),
    ],
    ids=["founder missing", "unsigned", "signed for another", "left in time", "tampered", "empty", "none"],
)
async def test_a_version_that_did_not_come_about_is_refused_and_not_kept(
    book: AgreementBook, gateway: Gateway, store: OrderStore, served: Package | None, cause: str
) -> None:
    gateway.now = FROM
    if served is not None:
        gateway.serve(served, under=D2)
    assert await refused(book, D2, FROM) == cause
    assert [digest for digest, _ in await store.agreements()] == [D1]
    gateway.serve(package(SECOND))
    assert await judges(book, D2, FROM) == [D2], "the same call succeeds when it did"


async def test_a_version_signed_only_by_its_own_founding_set_is_refused(
    book: AgreementBook, gateway: Gateway
) -> None:
    usurped = successor(FIRST, founding_set=["askv", "law"])
    gateway.serve(package(usurped, ("askv", "law")))
    gateway.now = FROM
    assert await refused(book, agreement_digest(usurped), FROM) == "agreement_not_signed"
    gateway.serve(package(usurped, ("askv", "law", "vw", "ind")))
    assert await judges(book, agreement_digest(usurped), FROM) == [agreement_digest(usurped)]


async def test_a_second_successor_is_refused_and_logged_as_an_attack(
    book: AgreementBook, gateway: Gateway
) -> None:
    other = successor(FIRST, version="another")
    gateway.serve(package(SECOND), package(other))
    gateway.now = FROM
    assert await judges(book, D2, FROM) == [D2]
    with capture_logs() as logs:
        assert await refused(book, agreement_digest(other), FROM) == "agreement_forked"
    assert [(one["event"], one["log_level"]) for one in logs] == [("attack_agreement_forked", "error")]
    assert await judges(book, D2, FROM) == [D2]


@pytest.mark.parametrize("begins", [FROM - 3600, FROM + 3600], ids=["sooner", "later"])
async def test_a_version_takes_the_place_of_one_that_a_founder_left_in_time(
    book: AgreementBook, gateway: Gateway, begins: int
) -> None:
    other = successor(FIRST, version="another", valid_from=begins)
    named = agreement_digest(other)
    gateway.serve(package(SECOND), package(other))
    gateway.say(in_force=D1, next=D2)
    await book.refresh()
    gateway.now = begins
    assert await refused(book, named, begins) == "agreement_forked"
    gateway.serve(package(SECOND, withdrawn={"ind": NOW + 60}))
    assert await judges(book, named, begins) == [named]


async def test_a_chain_without_end_is_not_followed_to_its_end(book: AgreementBook, gateway: Gateway) -> None:
    def endless(length: int) -> dict[str, Any]:
        newest = FIRST if length <= MAX_UNKNOWN else successor(FIRST, supersedes="sha-256:" + "A" * 43)
        for step in range(length):
            newest = successor(newest, valid_from=FROM + step, version=str(step))
            gateway.serve(package(newest))
        gateway.now = int(newest["valid_from"])
        return newest

    last = agreement_digest(endless(MAX_UNKNOWN))
    assert await judges(book, last, gateway.now) == [last], "as many as this are followed"
    gateway.asked.clear()
    assert await refused(book, agreement_digest(endless(MAX_UNKNOWN * 3)), gateway.now) == "not_a_successor"
    assert len(gateway.asked) == MAX_UNKNOWN + 1


async def test_a_gateway_that_is_down_or_silent_leaves_the_order_undecided(
    gateway: Gateway, store: OrderStore
) -> None:
    book = await opened(gateway, store, learn_seconds=0.3)
    gateway.serve(package(SECOND))
    gateway.now = FROM
    gateway.status = 0
    with pytest.raises(AgreementUnavailable, match="gateway_unreachable"):
        await book.judging(order(D2, FROM))
    gateway.status = 503
    with pytest.raises(AgreementUnavailable, match="answer_malformed"):
        await book.judging(order(D2, FROM))
    gateway.status, gateway.silent = 200, True
    waiting = [asyncio.create_task(book.judging(order(D2, FROM))) for _ in range(5)]
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(one) for one in outcomes] == ["timeout"] * 5
    assert all(isinstance(one, AgreementUnavailable) for one in outcomes)
    assert await judges(book, D1, NOW) == [D1], "and what is known is judged meanwhile"
    gateway.silent = False
    assert await judges(await opened(gateway, store), D2, FROM) == [D2]


@pytest.mark.parametrize(
    "state",
    [
        {"in_force": 7, "next": ["x"]},
        {"in_force": "../parties/ind/keys", "next": "sha-256:short"},
        {"in_force": D3, "next": None},
        {},
    ],
    ids=["other types", "other places", "what is not served", "nothing"],
)
async def test_what_a_gateway_says_is_in_force_is_never_believed_for_being_said(
    book: AgreementBook, gateway: Gateway, state: dict[str, object]
) -> None:
    gateway.say(**state)
    gateway.now = FROM
    await book.refresh()
    assert set(gateway.asked) <= {"in-force", D1, D3}, "asked for digests only"
    assert await judges(book, D1, FROM) == [D1]


async def test_a_gateway_that_names_a_version_too_early_does_not_bring_it_into_force(
    book: AgreementBook, gateway: Gateway
) -> None:
    gateway.serve(package(SECOND))
    gateway.say(in_force=D2)
    await book.refresh()
    assert await judges(book, D1, NOW) == [D1]
    await refused(book, D2, NOW)
    gateway.now = FROM
    assert await judges(book, D2, FROM) == [D2]


async def test_a_gateway_that_hides_a_version_cannot_call_it_back_once_it_was_seen(
    book: AgreementBook, gateway: Gateway
) -> None:
    gateway.serve(package(SECOND))
    gateway.say(in_force=D1, next=D2)
    await book.refresh()
    gateway.now = FROM + DAY
    del gateway.served[D2]
    gateway.say(in_force=D1)
    await book.refresh()
    assert await judges(book, D1, FROM - 1) == [D1, D2]


# --- what is taken back --------------------------------------------------------------------


async def test_a_signature_that_is_taken_back_arrives_with_the_next_refresh(
    book: AgreementBook, gateway: Gateway
) -> None:
    (before,) = book.standing(order(D1, NOW))
    assert before.signed.signed_by == {"vw", "ind", "askv"}
    gateway.serve(package(FIRST, ("vw", "ind", "askv"), {"askv": NOW}))
    await book.refresh()
    (after,) = book.standing(order(D1, NOW))
    assert (after.signed.signed_by, after.founding_signed) == ({"vw", "ind"}, True)
    gateway.serve(package(FIRST, ("vw", "ind", "askv")))
    await book.refresh()
    assert book.standing(order(D1, NOW)) == (after,), "an older state is no undoing"


async def test_a_version_that_a_founder_left_just_before_its_instant_is_found_out_by_the_next_order(
    book: AgreementBook, gateway: Gateway
) -> None:
    gateway.serve(package(SECOND))
    gateway.say(in_force=D1, next=D2)
    await book.refresh()
    gateway.now = FROM + 20
    gateway.serve(package(SECOND, withdrawn={"ind": FROM - 1}))
    assert await judges(book, D1, FROM + 20) == [D1]
    await refused(book, D2, FROM + 20)


async def test_the_poll_goes_on_after_whatever_went_wrong(book: AgreementBook, gateway: Gateway) -> None:
    polling = asyncio.create_task(book.run(poll_seconds=0.01))
    try:
        gateway.broken = True
        await asyncio.sleep(0.05)
        gateway.broken = False
        gateway.serve(package(SECOND))
        gateway.say(in_force=D1, next=D2)
        gateway.now = FROM
        async with asyncio.timeout(5):
            while len(book.standing(order(D1, FROM - 1))) == 1:  # noqa: ASYNC110 -- nobody tells when it is learnt
                await asyncio.sleep(0.01)
    finally:
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)
