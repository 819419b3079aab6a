"""`poort case`: open a case on the client's mandate, bring others in, leave."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.acting import Acting, AsParty, ByWorker, Client, Sandbox
from gateway.cli.present import AsJson

app = typer.Typer(no_args_is_help=True, help="Cases: who works with a client, by the client's act.")
Case = Annotated[str, typer.Argument(metavar="ID", help="The id of the case, which `open` printed.")]
Casemanager = Annotated[
    str, typer.Option(help="Your worker who manages the case: a pseudonym, without a role.")
]
Others = Annotated[
    list[str] | None,
    typer.Option("--with", help="Another worker on the case, who may then ask; repeat it for more."),
]
_AS_VW = "--sandbox var/sandbox.json --as vluchtelingenwerk"


@app.command(
    "open",
    short_help="Open a case on a mandate that the client signed.",
    epilog="Example: poort case open --sandbox var/sandbox.json --as vluchtelingenwerk --client amina"
    " --worker vw-balie-01 --casemanager vw-regie-07 --with vw-jurist-12",
)
def open_case(
    client: Client,
    worker: ByWorker,
    casemanager: Casemanager,
    others: Others = None,
    own_number: Annotated[str | None, typer.Option(help="Your own number of the client.")] = None,
    language: Annotated[str, typer.Option(help="The language of the notice that was read.")] = "en",
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Open a case on a mandate that the client signed; a second worker must confirm it.

    Put on it, with `--with`, everyone who will ask, or record and confirm consents: each in their own role.
    """
    from gateway.cli.evidence import signed_on_paper

    acting = Acting(sandbox, as_party, as_json)
    who, opened_by = acting.client(client), acting.worker(worker)
    workers = [acting.worker(one) for one in others or []]
    acting.show(
        lambda requester: requester.open_case(
            who,
            opened_by=opened_by,
            casemanager=casemanager,
            workers=workers,
            mandate=signed_on_paper(opened_by.id, language),
            own_number=own_number,
        )
    )


@app.command(
    short_help="Confirm the mandate as the second worker.",
    epilog=f"Example: poort case confirm ID --worker vw-balie-02 {_AS_VW}",
)
def confirm(
    case: Case, worker: ByWorker, sandbox: Sandbox = None, as_party: AsParty = None, as_json: AsJson = False
) -> None:
    """Confirm the client's mandate as the second worker; after a lost answer, do it again."""
    acting = Acting(sandbox, as_party, as_json)
    acting.show_as(worker, lambda requester, by: requester.confirm_case(case, worker=by))


@app.command(
    short_help="Find your own party's cases of a client.",
    epilog=f"Example: poort case find --client amina --worker vw-jurist-12 {_AS_VW}",
)
def find(
    client: Client,
    worker: ByWorker,
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Find your own party's cases of a client, by the exact number."""
    acting = Acting(sandbox, as_party, as_json)
    who = acting.client(client)
    acting.show_as(worker, lambda requester, by: requester.search_cases(who, worker=by))


@app.command(
    short_help="Invite another party to the case.",
    epilog=f"Example: poort case invite ID --partner goedwerk --worker vw-regie-07 {_AS_VW}",
)
def invite(
    case: Case,
    partner: Annotated[str, typer.Option(help="The party that is invited.")],
    worker: ByWorker,
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Invite another party to the case, as its casemanager."""
    acting = Acting(sandbox, as_party, as_json)
    acting.show_as(worker, lambda requester, by: requester.invite_partner(case, partner, worker=by))


@app.command(
    short_help="Accept an invitation, and be on the case.",
    epilog="Example: poort case accept ID --client amina --worker gw-regie-1 --casemanager gw-regie-1"
    " --with gw-begeleider-2 --sandbox var/sandbox.json --as goedwerk",
)
def accept(
    invitation: Annotated[
        str, typer.Argument(metavar="ID", help="The id of the invitation, which `invite` printed.")
    ],
    client: Client,
    worker: ByWorker,
    casemanager: Casemanager,
    others: Others = None,
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Accept an invitation: from then on your party is on the client's case."""
    acting = Acting(sandbox, as_party, as_json)
    who, by = acting.client(client), acting.worker(worker)
    workers = [acting.worker(one) for one in others or []]
    acting.show(
        lambda requester: requester.accept_invitation(
            invitation, who, worker=by, casemanager=casemanager, workers=workers
        )
    )


@app.command(
    short_help="Leave the case.", epilog=f"Example: poort case leave ID --worker vw-regie-07 {_AS_VW}"
)
def leave(
    case: Case, worker: ByWorker, sandbox: Sandbox = None, as_party: AsParty = None, as_json: AsJson = False
) -> None:
    """Leave the case; from then on nothing about the client leaves for your party."""
    acting = Acting(sandbox, as_party, as_json)
    acting.show_as(worker, lambda requester, by: requester.leave_case(case, worker=by))
