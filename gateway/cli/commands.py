"""The tree of commands under `poort`."""

from __future__ import annotations

import typer

from gateway.cli import (
    agreement,
    case,
    consent,
    demo,
    explain,
    ledger,
    operate,
    policy,
    report,
    request,
    serve,
    up,
)

app = typer.Typer(
    name="poort",
    help="The gate between agencies that help undocumented people.\n\n"
    "`poort demo` shows all of it. To ask something yourself, keep `poort up` running, and in another"
    " terminal: open a case (`poort case open`), let a second worker confirm it (`poort case confirm`),"
    " and ask (`poort request ask`). Each command's --help ends with an example; docs/tutorial.md tells"
    " the whole way.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its traceback prints local variables: keys, numbers of people
    rich_markup_mode=None,
    context_settings={"max_content_width": 100},
)
app.command("demo", short_help="See the main job, ten steps, on real processes.")(demo.demo)
app.command("up", short_help="Keep the whole stack running on this machine, to try it.")(up.up)
app.command("provision", short_help="Make keys, register and signed agreement, for containers.")(
    up.provision_only
)
app.command("health", short_help="Ask a process whether it can do its work.")(operate.health)
app.command("migrate", short_help="Bring the gateway's database up to date.")(operate.migrate)
app.add_typer(request.app, name="request")
app.add_typer(consent.app, name="consent")
app.add_typer(case.app, name="case")
app.add_typer(ledger.app, name="ledger")
app.add_typer(report.app, name="report")
app.add_typer(agreement.app, name="agreement")
policy.app.command("explain", short_help="Say why: rule, article, consent, what would change it.")(
    explain.explain
)
app.add_typer(policy.app, name="policy")
app.add_typer(serve.app, name="serve")
