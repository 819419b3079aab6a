"""Places at a source and room for large answers: who gets in, who waits, who is told to come back."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from adapters.protocol import MAX_ANSWER_BYTES
from gateway import limits
from gateway.limits import Full, Places, Room, SourceLimits, spread

SHARE = MAX_ANSWER_BYTES


async def holding(room: Room, holder: str, size: int, taken: asyncio.Event, leave: asyncio.Event) -> None:
    async with room.held(holder, size):
        taken.set()
        await leave.wait()


async def test_a_place_is_waited_for_but_not_for_long() -> None:
    places = Places(2, wait_seconds=0.05)
    async with places.place():
        assert places.free == 1
        async with places.place():
            assert places.free == 0
            with pytest.raises(Full):
                async with places.place():
                    pass
        async with places.place():
            pass
    assert places.free == 2


async def test_a_place_that_comes_free_goes_to_who_waits() -> None:
    places = Places(1, wait_seconds=5)
    async with AsyncExitStack() as first:
        await first.enter_async_context(places.place())
        waiting = asyncio.create_task(_once(places))
        await asyncio.sleep(0)
        await first.aclose()
        await waiting


async def test_the_queue_for_a_place_is_short() -> None:
    places = Places(1, wait_seconds=5)
    async with places.place():
        waiting = [asyncio.create_task(_once(places)) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(Full):
            async with asyncio.timeout(0.5), places.place():
                pass
    await asyncio.gather(*waiting)
    assert places.free == 1


async def _once(places: Places) -> None:
    async with places.place():
        pass


async def test_nobody_holds_more_than_a_quarter_of_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ROOM_WAIT_SECONDS", 0.05)
    room = Room(4 * SHARE)
    async with room.held("slow", SHARE):
        with pytest.raises(Full):
            async with room.held("slow", 1):
                pass
        async with room.held("another", SHARE), room.held("a third", SHARE), room.held("a fourth", SHARE):
            assert room.held_bytes == 4 * SHARE
    assert room.held_bytes == 0
    async with room.held("slow", SHARE):
        pass


async def test_room_is_given_in_the_order_of_asking_and_a_large_answer_is_not_overtaken() -> None:
    room = Room(4 * SHARE)
    leave, order = asyncio.Event(), []

    async def takes(name: str, holder: str, size: int) -> None:
        async with room.held(holder, size):
            order.append(name)

    async with AsyncExitStack() as others:
        for number in range(3):
            await others.enter_async_context(room.held(f"holder {number}", SHARE))
        await others.enter_async_context(room.held("one more", SHARE // 2))
        waiting = [
            asyncio.create_task(takes("large", "patient", SHARE)),
            asyncio.create_task(takes("small", "hasty", 1)),
        ]
        await asyncio.sleep(0.01)
        assert order == []
    leave.set()
    await asyncio.gather(*waiting)
    assert order == ["large", "small"]
    assert room.held_bytes == 0


async def test_who_stops_waiting_leaves_nothing_behind() -> None:
    room = Room(4 * SHARE)
    async with room.held("a", SHARE):
        waiting = asyncio.create_task(holding(room, "a", SHARE, asyncio.Event(), asyncio.Event()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert room.held_bytes == SHARE
    assert room.held_bytes == 0


async def test_the_queue_of_one_holder_is_short() -> None:
    room = Room(4 * SHARE)
    leave = asyncio.Event()
    async with room.held("a", SHARE):
        waiting = [asyncio.create_task(holding(room, "a", 1, asyncio.Event(), leave)) for _ in range(32)]
        await asyncio.sleep(0)
        with pytest.raises(Full):
            async with asyncio.timeout(0.5), room.held("a", 1):
                pass
        async with room.held("b", 1):
            pass
    leave.set()
    await asyncio.gather(*waiting)


async def test_what_could_never_fit_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="largest"):
        Room(4 * SHARE - 1)
    with pytest.raises(ValueError, match="place"):
        Places(0, wait_seconds=1)
    with pytest.raises(Full):
        async with Room(4 * SHARE).held("a", SHARE + 1):
            pass


# --- when to come back ---------------------------------------------------------------------


def test_who_is_turned_away_together_is_not_told_to_return_together() -> None:
    asked: list[tuple[int, int]] = []

    def least(low: int, high: int) -> int:
        asked.append((low, high))
        return low

    assert [spread(seconds, least) for seconds in (1, 2, 5, 60)] == [1, 1, 3, 30]
    assert asked == [(1, 1), (1, 3), (3, 7), (30, 90)]
    assert spread(5, lambda _, high: high) == 7


def test_the_longest_call_is_every_wait_of_it_together() -> None:
    usual, patient = SourceLimits(), SourceLimits(timeout_seconds=45.5)
    assert usual.longest_call_seconds == 1 + 10 + 10
    assert patient.longest_call_seconds == 57
