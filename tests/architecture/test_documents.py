"""The documents hold: each link leads somewhere, each command that they name exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from gateway.cli.commands import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = ("gateway", "adapters", "consent", "policies", "bench", "docs")
CITING = [
    path
    for path in sorted([ROOT / "README.md", *(one for name in FOLDERS for one in (ROOT / name).rglob("*"))])
    if path.suffix in {".py", ".rego", ".md"}
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```|^(?: {4}.*\n?)+", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
# Where a command ends and the shell begins: what stands before belongs to the command.
SHELL = re.compile(r"\s(?:\|\|?|&&|>|#)\s.*|\s\|\s.*")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_a_section(document: Path) -> None:
    broken = [
        link for link in LINK.findall(document.read_text("utf-8")) if not _leads_somewhere(document, link)
    ]
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z.-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {line.split()[1] for line in _commands(document.read_text("utf-8"), "make ")}
    assert targets >= {"demo", "test"}
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_poort_command_and_option_exists(document: Path) -> None:
    wrong = [line for line in _commands(document.read_text("utf-8"), "poort ") if _trouble(line)]
    assert wrong == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text("utf-8")
    folders = "gateway|policies|consent|adapters|tests|docs|compose|bench"
    named = [one for one in CODE.findall(text) if re.fullmatch(rf"(?:{folders})/[\w./-]+\.\w+", one)]
    assert [one for one in named if not (ROOT / one).exists()] == []


def test_every_section_and_rule_that_is_cited_exists() -> None:
    sections = set(re.findall(r"^## (\d+)\. ", (ROOT / "docs/design.md").read_text("utf-8"), re.MULTILINE))
    rules = set(re.findall(r"^(\d+)\. ", (ROOT / "docs/domain.md").read_text("utf-8"), re.MULTILINE))
    assert sections == rules == {str(number) for number in range(1, 11)}
    cited = [(path.relative_to(ROOT), found) for path in CITING for found in _cited(path.read_text("utf-8"))]
    assert len(cited) > 20
    missing = [
        (path, of, number) for path, (of, number) in cited if number not in {"§": sections, "rule": rules}[of]
    ]
    assert missing == []


def test_nothing_cites_what_a_reader_of_the_repository_does_not_have() -> None:
    elsewhere = re.compile(r"\b(?:DOMAIN|GOALS|STYLE)\.md\b|\blibraries study\b")
    assert [path for path in CITING if elsewhere.search(path.read_text("utf-8"))] == []


def test_a_citation_is_found_wherever_it_stands() -> None:
    assert _cited("as it must be (DESIGN\n    # §11)") == [("§", "11")]
    assert _cited("DESIGN §2 and `docs/domain.md` rules 4, 5 and 12") == [
        ("§", "2"),
        ("rule", "4"),
        ("rule", "5"),
        ("rule", "12"),
    ]


def test_the_documents_are_read_and_wrong_ones_are_found() -> None:
    commands = [line for path in DOCUMENTS for line in _commands(path.read_text("utf-8"), "poort ")]
    assert len(commands) > 10
    assert _trouble("poort request ask --client amina") is None
    assert _trouble("poort request beg") == "no command 'beg'"
    assert _trouble("poort request ask --politely") == "no option --politely"
    assert _trouble("poort up extra") == "too many words"
    assert not _leads_somewhere(ROOT / "README.md", "docs/nothing.md")
    assert not _leads_somewhere(ROOT / "README.md", "docs/errors.md#no-such-section")


def _cited(text: str) -> list[tuple[str, str]]:
    """Find the sections of the design and the rules of the domain that a text cites."""
    found = [("§", number) for number in re.findall(r"\bDESIGN[\s#]*§(\d+)", text)]
    for numbers in re.findall(r"domain\.md`?,?[\s#]+rules? ((?:\d+(?:, | and )?)+)", text):
        found += [("rule", number) for number in re.findall(r"\d+", numbers)]
    return found


def _leads_somewhere(document: Path, link: str) -> bool:
    if re.match(r"[a-z]+:", link):
        return True
    path, _, section = link.partition("#")
    target = (document.parent / path).resolve() if path else document
    return target.exists() and (not section or section in _sections(target))


def _sections(document: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


def _commands(text: str, program: str) -> list[str]:
    """Find the command lines of a program in code blocks, `$(…)` included, and in code spans."""
    blocks = "\n".join(block.group() for block in FENCED.finditer(text)).replace("\\\n", " ")
    lines = [line.strip() for line in blocks.splitlines()]
    # A span may be cut by the end of a line; one that only names a program says nothing to check.
    spans = CODE.findall(FENCED.sub("", text))
    found = []
    for line in lines + spans:
        start = re.search(rf"(?:^|\$\(|;\s*){program}", line)
        if start is not None:
            found.append(SHELL.sub("", line[start.start() :].lstrip("$(; ")).rstrip(")"))
    return found


def _trouble(line: str) -> str | None:
    """Walk the command tree along a command line; say what does not exist, or None."""
    words = [word for word in shlex.split(line)[1:] if word != "…"]
    command = get_command(app)
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in command.commands:
            return f"no command {name!r}"
        command = command.commands[name]
    options = {name: one for one in command.params for name in one.opts + one.secondary_opts}
    room = sum(1 for one in command.params if one.param_type_name == "argument")
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            room -= 1
        elif word != "--help" and word not in options:
            return f"no option {word}"
        elif word in options and not getattr(options[word], "is_flag", False) and words:
            words.pop(0)
    return "too many words" if room < 0 else None
