"""Every code has a class, a row and a section; nothing has a row or a section without a code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.http.problems import PROBLEMS

ROOT = Path(__file__).resolve().parents[2]
CLASSES = GatewayError.__subclasses__()
CODES = frozenset[str]().union(*(each.codes for each in CLASSES))
# What a program reads: an error raised by a name that its class does not have fails only when raised.
NAMES = "|".join(each.__name__ for each in CLASSES)
RAISED = re.compile(rf'\b({NAMES})\(\s*"([a-z_]+)"')


def test_no_code_belongs_to_two_classes() -> None:
    assert sum(len(each.codes) for each in CLASSES) == len(CODES) > 30


def test_every_code_has_one_row_of_the_table() -> None:
    assert set(PROBLEMS) == CODES


def test_every_code_has_one_section_in_the_document() -> None:
    text = (ROOT / "docs" / "errors.md").read_text("utf-8")
    sections = re.findall(r"^### (\S+)\n(\d{3})", text, re.MULTILINE)
    assert [code for code, _ in sections] == list(dict.fromkeys(code for code, _ in sections))
    assert {code: int(status) for code, status in sections} == {
        code: row.status for code, row in PROBLEMS.items()
    }


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_row_speaks_in_whole_sentences_of_what_happened_and_what_to_do(code: str) -> None:
    row = PROBLEMS[code]
    assert 400 <= row.status <= 599
    for sentence in (row.title, row.next_step):
        assert sentence[0].isupper()
        assert sentence[-1] == "."
        assert len(sentence) <= 120


def test_every_error_raised_in_the_code_exists() -> None:
    by_name = {each.__name__: each for each in CLASSES}
    raised = [
        (path.relative_to(ROOT), name, code)
        for path in (ROOT / "gateway").rglob("*.py")
        for name, code in RAISED.findall(path.read_text("utf-8"))
    ]
    assert len(raised) > 20
    assert [each for each in raised if each[2] not in by_name[each[1]].codes] == []
