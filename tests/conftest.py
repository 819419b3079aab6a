"""What holds for every test."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import pytest

from tests import postgres

# No deadline: these run on small shared machines, where a slow example says nothing about the code.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")

UNIT = Path(__file__).resolve().parent / "unit"


@pytest.fixture(autouse=True)
def unit_tests_open_no_socket(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a unit test that talks to a network. The pair of sockets in every event loop stays possible."""
    if UNIT not in request.path.parents:
        yield
        return

    def refuse(*_: Any) -> NoReturn:
        raise AssertionError("a unit test opens no socket: move it to tests/integration, or pass in a fake")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "bind", "listen"):
            patch.setattr(socket.socket, name, refuse)
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly at the end what a green run did not look at."""
    if postgres.binaries() is None:
        terminalreporter.write_sep("!", f"The tests on PostgreSQL {postgres.NOT_HERE}", red=True)
