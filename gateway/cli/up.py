"""`poort up`: keep the whole stack running on loopback, and write how to use it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text

from gateway.cli.layout import print_as_is
from gateway.cli.present import err, fail, out
from gateway.cli.shape import DatabaseUrl, Engine, Gateways, OpaBinary, OpaUrl, PolicyEngine, Shape, chosen

if TYPE_CHECKING:
    from gateway.cli.provision import Deployment

VAR = Path("var")
_TRY_AS = "vluchtelingenwerk"
# Short enough for a narrow terminal: what a terminal wraps cannot always be copied.
_TRY = (
    "poort case open --client amina --worker vw-balie-01 \\",
    "  --casemanager vw-regie-07 --with vw-jurist-12",
    "poort case confirm ID --worker vw-balie-02    # the id that was printed",
    "poort request ask --client amina --worker vw-jurist-12 \\",
    "  --purpose legal_screening --source ind \\",
    "  --category perspective --category partners --category decisions",
)
Folder = Annotated[Path, typer.Option("--folder", help="Where keys, databases and logs go.")]


def up(
    port: Annotated[int | None, typer.Option(help="The gateway's port; any free one if not given.")] = None,
    folder: Folder = VAR,
    gateways: Gateways = 1,
    database_url: DatabaseUrl = None,
    policy_engine: PolicyEngine = Engine.WASM,
    opa: OpaBinary = None,
    opa_url: OpaUrl = "",
) -> None:
    """Start gateway, adapters and simulated agencies, and keep them running until Ctrl-C.

    Keys, the agreement's signatures and the databases are made anew each time; a PostgreSQL database
    must be empty.
    """
    from gateway.cli.provision import ProvisionFailed, reserved
    from gateway.cli.stack import StackFailed

    shape = chosen(gateways, database_url, policy_engine, opa, opa_url)
    folder = folder.resolve()
    try:
        with reserved(folder):
            _keep_running(folder, port, shape)
    except (StackFailed, ProvisionFailed) as failed:
        fail(str(failed))
    except KeyboardInterrupt:
        err.print("Stopped.")


def _keep_running(folder: Path, port: int | None, shape: Shape) -> None:
    from gateway.cli.processes import choose_addresses, processes
    from gateway.cli.provision import provision
    from gateway.cli.stack import running
    from gateway.clock import system_clock

    sandbox = folder / "sandbox.json"
    try:
        addresses = choose_addresses(port, gateways=shape.gateways)
        deployment = provision(folder, addresses, now=system_clock())
        with err.status("Starting …") as status:
            started = running(
                processes(deployment, shape),
                folder / "logs",
                lambda name, seconds: status.update(f"{name} is ready ({seconds:.1f} s) …"),
            )
            with started as stack:
                status.stop()
                write_sandbox(sandbox, deployment)
                _tell(sandbox, deployment)
                while True:
                    time.sleep(0.5)
                    stack.watch()
    finally:
        # Its keys belong to processes that no longer run.
        sandbox.unlink(missing_ok=True)


def provision_only(
    folder: Folder = VAR,
    port: Annotated[int, typer.Option(help="The gateway's port.")] = 8400,
    compose: Annotated[
        bool,
        typer.Option("--compose", help="For compose/compose.yaml: with certificates and files of secrets."),
    ] = False,
) -> None:
    """Make the keys, register and signed agreement of a demonstration, and start nothing."""
    from gateway.cli.containers import provision_containers
    from gateway.cli.processes import choose_addresses
    from gateway.cli.provision import ProvisionFailed, provision, reserved
    from gateway.cli.stack import StackFailed
    from gateway.clock import system_clock

    try:
        with reserved(folder.resolve()):
            deployment = (
                provision_containers(folder.resolve(), now=system_clock())
                if compose
                else provision(folder.resolve(), choose_addresses(port), now=system_clock())
            )
    except (ProvisionFailed, StackFailed) as failed:
        fail(str(failed))
    print_as_is(
        out,
        f"Keys of {len(deployment.holders)} holders are in {escape(str(folder))}/keys,"
        f" public data in {escape(str(folder))}/deployment.",
    )


def write_sandbox(path: Path, deployment: Deployment) -> None:
    """Write everything that it takes to drive the stack from outside; mode 0600, replaced each time."""
    path.unlink(missing_ok=True)
    # Created with its mode: there is no moment at which others can read it.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(sandbox_content(deployment), file, indent=1, ensure_ascii=False)
        file.write("\n")


def sandbox_content(deployment: Deployment) -> dict[str, Any]:
    """Collect base URLs, the parties with their keys and workers, and the personas.

    `gateway` is the issuer, `gateways` where to find it: the same, or several to try in this order.
    """
    from adapters.simulation.personas import PERSONAS
    from gateway.cli.cast import PARTIES

    register = deployment["gateway"].deployment_folder / "register.json"
    return {
        "gateway": deployment.addresses.gateway,
        "gateways": deployment.addresses.gateways,
        "adapters": dict(deployment.addresses.adapters),
        "simulators": dict(deployment.addresses.simulators),
        "register": json.loads(register.read_bytes()),
        "parties": {
            party.id: {
                "name": party.name,
                "kind": party.kind,
                "client_id": party.id,
                "workers": [{"id": worker.id, "role": worker.role} for worker in party.workers],
                "private_keys": deployment[party.id].keystore().unsafe_export_private(),
            }
            for party in PARTIES
        },
        "personas": [
            {
                "name": persona.name,
                "story": persona.story,
                "v_number": persona.v_number,
                "vvs_number": persona.vvs_number,
            }
            for persona in PERSONAS
        ],
    }


def _tell(sandbox: Path, deployment: Deployment) -> None:
    """Say where everything is, and commands that can be copied as they stand."""
    from gateway.cli.cast import SOURCES, party_name

    here = Path.cwd()
    file = shlex.quote(str(sandbox.relative_to(here) if sandbox.is_relative_to(here) else sandbox))
    gateways = " and ".join(deployment.addresses.gateways)
    print_as_is(out, f"\n[bold]Dossierpoort runs[/] at {gateways} (loopback only)")
    width = max(len(party_name(source.party)) for source in SOURCES)
    for source in SOURCES:
        adapter, simulator = (
            addresses[source.name]
            for addresses in (deployment.addresses.adapters, deployment.addresses.simulators)
        )
        print_as_is(
            out,
            f"  {party_name(source.party):<{width}}  adapter {adapter}  simulated system {simulator}",
        )
    print_as_is(out, f"\nParties with their keys and workers, and the personas: [bold]{escape(file)}[/]")
    print_as_is(out, "\nTry, in another terminal, from this folder:\n")
    if shutil.which("poort") is None:
        print_as_is(out, Text(f"  export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"))
    for command in (f"export POORT_SANDBOX={file} POORT_AS={_TRY_AS}", *_TRY):
        print_as_is(out, Text(f"  {command}"))
    print_as_is(out, "\nThe tutorial goes on from here: docs/tutorial.md. Ctrl-C stops everything.")
