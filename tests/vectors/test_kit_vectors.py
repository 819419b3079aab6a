"""The published vectors that our keys, digests and canonical JSON must agree with."""

from __future__ import annotations

import hashlib
import json

import pytest
import rfc8785

from adapters.kit import sdjwt
from adapters.kit.keys import thumbprint
from adapters.kit.register import agreement_digest
from adapters.kit.strict_json import decode_base64url, encode_base64url, loads

# RFC 7638 §3.1
RSA_KEY = {
    "kty": "RSA",
    "n": (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJE"
        "CPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Q"
        "vzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6"
        "WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    ),
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
# RFC 8037 appendix A.3
ED25519_KEY = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}

# RFC 9901 §4.2.1 and §4.2.2, with the digests of §4.2.3 and §4.2.4.2
FAMILY_NAME = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
FRENCH = "WyJsa2x4RjVqTVlsR1RQVW92TU5JdkNBIiwgIkZSIl0"


@pytest.mark.parametrize(
    ("jwk", "expected"),
    [
        (RSA_KEY, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (ED25519_KEY, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
    ],
)
def test_a_thumbprint_is_that_of_the_rfc(jwk: dict[str, object], expected: str) -> None:
    assert thumbprint(jwk) == expected


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (FAMILY_NAME, "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"),
        (FRENCH, "w0I8EKcdCtUPkGCNUrfwVp2xEgNjtoIDlOxc9-PlOhs"),
    ],
)
def test_a_disclosure_has_the_digest_of_rfc_9901(encoded: str, expected: str) -> None:
    assert sdjwt.digest(encoded) == expected


def test_the_disclosures_of_rfc_9901_are_read_as_the_rfc_says() -> None:
    payload = {
        "_sd": [sdjwt.digest(FAMILY_NAME)],
        "nationalities": [{"...": sdjwt.digest(FRENCH)}, {"...": sdjwt.digest("x")}],
        "_sd_alg": "sha-256",
    }
    header = encode_base64url(b'{"alg":"ES256"}')
    jwt = f"{header}.{encode_base64url(json.dumps(payload).encode())}.{'A' * 86}"
    read = sdjwt.unverified_disclosures(sdjwt.join(jwt, [FAMILY_NAME, FRENCH]))
    assert [(each.name, each.value) for each in read] == [("family_name", "Möbius"), ("nationalities", "FR")]


def test_canonical_json_is_that_of_rfc_8785() -> None:
    # RFC 8785 §3.2.2 (literals), §3.2.3 (sorting by UTF-16 code units)
    data = loads(
        b'{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],'
        b'"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}',
        max_bytes=1000,
    )
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    ).encode()
    assert isinstance(data, dict)
    assert rfc8785.dumps(data) == expected
    assert agreement_digest(data) == "sha-256:" + encode_base64url(hashlib.sha256(expected).digest())


def test_canonical_json_sorts_by_utf_16_code_units() -> None:
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    canonical = rfc8785.dumps(dict.fromkeys(names, 0))
    assert list(json.loads(canonical)) == [
        "\r",
        "1",
        "\u0080",
        "\u00f6",
        "\u20ac",
        "\U0001f600",
        "\ufb33",
    ]


@pytest.mark.parametrize(
    ("text", "expected"), [("", b""), ("Zg", b"f"), ("Zm8", b"fo"), ("Zm9v", b"foo"), ("Zm9vYg", b"foob")]
)
def test_base64url_is_that_of_rfc_4648_without_padding(text: str, expected: bytes) -> None:
    assert decode_base64url(text) == expected
    assert encode_base64url(expected) == text
