"""`poort case`: open a case on the client's mandate, bring others in, leave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.present import AS_JSON, AS_PARTY, CLIENT, SANDBOX, WORKER, print_document, run

if TYPE_CHECKING:
    from adapters.requester import Requester

app = typer.Typer(no_args_is_help=True, help="Cases: who works with a client, by the client's act.")
Case = Annotated[str, typer.Argument(help="The id of the case, as your party knows it.")]


@app.command(
    "open",
    epilog="Example: poort case open --sandbox var/sandbox.json --as vluchtelingenwerk --client amina"
    " --worker vw-balie-01 --casemanager vw-regie-07 --with vw-jurist-12",
)
def open_case(
    client: Annotated[str, CLIENT],
    worker: Annotated[str, WORKER],
    casemanager: Annotated[str, typer.Option(help="The worker who manages the case.")],
    others: Annotated[
        list[str] | None, typer.Option("--with", help="A worker on the case; repeat it.")
    ] = None,
    own_number: Annotated[str | None, typer.Option(help="Your own number of the client.")] = None,
    language: Annotated[str, typer.Option(help="The language of the notice that was read.")] = "en",
    sandbox: Annotated[Path | None, SANDBOX] = None,
    as_party: Annotated[str | None, AS_PARTY] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Open a case on a mandate that the client signed; a second worker must confirm it."""
    from gateway.cli.connect import find_client, find_worker, identify
    from gateway.cli.evidence import signed_on_paper

    party = identify(sandbox, as_party).party
    named = [find_worker(one, party, sandbox) for one in others or []]
    who, acting = find_client(client, sandbox), find_worker(worker, party, sandbox)
    _do(
        lambda requester: requester.open_case(
            who,
            opened_by=acting,
            casemanager=casemanager,
            workers=named,
            mandate=signed_on_paper(acting.id, language),
            own_number=own_number,
        ),
        sandbox,
        as_party,
        as_json,
    )


@app.command()
def confirm(
    case: Case,
    worker: Annotated[str, WORKER],
    sandbox: Annotated[Path | None, SANDBOX] = None,
    as_party: Annotated[str | None, AS_PARTY] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Confirm the client's mandate as the second worker."""
    _as_worker(worker, sandbox, as_party, as_json, lambda r, acting: r.confirm_case(case, worker=acting))


@app.command()
def find(
    client: Annotated[str, CLIENT],
    worker: Annotated[str, WORKER],
    sandbox: Annotated[Path | None, SANDBOX] = None,
    as_party: Annotated[str | None, AS_PARTY] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Find your own party's cases of a client, by the exact number."""
    from gateway.cli.connect import find_client

    who = find_client(client, sandbox)
    _as_worker(worker, sandbox, as_party, as_json, lambda r, acting: r.search_cases(who, worker=acting))


@app.command()
def invite(
    case: Case,
    partner: Annotated[str, typer.Option(help="The party that is invited.")],
    worker: Annotated[str, WORKER],
    sandbox: Annotated[Path | None, SANDBOX] = None,
    as_party: Annotated[str | None, AS_PARTY] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Invite another party to the case, as its casemanager."""
    _as_worker(
        worker, sandbox, as_party, as_json, lambda r, acting: r.invite_partner(case, partner, worker=acting)
    )


@app.command()
def accept(
    invitation: Annotated[str, typer.Argument(help="The id of the invitation.")],
    client: Annotated[str, CLIENT],
    worker: Annotated[str, WORKER],
    casemanager: Annotated[str, typer.Option(help="Your worker who manages the case.")],
    others: Annotated[
        list[str] | None, typer.Option("--with", help="A worker on the case; repeat it.")
    ] = None,
    sandbox: Annotated[Path | None, SANDBOX] = None,
    as_party: Annotated[str | None, AS_PARTY] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Accept an invitation: from then on your party is on the client's case."""
    from gateway.cli.connect import find_client, find_worker, identify

    who = find_client(client, sandbox)
    party = identify(sandbox, as_party).party
    workers = [find_worker(one, party, sandbox) for one in others or []]
    _as_worker(
        worker,
        sandbox,
        as_party,
        as_json,
        lambda r, acting: r.accept_invitation(
            invitation, who, worker=acting, casemanager=casemanager, workers=workers
        ),
    )


@app.command()
def leave(
    case: Case,
    worker: Annotated[str, WORKER],
    sandbox: Annotated[Path | None, SANDBOX] = None,
    as_party: Annotated[str | None, AS_PARTY] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Leave the case; from then on nothing about the client leaves for your party."""
    _as_worker(worker, sandbox, as_party, as_json, lambda r, acting: r.leave_case(case, worker=acting))


def _as_worker(
    worker: str,
    sandbox: Path | None,
    as_party: str | None,
    as_json: bool,
    call: Callable[[Requester, Any], Awaitable[dict[str, Any]]],
) -> None:
    from gateway.cli.connect import find_worker, identify

    acting = find_worker(worker, identify(sandbox, as_party).party, sandbox)
    _do(lambda requester: call(requester, acting), sandbox, as_party, as_json)


def _do(
    call: Callable[[Requester], Awaitable[dict[str, Any]]],
    sandbox: Path | None,
    as_party: str | None,
    as_json: bool,
) -> None:
    from gateway.cli.connect import connected, identify

    identity = identify(sandbox, as_party)

    async def work() -> dict[str, Any]:
        async with connected(identity) as requester:
            return await call(requester)

    print_document(run(work(), as_json=as_json), as_json=as_json)
