"""`poort demo`: the whole story on real processes, told as it happens."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.markup import escape
from rich.text import Text

from gateway.cli.layout import print_as_is, print_hanging
from gateway.cli.present import AsJson, err, out, print_json
from gateway.cli.shape import DatabaseUrl, Engine, Gateways, OpaBinary, OpaUrl, PolicyEngine, Shape, chosen

if TYPE_CHECKING:
    from collections import Counter

    from gateway.cli.provision import Deployment
    from gateway.cli.stack import Stack
    from gateway.cli.story import Step
    from gateway.cli.world import World

T = TypeVar("T")
# How soon the death of a process is noticed.
_WATCH_SECONDS = 0.5


def demo(
    as_json: AsJson = False,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="Keep keys, databases and logs here; else they are removed."),
    ] = None,
    gateways: Gateways = 1,
    database_url: DatabaseUrl = None,
    policy_engine: PolicyEngine = Engine.WASM,
    opa: OpaBinary = None,
    opa_url: OpaUrl = "",
) -> None:
    """Run the main job, ten steps, on real processes on loopback; exit 0 when every step held.

    Gateway, adapters and simulated agencies start on free ports, and end with the command. With two
    gateways there is an eleventh step: one of them is killed, and the other goes on.
    """
    shape = chosen(gateways, database_url, policy_engine, opa, opa_url)
    where = (folder or Path(tempfile.mkdtemp(prefix="poort-demo-"))).resolve()
    try:
        failed = _run(where, shape, as_json=as_json)
    except (KeyboardInterrupt, SystemExit):  # nobody looks for a cause then, and it holds keys
        if folder is None:
            shutil.rmtree(where)
        raise
    if failed is not None:
        # The folder stays: whoever looks for the cause needs its logs.
        err.print()
        print_as_is(err, f"[bold red]failed[/]  {escape(failed)}")
        print_as_is(err, Text(f"  next step: read the logs in {where / 'logs'}."))
        raise typer.Exit(1)
    if folder is None:
        shutil.rmtree(where)


def _run(folder: Path, shape: Shape, *, as_json: bool) -> str | None:
    """Provision, start, tell the story, stop; return what failed, or None."""
    from gateway.cli.processes import choose_addresses, processes
    from gateway.cli.provision import ProvisionFailed, provision, reserved
    from gateway.cli.stack import StackFailed, running
    from gateway.clock import system_clock

    began = time.monotonic()
    try:
        with reserved(folder), err.status("Making keys; every party signs the agreement …") as status:
            addresses = choose_addresses(gateways=shape.gateways)
            deployment = provision(folder, addresses, now=system_clock())
            status.update("Starting gateway, adapters and simulated agencies …")
            stack = running(
                processes(deployment, shape),
                folder / "logs",
                lambda name, seconds: status.update(f"Starting … {name} is ready ({seconds:.1f} s)"),
            )
            with stack as started:
                status.stop()
                ready = time.monotonic() - began
                return asyncio.run(_tell(deployment, shape, ready, started, as_json=as_json))
    except (StackFailed, ProvisionFailed) as failed:
        return f"the stack did not start: {failed}"


async def _tell(
    deployment: Deployment, shape: Shape, ready: float, stack: Stack, *, as_json: bool
) -> str | None:
    from gateway.cli.processes import gateway_names
    from gateway.cli.served import calls_answered
    from gateway.cli.story import steps
    from gateway.cli.world import inhabited

    if not as_json:
        _introduce(deployment, shape, ready)
    names, story = gateway_names(deployment.addresses), steps(shape.gateways)
    told: list[dict[str, Any]] = []
    began = time.monotonic()
    async with inhabited(deployment, deployment.folder, gateways=names, kill_gateway=stack.kill) as world:
        for step in story:
            failed = await _one(step, world, told, stack.watch, as_json=as_json)
            if failed is not None:
                break
    calls = {name: calls_answered(stack.log(name)) for name in names}
    if failed is None:
        failed = next((f"{name} answered no call" for name in names if not calls[name]), None)
    if as_json:
        print_json({"completed": failed is None, "failed": failed, "steps": told, "calls_answered": calls})
    elif failed is None:
        _conclude(len(story), time.monotonic() - began, calls)
    return failed


def _introduce(deployment: Deployment, shape: Shape, ready: float) -> None:
    addresses, opa = deployment.addresses, shape.opa is not None
    print_hanging(out, "", "[bold]Dossierpoort[/]: one dossier request, end to end, on real parts.")
    print_hanging(
        out,
        "",
        f"[dim]{len(addresses.gateways) + opa + 2 * len(addresses.adapters)} processes on loopback"
        f"{', OPA among them' if opa else ''}, ready in {ready:.1f} s."
        " Agencies, people and papers are invented.[/]",
    )
    if addresses.more_gateways:
        print_hanging(
            out,
            "",
            "[dim]Two gateways on one PostgreSQL. Half of the callers try gateway-1 first, half gateway-2:"
            " VluchtelingenWerk's caseworkers and IND's adapter the one, VluchtelingenWerk's desk the other."
            " What is recorded at one is asked for at the other, and withdrawn under its hands.[/]",
        )


def _conclude(steps: int, seconds: float, calls: dict[str, Counter[str]]) -> None:
    out.print()
    if len(calls) > 1:
        shares = ", ".join(f"{name} {counted.total()}" for name, counted in calls.items())
        print_hanging(out, "", f"[dim]Calls of parties that each gateway answered: {shares}.[/]")
    print_hanging(
        out,
        "",
        f"[bold green]All {steps} steps held[/] in {seconds:.1f} s."
        " `poort up` keeps the same stack running; docs/tutorial.md goes on from there.",
    )


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
