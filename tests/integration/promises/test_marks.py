"""The control of promise 5: the search finds what is planted, in every form that it claims to know."""

from __future__ import annotations

import base64
import sqlite3
from pathlib import Path

import pytest

from adapters.kit.strict_json import encode_base64url
from tests.integration.promises import marks

GIVEN, FAMILY = "Zonnebloesem", "Kanariëgeel"


@pytest.mark.parametrize("form", ["plain", "base64", "base64url twice", "hex", "escaped", "in a column"])
def test_the_search_finds_a_planted_mark(tmp_path: Path, form: str) -> None:
    planted = f'{{"note": "xx{FAMILY}y"}}'
    assert marks.found_in_folder([FAMILY], tmp_path) == {}
    content = {
        "plain": planted.encode(),
        "base64": base64.b64encode(planted.encode()),
        "base64url twice": encode_base64url(f"a{encode_base64url(planted.encode())}b".encode()).encode(),
        "hex": planted.encode().hex().encode(),
        "escaped": planted.encode("ascii", "backslashreplace").replace(b"\\xeb", b"\\u00eb"),
        "in a column": b"",
    }[form]
    (tmp_path / "kept.bin").write_bytes(content)
    if form == "in a column":
        conn = sqlite3.connect(tmp_path / "kept.sqlite")
        conn.execute("CREATE TABLE t (a TEXT)")
        conn.execute("INSERT INTO t VALUES (?)", ["z" * 5000 + planted])
        conn.commit()
        conn.close()
    hits = marks.found_in_folder([FAMILY], tmp_path)
    assert set().union(*hits.values()) == {FAMILY}


def test_the_search_finds_a_mark_in_the_name_of_a_file(tmp_path: Path) -> None:
    (tmp_path / f"{GIVEN}.pdf").touch()
    assert marks.found_in_folder([GIVEN], tmp_path) == {f"{GIVEN}.pdf (its name)": {GIVEN}}
