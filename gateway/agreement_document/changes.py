"""What two versions of an agreement say otherwise, field by field and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.agreement_document.words import CLASSES, GROUNDS, ROLES, SCHEMES, day, legal_basis, word, yes_no
from gateway.terms import Language, Terms
from gateway.terms_sentences import Path, place_in_words

# Collections whose rows come and go as a whole; a row of `rules` lies four keys down.
_ROW_DEPTH: Mapping[str, int] = {
    **dict.fromkeys(
        (
            "chapters",
            "statutes",
            "clauses",
            "parties",
            "kinds",
            "purposes",
            "categories",
            "sources",
            "open_questions",
            "articles",
        ),
        2,
    ),
    "rules": 5,
}
_INSTANTS = {"valid_from", "valid_until"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field or row that changed; `old` is None where it is new, `new` where it is gone."""

    path: Path
    old: object
    new: object
    nl: str
    en: str

    def said_in(self, language: Language) -> str:
        """Return the sentence, with its place."""
        return self.nl if language == "nl" else self.en


def field_changes(old: Terms, new: Terms) -> Iterator[Field]:
    """Yield every change, in the order of the new version; what is gone comes last."""
    before, after = old.model_dump(mode="json", by_alias=True), new.model_dump(mode="json", by_alias=True)
    yield from _changes(before, after, (), before, after)


def _changes(
    old: object, new: object, path: Path, before: Mapping[str, object], after: Mapping[str, object]
) -> Iterator[Field]:
    if old == new:
        return
    whole_row = len(path) == _ROW_DEPTH.get(str(path[0]), 0) if path else False
    if (old is None or new is None) and (whole_row or not isinstance(old or new, Mapping)):
        yield _field(path, old, new, before, after)
    elif isinstance(old or new, Mapping):
        was = old if isinstance(old, Mapping) else {}
        becomes = new if isinstance(new, Mapping) else {}
        for key in dict.fromkeys([*becomes, *was]):
            yield from _changes(was.get(key), becomes.get(key), (*path, str(key)), before, after)
    else:
        yield _field(path, old, new, before, after)


def _field(
    path: Path, old: object, new: object, before: Mapping[str, object], after: Mapping[str, object]
) -> Field:
    document = before if new is None else after
    texts = [_sentence(path, old, new, language) for language in ("nl", "en")]
    places = [place_in_words(document, path, language) for language in ("nl", "en")]
    return Field(path, old, new, f"{places[0]}: {texts[0]}", f"{places[1]}: {texts[1]}")


def _sentence(path: Path, old: object, new: object, language: Language) -> str:
    dutch = language == "nl"
    if isinstance(new, Mapping) and old is None:
        return f"{'is nieuw' if dutch else 'is new'}{_described(new, language)}."
    if isinstance(old, Mapping):
        return "vervalt." if dutch else "is gone."
    was, becomes = _value(path, old, language), _value(path, new, language)
    return f"was {was}, wordt {becomes}." if dutch else f"was {was}, becomes {becomes}."


def _described(row: Mapping[str, object], language: Language) -> str:
    """Return the text of a new article, or where a new statute stands and when it is in force."""
    if isinstance(row.get(language), str):
        return f": ‘{row[language]}’"
    if "citation" not in row:
        return ""
    since, until = (day(int(str(row[key])), language) for key in ("valid_from", "valid_until"))
    period = f"van {since} tot {until}" if language == "nl" else f"from {since} until {until}"
    return f": {row['citation']}, {period}"


def _value(path: Path, value: object, language: Language) -> str:
    key = str(path[-1])
    if value is None:
        return "niets" if language == "nl" else "nothing"
    if isinstance(value, bool):
        return yes_no(value, language)
    if isinstance(value, list):
        words = {**ROLES, **SCHEMES}
        return ", ".join(word(words, str(each), language) for each in value) or "–"
    if key in _INSTANTS and isinstance(value, int):
        return day(value, language)
    if key == "ground":
        return word(GROUNDS, str(value), language)
    if key == "class":
        return word(CLASSES, str(value), language)
    if key == "legal_basis":
        return legal_basis(str(value), language)
    return f"‘{value}’" if isinstance(value, str) else str(value)
