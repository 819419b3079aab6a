"""Whether a draft says the same on paper, on a screen and in a comparison: no character in it is unseen."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

from gateway.terms_sentences import Finding, Path, at

# Of Unicode: controls, formats (such as those that reverse the order), what stands for none, and line ends.
_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
# Letters and marks that are drawn as nothing (Unicode's Default_Ignorable_Code_Point, beyond the above), and
# the empty pattern of Braille: with one of them two names look the same and are not.
_EMPTY = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def unseen(part: object, path: Path = ()) -> Iterator[Finding]:
    """Find, in every text, what readers do not see: what turns words round, or moves a terminal's cursor.

    With one, parties sign another text than they read.
    """
    if isinstance(part, Mapping):
        for key, inner in part.items():
            yield from unseen(inner, (*path, str(key)))
    elif isinstance(part, list):
        for index, inner in enumerate(part):
            yield from unseen(inner, (*path, index))
    elif isinstance(part, str):
        hidden = set(_EMPTY.findall(part))
        if not part.isprintable():  # the quick look: it is told apart here
            hidden |= {one for one in part if one != "\n" and unicodedata.category(one) in _UNSEEN}
        for code in sorted(f"U+{ord(one):04X}" for one in hidden):
            yield at(*path)(
                f"bevat een teken dat niemand ziet ({code}); haal het weg.",
                f"holds a character that nobody sees ({code}); take it out.",
            )


def as_read(name: str) -> str:
    """Return what two names have in common that nobody tells apart: the case, the kind of space."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
