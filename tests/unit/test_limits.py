"""Places at a source and room for large answers: who gets in, who waits, who is told to come back."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from adapters.protocol import MAX_ANSWER_BYTES
from gateway import limits
from gateway.limits import Full, Places, Room

HALF = MAX_ANSWER_BYTES


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


async def test_nobody_holds_more_than_half_of_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ROOM_WAIT_SECONDS", 0.05)
    room = Room(2 * HALF)
    async with room.held("slow", HALF):
        with pytest.raises(Full):
            async with room.held("slow", 1):
                pass
        async with room.held("another", HALF):
            assert room.held_bytes == 2 * HALF
    assert room.held_bytes == 0
    async with room.held("slow", HALF):
        pass


async def test_room_is_given_in_the_order_of_asking_and_a_large_answer_is_not_overtaken() -> None:
    room = Room(2 * HALF)
    leave, order = asyncio.Event(), []

    async def takes(name: str, holder: str, size: int) -> None:
        async with room.held(holder, size):
            order.append(name)

    async with AsyncExitStack() as others:
        for number in range(3):
            await others.enter_async_context(room.held(f"holder {number}", HALF // 2))
        waiting = [
            asyncio.create_task(takes("large", "patient", HALF)),
            asyncio.create_task(takes("small", "hasty", 1)),
        ]
        await asyncio.sleep(0.01)
        assert order == []
    leave.set()
    await asyncio.gather(*waiting)
    assert order == ["large", "small"]
    assert room.held_bytes == 0


async def test_who_stops_waiting_leaves_nothing_behind() -> None:
    room = Room(2 * HALF)
    async with room.held("a", HALF):
        waiting = asyncio.create_task(holding(room, "a", HALF, asyncio.Event(), asyncio.Event()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert room.held_bytes == HALF
    assert room.held_bytes == 0


async def test_the_queue_of_one_holder_is_short() -> None:
    room = Room(2 * HALF)
    leave = asyncio.Event()
    async with room.held("a", HALF):
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
        Room(2 * HALF - 1)
    with pytest.raises(ValueError, match="place"):
        Places(0, wait_seconds=1)
    with pytest.raises(Full):
        async with Room(2 * HALF).held("a", HALF + 1):
            pass
