"""`poort demo`: the whole story on real processes, told as it happens."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.present import AS_JSON, err, out, print_json

if TYPE_CHECKING:
    from gateway.cli.provision import Deployment
    from gateway.cli.story import Step
    from gateway.cli.world import World


def demo(
    as_json: Annotated[bool, AS_JSON] = False,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="Keep keys, databases and logs here; else they are removed."),
    ] = None,
) -> None:
    """Run the main job, nine steps, on real processes on loopback; exit 0 when every step held.

    Gateway, adapters and simulated agencies start on free ports, and end with the command.
    """
    where = (folder or Path(tempfile.mkdtemp(prefix="poort-demo-"))).resolve()
    failed = _run(where, as_json=as_json)
    if failed is not None:
        # The folder stays: whoever looks for the cause needs its logs.
        err.print(f"\n[bold red]failed[/]  {failed}", highlight=False)
        err.print(f"  next step: read the logs in {where / 'logs'}.", highlight=False, soft_wrap=True)
        raise typer.Exit(1)
    if folder is None:
        shutil.rmtree(where)


def _run(folder: Path, *, as_json: bool) -> str | None:
    """Provision, start, tell the story, stop; return what failed, or None."""
    from gateway.cli.processes import choose_addresses, processes
    from gateway.cli.provision import ProvisionFailed, provision, reserved
    from gateway.cli.stack import StackFailed, running
    from gateway.clock import system_clock

    began = time.monotonic()
    try:
        with reserved(folder), err.status("Making keys; every party signs the agreement …") as status:
            deployment = provision(folder, choose_addresses(), now=system_clock())
            status.update("Starting gateway, adapters and simulated agencies …")
            stack = running(
                processes(deployment),
                folder / "logs",
                lambda name, seconds: status.update(f"Starting … {name} is ready ({seconds:.1f} s)"),
            )
            with stack:
                status.stop()
                ready = time.monotonic() - began
                return asyncio.run(_tell(deployment, folder, ready, as_json=as_json))
    except (StackFailed, ProvisionFailed) as failed:
        return f"the stack did not start: {failed}"


async def _tell(deployment: Deployment, folder: Path, ready: float, *, as_json: bool) -> str | None:
    from gateway.cli.story import STEPS
    from gateway.cli.world import inhabited

    if not as_json:
        out.print("[bold]Dossierpoort[/]: one dossier request, end to end, on real parts.")
        out.print(
            f"[dim]{1 + 2 * len(deployment.addresses.adapters)} processes on loopback, ready in"
            f" {ready:.1f} s. Agencies, people and papers are invented.[/]",
            highlight=False,
        )
    told: list[dict[str, Any]] = []
    began = time.monotonic()
    async with inhabited(deployment, folder) as world:
        for step in STEPS:
            failed = await _one(step, world, told, as_json=as_json)
            if failed is not None:
                break
    if as_json:
        print_json({"completed": failed is None, "failed": failed, "steps": told})
    elif failed is None:
        out.print(
            f"\n[bold green]All {len(STEPS)} steps held[/] in {time.monotonic() - began:.1f} s."
            " `poort up` keeps the same stack running; docs/tutorial.md goes on from there.",
            highlight=False,
        )
    return failed


async def _one(step: Step, world: World, told: list[dict[str, Any]], *, as_json: bool) -> str | None:
    from adapters.requester import RequesterError
    from gateway.cli.facts import StepFailed
    from gateway.cli.transcript import print_facts, print_step

    if not as_json:
        print_step(out, step)
    began = time.monotonic()
    try:
        with err.status("…"):
            facts = await step.run(world)
    except (StepFailed, RequesterError) as failure:
        return f"step {step.number}, {step.title}: {failure}"
    seconds = time.monotonic() - began
    told.append({"step": step.number, "title": step.title, "seconds": round(seconds, 3), **facts.as_json()})
    if not as_json:
        print_facts(out, facts, seconds)
    return None
