"""Read a draft from its file, and say in a lawyer's words why it cannot be read.

A file is strict JSON or it is refused: what two programs could read differently, nobody signs. An agreement
is public, so unlike anywhere else the sentences may name the line, and a name that stands there twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from adapters.kit.strict_json import StrictJsonError, loads
from gateway.terms_sentences import AgreementInvalid, Fault

# A few thousand rules; an agreement that is larger is not one that people reviewed.
MAX_AGREEMENT_BYTES = 8 * 1024 * 1024

_Said = tuple[str, str]
_TOO_LARGE: _Said = (
    "is groter dan een overeenkomst ooit is. Is dit het goede bestand?",
    "is larger than any agreement. Is this the right file?",
)
_NOT_TEXT: _Said = (
    "is geen tekst: een overeenkomst is een JSON-bestand, geen Word-bestand, pdf of zip.",
    "is not text: an agreement is a JSON file, not a Word file, PDF or zip.",
)
_NOT_UTF8: _Said = (
    "is niet opgeslagen als UTF-8. Sla het op als ‘UTF-8’ (zonder BOM).",
    "was not saved as UTF-8. Save it as ‘UTF-8’ (without BOM).",
)
_EMPTY: _Said = ("is leeg.", "is empty.")
_NO_BLOCK: _Said = (
    "is geen blok met onderdelen: een overeenkomst begint met { en eindigt met }.",
    "is not a block with members: an agreement begins with { and ends with }.",
)
_UNEVEN: _Said = (
    "bevat iets dat niet elk programma hetzelfde leest: een getal dat te groot of geen getal is, of een teken"
    " dat geen teken is.",
    "holds what not every program reads alike: a number that is too large or none, or a character that is"
    " none.",
)
_COMMA: _Said = (
    "hier of vlak ervoor ontbreekt een komma, een aanhalingsteken of een sluitend haakje.",
    "a comma, a quotation mark or a closing bracket is missing here or just before.",
)
_NAME: _Said = (
    "hier hoort een naam tussen dubbele rechte aanhalingstekens. Staat er een komma te veel voor?",
    "a name in straight double quotation marks belongs here. Is there a comma too many before it?",
)
_VALUE: _Said = (
    "hier ontbreekt een waarde: een tekst tussen dubbele rechte aanhalingstekens, een getal, true, false,"
    " null, een lijst of een blok. Staat er een komma te veel voor?",
    "a value is missing here: a text in straight double quotation marks, a number, true, false, null, a list"
    " or a block. Is there a comma too many before it?",
)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:]')
# By how the parser's own message begins.
_BROKEN: Sequence[tuple[str, _Said]] = (
    ("Expecting ',' delimiter", _COMMA),
    (
        "Expecting ':' delimiter",
        ("na de naam ontbreekt een dubbele punt.", "a colon is missing after the name."),
    ),
    ("Expecting property name", _NAME),
    ("Expecting value", _VALUE),
    ("Illegal trailing comma", ("hier staat een komma te veel.", "there is a comma too many here.")),
    (
        "Unterminated string",
        (
            "deze tekst wordt niet afgesloten: er ontbreekt een aanhalingsteken.",
            "this text does not end: a quotation mark is missing.",
        ),
    ),
    (
        "Invalid control character",
        (
            "deze tekst loopt door op een nieuwe regel of bevat een tab. Zet de tekst op één regel; een"
            " nieuwe regel schrijft u als \\n.",
            "this text goes on in a new line or holds a tab. Put it on one line; a new line is written \\n.",
        ),
    ),
    (
        "Invalid \\",
        (
            'een \\ mag alleen staan voor \\", \\\\, \\n of een code als \\u00e9.',
            'a \\ may only begin \\", \\\\, \\n or a code such as \\u00e9.',
        ),
    ),
    (
        "Extra data",
        ("na het einde van de overeenkomst staat nog iets.", "something stands after the agreement's end."),
    ),
)


def read(path: Path) -> dict[str, object]:
    """Return the document in a file, unchecked; raise AgreementInvalid where it is no strict JSON object."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise _fault(path, ("dit bestand is er niet.", "this file is not there.")) from None
    except IsADirectoryError:
        raise _fault(path, ("is een map, geen bestand.", "is a folder, not a file.")) from None
    except OSError:
        raise _fault(path, ("kan niet worden gelezen.", "cannot be read.")) from None
    try:
        data = loads(content, max_bytes=MAX_AGREEMENT_BYTES)
    except StrictJsonError as error:
        raise _why(path, content, error) from None
    if not isinstance(data, dict):
        raise _fault(path, _NO_BLOCK)
    return data


def _why(path: Path, content: bytes, error: StrictJsonError) -> AgreementInvalid:
    """Return why these bytes are not strict JSON: `loads` quotes no input, so they are looked at again."""
    if error.code == "body_too_large":
        return _fault(path, _TOO_LARGE)
    if content.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        return _fault(path, _NOT_UTF8)
    if b"\x00" in content or content.startswith(b"%PDF"):
        return _fault(path, _NOT_TEXT)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as wrong:
        # One odd letter is an encoding; several in the first bytes are no text at all.
        binary = sum(byte > 0x7F for byte in content[:200]) > 20
        line = content.count(b"\n", 0, wrong.start) + 1
        return _fault(path, _NOT_TEXT) if binary else _fault(path, _NOT_UTF8, line)
    if not text.strip():
        return _fault(path, _EMPTY)
    if error.code == "duplicate_key" and (twice := _twice(text)) is not None:
        name, line = json.dumps(twice[0][:60], ensure_ascii=False), twice[1]
        nl = f"de naam {name} staat twee keer in hetzelfde blok; programma's lezen dan iets verschillends."
        en = f"the name {name} stands twice in one block; programs then read different things."
        return _fault(path, (nl, en), line)
    try:
        json.loads(text)
    except json.JSONDecodeError as broken:
        said = next((said for begin, said in _BROKEN if broken.msg.startswith(begin)), _UNEVEN)
        return _fault(path, said, broken.lineno, broken.colno)
    except (ValueError, RecursionError):
        pass
    return _fault(path, _UNEVEN)


def _twice(text: str) -> tuple[str, int] | None:
    """Return the first name that stands twice in its block, and the line of its second place."""
    blocks: list[set[str]] = []
    last = ""
    for found in _TOKEN.finditer(text):
        token = found[0]
        if token in "{[":
            blocks.append(set())
        elif token in "}]":
            blocks = blocks[:-1]
        elif token != ":":
            last = token
        elif blocks:
            name = str(json.loads(last, strict=False))
            if name in blocks[-1]:
                return name, text.count("\n", 0, found.start()) + 1
            blocks[-1].add(name)
    return None


def _fault(path: Path, said: _Said, line: int | None = None, column: int | None = None) -> AgreementInvalid:
    places = [path.name, path.name]
    if line is not None:
        places = [f"{path.name}, {word} {line}" for word in ("regel", "line")]
    if column is not None:
        places = [
            f"{place}, {word} {column}" for place, word in zip(places, ("teken", "character"), strict=True)
        ]
    return AgreementInvalid((Fault(places[0], *said, places[1]),))
