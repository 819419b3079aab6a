"""Sealed documents: an ordinary JWE that one reader opens, of one kind, for one exchange."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe as library
from joserfc.jwk import ECKey

from adapters.kit import sealing
from adapters.kit.keys import Keystore
from adapters.kit.strict_json import decode_base64url, encode_base64url
from adapters.protocol import Category

EXCHANGE = "0123456789abcdef"
PDF = b"%PDF-1.7 \x00\n\xff" * 1000


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Keystore:
    return keystore(tmp_path_factory.mktemp("keys") / "reader")


@pytest.fixture(scope="module")
def other_reader(tmp_path_factory: pytest.TempPathFactory) -> Keystore:
    return keystore(tmp_path_factory.mktemp("keys") / "other")


def keystore(folder: Path) -> Keystore:
    return Keystore.create(folder, holder="askv", passphrase="p", uses=["sign", "encrypt"], now=1)


def seal(reader: Keystore, content: bytes = PDF, **changes: Any) -> str:
    return sealing.seal(
        content,
        **{
            "media_type": "application/pdf",
            "name": "beschikking 2019.pdf",
            "category": Category.DECISIONS,
            "exchange": EXCHANGE,
            "to": reader.public("encrypt"),
            **changes,
        },
    )


def code_of(attempt: Callable[[], object]) -> str:
    with pytest.raises(sealing.SealingError) as caught:
        attempt()
    return caught.value.code


def private_key(of: Keystore) -> ECKey:
    return ECKey.import_key(of.decryption().raw)


def library_seals(to: Keystore, plaintext: bytes, **header: Any) -> str:
    """Encrypt by another library, with any header at all."""
    protected = {
        "alg": "ECDH-ES",
        "enc": "A256GCM",
        "kid": to.decryption().kid,
        "typ": "sealed-document+jwe",
        **header,
    }
    algorithms = ["ECDH-ES", "ECDH-ES+A256KW", "A256GCM", "A128GCM", "A128CBC-HS256", "DEF"]
    registry = library.JWERegistry(algorithms=algorithms, strict_check_header=False)
    public = ECKey.import_key({**to.public("encrypt")})
    return library.encrypt_compact(protected, plaintext, public, registry=registry)


def test_a_document_opens_as_it_was_sealed(reader: Keystore) -> None:
    opened = sealing.open_sealed(seal(reader), reader, exchange=EXCHANGE, category=Category.DECISIONS)
    assert opened == sealing.OpenedDocument(
        Category.DECISIONS, EXCHANGE, "application/pdf", "beschikking 2019.pdf", PDF
    )


@pytest.mark.parametrize("content", [b"", b"\x00", b"\n", b"\x00" * 100, b"x\x00\x00", b"{}\n{}"])
def test_padding_takes_nothing_away(reader: Keystore, content: bytes) -> None:
    assert sealing.open_sealed(seal(reader, content), reader).content == content


def test_eight_megabytes_are_sealed_and_opened(reader: Keystore) -> None:
    content = bytes(range(256)) * (8 * 1024 * 4)
    assert sealing.open_sealed(seal(reader, content), reader).content == content
    assert code_of(lambda: seal(reader, bytes(sealing.MAX_DOCUMENT_BYTES + 1))) == "too_large"
    assert code_of(lambda: sealing.open_sealed("A" * 20_000_000, reader)) == "too_large"


def test_other_libraries_open_what_we_seal(reader: Keystore) -> None:
    sealed = seal(reader)
    opened = library.decrypt_compact(sealed, private_key(reader), algorithms=["ECDH-ES", "A256GCM"])
    assert opened.plaintext is not None
    line, _, rest = opened.plaintext.partition(b"\n")
    assert json.loads(line) == {
        "category": "decisions",
        "exchange": EXCHANGE,
        "length": len(PDF),
        "media_type": "application/pdf",
        "name": "beschikking 2019.pdf",
    }
    assert rest.startswith(PDF)
    jwcrypto_jwe = pytest.importorskip("jwcrypto.jwe")
    jwcrypto_jwk = pytest.importorskip("jwcrypto.jwk")
    token = jwcrypto_jwe.JWE(algs=["ECDH-ES", "A256GCM"])
    token.deserialize(sealed, jwcrypto_jwk.JWK(**private_key(reader).as_dict(private=True)))
    assert token.payload == opened.plaintext


def line(**changes: object) -> bytes:
    said = {
        "category": "decisions",
        "exchange": EXCHANGE,
        "length": 3,
        "media_type": "application/pdf",
        "name": "a.pdf",
        **changes,
    }
    return json.dumps({name: value for name, value in said.items() if value is not ...}).encode()


def test_we_open_what_another_library_sealed(reader: Keystore) -> None:
    sealed = library_seals(reader, line() + b"\nabc\x00\x00")
    assert sealing.open_sealed(sealed, reader).content == b"abc"


def test_a_document_is_for_one_reader(reader: Keystore, other_reader: Keystore) -> None:
    assert code_of(lambda: sealing.open_sealed(seal(reader), other_reader)) == "unknown_key"
    misled = library_seals(reader, line() + b"\nabc", kid=other_reader.decryption().kid)
    assert code_of(lambda: sealing.open_sealed(misled, other_reader)) == "does_not_open"


def test_a_document_is_for_one_exchange_and_one_category(reader: Keystore) -> None:
    sealed = seal(reader)
    elsewhere = "another-exchange-1"
    assert code_of(lambda: sealing.open_sealed(sealed, reader, exchange=elsewhere)) == "wrong_exchange"
    assert code_of(lambda: sealing.open_sealed(sealed, reader, category=Category.FAMILY)) == "wrong_category"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "ECDH-ES+A256KW"},
        {"enc": "A128GCM"},
        {"enc": "A128CBC-HS256"},
        {"zip": "DEF"},
        {"typ": "JWT"},
        {"typ": "sealed-client+jwe"},
        {"apu": "QQ"},
        {"apv": "QQ"},
        {"cty": "JWT"},
    ],
)
def test_another_header_is_refused(reader: Keystore, header: dict[str, object]) -> None:
    assert sealing.open_sealed(library_seals(reader, line() + b"\nabc"), reader)
    refused = code_of(lambda: sealing.open_sealed(library_seals(reader, line() + b"\nabc", **header), reader))
    assert refused in ("header_not_allowed", "malformed_jwe")


def with_header(sealed: str, change: Callable[[dict[str, Any]], object]) -> str:
    protected, _, rest = sealed.partition(".")
    header = json.loads(decode_base64url(protected))
    change(header)
    return encode_base64url(json.dumps(header).encode()) + "." + rest


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda h: h.pop("typ"), "header_not_allowed"),
        (lambda h: h.pop("kid"), "header_not_allowed"),
        (lambda h: h.update(alg="dir"), "header_not_allowed"),
        (lambda h: h.update(alg="none"), "header_not_allowed"),
        (lambda h: h.update(kid=1), "malformed_jwe"),
        (lambda h: h.update(kid="x"), "unknown_key"),
        (lambda h: h.update(epk="x"), "header_not_allowed"),
        (lambda h: h.update(epk={}), "header_not_allowed"),
        (lambda h: h["epk"].update(crv="P-384"), "header_not_allowed"),
        # A point off the curve draws bits of the reader's key (the invalid-curve attack).
        (lambda h: h["epk"].update(x=h["epk"]["y"], y=h["epk"]["x"]), "header_not_allowed"),
        (lambda h: h["epk"].update(x="A" * 43, y="A" * 43), "header_not_allowed"),
        (lambda h: h["epk"].update(y=h["epk"]["y"] + "="), "header_not_allowed"),
        (lambda h: None, "does_not_open"),  # the same header in other white space: authenticated bytes
    ],
)
def test_a_changed_header_is_refused(
    reader: Keystore, change: Callable[[dict[str, Any]], object], expected: str
) -> None:
    sealed = seal(reader)
    assert sealing.open_sealed(sealed, reader)
    assert code_of(lambda: sealing.open_sealed(with_header(sealed, change), reader)) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda p: [*p[:4], "A" * 22], "does_not_open"),
        (lambda p: [*p[:3], "A" + p[3][1:] if p[3][0] != "A" else "B" + p[3][1:], p[4]], "does_not_open"),
        (lambda p: [*p[:2], "A" * 16, *p[3:]], "does_not_open"),
        (lambda p: [*p[:4], p[4][:16]], "malformed_jwe"),
        (lambda p: [*p[:4], ""], "malformed_jwe"),
        (lambda p: [*p[:2], "AAAA", *p[3:]], "malformed_jwe"),
        (lambda p: [p[0], "AAAA", *p[2:]], "malformed_jwe"),
        (lambda p: p[:4], "malformed_jwe"),
        (lambda p: [*p, ""], "malformed_jwe"),
        (lambda p: [*p[:4], p[4] + "="], "malformed_jwe"),
        (lambda p: [*p[:3], p[3] + "\n", p[4]], "malformed_jwe"),
        (lambda p: [], "malformed_jwe"),
    ],
)
def test_changed_bytes_do_not_open(
    reader: Keystore, change: Callable[[list[str]], list[str]], expected: str
) -> None:
    sealed = seal(reader)
    assert sealing.open_sealed(sealed, reader)
    assert code_of(lambda: sealing.open_sealed(".".join(change(sealed.split("."))), reader)) == expected


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        b"abc",
        line(),  # no line break
        b"[]\nabc",
        b"{}\nabc",
        line(length=4) + b"\nabc",
        line(length=-1) + b"\nabc",
        line(length=True) + b"\na",
        line(length="3") + b"\nabc",
        line(length=2) + b"\nabc",  # bytes after the end that are not padding
        line(length=...) + b"\nabc",
        line(category="everything") + b"\nabc",
        line(category=["decisions"]) + b"\nabc",
        line(exchange="x") + b"\nabc",
        line(media_type="text") + b"\nabc",
        line(media_type="text/html; charset=x") + b"\nabc",
        line(name="") + b"\nabc",
        line(name="../../etc/passwd") + b"\nabc",
        line(name="a/b.pdf") + b"\nabc",
        line(name="a\\b.pdf") + b"\nabc",
        line(name=".bashrc") + b"\nabc",
        line(name="a\nb") + b"\nabc",
        line(name="invoice\u202efdp.exe") + b"\nabc",
        line(name="x" * 121) + b"\nabc",
        line(name=7) + b"\nabc",
        line(extra=1) + b"\nabc",
        b'{"length":3,"length":3}\nabc',
    ],
)
def test_a_plaintext_of_another_form_is_refused(reader: Keystore, plaintext: bytes) -> None:
    assert sealing.open_sealed(library_seals(reader, line() + b"\nabc"), reader)
    refused = code_of(lambda: sealing.open_sealed(library_seals(reader, plaintext), reader))
    assert refused == "content_invalid"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": "../a"}, "content_invalid"),
        ({"name": ""}, "content_invalid"),
        ({"media_type": "x"}, "content_invalid"),
        ({"exchange": "x"}, "content_invalid"),
        ({"to": {}}, "unknown_key"),
        ({"to": {"kty": "RSA", "n": "AQ", "e": "AQAB"}}, "unknown_key"),
    ],
)
def test_nothing_is_sealed_that_would_not_open(
    reader: Keystore, changes: dict[str, Any], expected: str
) -> None:
    assert seal(reader)
    assert code_of(lambda: seal(reader, **changes)) == expected


# --- the client ----------------------------------------------------------------------------


def test_the_client_opens_for_the_source(reader: Keystore, other_reader: Keystore) -> None:
    disclosures = {"0123456789abcdef": "WyJzYWx0Il0", "fedcba9876543210": "WyJ0bGFzIl0"}
    sealed = sealing.seal_client(disclosures, reader.public("encrypt"))
    assert sealing.open_client(sealed, reader).disclosures == disclosures
    assert code_of(lambda: sealing.open_client(sealed, other_reader)) == "unknown_key"


def test_a_sealed_client_is_no_document_and_a_document_no_client(reader: Keystore) -> None:
    client = sealing.seal_client({}, reader.public("encrypt"))
    assert code_of(lambda: sealing.open_sealed(client, reader)) == "header_not_allowed"
    assert code_of(lambda: sealing.open_client(seal(reader), reader)) == "header_not_allowed"


def test_the_length_of_a_sealed_client_tells_no_number(reader: Keystore) -> None:
    lengths = {
        len(sealing.seal_client({"0123456789abcdef": "x" * size}, reader.public("encrypt")))
        for size in range(20, 400, 19)
    }
    assert len(lengths) == 1


@pytest.mark.parametrize(
    "plaintext", [b"", b"{}", b"[]", b'{"disclosures":{"a":1}}', b'{"disclosures":{},"x":1}']
)
def test_a_client_of_another_form_is_refused(reader: Keystore, plaintext: bytes) -> None:
    good = library_seals(reader, b'{"disclosures":{}}', typ="sealed-client+jwe")
    assert sealing.open_client(good, reader).disclosures == {}
    sealed = library_seals(reader, plaintext, typ="sealed-client+jwe")
    assert code_of(lambda: sealing.open_client(sealed, reader)) == "content_invalid"


# --- length --------------------------------------------------------------------------------


@given(st.integers(0, 2**31))
def test_padding_costs_at_most_twelve_per_cent_and_hides_the_low_bits(length: int) -> None:
    padded = sealing.padme(length)
    assert length <= padded <= max(length * 1.12, length + 1)
    assert sealing.padme(padded) == padded


def test_files_of_like_size_look_the_same(reader: Keystore) -> None:
    assert len({len(seal(reader, bytes(size))) for size in range(300_000, 302_000, 250)}) == 1
    # Published example: 9 bytes pad to 10 (PETS 2019, figure 4).
    assert [sealing.padme(length) for length in (0, 1, 2, 8, 9, 10, 11)] == [0, 1, 2, 8, 10, 10, 12]


def test_no_two_seals_of_the_same_file_are_the_same(reader: Keystore) -> None:
    one, two = seal(reader), seal(reader)
    assert one != two
    assert sealing.digest(one) != sealing.digest(two)
    assert len(sealing.digest(one)) == 43
