"""What a rendered agreement is made of, and how it is written: Markdown, or one self-contained HTML page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from gateway.terms import Language


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


# Characters by which a text would become markup in Markdown.
_MARKUP = re.compile(r"([\\`*_{}\[\]|#~])")
# By which a text names a character that Markdown then shows, or hides, instead; `#` has a backslash by then.
_ENTITY = re.compile(r"&(?=\\?#?\w+;)")

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5a6675; --line: #d9dfe6; --tint: #f5f7f9;
  --link: #0b5394; --found: #fff8dc; --paper: #fff; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e3e8ee; --soft: #a3b0bf; --line: #36424f; --tint: #1e2731; --link: #8cc2ff;
    --found: #45401f; --paper: #151c24; }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0 auto; max-width: 62rem; padding: 2.5rem 1.5rem 4rem; color: var(--ink);
  background: var(--paper);
  font: 1rem/1.6 system-ui, "Segoe UI", "Noto Sans", "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.25; margin: 0 0 1.5rem; max-width: 40ch; text-wrap: balance; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 3rem 0 1rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.1rem; margin: 2.25rem 0 .25rem; }
p { margin: 0 0 1rem; max-width: 68ch; }
a { color: var(--link); text-underline-offset: .15em; }
a:focus-visible { outline: 3px solid #f2b705; outline-offset: 2px; }
nav ul { columns: 16rem; list-style: none; padding: 0; margin: 0; }
nav { background: var(--tint); padding: 1rem 1.25rem; margin: 1.5rem 0 0; border-radius: .25rem; }
nav h2 { all: unset; display: block; font-weight: 600; margin-bottom: .5rem; }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.5rem; margin: 0; }
dl.facts dt { color: var(--soft); }
dl.facts dd { margin: 0; overflow-wrap: anywhere; }
.article { display: grid; grid-template-columns: 4.5rem 1fr; gap: 0 1rem; padding: .6rem 0; }
.article:target { background: var(--found); box-shadow: 0 0 0 .5rem var(--found); }
.article h3 { margin: 0; font-size: 1rem; white-space: nowrap; }
.article p { margin: 0; }
.article .source { color: var(--soft); font-size: .875rem; }
table { width: 100%; border-collapse: collapse; margin: .75rem 0 1.75rem; font-size: .9rem;
  line-height: 1.45; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; font-size: 1rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .75rem .45rem 0;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; border-bottom: 2px solid var(--line); }
tbody th { font-weight: 600; }
td:last-child, th:last-child { padding-right: 0; }
td a { white-space: nowrap; }
@media (max-width: 46rem) {
  body { padding: 1.25rem 1rem 3rem; }
  dl.facts, .article { grid-template-columns: 1fr; gap: .1rem; }
  dl.facts dd { margin-bottom: .6rem; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, caption, tbody, tr, th, td { display: block; }
  tbody tr { border: 1px solid var(--line); border-radius: .25rem; padding: .6rem .75rem;
    margin-bottom: .6rem; }
  tbody th, td { border: 0; padding: .1rem 0; }
  td { display: grid; grid-template-columns: 9rem 1fr; gap: .75rem; }
  td::before { content: attr(data-head); color: var(--soft); }
}
@media print {
  @page { size: A4; margin: 18mm 16mm; }
  html { font-size: 9.5pt; }
  body { max-width: none; padding: 0; }
  p { max-width: none; }
  table { font-size: .82rem; line-height: 1.35; }
  th, td { padding: .35rem .5rem .35rem 0; }
  nav { display: none; }
  a { color: inherit; text-decoration: none; }
  h2, h3, caption { break-after: avoid; }
  tr, .article { break-inside: avoid; }
  thead { display: table-header-group; }
}
""".strip()
# All between the tags: by its digest a policy of the page's reader allows this style and no other.
INLINE_STYLE = f"\n{_STYLE}\n"


