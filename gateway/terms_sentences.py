"""What a person reads where a draft is no agreement: the place in words and one sentence, in both languages.

    Regel juridische screening › ngo vraagt IND › beschikkingen › voorwaarde: is geen van: …

Titles come from the draft itself where it has them. Of what its author wrote only keys are repeated,
shortened; a value may be anything, also something that belongs in no log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pydantic_core import ErrorDetails

from gateway.agreement_document.words import PARTS, word
from gateway.terms import Language

Path = tuple[str | int, ...]
# Of a key that should not be there, as much as a person needs to find it again.
_KEY_CHARACTERS = 60
# Collections whose rows are called by a title of their own, by a name, or by their key.
_TITLED = {"purposes", "categories", "kinds", "statutes"}


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault at a place in the document, before the place is put in words."""

    path: Path
    nl: str
    en: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Where and why a document is no agreement. `place` is in Dutch, as the agreement is."""

    place: str
    nl: str
    en: str
    place_en: str

    def said_in(self, language: Language) -> str:
        """Return the place and the sentence on one line."""
        return f"{self.place}: {self.nl}" if language == "nl" else f"{self.place_en}: {self.en}"


class AgreementInvalid(Exception):
    """The document is no agreement; `faults` say where and why, in the order of the document."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(" ".join(fault.said_in("en") for fault in faults))
        self.faults = faults

    @property
    def sentences(self) -> tuple[str, ...]:
        """Return the faults in English, each with its place."""
        return tuple(fault.said_in("en") for fault in self.faults)


def faults(document: Mapping[str, object], findings: Iterable[Finding]) -> tuple[Fault, ...]:
    """Return the findings with their places in words, in document order, each sentence once per place."""
    ordered = sorted(findings, key=lambda finding: _position(document, finding.path))
    written = (
        Fault(
            place_in_words(document, finding.path, "nl"),
            finding.nl,
            finding.en,
            place_in_words(document, finding.path, "en"),
        )
        for finding in ordered
    )
    return tuple(dict.fromkeys(written))


def finding_of(error: ErrorDetails) -> Finding:
    """Translate one of the model's errors; the input itself is never in the sentence."""
    path = tuple(step for step in error["loc"] if step != "[key]")
    nl, en = _sentence(error, str(path[-1]) if path else "")
    if "[key]" in error["loc"]:
        nl, en = f"de sleutel {nl}", f"the key {en}"
    return Finding(path, f"{nl}.", f"{en}.")


def place_in_words(document: Mapping[str, object], path: Path, language: Language) -> str:
    """Return the place as a reader finds it, from the largest part to the smallest."""
    if not path:
        return "overeenkomst" if language == "nl" else "agreement"
    head, *rest = (_shortened(step) for step in path)
    if head == "rules":
        pieces, rest = _place_of_rule(document, rest, language)
    else:
        part = word(PARTS, head, language)
        pieces = [part]
        if rest and head in {*_TITLED, "parties", "sources", "chapters", "clauses", "open_questions"}:
            collection = "parties" if head == "sources" else head
            title = _title(document, collection, rest[0], language)
            pieces = [title if title.lower().startswith(part) else f"{part} {title}"]
            rest = rest[1:]
        elif rest and head == "articles":
            pieces, rest = [rest[0]], rest[1:]
    text = " › ".join([*pieces, *(_part(step, language) for step in rest)])
    return text[:1].upper() + text[1:]


def _place_of_rule(
    document: Mapping[str, object], keys: list[str], language: Language
) -> tuple[list[str], list[str]]:
    pieces = [word(PARTS, "rules", language)]
    asks = "vraagt" if language == "nl" else "asks"
    if keys:
        pieces[0] += f" {_title(document, 'purposes', keys[0], language)}"
    between = [_title(document, "kinds", key, language) for key in keys[1:3]]
    if between:
        pieces.append(f" {asks} ".join(between) if len(between) == 2 else f"{between[0]} {asks}")
    if len(keys) > 3:
        pieces.append(_title(document, "categories", keys[3], language))
    return pieces, keys[4:]


def _title(document: Mapping[str, object], collection: str, key: str, language: Language) -> str:
    rows = document.get(collection)
    row = rows.get(key) if isinstance(rows, Mapping) else None
    if not isinstance(row, Mapping):
        return key
    if collection == "parties":
        named = row.get("name")
    else:
        title = row.get("title")
        named = title.get(language) if collection in _TITLED and isinstance(title, Mapping) else None
    return _shortened(named) if isinstance(named, str) and named.strip() else key


