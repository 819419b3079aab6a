"""One reading of JSON and base64url: what two parsers could read differently is refused."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kit.strict_json import (
    MAX_DEPTH,
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
