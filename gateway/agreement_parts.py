"""What a rendered agreement is made of, before it is Markdown or HTML."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading, levels 1 to 3."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Lead:
    """One paragraph of plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Names with their values, as a reader looks them up."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Entries:
    """Articles: number, text, and what it rests on. Each can be linked to by its number."""

    rows: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Anchor:
    """A reference to an article, as decisions write it: `art. 2.1 (…)`."""

    text: str

    @property
    def number(self) -> str:
        """Return the article's number: `art. 2.1`."""
        return self.text.partition(" (")[0]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of each row says what the row is about."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str | Anchor, ...], ...]


Part = Heading | Lead | Facts | Entries | Table


def place(number: str) -> str:
    """Return the fragment of an article: `art-2-1` for `art. 2.1`."""
    return number.replace(". ", "-").replace(".", "-")
