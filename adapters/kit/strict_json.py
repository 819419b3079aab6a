"""Read JSON and base64url in one way only, so that no two readers of the same bytes disagree.

RFC 8259 leaves duplicate members, huge numbers and lone surrogates to the parser, and RFC 4648
decoders forgive padding and stray bits; where two parties read differently, one signs what the
other does not see. This module takes the subset that everyone reads alike (RFC 7493, I-JSON).
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import Literal, NoReturn

Code = Literal["malformed_json", "duplicate_key", "body_too_large"]

# Deeper than any message of ours; far below what exhausts the interpreter's stack.
MAX_DEPTH = 32
# Objects, lists and commas together. Our largest messages are the agreement in force (3,140 of them) and an
# answer with many documents (four for each); in Python an empty object of two bytes takes forty times that.
MAX_PARTS = 20_000
# RFC 7493 §2.2: beyond this, a reader that uses doubles sees another number.
MAX_INTEGER = 2**53 - 1
_MAX_INTEGER_DIGITS = len(str(MAX_INTEGER))
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class StrictJsonError(Exception):
    """The bytes are not JSON that everyone reads alike. `code` says why; no input is quoted."""

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code: Code = code


class NotBase64Url(ValueError):
    """The text is not the one base64url form of its bytes."""


def loads(data: bytes, *, max_bytes: int) -> object:
    """Parse a JSON text; raise StrictJsonError for all that two parsers could read differently."""
    if len(data) > max_bytes:
        raise StrictJsonError("body_too_large")
    # Before anything is made of it. A text of so many bytes at most cannot have more parts.
    if len(data) > MAX_PARTS and data.count(b"{") + data.count(b"[") + data.count(b",") > MAX_PARTS:
        raise StrictJsonError("malformed_json")
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except StrictJsonError:
        raise
    except (ValueError, RecursionError):
        # `from None`: the parser's own error quotes the input.
        raise StrictJsonError("malformed_json") from None
    # No text can hold NUL or a lone surrogate unless one was written as an escape, and nothing is nested
    # deeper than there are brackets: for most messages that says all that the walk would find out.
    if b"\\u" in data or data.count(b"{") + data.count(b"[") > MAX_DEPTH:
        _check(value)
    return value


def encode_base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64url(text: str) -> bytes:
    """Decode; raise NotBase64Url for padding, foreign characters, and bits that are not zero."""
    if not text.isascii() or "+" in text or "/" in text or "=" in text or len(text) % 4 == 1:
        raise NotBase64Url("not base64url")
    # Without this, four last characters would stand for the same bytes (RFC 4648 §3.5).
    unused_bits = {2: 0b1111, 3: 0b11}.get(len(text) % 4, 0)
    if unused_bits and _ALPHABET.find(text[-1]) & unused_bits:
        raise NotBase64Url("not canonical base64url")
    padded = text.translate(_TO_STANDARD) + "=" * (-len(text) % 4)
    try:
        return binascii.a2b_base64(padded, strict_mode=True)
    except binascii.Error:
        raise NotBase64Url("not base64url") from None


_TO_STANDARD = str.maketrans("-_", "+/")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise StrictJsonError("duplicate_key")
    return members


def _integer(text: str) -> int:
    # The length first: turning a million digits into an int takes seconds.
    if len(text.lstrip("-")) > _MAX_INTEGER_DIGITS or abs(int(text)) > MAX_INTEGER:
        raise StrictJsonError("malformed_json")
    return int(text)


def _fraction(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise StrictJsonError("malformed_json")
    return number


def _constant(_text: str) -> NoReturn:
    raise StrictJsonError("malformed_json")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_fraction,
    parse_constant=_constant,
)


def _check(value: object) -> None:
    level, depth = [value], 0
    while level:
        below: list[object] = []
        for node in level:
            if isinstance(node, str):
                _check_text(node)
            elif isinstance(node, dict):
                below.extend(node.keys())
                below.extend(node.values())
            elif isinstance(node, list):
                below.extend(node)
            else:
                continue
            if depth >= MAX_DEPTH and not isinstance(node, str):
                raise StrictJsonError("malformed_json")
        level, depth = below, depth + 1


def _check_text(text: str) -> None:
    # NUL ends a string for many readers; a lone surrogate has no UTF-8 form at all.
    if "\x00" in text or not (text.isascii() or _encodes(text)):
        raise StrictJsonError("malformed_json")


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
