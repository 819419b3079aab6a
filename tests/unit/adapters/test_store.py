"""What the store of a source promises: single use, no cancelled category ever kept, nothing kept too long."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.kit.order_refused import OrderRefused, OtherBytes
from adapters.kit.store import OrderStore, StoredOrder
from adapters.protocol import Category

NOW = 1_800_000_000
DECISIONS, PERSPECTIVE = Category.DECISIONS, Category.PERSPECTIVE


@pytest.fixture
def store(tmp_path: Path) -> Iterator[OrderStore]:
    opened = OrderStore(tmp_path / "state.sqlite")
    yield opened
    opened.close()


async def remember(store: OrderStore, **override: Any) -> StoredOrder:
    row = {
        "exchange": "e1",
        "digest": "d1",
        "request_jti": "j1",
        "facts": "{}",
        "now": NOW,
        "expires_at": NOW + 100,
        "forget_at": NOW + 200,
    }
    return await store.remember(**(row | override))


async def test_the_same_order_is_remembered_once(store: OrderStore) -> None:
    assert await remember(store) == await remember(store)


async def test_one_exchange_has_one_order(store: OrderStore) -> None:
    await remember(store)
    with pytest.raises(OtherBytes):
        await remember(store, digest="d2", request_jti="j2")


async def test_a_request_serves_one_exchange(store: OrderStore) -> None:
    await remember(store)
    with pytest.raises(OrderRefused, match="request_replayed"):
        await remember(store, exchange="e2", digest="d2")


async def test_of_many_exchanges_at_once_one_gets_the_request(store: OrderStore) -> None:
    tries = [remember(store, exchange=f"e{n}", digest=f"d{n}") for n in range(20)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(outcome, StoredOrder) for outcome in outcomes) == 1


async def test_an_answer_with_a_cancelled_category_is_not_kept(store: OrderStore) -> None:
    await remember(store)
    await store.cancel("e1", [DECISIONS], forget_at=NOW + 200)
    assert not await store.keep_answer("e1", "full", provided=[PERSPECTIVE, DECISIONS], instead_of=None)
    assert await store.keep_answer("e1", "less", provided=[PERSPECTIVE], instead_of=None)
    stored = await store.by_exchange("e1")
    assert stored is not None
    assert (stored.answer, stored.state, stored.cancelled) == ("less", "answered", {DECISIONS})


async def test_a_cancellation_is_remembered_before_its_order(store: OrderStore) -> None:
    assert await store.cancel("e1", [DECISIONS], forget_at=NOW + 200) is None
    assert (await remember(store)).cancelled == {DECISIONS}


async def test_a_kept_answer_stands(store: OrderStore) -> None:
    await remember(store)
    assert await store.keep_answer("e1", "first", provided=[], instead_of=None)
    assert not await store.keep_answer("e1", "second", provided=[], instead_of=None)
    assert await store.keep_answer("e1", "third", provided=[], instead_of="first")


async def test_waiting_orders_come_due_and_are_settled(store: OrderStore) -> None:
    await remember(store)
    await store.wait("e1", due_at=NOW + 5)
    assert await store.due(NOW + 4, limit=9) == []
    assert await store.due(NOW + 5, limit=9) == ["e1"]
    await store.postpone("e1", due_at=NOW + 9)
    assert await store.due(NOW + 5, limit=9) == []
    await store.settle("e1")
    assert await store.due(NOW + 99, limit=9) == []


async def test_everything_outlives_the_process(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    before = OrderStore(path)
    await remember(before)
    await before.cancel("e1", [DECISIONS], forget_at=NOW + 200)
    before.close()
    after = OrderStore(path)
    assert await after.by_digest("d1") == await remember(after)
    with pytest.raises(OrderRefused):
        await remember(after, exchange="e2", digest="d2")
    after.close()


async def test_answers_go_with_their_order_and_the_row_when_no_replay_is_left(store: OrderStore) -> None:
    await remember(store)
    await store.keep_answer("e1", "sealed", provided=[], instead_of=None)
    await store.forget(NOW + 100)
    stored = await store.by_exchange("e1")
    assert stored is not None
    assert stored.answer is None
    with pytest.raises(OrderRefused):
        await remember(store, exchange="e2", digest="d2")
    await store.forget(NOW + 200)
    assert await store.by_exchange("e1") is None
