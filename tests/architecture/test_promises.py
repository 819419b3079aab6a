"""`docs/promises.md` is true: every test that it names exists, and no built promise stands on one test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "promises.md"
BUILT = ("1", "2", "3", "4", "5", "6", "8", "9")
ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
CODE = re.compile(r"`((?:gateway|consent|adapters)/[\w/]+\.py)(?:::(\w+))?`")


def _rows() -> dict[str, tuple[str, str]]:
    return {
        number: (code, tests) for number, _, code, tests in ROW.findall(DOCUMENT.read_text(encoding="utf-8"))
    }


def _names(path: Path) -> set[str]:
    """Name what a module defines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def _absent(path: str, name: str) -> bool:
    return not (ROOT / path).is_file() or (name != "" and name not in _names(ROOT / path))


def test_every_promise_of_the_design_has_a_row() -> None:
    assert list(_rows()) == [str(number) for number in range(1, 13)]


def test_every_test_that_the_document_names_exists() -> None:
    named = TEST.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert len(named) > 30
    assert [f"{path}::{name}" for path, name in named if _absent(path, name)] == []


def test_every_piece_of_code_that_the_document_names_exists() -> None:
    named = CODE.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert len(named) > 10
    assert [f"{path}::{name}" for path, name in named if _absent(path, name)] == []


@pytest.mark.parametrize("number", BUILT)
def test_a_built_promise_names_its_code_and_at_least_two_tests(number: str) -> None:
    code, tests = _rows()[number]
    assert CODE.search(code)
    assert len(set(TEST.findall(tests))) >= 2


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("tests/architecture/test_promises.py", "test_that_nobody_wrote"),
        ("tests/architecture/test_nowhere.py", "test_every_promise_of_the_design_has_a_row"),
    ],
)
def test_a_name_that_does_not_exist_is_found(path: str, name: str) -> None:
    assert not _absent("tests/architecture/test_promises.py", "test_every_promise_of_the_design_has_a_row")
    assert _absent(path, name)
