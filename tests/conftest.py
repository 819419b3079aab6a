"""What holds for every test."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import pytest

from tests import grounds, opa, postgres

# No deadline: these run on small shared machines, where a slow example says nothing about the code.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")

UNIT = Path(__file__).resolve().parent / "unit"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--on",
        choices=(grounds.FILE, grounds.PRODUCTION),
        help="let every town stand on SQLite and the compiled policy, or on PostgreSQL and OPA",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Choose the ground; ask for one that is not here, and nothing runs."""
    asked = config.getoption("--on")
    if asked == grounds.PRODUCTION and postgres.binaries() is None:
        raise pytest.UsageError(f"THE TESTS ON POSTGRESQL {postgres.NOT_HERE}")
    if asked == grounds.PRODUCTION and opa.find() is None:
        raise pytest.UsageError(f"THE TESTS WITH AN OPA SERVER {opa.NOT_HERE}")
    grounds.choose(asked or grounds.FILE)


def pytest_unconfigure() -> None:
    grounds.leave()


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
        terminalreporter.write_sep("!", f"THE TESTS ON POSTGRESQL {postgres.NOT_HERE}", red=True)
    if opa.was_missed():
        terminalreporter.write_sep("!", f"THE TESTS WITH AN OPA SERVER {opa.NOT_HERE}", red=True)
