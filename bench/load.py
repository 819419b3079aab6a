"""Send calls at moments decided beforehand, and keep what came back; judge nothing while the clock runs.

Open loop: each call starts when the plan says so, however many are under way, and its latency counts
from that intended moment. So a stall is felt by every call that it held up (coordinated omission).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from yarl import URL


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is ready to be sent: signed, encoded, and with what its answer must prove."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    kind: str  # what the answer must be: see bench.proof
    party: str = ""
    source: str = ""
    request: str = ""  # the `jti` of the signed request
    exchange: str = ""  # where it is known beforehand


@dataclass(slots=True)
class Sample:
    """One call and its fate. Seconds on the monotonic clock; `status` 0 if no answer came."""

    call: Call
    intended_at: float
    sent_at: float
    done_at: float = 0.0
    status: int = 0
    body: bytes = field(default=b"", repr=False)
    failure: str = ""
    shed: bool = False  # told at once that there is too much, and nothing was done

    @property
    def latency(self) -> float:
        """Seconds from the moment at which the call should have started."""
        return self.done_at - self.intended_at

    @property
    def lag(self) -> float:
        """Seconds by which the generator itself was late."""
        return self.sent_at - self.intended_at


def poisson(rate: float, seconds: float, chance: random.Random) -> list[float]:
    """Plan arrivals that know nothing of each other: offsets in seconds, `rate` per second."""
    arrivals: list[float] = []
    at = chance.expovariate(rate)
    while at < seconds:
        arrivals.append(at)
        at += chance.expovariate(rate)
    return arrivals


@asynccontextmanager
async def connections() -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session with as many persistent connections as it takes; no proxy, no redirect."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
        trust_env=False,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
    ) as session:
        yield session


async def open_loop(
    session: aiohttp.ClientSession,
    calls: Sequence[Call],
    arrivals: Sequence[float],
    *,
    timeout_seconds: float,
) -> list[Sample]:
    """Start each call at its planned moment; return when all have ended."""
    loop = asyncio.get_running_loop()
    begin = loop.time() + 0.05
    samples = [
        Sample(call, begin + at, 0.0) for call, at in zip(calls[: len(arrivals)], arrivals, strict=True)
    ]
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    tasks: list[asyncio.Task[None]] = []
    for sample in samples:
        wait = sample.intended_at - loop.time()
        # Also when late: what answers meanwhile must be read, or its latency would be the planner's.
        await asyncio.sleep(max(wait, 0.0))
        tasks.append(asyncio.create_task(_send(session, sample, timeout)))
    await asyncio.gather(*tasks)
    return samples


async def closed_loop(
    session: aiohttp.ClientSession,
    calls: Sequence[Call],
    *,
    at_once: int,
    seconds: float,
    timeout_seconds: float,
) -> tuple[list[Sample], float]:
    """Keep `at_once` calls under way for so long; return what was done, and the seconds it took.

    Finds a capacity; says nothing about latency.
    """
    loop = asyncio.get_running_loop()
    waiting: Iterator[Call] = iter(calls)
    samples: list[Sample] = []
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    began = loop.time()

    async def work() -> None:
        while (now := loop.time()) < began + seconds:
            call = next(waiting, None)
            if call is None:
                return
            sample = Sample(call, now, now)
            samples.append(sample)
            await _send(session, sample, timeout)

    await asyncio.gather(*(work() for _ in range(at_once)))
    return samples, loop.time() - began


async def _send(session: aiohttp.ClientSession, sample: Sample, limit: aiohttp.ClientTimeout) -> None:
    call = sample.call
    sample.sent_at = time.monotonic()
    try:
        async with session.post(
            URL(call.url, encoded=True),
            data=call.body,
            headers=call.headers,
            timeout=limit,
            allow_redirects=False,
        ) as answer:
            sample.body = await answer.read()
            sample.status = answer.status
            sample.shed = answer.status == 503 and b'"overloaded"' in sample.body
    except (aiohttp.ClientError, TimeoutError, OSError) as failure:
        sample.failure = type(failure).__name__
    sample.done_at = time.monotonic()
