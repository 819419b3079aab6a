"""Every way that is known to talk a JWS verifier into a yes. Each starts from a token that passes."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jws
from joserfc.jwk import ECKey

from adapters.kit import jose
from adapters.kit.keys import SigningKey
from adapters.kit.strict_json import decode_base64url, encode_base64url

TYP = "test+jwt"
CLAIMS = {"iss": "ind", "n": 1, "text": "é"}
Trusted = dict[str, dict[str, str]]


def encode(value: object) -> str:
    return encode_base64url(value if isinstance(value, bytes) else json.dumps(value).encode())


def forge(key: SigningKey, header: object, payload: object = CLAIMS) -> str:
    """Sign anything at all, correctly, as ES256."""
    message = f"{encode(header)}.{encode(payload)}"
    signature = jws.JWSRegistry.algorithms["ES256"].sign(message.encode(), key.imported)
    return f"{message}.{encode_base64url(signature)}"


def good_header(key: SigningKey, **changes: object) -> dict[str, object]:
    header = {"alg": "ES256", "typ": TYP, "kid": key.kid, **changes}
    return {name: value for name, value in header.items() if value is not ...}


def refused(unverified: str, keys: Trusted, **limits: int) -> str:
    with pytest.raises(jose.JoseError) as caught:
        jose.verify(unverified, keys, TYP, **limits)
    return caught.value.code


@pytest.fixture
def token(key: SigningKey, trusted: Trusted) -> str:
    token = jose.sign(CLAIMS, key, TYP)
    assert jose.verify(token, trusted, TYP) == CLAIMS
    return token


def test_what_is_signed_here_is_verified_by_another_library(key: SigningKey, token: str) -> None:
    jwcrypto_jwk = pytest.importorskip("jwcrypto.jwk")
    jwcrypto_jws = pytest.importorskip("jwcrypto.jws")
    parsed = jwcrypto_jws.JWS()
    parsed.deserialize(token, jwcrypto_jwk.JWK(**key.public))
    assert json.loads(parsed.payload) == CLAIMS


def test_a_correct_forgery_by_the_test_itself_passes(key: SigningKey, trusted: Trusted, token: str) -> None:
    assert jose.verify(forge(key, good_header(key)), trusted, TYP) == CLAIMS


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, 0, ..., ["ES256"]])
@pytest.mark.parametrize("signature", ["", "kept"])
def test_no_algorithm_is_no_signature(
    key: SigningKey, trusted: Trusted, token: str, alg: object, signature: str
) -> None:
    forged = forge(key, good_header(key, alg=alg))
    if not signature:
        forged = forged.rpartition(".")[0] + "."
    assert refused(forged, trusted) == "algorithm_not_allowed"


def test_the_public_key_is_no_hmac_secret(key: SigningKey, trusted: Trusted, token: str) -> None:
    secrets = [
        key.imported.as_pem(private=False),
        key.imported.as_der(private=False),
        json.dumps(key.public).encode(),
        decode_base64url(key.public["x"]),
    ]
    for secret in secrets:
        for alg, digest in (("HS256", hashlib.sha256), ("ES256", hashlib.sha256), ("HS512", hashlib.sha512)):
            message = f"{encode(good_header(key, alg=alg))}.{encode(CLAIMS)}"
            mac = hmac.new(secret, message.encode(), digest).digest()
            expected = "bad_signature" if alg == "ES256" else "algorithm_not_allowed"
            assert refused(f"{message}.{encode_base64url(mac)}", trusted) == expected


@pytest.mark.parametrize(
    "alg", ["ES384", "ES512", "ES256K", "RS256", "PS256", "EdDSA", "Ed25519", "es256", "ES256 "]
)
def test_another_algorithm_is_refused(key: SigningKey, trusted: Trusted, token: str, alg: str) -> None:
    assert refused(forge(key, good_header(key, alg=alg)), trusted) == "algorithm_not_allowed"


@pytest.mark.parametrize("kid", ["", "x", None, 1, ..., ["k"], {"k": 1}])
def test_a_key_that_is_not_known_is_refused(
    key: SigningKey, trusted: Trusted, token: str, kid: object
) -> None:
    assert refused(forge(key, good_header(key, kid=kid)), trusted) == "unknown_key"


def test_nothing_is_verified_with_no_keys(token: str) -> None:
    assert refused(token, {}) == "unknown_key"


def test_another_partys_key_is_refused(
    key: SigningKey, other_key: SigningKey, trusted: Trusted, token: str
) -> None:
    assert refused(jose.sign(CLAIMS, other_key, TYP), trusted) == "unknown_key"
    # … and under our kid, and with both keys known but the names exchanged.
    assert refused(forge(other_key, good_header(key)), trusted) == "bad_signature"
    both = {key.kid: key.public, other_key.kid: other_key.public}
    assert jose.verify(token, both, TYP)
    assert refused(forge(key, good_header(other_key)), both) == "bad_signature"


def test_a_key_of_another_curve_verifies_nothing(key: SigningKey, token: str) -> None:
    larger = ECKey.generate_key("P-384").as_dict(private=False)
    assert refused(token, {key.kid: {name: str(value) for name, value in larger.items()}}) == "unknown_key"


@pytest.mark.parametrize(
    "typ", [..., "", None, "JWT", "other+jwt", TYP.upper(), "application/" + TYP, TYP + " ", [TYP]]
)
def test_a_token_of_another_type_is_refused(
    key: SigningKey, trusted: Trusted, token: str, typ: object
) -> None:
    assert refused(forge(key, good_header(key, typ=typ)), trusted) == "wrong_type"


@pytest.mark.parametrize(
    "extra",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"b64": True},
        {"jku": "https://attacker.example/keys"},
        {"x5u": "https://attacker.example/cert"},
        {"x5c": ["MIIB"]},
        {"x5t": "AA"},
        {"x5t#S256": "AA"},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"enc": "A256GCM"},
        {"epk": {}},
        {"": 1},
        {"ALG": "none"},
    ],
)
def test_a_header_says_nothing_but_alg_typ_kid(
    key: SigningKey, trusted: Trusted, token: str, extra: dict[str, object]
) -> None:
    assert refused(forge(key, good_header(key, **extra)), trusted) == "header_not_allowed"


def test_a_key_in_the_header_is_never_used(other_key: SigningKey, trusted: Trusted, token: str) -> None:
    # Valid by its own key, as a DPoP proof is: worth nothing as a statement.
    assert refused(jose.sign_with_embedded_key(CLAIMS, other_key, TYP), trusted) == "header_not_allowed"


def test_the_json_serialisations_are_refused(key: SigningKey, trusted: Trusted, token: str) -> None:
    protected, payload, signature = token.split(".")
    flat = json.dumps({"protected": protected, "payload": payload, "signature": signature})
    general = json.dumps(
        {"payload": payload, "signatures": [{"protected": protected, "signature": signature}]}
    )
    assert refused(flat, trusted) == "malformed_token"
    assert refused(general, trusted) == "malformed_token"


@pytest.mark.parametrize(
    "change",
    [
        lambda t: " " + t,
        lambda t: t + " ",
        lambda t: t + "\n",
        lambda t: t.replace(".", ". ", 1),
        lambda t: t.replace(".", "\t.", 1),
        lambda t: t[:20] + "\n" + t[20:],
        lambda t: t + "=",
        lambda t: t + "==",
        lambda t: ".".join(part + "=" * (-len(part) % 4) for part in t.split(".")),
        lambda t: t + ".",
        lambda t: "." + t,
        lambda t: t + ".AAAA",
        lambda t: t.rpartition(".")[0],
        lambda t: t + "~",
        lambda t: "",
        lambda t: "..",
        lambda t: "." * 10_000,
        lambda t: t.replace(".", "\u2024"),
        lambda t: "é" + t,
        lambda t: t + "\x00",
    ],
)
def test_only_the_one_text_of_a_token_is_a_token(
    trusted: Trusted, token: str, change: Callable[[str], str]
) -> None:
    assert refused(change(token), trusted) == "malformed_token"


def test_the_alphabet_of_plain_base64_is_refused(key: SigningKey, trusted: Trusted, token: str) -> None:
    while "-" not in token.rpartition(".")[2] and "_" not in token.rpartition(".")[2]:
        token = jose.sign(CLAIMS, key, TYP)
    signed, _, signature = token.rpartition(".")
    plain = signature.replace("-", "+").replace("_", "/")
    assert refused(f"{signed}.{plain}", trusted) == "malformed_token"


def test_the_unused_bits_of_the_last_character_are_zero(trusted: Trusted, token: str) -> None:
    # 64 bytes end in a character with four unused bits: fifteen other texts for the same signature.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(token[-1])
    others = [alphabet[(last & 0b110000) | bits] for bits in range(16)]
    assert others[0] == token[-1]
    for other in others[1:]:
        assert refused(token[:-1] + other, trusted) == "malformed_token"


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (b'{"alg":"ES256","typ":"test+jwt","kid":"KID","kid":"KID"}', b'{"iss":"ind"}'),
        (b'{"alg":"none","alg":"ES256","typ":"test+jwt","kid":"KID"}', b'{"iss":"ind"}'),
        (b'{"alg":"ES256","typ":"test+jwt","kid":"KID"}', b'{"iss":"ind","iss":"dtv"}'),
        (b'{"alg":"ES256","typ":"test+jwt","kid":"KID"}', b'{"a":{"b":1,"b":2}}'),
        (b'{"alg":"ES256","typ":"test+jwt","kid":"KID"}', b'["iss"]'),
        (b'{"alg":"ES256","typ":"test+jwt","kid":"KID"}', b'"iss"'),
        (b'{"alg":"ES256","typ":"test+jwt","kid":"KID"}', b""),
        (b'{"alg":"ES256","typ":"test+jwt","kid":"KID"}', b'{"exp":NaN}'),
        (b'{"alg":"ES256","typ":"test+jwt","kid":"KID"}', b'{"exp":1e400}'),
        (b'{"alg":"ES256","typ":"test+jwt","kid":"KID"}', b"\xff"),
        (b'{"alg":"ES256","typ":"test+jwt","kid":"KID"} {}', b'{"iss":"ind"}'),
        (b'["alg"]', b'{"iss":"ind"}'),
        (b"", b'{"iss":"ind"}'),
    ],
)
def test_json_that_two_parsers_read_differently_is_refused(
    key: SigningKey, trusted: Trusted, token: str, header: bytes, payload: bytes
) -> None:
    assert (
        refused(forge(key, header.replace(b"KID", key.kid.encode()), payload), trusted) == "malformed_token"
    )


def der(signature: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))


ORDER_OF_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.mark.parametrize(
    "change",
    [
        lambda s: b"",
        lambda s: bytes(64),
        lambda s: bytes(32) + s[32:],
        lambda s: s[:32] + bytes(32),
        lambda s: ORDER_OF_P256.to_bytes(32) + s[32:],
        lambda s: s[:32] + ORDER_OF_P256.to_bytes(32),
        lambda s: ORDER_OF_P256.to_bytes(32) * 2,
        lambda s: b"\xff" * 64,
        lambda s: s[:63],
        lambda s: s[:32],
        lambda s: s + b"\x00",
        lambda s: b"\x00" + s,
        lambda s: b"\x00" + s[:32] + b"\x00" + s[32:],
        lambda s: s[32:] + s[:32],
        lambda s: der(s),
        lambda s: s * 2,
        lambda s: bytes([s[0] ^ 1]) + s[1:],
        lambda s: bytes(10_000),
    ],
)
def test_a_signature_is_sixty_four_bytes_that_verify(
    trusted: Trusted, token: str, change: Callable[[bytes], bytes]
) -> None:
    signed, _, signature = token.rpartition(".")
    changed = encode_base64url(change(decode_base64url(signature)))
    assert refused(f"{signed}.{changed}", trusted) == "bad_signature"


def test_a_changed_payload_or_header_is_refused(key: SigningKey, trusted: Trusted, token: str) -> None:
    header, payload, signature = token.split(".")
    assert refused(f"{header}.{encode({**CLAIMS, 'n': 2})}.{signature}", trusted) == "bad_signature"
    spaced = encode(json.dumps(good_header(key), indent=1).encode())
    assert refused(f"{spaced}.{payload}.{signature}", trusted) == "bad_signature"


def test_a_signature_of_another_token_is_refused(key: SigningKey, trusted: Trusted, token: str) -> None:
    other = jose.sign({**CLAIMS, "n": 2}, key, TYP)
    assert refused(token.rpartition(".")[0] + "." + other.rpartition(".")[2], trusted) == "bad_signature"


def test_size_is_limited_before_anything_is_decoded(key: SigningKey, trusted: Trusted) -> None:
    large = jose.sign({"text": "x" * 200_000}, key, TYP)
    assert jose.verify(large, trusted, TYP, max_bytes=400_000)["text"] == "x" * 200_000
    assert refused(large, trusted) == "token_too_large"
    assert refused("." * 10_000_000, trusted) == "token_too_large"
    assert refused(forge(key, good_header(key, kid="k" * 5_000)), trusted) == "token_too_large"


NOW = 1_800_000_000
WINDOW: dict[str, object] = {"iat": NOW, "exp": NOW + 60}


def time_code(claims: dict[str, object], now: int = NOW) -> str:
    with pytest.raises(jose.JoseError) as caught:
        jose.check_times(claims, now)
    return caught.value.code


def test_a_token_holds_from_its_start_to_its_end_with_ten_seconds_of_leeway() -> None:
    jose.check_times(WINDOW, NOW)
    jose.check_times(WINDOW, NOW - 10)
    jose.check_times(WINDOW, NOW + 69)
    assert time_code(WINDOW, NOW - 11) == "not_yet_valid"
    assert time_code(WINDOW, NOW + 70) == "expired"
    jose.check_times({**WINDOW, "nbf": NOW + 10}, NOW)
    assert time_code({**WINDOW, "nbf": NOW + 11}) == "not_yet_valid"


@pytest.mark.parametrize("name", ["iat", "exp", "nbf"])
@pytest.mark.parametrize("value", [True, 1.5, float(NOW), str(NOW), None, [NOW], {}])
def test_an_instant_is_an_integer_and_nothing_like_one(name: str, value: object) -> None:
    jose.check_times({**WINDOW, "nbf": NOW}, NOW)
    assert time_code({**WINDOW, name: value}) == "time_claims_invalid"


@pytest.mark.parametrize(
    "claims", [{}, {"iat": NOW}, {"exp": NOW + 60}, {"iat": NOW, "exp": NOW}, {"iat": NOW, "exp": NOW - 1}]
)
def test_a_token_without_a_life_is_refused(claims: dict[str, object]) -> None:
    assert time_code(claims) == "time_claims_invalid"
