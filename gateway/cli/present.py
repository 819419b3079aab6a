"""Show people what happened, and machines the same as JSON; errors always end with what to do next."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from gateway.cli.layout import article, print_hanging

if TYPE_CHECKING:
    from adapters.requester import RequesterError

T = TypeVar("T")

out = Console()
# Errors and progress go here, so that `--json` on standard output stays one JSON document.
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, for machines.")]


def run(work: Coroutine[Any, Any, T], *, as_json: bool) -> T:
    """Run a command's work; end with exit code 1 and the next step when it is refused or fails."""
    from adapters.requester import RequesterError

    try:
        return asyncio.run(work)
    except RequesterError as error:
        fail_with(error, as_json=as_json)


def fail_with(error: RequesterError, *, as_json: bool) -> NoReturn:
    """Print an error and leave with exit code 1."""
    from adapters.requester import GatewayRefused

    paragraph = error.paragraph if isinstance(error, GatewayRefused) else None
    if as_json:
        problem = {"code": error.code, "message": error.message, "next_step": error.next_step}
        more = {"id": _still_known(error), "paragraph": paragraph}
        print_json(problem | {name: value for name, value in more.items() if value})
    else:
        print_hanging(err, f"[bold red]{error.code}[/]  ", escape(error.message))
        if paragraph:
            print_hanging(err, "  rests on: ", escape(article(paragraph)))
        print_hanging(err, "  next step: ", escape(error.next_step))
    raise typer.Exit(1)


def _still_known(error: RequesterError) -> str | None:
    """Return the id of the request that goes on although the call failed, where there is one."""
    from adapters.requester import GatewayRefused, StillWaiting

    if isinstance(error, StillWaiting):
        return error.exchange
    known = error.problem.get("id") if isinstance(error, GatewayRefused) else None
    return known if isinstance(known, str) else None


def fail(message: str) -> NoReturn:
    """Print what went wrong outside the gateway, and leave with exit code 1."""
    err.print(f"[bold red]failed[/]  {escape(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def print_json(value: object) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_document(document: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a resource of the API as it came, or as a short table."""
    if as_json:
        print_json(document)
        return
    width = max(map(len, document), default=0)
    for name, value in document.items():
        print_hanging(out, f"[dim]{name:<{width}}[/]  ", escape(_text(value)))


def read_json_file(path: Path) -> Any:
    """Read a JSON file that the caller named; leave with exit code 1 if it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        fail(f"There is no file {path}.")
    except (OSError, ValueError):
        fail(f"{path} is not a JSON file that can be read.")


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return "  ".join(f"{name}: {_text(one)}" for name, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "\n".join(_text(one) for one in value) if value else "—"
    return "—" if value is None else str(value)
