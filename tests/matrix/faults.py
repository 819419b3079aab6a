"""Faults to seed into the policy: each is one edit of one Rego file, found from what OPA itself parses.

drop    an expression becomes true, or a branch is never taken
flip    a comparison, a truth, a bound, a number or a `not` is turned round
widen   a set loses an element or gets a stranger; membership becomes "is any string"
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.matrix.agreements import POLICIES

_AGREEMENT = json.loads((POLICIES / "agreement" / "agreement.json").read_bytes())
# What a set can wrongly get: words of the kind that is in it already. Others would never be asked for.
_VOCABULARIES: Sequence[Sequence[str]] = (
    tuple(_AGREEMENT["kinds"]),
    tuple(_AGREEMENT["categories"]),
    tuple(_AGREEMENT["purposes"]),
    ("baseline", "consent", "explicit_consent", "statutory"),
    ("baseline", "ordinary", "special"),
    ("no_consent", "no_explicit_consent", "role_may_not", "no_rule", "asking_needs_consent"),
)
_STRANGERS = 3
_FLIPS = {
    "==": "!=",
    "!=": "==",
    "<=": "<",
    "<": "<=",
    ">=": ">",
    ">": ">=",
    "true": "false",
    "false": "true",
    "min": "max",
    "max": "min",
    "not": "",
    "+": "-",
    "-": "+",
    "|": "&",
}
_TOKENS = re.compile(
    r'(?P<skip>"(?:[^"\\]|\\.)*"|#[^\n]*|:=)'
    r"|(?P<flip>==|!=|<=|<|>=|>|\+|(?<= )-(?= )|\b(?:true|false|min|max|not)\b)"
    r"|(?P<number>\b[0-9]+\b)"
)


@dataclass(frozen=True)
class Fault:
    """One edit: `old` at `start` of `file` becomes `new`. `name` stays while the code around it does."""

    name: str
    file: str
    kind: str
    start: int
    old: str
    new: str

    def seeded(self, text: str) -> str:
        """Return the file's text with the fault in it."""
        assert text[self.start :].startswith(self.old)
        return text[: self.start] + self.new + text[self.start + len(self.old) :]


def faults(opa: Path, files: Sequence[Path]) -> list[Fault]:
    """Return every fault that these files can have, each once. Not all of them compile."""
    found: list[Fault] = []
    for file in files:
        text = file.read_text()
        parsed = subprocess.run(
            [str(opa), "parse", "--format", "json", "--json-include", "locations", str(file)],
            capture_output=True,
            check=True,
        )
        found += _of_a_file(file.name, text, json.loads(parsed.stdout)["rules"])
    return found


def _of_a_file(file: str, text: str, rules: Sequence[Any]) -> Iterator[Fault]:
    source = _Source(text)
    spans = [(*source.span(rule["location"]), _name(rule)) for rule in rules if not rule.get("default")]
    edits = itertools.chain(
        (edit for rule in rules if not rule.get("default") for edit in _drops(source, rule)),
        _flips(text),
        (edit for rule in rules if not rule.get("default") for edit in _widenings(source, rule)),
    )
    seen: Counter[str] = Counter()
    made: set[tuple[int, str, str]] = set()
    for kind, start, old, new in edits:
        if (start, old, new) in made:
            continue
        made.add((start, old, new))
        rule = next((name for begin, end, name in spans if begin <= start < end), "default")
        shown = " ".join(f"{old} → {new or '(nothing)'}".split())
        name = f"{file} {rule}: {kind} {shown}"
        seen[name] += 1
        yield Fault(name if seen[name] == 1 else f"{name} ({seen[name]})", file, kind, start, old, new)


Edit = tuple[str, int, str, str]


class _Source:
    """The text of a file, by the rows and columns that OPA names."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def at(self, location: Any) -> tuple[int, str]:
        """Return where it stands and what stands there."""
        line = self._lines[location["row"] - 1]
        written = base64.b64decode(location["text"]).decode()
        start = line + location["col"] - 1
        if not self.text.startswith(written, start):
            # Of what begins with a bracket, OPA names the column of what is within.
            start = self.text.rfind(written, line, start + len(written))
        assert start >= 0, written
        return start, written

    def span(self, location: Any) -> tuple[int, int]:
        start, written = self.at(location)
        return start, start + len(written)


def _name(rule: Any) -> str:
    return str(rule["head"].get("name") or rule["head"]["ref"][0]["value"])


def _branches(rule: Any) -> Iterator[Any]:
    while rule is not None:
        yield rule
        rule = rule.get("else")


def _drops(source: _Source, rule: Any) -> Iterator[Edit]:
    for body in _bodies(rule):
        for expression in body:
            start, written = source.at(expression["location"])
            yield "drop", start, written, "true"
    for branch in _branches(rule):
        expression = branch["body"][0]
        start, written = source.at(expression["location"])
        if not expression.get("generated"):
            # Braces also where the branch has one expression and none.
            bare = re.search(r"\bif\s*$", source.text[:start]) is not None
            yield "drop", start, written, f"{{ false; {written} }}" if bare else f"false; {written}"


def _bodies(node: Any) -> Iterator[Sequence[Any]]:
    """Yield every body that was written: of the rule, its branches, and of comprehensions within them."""
    if isinstance(node, dict):
        body = node.get("body")
        if isinstance(body, list):
            yield [each for each in body if not each.get("generated")]
        for name, each in node.items():
            if name not in ("location", "annotations"):
                yield from _bodies(each)
    elif isinstance(node, list):
        for each in node:
            yield from _bodies(each)


def _flips(text: str) -> Iterator[Edit]:
    for match in _TOKENS.finditer(text):
        token = match["flip"]
        if token == "not":
            yield "flip", match.start(), "not ", ""
        elif token is not None:
            yield "flip", match.start(), token, _FLIPS[token]
        elif match["number"] is not None:
            yield "flip", match.start(), match["number"], str(int(match["number"]) + 1)


def _widenings(source: _Source, rule: Any) -> Iterator[Edit]:
    for node in _nodes(rule):
        if node.get("type") == "set" and node["value"] and "location" in node:
            start, written = source.at(node["location"])
            if not written.startswith("{") or any(each["type"] != "string" for each in node["value"]):
                continue
            elements = [each["value"] for each in node["value"]]
            for gone in elements:
                kept = ", ".join(json.dumps(each) for each in elements if each != gone)
                yield "widen", start, written, f"{{{kept}}}" if kept else "set()"
            for stranger in _strangers(elements):
                more = ", ".join(json.dumps(each) for each in [*elements, stranger])
                yield "widen", start, written, f"{{{more}}}"
    for body in _bodies(rule):
        for expression in body:
            start, written = source.at(expression["location"])
            member = re.fullmatch(r"(not )?(?!some )(\S+) in (\S.*)", written, re.DOTALL)
            if member:
                yield "widen", start, written, f"{member[1] or ''}is_string({member[2]})"


def _strangers(elements: Sequence[str]) -> list[str]:
    for words in _VOCABULARIES:
        if set(elements) <= set(words):
            return [word for word in words if word not in elements][:_STRANGERS]
    return []


def _nodes(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield node
        for name, each in node.items():
            if name not in ("location", "annotations"):
                yield from _nodes(each)
    elif isinstance(node, list):
        for each in node:
            yield from _nodes(each)
