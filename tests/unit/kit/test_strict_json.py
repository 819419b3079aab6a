"""One reading of JSON and base64url: what two parsers could read differently is refused."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kit import strict_json
from adapters.kit.strict_json import (
    MAX_DEPTH,
    MAX_PARTS,
    NotBase64Url,
    StrictJsonError,
    decode_base64url,
    encode_base64url,
    loads,
)


def refused(data: bytes, max_bytes: int = 100_000) -> str:
    with pytest.raises(StrictJsonError) as caught:
        loads(data, max_bytes=max_bytes)
    return caught.value.code


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a": [1, -2, 3.5, "\xc3\xa9", null, true]}', {"a": [1, -2, 3.5, "é", None, True]}),
        (b" {}\n", {}),
        (b'"\\ud83d\\ude00"', "😀"),
        (b"9007199254740991", 2**53 - 1),
        (b"-9007199254740991", -(2**53) + 1),
        (b"1e300", 1e300),
    ],
)
def test_plain_json_is_read(data: bytes, expected: object) -> None:
    assert loads(data, max_bytes=1000) == expected


def test_a_text_has_so_many_parts_and_not_one_more() -> None:
    for part, around in ((b"{}", MAX_PARTS // 2), (b"[]", MAX_PARTS // 2), (b"0", MAX_PARTS)):
        as_many = b"[" + b",".join([part] * around) + b"]"
        assert len(loads(as_many, max_bytes=100_000)) == around  # type: ignore[arg-type]
        assert refused(b"[" + b",".join([part] * (around + 1)) + b"]") == "malformed_json"
    words = b'"' + b"a, {b} " * 2_000 + b'"'
    assert isinstance(loads(words, max_bytes=100_000), str)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b"// no\n1",
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e400]",
        b"[-1e400]",
        b"9007199254740992",
        b"-9007199254740992",
        b"1" * 5000,
        b"01",
        b"+1",
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        b'"a\\u0000b"',
        b'{"a\\u0000": 1}',
        b'"a\x00b"',
        b'"a\nb"',
        b"{} {}",
        b"{}\x00",
        b"{}x",
        b"\xef\xbb\xbf{}",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\xc0\xaf"',
        b'{"a": 1}'.decode().encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 50_000,
    ],
)
def test_malformed_json_is_refused(data: bytes) -> None:
    assert refused(data, max_bytes=1_000_000) == "malformed_json"


@pytest.mark.parametrize(
    "data",
    [b'{"a": 1, "a": 1}', b'{"a": 1, "\\u0061": 2}', b'[{"b": {"c": 1, "c": 2}}]', b'{"a": {}, "a": []}'],
)
def test_a_name_that_occurs_twice_is_refused_however_it_is_written(data: bytes) -> None:
    assert refused(data) == "duplicate_key"


def test_depth_is_limited() -> None:
    assert loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, max_bytes=1000)
    assert refused(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)) == "malformed_json"


def test_size_is_limited_to_the_byte() -> None:
    assert loads(b'"12345678"', max_bytes=10) == "12345678"
    assert refused(b'"123456789"', max_bytes=10) == "body_too_large"


def test_an_error_never_quotes_the_input() -> None:
    with pytest.raises(StrictJsonError) as caught:
        loads(b'{"v": "1234567890" x', max_bytes=100)
    assert caught.value.__cause__ is None
    assert "1234567890" not in str(caught.value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_is_json_for_everyone_is_read(value: object) -> None:
    assert loads(json.dumps(value).encode(), max_bytes=1_000_000) == value
    assert loads(json.dumps(value, ensure_ascii=False).encode(), max_bytes=1_000_000) == value


@given(st.binary(max_size=64))
def test_arbitrary_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(StrictJsonError):
        loads(data, max_bytes=64)


# What the walk through a value looks for, and what could make a text look as if it had none of it.
_ESCAPES = [
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"\\uD83D\\uDE00",
    b"\\u0041",
    b"\\\\u0000",
    b"\\U0000",
    b"\\n",
]
_RAW = [b"\x00", b"\xed\xa0\x80", b"\xc3\xa9", b"\xf4\x90\x80\x80", b"[", b"{", b"]", b"}", b"a", b""]
_PIECES = st.sampled_from([*_ESCAPES, *_RAW])
_STRINGS = st.lists(_PIECES, max_size=4).map(lambda pieces: b'"' + b"".join(pieces) + b'"')
_TEXTS = st.recursive(
    _STRINGS | st.sampled_from([b"1", b"null", b"-0", b"1e3"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda texts: b"[" + b",".join(texts) + b"]")
        | st.lists(st.tuples(_STRINGS, inner), max_size=3).map(
            lambda members: b"{" + b",".join(name + b":" + value for name, value in members) + b"}"
        )
    ),
)
_NESTED = st.tuples(_TEXTS, st.integers(0, 2 * MAX_DEPTH), st.booleans()).map(
    lambda drawn: (
        (b"[" if drawn[2] else b'{"n":') * drawn[1] + drawn[0] + (b"]" if drawn[2] else b"}") * drawn[1]
    )
)


def read_and_walk(data: bytes) -> object:
    """Read without the short way: every value is walked through."""
    try:
        value = strict_json._DECODER.decode(data.decode())
    except (ValueError, RecursionError):
        raise StrictJsonError("malformed_json") from None
    strict_json._check(value)
    return value


@given(_NESTED)
def test_the_walk_that_is_spared_would_have_found_nothing(data: bytes) -> None:
    read: list[object] = []
    for way in (read_and_walk, lambda text: loads(text, max_bytes=100_000)):
        try:
            read.append(way(data))
        except StrictJsonError as error:
            read.append(error.code)
    assert read[0] == read[1]


@pytest.mark.parametrize("spoilt", [b'"\\u0000"', b'"\\ud800"', b'["\\udc00\\ud83d"]', b'{"\\u0000":1}'])
def test_what_only_an_escape_can_write_is_refused(spoilt: bytes) -> None:
    assert loads(spoilt.replace(b"\\u", b"\\\\u"), max_bytes=1000) is not None
    assert refused(spoilt) == "malformed_json"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_the_depth_at_which_brackets_are_counted_is_the_depth_that_is_refused(
    opening: bytes, closing: bytes
) -> None:
    levels = opening.count(b"[") + opening.count(b"{")
    deepest = MAX_DEPTH // levels
    assert loads(opening * deepest + b"1" + closing * deepest, max_bytes=1000)
    assert refused(opening * (deepest + 1) + b"1" + closing * (deepest + 1)) == "malformed_json"


@given(st.binary(max_size=100))
def test_base64url_has_exactly_one_text_for_its_bytes(data: bytes) -> None:
    text = encode_base64url(data)
    assert decode_base64url(text) == data
    for other in {text + "=", text + "==", text + "\n", " " + text, text + "A"} - {text}:
        try:
            assert encode_base64url(decode_base64url(other)) == other
        except NotBase64Url:
            continue


@pytest.mark.parametrize(
    "text", ["Zh", "Zm9", "Zg==", "Zg=", "Z", "Zg\n", "Z g", "Zg+/", "é123", "Zg.A", "Zm8\x00"]
)
def test_other_texts_for_the_same_bytes_are_refused(text: str) -> None:
    assert decode_base64url("Zg") == b"f"
    with pytest.raises(NotBase64Url):
        decode_base64url(text)


@given(st.text(max_size=12))
def test_no_two_texts_decode_to_the_same_bytes(text: str) -> None:
    try:
        data = decode_base64url(text)
    except NotBase64Url:
        return
    assert encode_base64url(data) == text
