"""One town for all tests of the promises; each test brings people of its own (`people.newcomer`)."""

import io
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from gateway.logs import configure_logs
from tests.integration.promises.moments import Moments
from tests.integration.town import Town, town


@dataclass(frozen=True, slots=True)
class Watched:
    """A town, and everything that its processes have logged."""

    town: Town
    log: io.BytesIO


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    """Run the stack; the deliverers and the dispatcher run too, as they always do."""
    async with town(tmp_path_factory.mktemp("promises")) as running:
        log = io.BytesIO()
        configure_logs(log)
        yield Watched(running, log)


@pytest.fixture
def place(watched: Watched) -> Town:
    """The running stack."""
    return watched.town


@pytest.fixture
def moments(place: Town) -> Iterator[Moments]:
    """Let a test stand between the database calls of a request; afterwards all is as it was."""
    with Moments.of(place) as standing:
        yield standing
