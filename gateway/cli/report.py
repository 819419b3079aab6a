"""`poort report`: the counts of a quarter, for a party that the agreement lets have counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape

from gateway.cli.acting import Acting, AsParty, Sandbox
from gateway.cli.layout import print_as_is, print_hanging
from gateway.cli.present import AsJson, out, print_json

app = typer.Typer(no_args_is_help=True, help="Counts by the quarter, never about a person.")
_AS_RO = "--sandbox var/sandbox.json --as regie-organisatie"


@app.command(
    short_help="Read the counts of a quarter that is over.",
    epilog=f"Example: poort report counts --quarter 2026-Q3 {_AS_RO}",
)
def counts(
    quarter: Annotated[str, typer.Option(help="A quarter that is over, as 2026-Q3.")],
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Read how many clients there were, to within ten: the same for every reader, and each is recorded."""
    said = Acting(sandbox, as_party, as_json).run(lambda requester: requester.report(quarter))
    if as_json:
        print_json(said)
        return
    print_as_is(out, f"[bold]{escape(str(said['quarter']))}[/]  clients, over all NGOs together")
    figures: Any = said["figures"]
    for one in figures:
        print_hanging(out, f"  {_title(one)}  ", f"{one['at_least']}–{one['at_most']}")


@app.command(
    "list", short_help="List the quarters that are over.", epilog=f"Example: poort report list {_AS_RO}"
)
def list_reports(sandbox: Sandbox = None, as_party: AsParty = None, as_json: AsJson = False) -> None:
    """List the quarters that are over, and when the report of each was made; none: when it is first read."""
    said = Acting(sandbox, as_party, as_json).run(lambda requester: requester.reports())
    if as_json:
        print_json(said)
        return
    found: Any = said["reports"]
    if not found:
        print_as_is(out, "No quarter is over yet since this gateway began.")
    for one in found:
        print_as_is(out, f"{escape(one['quarter'])}  {escape(one.get('published_at', 'not read yet'))}")


def _title(figure: Mapping[str, str]) -> str:
    names = {"on_a_case": "on a case when the quarter ended"}
    return f"{names.get(figure['figure'], figure['figure'].replace('_', ' ')):<34}"
