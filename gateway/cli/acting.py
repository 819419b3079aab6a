"""Act as a party at the command line: the options of every such command, and the call that it makes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from gateway.cli.present import print_document, run

if TYPE_CHECKING:
    from adapters.protocol import Category, ClientIdentifier, Worker
    from adapters.requester import Requester
    from gateway.cli.connect import Identity

T = TypeVar("T")

Sandbox = Annotated[
    Path | None,
    typer.Option(
        "--sandbox",
        envvar="POORT_SANDBOX",
        help="The file that `poort up` writes. Without it your own keys count, which the POORT_REQUESTER_…"
        " variables name.",
    ),
]
AsParty = Annotated[
    str | None,
    typer.Option("--as", envvar="POORT_AS", help="The party to act for, as the sandbox names it."),
]
Client = Annotated[
    str,
    typer.Option(
        "--client",
        help="Who it is about: a persona of the sandbox (`amina`), `v-number:…` or `party-number:…`;"
        " `-` reads it from standard input, where no shell history keeps it.",
    ),
]
ByWorker = Annotated[
    str,
    typer.Option(
        "--worker",
        help="The worker who acts: a pseudonym that the sandbox knows, or any with its role, as in"
        " `vw-jurist-12:caseworker`.",
    ),
]
Categories = Annotated[
    list[str],
    typer.Option(
        "--category", help="What it is about, for example perspective or decisions; repeat it for more."
    ),
]


class Acting:
    """A party at its gateway, for the length of one command."""

    def __init__(self, sandbox: Path | None, party: str | None, as_json: bool) -> None:
        self._sandbox = sandbox
        self._party = party
        self.as_json = as_json

    @cached_property
    def identity(self) -> Identity:
        """Who acts: a party of the sandbox, or the one that the environment names."""
        from gateway.cli.connect import identify

        return identify(self._sandbox, self._party)

    def client(self, text: str) -> ClientIdentifier:
        """Read a client as the command line names it."""
        from gateway.cli.connect import find_client

        return find_client(text, self._sandbox)

    def worker(self, text: str) -> Worker:
        """Read a worker of this party."""
        from gateway.cli.connect import find_worker

        return find_worker(text, self.identity.party, self._sandbox)

    def run(self, work: Callable[[Requester], Awaitable[T]]) -> T:
        """Do this with the party's library; a refusal ends the command with exit code 1 and a next step."""
        from gateway.cli.connect import connected

        identity = self.identity

        async def connect_and_work() -> T:
            async with connected(identity) as requester:
                return await work(requester)

        return run(connect_and_work(), as_json=self.as_json)

    def show(self, work: Callable[[Requester], Awaitable[Mapping[str, Any]]]) -> None:
        """Make one call and print the resource that comes back."""
        print_document(self.run(work), as_json=self.as_json)

    def show_as(self, worker: str, work: Callable[[Requester, Worker], Awaitable[Mapping[str, Any]]]) -> None:
        """Make one call for a worker and print the resource that comes back."""
        by = self.worker(worker)
        self.show(lambda requester: work(requester, by))


def read_categories(names: Iterable[str]) -> list[Category]:
    """Read categories of data as the command line names them."""
    from adapters.protocol import Category

    given = list(names)
    known = [category.value for category in Category]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise typer.BadParameter(f"no such category: {', '.join(unknown)}; there are {', '.join(known)}")
    return [Category(name) for name in given]
