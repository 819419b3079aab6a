"""Lay out lines for people: wrapped with a hanging indent, and no blanks at the end of a line.

Rich pads what it wraps to the width of the terminal, which shows in a file or a pipe, and breaks long
words, which then cannot be copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

# Beyond this many columns a line of prose is hard to follow, however wide the terminal.
_WIDEST = 100
_WORD = re.compile(r"\S+\s*|^\s+")
_ARTICLE = re.compile(r"art\. [0-9]+(?:\.[0-9]+)*")


def print_hanging(console: Console, lead: str, markup: str, *, style: str = "") -> None:
    """Print `lead` and what follows it (both Rich markup); wrapped lines begin under what follows."""
    start = Text.from_markup(lead)
    width = max(20, min(console.width, _WIDEST) - start.cell_len)
    for line in _wrapped(Text.from_markup(markup, style=style), width):
        shown = start + line
        shown.rstrip()
        console.print(shown, highlight=False, soft_wrap=True)
        start = Text(" " * start.cell_len)


def print_as_is(console: Console, text: str | Text) -> None:
    """Print what is to be copied, commands and addresses, and never break it; a `str` is Rich markup."""
    console.print(text, highlight=False, soft_wrap=True)


def article(paragraph: str) -> str:
    """Name the article of the agreement, without the source in brackets that the article rests on."""
    found = _ARTICLE.match(paragraph)
    return f"agreement {found[0] if found else paragraph}"


def _wrapped(text: Text, width: int) -> Iterator[Text]:
    """Break between words only: an address or an id that is longer than a line stays whole."""
    for paragraph in text.split(allow_blank=True):
        breaks, used = [], 0
        for word in _WORD.finditer(paragraph.plain):
            if used and used + cell_len(word[0].rstrip()) > width:
                breaks.append(word.start())
                used = 0
            used += cell_len(word[0])
        yield from paragraph.divide(breaks)
