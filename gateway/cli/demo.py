"""`poort demo`: the whole story on real processes, told as it happens."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.markup import escape
from rich.text import Text

from gateway.cli.layout import print_as_is, print_hanging
from gateway.cli.present import AsJson, err, fail, out, print_json

if TYPE_CHECKING:
    from gateway.cli.provision import Deployment
    from gateway.cli.story import Step
    from gateway.cli.world import World

T = TypeVar("T")
# How soon the death of a process is noticed.
_WATCH_SECONDS = 0.5


class Engine(StrEnum):
    """What answers the gateway's questions to the policy."""

    WASM = "wasm"
    OPA = "opa"


def demo(
    as_json: AsJson = False,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="Keep keys, databases and logs here; else they are removed."),
    ] = None,
    policy_engine: Annotated[
        Engine,
        typer.Option(help="Who decides: the compiled policy in the gateway, or an OPA server beside it."),
    ] = Engine.WASM,
    opa: Annotated[
        Path | None,
        typer.Option(envvar="POORT_OPA_BINARY", help="The OPA to run; the one on PATH if not given."),
    ] = None,
) -> None:
    """Run the main job, nine steps, on real processes on loopback; exit 0 when every step held.

    Gateway, adapters and simulated agencies start on free ports, and end with the command.
    """
    binary = _opa_binary(opa) if policy_engine is Engine.OPA else None
    where = (folder or Path(tempfile.mkdtemp(prefix="poort-demo-"))).resolve()
    failed = _run(where, as_json=as_json, opa=binary)
    if failed is not None:
        # The folder stays: whoever looks for the cause needs its logs.
        err.print()
        print_as_is(err, f"[bold red]failed[/]  {escape(failed)}")
        print_as_is(err, Text(f"  next step: read the logs in {where / 'logs'}."))
        raise typer.Exit(1)
    if folder is None:
        shutil.rmtree(where)


def _opa_binary(named: Path | None) -> Path:
    from gateway.cli.opa_server import find_opa
    from gateway.cli.stack import StackFailed

    try:
        return find_opa(named)
    except StackFailed as missing:
        fail(str(missing))


def _run(folder: Path, *, as_json: bool, opa: Path | None) -> str | None:
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
                processes(deployment, opa=opa),
                folder / "logs",
                lambda name, seconds: status.update(f"Starting … {name} is ready ({seconds:.1f} s)"),
            )
            with stack as started:
                status.stop()
                ready = time.monotonic() - began
                return asyncio.run(
                    _tell(deployment, folder, ready, started.watch, opa=opa is not None, as_json=as_json)
                )
    except (StackFailed, ProvisionFailed) as failed:
        return f"the stack did not start: {failed}"


async def _tell(
    deployment: Deployment,
    folder: Path,
    ready: float,
    watch: Callable[[], None],
    *,
    opa: bool,
    as_json: bool,
) -> str | None:
    from gateway.cli.story import STEPS
    from gateway.cli.world import inhabited

    if not as_json:
        print_hanging(out, "", "[bold]Dossierpoort[/]: one dossier request, end to end, on real parts.")
        print_hanging(
            out,
            "",
            f"[dim]{1 + opa + 2 * len(deployment.addresses.adapters)} processes on loopback"
            f"{', OPA among them' if opa else ''}, ready in {ready:.1f} s."
            " Agencies, people and papers are invented.[/]",
        )
    told: list[dict[str, Any]] = []
    began = time.monotonic()
    async with inhabited(deployment, folder) as world:
        for step in STEPS:
            failed = await _one(step, world, told, watch, as_json=as_json)
            if failed is not None:
                break
    if as_json:
        print_json({"completed": failed is None, "failed": failed, "steps": told})
    elif failed is None:
        out.print()
        print_hanging(
            out,
            "",
            f"[bold green]All {len(STEPS)} steps held[/] in {time.monotonic() - began:.1f} s."
            " `poort up` keeps the same stack running; docs/tutorial.md goes on from there.",
        )
    return failed


async def _one(
    step: Step, world: World, told: list[dict[str, Any]], watch: Callable[[], None], *, as_json: bool
) -> str | None:
    from adapters.requester import RequesterError
    from gateway.cli.facts import StepFailed
    from gateway.cli.stack import StackFailed
    from gateway.cli.transcript import print_seconds, print_step, print_told

    if not as_json:
        print_step(out, step)
        world.on_told = partial(print_told, out)
    began = time.monotonic()
    # On the console that the story is told on, so that the line below it moves down as the story grows.
    with (err if as_json else out).status("…") as status:
        if not as_json:
            world.on_wait = lambda sentence: status.update(f"{sentence} …")
        try:
            facts = await _while_all_run(step.run(world), watch)
        except (StepFailed, RequesterError, StackFailed) as failure:
            return f"step {step.number}, {step.title}: {failure}"
        except Exception as unforeseen:  # whatever a step dies of, the step is named
            return f"step {step.number}, {step.title}: unforeseen {type(unforeseen).__name__}"
    seconds = time.monotonic() - began
    told.append({"step": step.number, "title": step.title, "seconds": round(seconds, 3), **facts.as_json()})
    if not as_json:
        print_seconds(out, seconds)
    return None


async def _while_all_run(work: Awaitable[T], watch: Callable[[], None]) -> T:
    """Wait for a step; a process that dies meanwhile ends it at once, with the process's name."""
    doing = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait([doing], timeout=_WATCH_SECONDS))[0]:
            watch()
        return doing.result()
    finally:
        doing.cancel()
