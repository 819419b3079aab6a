"""What a newcomer reads: every command says in one line what it does, and in an example how."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from gateway.cli import connect
from gateway.cli.acting import read_categories
from gateway.cli.commands import app

# What a person at a party types; the others are run by whoever operates a process, from their settings.
BY_PEOPLE = ("request", "consent", "case", "ledger", "agreement")


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    command = typer.main.get_command(app) if command is None else command
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


ALL = dict(commands())
LEAVES = [path for path, command in ALL.items() if not hasattr(command, "commands")]


def shown(*arguments: str) -> str:
    done = CliRunner().invoke(app, [*arguments, "--help"], terminal_width=100)
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("path", [path for path in ALL if path[:1] != ("serve",)], ids=" ".join)
def test_no_line_of_a_list_of_commands_breaks_off(path: tuple[str, ...]) -> None:
    assert "..." not in shown(*path).partition("Commands:")[2]


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_option_and_argument_is_explained(path: tuple[str, ...]) -> None:
    untold = [one.name for one in ALL[path].params if not getattr(one, "help", None)]
    assert untold == []


@pytest.mark.parametrize("path", [path for path in LEAVES if path[0] in BY_PEOPLE], ids=" ".join)
def test_every_command_ends_with_an_example_that_it_would_take(path: tuple[str, ...]) -> None:
    assert "Example: " in shown(*path)
    words = shlex.split(str(ALL[path].epilog).removeprefix("Example: "))
    assert tuple(words[: len(path) + 1]) == ("poort", *path)
    ALL[path].make_context("poort", words[len(path) + 1 :])  # or it says what it would not take


def test_a_worker_whom_the_sandbox_does_not_know_is_told_who_there_is(tmp_path: Any) -> None:
    sandbox = tmp_path / "sandbox.json"
    workers = [{"id": "vw-balie-01", "role": "desk"}]
    sandbox.write_text(json.dumps({"parties": {"vluchtelingenwerk": {"workers": workers}}}))
    assert connect.find_worker("vw-balie-01", "vluchtelingenwerk", sandbox).role == "desk"
    assert connect.find_worker("vw-balie-09:desk", "vluchtelingenwerk", sandbox).id == "vw-balie-09"
    with pytest.raises(typer.BadParameter) as refused:
        connect.find_worker("Jan-Jansen", "vluchtelingenwerk", sandbox)
    assert "vw-balie-01 (desk)" in refused.value.message
    assert "caseworker" in refused.value.message
    assert "Jansen" not in refused.value.message
    with pytest.raises(typer.BadParameter, match="a pseudonym and a role"):
        connect.find_worker("vw-balie-09", "vluchtelingenwerk", None)


def test_a_category_that_is_none_is_answered_with_those_that_are() -> None:
    assert read_categories(["decisions"]) == ["decisions"]
    with pytest.raises(typer.BadParameter, match=r"no such category: papers; there are .*decisions"):
        read_categories(["decisions", "papers"])
