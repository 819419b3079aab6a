"""One town for all tests of the promises; each test brings people of its own (`people.newcomer`).

The same tests on either ground (`tests.grounds`); where a run chose none, all of them on a file, and on
production those that are not marked slow.
"""

import io
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from gateway.logs import configure_logs
from tests import grounds
from tests.integration.promises.moments import Moments
from tests.integration.town import Town, town


@dataclass(frozen=True, slots=True)
class Watched:
    """A town, and everything that its processes have logged."""

    town: Town
    log: io.BytesIO


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Say on which ground, or grounds, each test that takes the town is run."""
    if "watched" not in metafunc.fixturenames:
        return
    asked: list[Any] = [metafunc.config.getoption("--on") or grounds.FILE]
    slow = metafunc.definition.get_closest_marker("slow") is not None
    if metafunc.config.getoption("--on") is None and not slow:
        asked.append(pytest.param(grounds.PRODUCTION, marks=[pytest.mark.postgres, pytest.mark.opa]))
    metafunc.parametrize("watched", asked, indirect=True, scope="session")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def watched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Watched]:
    """Run the stack; the deliverers and the dispatcher run too, as they always do."""
    async with town(tmp_path_factory.mktemp("promises"), ground=request.param) as running:
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
