"""What a caller is told whose order was not sent: when to return, and not all of them at once."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import uvicorn

from adapters.protocol import IDLE_CONNECTION_SECONDS
from gateway.breaker import Breaker
from gateway.cli.serve import server_options
from gateway.limits import LEAST_ROOM_BYTES, Between, Room, SourceLimits
from gateway.source_line import NotSent, SourceLine

OPEN_SECONDS = 8.0


def line(between: Between) -> SourceLine:
    """A source that was just found to be away."""
    breaker = Breaker(failures=1, open_seconds=OPEN_SECONDS, clock=lambda: 1000.0)
    with breaker.attempt("anyone") as attempt:
        attempt.failed()
    return SourceLine(
        "ind",
        "http://127.0.0.1:9",
        limits=SourceLimits(),
        breaker=breaker,
        room=Room(LEAST_ROOM_BYTES),
        tls=None,
        between=between,
    )


@pytest.mark.parametrize(("between", "seconds"), [(min, 4), (max, 12), (lambda low, _: low + 1, 5)])
async def test_the_seconds_are_spread_around_those_until_the_source_is_asked_again(
    between: Between, seconds: int
) -> None:
    with pytest.raises(NotSent) as refused:
        await line(between).call("/v1/orders", {}, AsyncExitStack(), about="anyone")
    assert refused.value.retry_after_seconds == seconds


def test_an_idle_connection_is_given_up_before_the_other_side_closes_it() -> None:
    served = uvicorn.Config("gateway", **server_options({}))
    assert served.timeout_keep_alive > IDLE_CONNECTION_SECONDS
