"""The tree of commands under `poort`."""

from __future__ import annotations

import typer

from gateway.cli import case, consent, demo, ledger, operate, policy, request, serve, up

app = typer.Typer(
    name="poort",
    help="The gate between agencies that help undocumented people.\n\n"
    "Start with `poort demo`; then `poort up`, and ask something yourself:\n\n"
    "    poort request ask --sandbox var/sandbox.json --as vluchtelingenwerk --client amina ...",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its traceback prints local variables: keys, numbers of people
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("up")(up.up)
app.command("provision")(up.provision_only)
app.command("health")(operate.health)
app.command("migrate")(operate.migrate)
app.add_typer(request.app, name="request")
app.add_typer(consent.app, name="consent")
app.add_typer(case.app, name="case")
app.add_typer(ledger.app, name="ledger")
app.add_typer(policy.app, name="policy")
app.add_typer(serve.app, name="serve")
