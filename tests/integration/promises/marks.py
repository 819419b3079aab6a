"""Look for marks in bytes: as they are, escaped, in hex, and in base64, also base64 inside base64.

A mark is a text that must not be found. A statement inside an order is base64url inside base64url,
and where in a group of three bytes a mark begins is chance: all three places are looked at.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

# Shorter ones occur by chance in a few megabytes of base64.
SHORTEST = 7


def forms(mark: str) -> frozenset[bytes]:
    """Return every form in which a mark might lie somewhere."""
    if len(mark.encode()) < SHORTEST:
        raise ValueError("this mark would be found by chance")
    plain = {
        mark.encode(),
        mark.encode("utf-16-le"),
        json.dumps(mark)[1:-1].encode(),
        quote(mark).encode(),
        repr(mark.encode())[2:-1].encode(),
    }
    hexed = {form.hex().encode() for form in plain} | {form.hex().upper().encode() for form in plain}
    once = {form for text in plain for form in _base64_forms(text)}
    twice = {form for text in once for form in _base64_forms(text)}
    return frozenset(plain | hexed | once | twice)


def found(marks: Iterable[str], content: bytes) -> set[str]:
    """Name the marks that are in these bytes in any form."""
    return {mark for mark in marks if any(form in content for form in forms(mark))}


def found_in_folder(marks: Iterable[str], folder: Path) -> dict[str, set[str]]:
    """Search every file, its name, and every value of every SQLite database; what was found, by place."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return found_among(marks, (each for path in files for each in _contents(path, path.relative_to(folder))))


def found_among(marks: Iterable[str], contents: Iterable[tuple[str, bytes]]) -> dict[str, set[str]]:
    """Search contents that have a name each; what was found, by name."""
    places: dict[str, set[str]] = {}
    prepared = {mark: forms(mark) for mark in marks}
    for place, content in contents:
        hits = {mark for mark, shapes in prepared.items() if any(shape in content for shape in shapes)}
        if hits:
            places.setdefault(place, set()).update(hits)
    return places


def rows(database: Path) -> Mapping[str, bytes]:
    """Read every column of every table, joined: a value that spans pages is whole here."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as conn:
        tables = [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns: dict[str, bytes] = {}
        for table in tables:
            cursor = conn.execute(f'SELECT * FROM "{table}"')
            names = [described[0] for described in cursor.description]
            values = [[_bytes(value) for value in row] for row in cursor]
            for number, name in enumerate(names):
                columns[f"{table}.{name}"] = b"\n".join(row[number] for row in values)
    conn.close()
    return columns


def _contents(path: Path, name: Path) -> Iterator[tuple[str, bytes]]:
    yield f"{name} (its name)", str(name).encode()
    content = path.read_bytes()
    yield str(name), content
    if content.startswith(b"SQLite format 3"):
        for column, values in rows(path).items():
            yield f"{name}:{column}", values


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _base64_forms(content: bytes) -> Iterator[bytes]:
    for before in range(3):
        encoded = base64.b64encode(b"\x00" * before + content)
        # Characters that also hold bits of what stands before or after the mark are left out.
        first = -(-before * 8 // 6)
        inner = encoded[first : (before + len(content)) * 8 // 6]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")
