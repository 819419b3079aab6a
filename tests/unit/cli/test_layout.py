"""What the command line prints can be read at any width, piped, and copied."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from gateway.cli.layout import article, print_as_is, print_hanging

SENTENCE = "the receipt opens entry 11, and the ledger of 12 entries is proven to hold it"


def printed(width: int, *lines: tuple[str, str]) -> list[str]:
    """Print lines to something that is no terminal, and return what came out."""
    file = io.StringIO()
    console = Console(file=file, width=width)
    for lead, markup in lines:
        print_hanging(console, lead, markup)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_wrapped_lines_begin_under_the_first_word_and_end_without_blanks(width: int) -> None:
    lines = printed(width, ("   [green]✓[/] ", SENTENCE))
    assert lines[0].startswith("   ✓ the receipt")
    assert all(line.startswith("     ") and line[5] != " " for line in lines[1:])
    assert all(len(line) <= min(width, 100) and line == line.rstrip() for line in lines)
    assert " ".join(line[5:] for line in lines) == SENTENCE


def test_a_word_longer_than_the_line_stays_whole() -> None:
    address = "https://poort.example/v1/" + "a" * 90
    assert printed(40, ("  ", f"look at {address} again")) == ["  look at", f"  {address}", "  again"]


def test_lines_of_the_text_itself_are_kept() -> None:
    assert printed(80, ("- ", "one\n\nthree")) == ["- one", "", "  three"]


def test_an_empty_text_prints_its_lead() -> None:
    assert printed(80, ("name  ", "")) == ["name"]


def test_a_command_is_never_broken() -> None:
    file = io.StringIO()
    command = "poort request ask " + " ".join(f"--category c{number}" for number in range(12))
    print_as_is(Console(file=file, width=40), command)
    assert file.getvalue() == command + "\n"


def test_an_article_is_named_without_what_it_rests_on() -> None:
    assert article("art. 5.2 (000 §2.1)") == "agreement art. 5.2"
    assert article("art. 4.10 (ours)") == "agreement art. 4.10"
    assert article("clause 7") == "agreement clause 7"