def _part(step: str, language: Language) -> str:
    if step.isdigit():
        return f"nummer {int(step) + 1}" if language == "nl" else f"item {int(step) + 1}"
    return word(PARTS, step, language)


def _shortened(step: object) -> str:
    # A key that should not be there may hold anything, also what moves a terminal's cursor.
    text = "".join(one if one.isprintable() else "�" for one in " ".join(str(step).split()))
    return (text if len(text) <= _KEY_CHARACTERS else f"{text[:_KEY_CHARACTERS]}…") or '""'


def _position(document: object, path: Path) -> tuple[int, ...]:
    """Return where a place stands; what is missing comes after what is there."""
    position = []
    for step in path:
        if isinstance(document, Mapping):
            keys = [*document]
            position.append(keys.index(step) if step in document else len(keys))
            document = document.get(step)
        else:
            position.append(step if isinstance(step, int) else 0)
            document = document[step] if isinstance(document, list) and isinstance(step, int) else None
    return tuple(position)


# --- the model's errors ----------------------------------------------------------------------

_PLAIN: Mapping[str, tuple[str, str]] = {
    "missing": ("ontbreekt", "is missing"),
    "extra_forbidden": ("hoort hier niet", "does not belong here"),
    "string_type": ("moet een tekst zijn", "must be a text"),
    "string_too_short": ("is leeg", "is empty"),
    "bool_type": ("moet ja of nee zijn (true of false)", "must be yes or no (true or false)"),
    "int_type": ("moet een heel getal zijn", "must be a whole number"),
    "list_type": ("moet een lijst zijn", "must be a list"),
    "too_short": ("mag niet leeg zijn", "must not be empty"),
    "dict_type": ("moet een blok met onderdelen zijn", "must be a block with members"),
    "model_type": ("moet een blok met onderdelen zijn", "must be a block with members"),
}
_BOUNDED: Mapping[str, tuple[str, str, str]] = {
    "greater_than_equal": ("ge", "moet ten minste {} zijn", "must be at least {}"),
    "less_than_equal": ("le", "mag hooguit {} zijn", "must be at most {}"),
    "string_too_long": (
        "max_length",
        "is te lang: hooguit {} tekens",
        "is too long: at most {} characters",
    ),
}
# By the beginning of the pattern that a text has to match.
_PATTERNS: tuple[tuple[str, str, str], ...] = (
    (
        r"^art\. [0-9]",
        "moet eruitzien als ‘art. 2.1 (waarop het rust)’",
        "must look like ‘art. 2.1 (what it rests on)’",
    ),
    (r"^art\. [1-9]", "moet eruitzien als ‘art. 2.1’", "must look like ‘art. 2.1’"),
    ("^sha-256", "moet de vingerafdruk van een versie zijn (sha-256:…)", "must be a digest (sha-256:…)"),
    (r"^[1-9]", "moet een nummer van een hoofdstuk zijn", "must be the number of a chapter"),
    (
        r"^[a-z]",
        "mag alleen kleine letters, cijfers en streepjes hebben, en begint met een letter",
        "may have small letters, digits and dashes only, and begins with a letter",
    ),
)
_INSTANT = (
    "moet een tijdstip zijn: hele seconden sinds 1 januari 1970 (UTC)",
    "must be an instant: whole seconds since 1 January 1970 (UTC)",
)
_AFTER_ALL = (
    "ligt na het jaar 9999. Het zijn seconden, geen milliseconden",
    "is after the year 9999. It is in seconds, not in milliseconds",
)


def _sentence(error: ErrorDetails, key: str) -> tuple[str, str]:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "int_type" and key in {"valid_from", "valid_until"}:
        return _INSTANT
    if kind == "less_than_equal" and key in {"valid_from", "valid_until"}:
        return _AFTER_ALL
    if kind in {"literal_error", "enum"}:
        allowed = ", ".join(re.findall(r"'([^']*)'", str(context.get("expected"))))
        return f"is geen van: {allowed}", f"is none of: {allowed}"
    if kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern"))
        return next(
            ((nl, en) for begin, nl, en in _PATTERNS if pattern.startswith(begin)),
            ("heeft niet de vorm die hier hoort", "has not the form that belongs here"),
        )
    if kind in _BOUNDED:
        bound, nl, en = _BOUNDED[kind]
        return nl.format(context.get(bound)), en.format(context.get(bound))
    return _PLAIN.get(kind, ("is niet wat hier hoort", "is not what belongs here"))


_Say = Callable[[str, str], Finding]


def at(*path: str | int) -> _Say:
    """Return what makes a finding at a place: `at("valid_until")("… nl", "… en")`."""
    return lambda nl, en: Finding(path, nl, en)