def page(title: str, language: Language, parts: Sequence[Part]) -> str:
    """Return one HTML page: headings in order, tables with scopes, an anchor for each article."""
    contents = "Inhoud" if language == "nl" else "Contents"
    body = "\n".join(line for part in _with_contents(parts, contents) for line in _html(part))
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{INLINE_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def markdown(parts: Sequence[Part]) -> str:
    """Return Markdown with tables; the anchors of articles are HTML, as Markdown has none."""
    return "\n\n".join(block for part in parts for block in _markdown(part)) + "\n"


def _with_contents(parts: Sequence[Part], contents: str) -> Iterator[Part | str]:
    chapters = [part.text for part in parts if isinstance(part, Heading) and part.level == 2]
    shown = False
    for part in parts:
        if isinstance(part, Heading) and part.level == 2 and not shown:
            shown = True
            links = (f'<a href="#{_slug(text)}">{escape(text)}</a>' for text in chapters)
            items = "\n".join(f"<li>{link}</li>" for link in links)
            name = escape(contents)
            yield f'<nav aria-labelledby="contents">\n<h2 id="contents">{name}</h2>'
            yield f"<ul>\n{items}\n</ul>\n</nav>"
        yield part


def _html(part: Part | str) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, Heading):
        anchor = f' id="{_slug(part.text)}"' if part.level == 2 else ""
        yield f"<h{part.level}{anchor}>{escape(part.text)}</h{part.level}>"
    elif isinstance(part, Lead):
        yield f"<p>{_linked(part.text)}</p>"
    elif isinstance(part, Facts):
        yield '<dl class="facts">'
        yield from (f"<dt>{escape(name)}</dt><dd>{_linked(value)}</dd>" for name, value in part.rows)
        yield "</dl>"
    elif isinstance(part, Entries):
        for number, text, source in part.rows:
            yield f'<section class="article" id="{place(number)}">'
            yield f"<h3>{escape(number)}</h3>"
            yield f'<div><p>{escape(text)}</p><p class="source">{escape(source)}</p></div>'
            yield "</section>"
    else:
        yield from _html_table(part)


def _html_table(table: Table) -> Iterator[str]:
    yield f"<table>\n<caption>{escape(table.caption)}</caption>"
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in table.head)
    yield f"<thead><tr>{heads}</tr></thead>\n<tbody>"
    for first, *rest in table.rows:
        cells = "".join(
            f'<td data-head="{escape(head)}"><span>{_cell(cell)}</span></td>'
            for head, cell in zip(table.head[1:], rest, strict=True)
        )
        yield f'<tr><th scope="row">{_cell(first)}</th>{cells}</tr>'
    yield "</tbody>\n</table>"


def _cell(cell: str | Anchor) -> str:
    if isinstance(cell, Anchor):
        return f'<a href="#{place(cell.number)}">{escape(cell.text)}</a>'
    return escape(cell)


def _linked(text: str) -> str:
    """Escape a text, and link the articles that it names."""
    named = re.compile(r"\bart\. (\d+\.\d+)")
    return named.sub(lambda found: f'<a href="#{place(found[0])}">{found[0]}</a>', escape(text))


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _markdown(part: Part) -> Iterator[str]:
    if isinstance(part, Heading):
        yield f"{'#' * part.level} {_plain(part.text)}"
    elif isinstance(part, Lead):
        yield _plain(part.text)
    elif isinstance(part, Facts):
        yield "\n".join(f"- **{_plain(name)}:** {_plain(value)}" for name, value in part.rows)
    elif isinstance(part, Entries):
        for number, text, source in part.rows:
            yield f'<a id="{place(number)}"></a>**{_plain(number)}** {_plain(text)} *({_plain(source)})*'
    else:
        yield f"**{_plain(part.caption)}**"
        lines = [part.head, ("---",) * len(part.head)]
        written = [f"| {' | '.join(lines[0])} |", f"| {' | '.join(lines[1])} |"]
        written += [f"| {' | '.join(map(_markdown_cell, row))} |" for row in part.rows]
        yield "\n".join(written)


def _markdown_cell(cell: str | Anchor) -> str:
    if isinstance(cell, Anchor):
        return f"[{_plain(cell.text)}](#{place(cell.number)})"
    return _plain(cell)


def _plain(text: str) -> str:
    escaped = _MARKUP.sub(r"\\\1", " ".join(text.split()))
    # An entity, not a backslash: HTML is read inside Markdown before its escapes by some readers.
    return _ENTITY.sub("&amp;", escaped).replace("<", "&lt;").replace(">", "&gt;")
