"""SD-JWT: what is signed can be cut down, and nothing can be added, moved or said twice."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kit import jose, sdjwt
from adapters.kit.keys import SigningKey
from adapters.kit.strict_json import decode_base64url, encode_base64url

TYP = "test+sd-jwt"
SALT = "_26bc4LT-ac6q2KI6cBW5e"
Trusted = dict[str, dict[str, str]]


def issued(key: SigningKey, **changes: object) -> sdjwt.Issued:
    properties: Mapping[str, object] = {"client": {"scheme": "v-number", "value": "1234567890"}, "flag": True}
    elements: Mapping[str, Sequence[object]] = {"categories": ["decisions", "perspective"], "explicit": []}
    return sdjwt.issue(
        {"iss": "ind", "iat": 1},
        key,
        TYP,
        disclose_properties=changes.get("properties", properties),  # type: ignore[arg-type]
        disclose_elements=changes.get("elements", elements),  # type: ignore[arg-type]
    )


def disclosure(*parts: object) -> str:
    return encode_base64url(json.dumps(list(parts)).encode())


def signed(key: SigningKey, payload: Mapping[str, object], *disclosures: str, typ: str = TYP) -> str:
    """Sign any payload at all, as a dishonest issuer could."""
    return sdjwt.join(jose.sign(payload, key, typ), disclosures)


def refused(compact: str, keys: Trusted) -> str:
    with pytest.raises(sdjwt.SdJwtError) as caught:
        sdjwt.verify(compact, keys, TYP)
    return caught.value.code


def test_everything_disclosed_is_everything_said(key: SigningKey, trusted: Trusted) -> None:
    claims = sdjwt.verify(issued(key).compact(), trusted, TYP)
    assert claims.pop("categories") in (["decisions", "perspective"], ["perspective", "decisions"])
    assert claims == {
        "iss": "ind",
        "iat": 1,
        "client": {"scheme": "v-number", "value": "1234567890"},
        "flag": True,
        "explicit": [],
    }


def test_nothing_disclosed_is_only_the_plain_claims(key: SigningKey, trusted: Trusted) -> None:
    everything = issued(key)
    nothing = everything.compact(lambda _: False)
    assert nothing == everything.jwt + "~"
    expected = {"iss": "ind", "iat": 1, "categories": [], "explicit": []}
    assert sdjwt.verify(nothing, trusted, TYP) == expected
    assert sdjwt.verify_parts(everything.compact(), trusted, TYP).plain == expected


def test_a_value_that_is_withheld_is_nowhere_in_the_text(key: SigningKey) -> None:
    compact = issued(key).compact(lambda each: each.name != "client")
    texts = [decode_base64url(part) for part in compact.replace("~", ".").split(".") if part]
    assert not any(b"1234567890" in text or b"client" in text for text in texts)


def test_select_names_an_element_by_its_array(key: SigningKey, trusted: Trusted) -> None:
    compact = issued(key).compact()
    cut = sdjwt.select(compact, lambda each: each.name == "categories" and each.value == "decisions")
    assert sdjwt.verify(cut, trusted, TYP) == {
        "iss": "ind",
        "iat": 1,
        "categories": ["decisions"],
        "explicit": [],
    }
    assert sdjwt.select(cut, lambda _: True) == cut


def test_the_number_of_digests_tells_nothing(key: SigningKey) -> None:
    for count in range(9):
        made = issued(key, elements={"categories": [f"c{number}" for number in range(count)]})
        payload = jose.unverified_payload(made.jwt)
        assert len(payload["categories"]) == 8, count  # type: ignore[arg-type]
        assert len(payload["_sd"]) == 8  # type: ignore[arg-type]
    longer = issued(key, elements={"categories": [f"c{number}" for number in range(9)]})
    assert len(jose.unverified_payload(longer.jwt)["categories"]) == 16  # type: ignore[arg-type]


def test_the_order_of_digests_tells_nothing(key: SigningKey) -> None:
    payload = jose.unverified_payload(issued(key).jwt)
    digests = payload["_sd"]
    assert isinstance(digests, list)
    assert digests == sorted(digests)
    elements = payload["categories"]
    assert isinstance(elements, list)
    assert elements == sorted(elements, key=lambda each: each["..."])


def test_two_statements_share_no_digest_and_no_salt(key: SigningKey) -> None:
    one, two = issued(key), issued(key)
    assert not {each.encoded for each in one.disclosures} & {each.encoded for each in two.disclosures}
    salts = [json.loads(decode_base64url(each.encoded))[0] for each in (*one.disclosures, *two.disclosures)]
    assert len(set(salts)) == len(salts)
    assert {len(decode_base64url(salt)) for salt in salts} == {16}


@pytest.mark.parametrize("name", ["iss", "exp", "aud", "_sd", "...", "_sd_alg", "flag"])
def test_what_decides_validity_is_never_hidden(key: SigningKey, name: str) -> None:
    assert issued(key, properties={"other": 1})
    with pytest.raises(ValueError):
        sdjwt.issue({"flag": 1}, key, TYP, disclose_properties={name: 1}, disclose_elements={})


# --- refusals ------------------------------------------------------------------------------


def test_an_unreferenced_disclosure_is_refused(key: SigningKey, trusted: Trusted) -> None:
    compact = issued(key).compact()
    assert sdjwt.verify(compact, trusted, TYP)
    assert refused(compact + disclosure(SALT, "extra", 1) + "~", trusted) == "unreferenced_disclosure"
    assert refused(compact + disclosure(SALT, "decisions") + "~", trusted) == "unreferenced_disclosure"


def test_a_forged_disclosure_is_refused(key: SigningKey, trusted: Trusted) -> None:
    made = issued(key)
    flag = next(each for each in made.disclosures if each.name == "flag")
    salt = json.loads(decode_base64url(flag.encoded))[0]
    forged = made.compact().replace(flag.encoded, disclosure(salt, "flag", False))
    assert refused(forged, trusted) == "unreferenced_disclosure"
    # The same array with other white space is another text, and so not the one that was signed.
    spaced = encode_base64url(json.dumps([salt, "flag", True], indent=1).encode())
    assert refused(made.compact().replace(flag.encoded, spaced), trusted) == "unreferenced_disclosure"


def test_a_disclosure_of_another_statement_is_refused(key: SigningKey, trusted: Trusted) -> None:
    one, two = issued(key), issued(key)
    mixed = sdjwt.join(one.jwt, [each.encoded for each in two.disclosures])
    assert refused(mixed, trusted) == "unreferenced_disclosure"


def test_a_disclosure_that_comes_twice_is_refused(key: SigningKey, trusted: Trusted) -> None:
    made = issued(key)
    assert refused(made.compact() + made.disclosures[0].encoded + "~", trusted) == "duplicate_digest"


def test_a_digest_that_occurs_twice_is_refused(key: SigningKey, trusted: Trusted) -> None:
    flag = disclosure(SALT, "flag", 1)
    digest = sdjwt.digest(flag)
    assert sdjwt.verify(signed(key, {"_sd": [digest]}, flag), trusted, TYP) == {"flag": 1}
    for payload in (
        {"_sd": [digest, digest]},
        {"_sd": [digest], "a": {"_sd": [digest]}},
        {"_sd": [digest], "a": [{"...": digest}]},
        {"a": [{"...": digest}, {"...": digest}]},
    ):
        assert refused(signed(key, payload), trusted) == "duplicate_digest"
        assert refused(signed(key, payload, flag), trusted) in ("duplicate_digest", "malformed_disclosure")


def test_a_disclosure_never_overrules_a_claim(key: SigningKey, trusted: Trusted) -> None:
    flag, again = disclosure(SALT, "flag", 1), disclosure(SALT, "flag", 2)
    digests = {"_sd": [sdjwt.digest(flag), sdjwt.digest(again)]}
    assert sdjwt.verify(signed(key, digests, again), trusted, TYP) == {"flag": 2}
    assert refused(signed(key, digests, flag, again), trusted) == "name_collision"
    assert refused(signed(key, {"flag": 0, "_sd": [sdjwt.digest(flag)]}, flag), trusted) == "name_collision"


@pytest.mark.parametrize("name", ["iss", "aud", "iat", "exp", "nbf", "jti", "sub", "cnf"])
def test_validity_by_disclosure_is_refused(key: SigningKey, trusted: Trusted, name: str) -> None:
    hidden, nested = disclosure(SALT, name, 1), disclosure(SALT, "a", {name: 1})
    assert sdjwt.verify(signed(key, {"_sd": [sdjwt.digest(nested)]}, nested), trusted, TYP)
    assert refused(signed(key, {"_sd": [sdjwt.digest(hidden)]}, hidden), trusted) == "structure_not_allowed"


@pytest.mark.parametrize(
    "bad",
    [
        disclosure(SALT),
        disclosure(SALT, "a", 1, 2),
        disclosure(),
        disclosure("short", "a", 1),
        disclosure("", "a", 1),
        disclosure(7, "a", 1),
        disclosure("free text that rides along", "a", 1),
        disclosure("x" * 44, "a", 1),
        disclosure(SALT, "_sd", 1),
        disclosure(SALT, "...", 1),
        disclosure(SALT, "_sd_alg", 1),
        disclosure(SALT, "", 1),
        disclosure(SALT, 7, 1),
        encode_base64url(b'{"a": 1}'),
        encode_base64url(f'["{SALT}", "a", {{"b": 1, "b": 2}}]'.encode()),
        encode_base64url(f'["{SALT}", "a", NaN]'.encode()),
        encode_base64url(b"\xff\xfe"),
        "not base64url!",
        "é",
        disclosure(SALT, "a", 1) + "=",
        disclosure(SALT, "a", "x" * 30_000),
    ],
)
def test_a_disclosure_of_another_form_is_refused(key: SigningKey, trusted: Trusted, bad: str) -> None:
    good = disclosure(SALT, "a", 1)
    assert sdjwt.verify(signed(key, {"_sd": [sdjwt.digest(good)]}, good), trusted, TYP) == {"a": 1}
    # Also where its digest was signed: an issuer cannot make it right.
    digests = [sdjwt.digest(bad)] if bad.isascii() else []
    assert refused(signed(key, {"_sd": digests}, bad), trusted) == "malformed_disclosure"


def test_an_element_is_no_property_and_a_property_no_element(key: SigningKey, trusted: Trusted) -> None:
    element, member = disclosure(SALT, "x"), disclosure(SALT, "x", 1)
    assert sdjwt.verify(signed(key, {"a": [{"...": sdjwt.digest(element)}]}, element), trusted, TYP) == {
        "a": ["x"]
    }
    for payload, text in (
        ({"_sd": [sdjwt.digest(element)]}, element),
        ({"a": [{"...": sdjwt.digest(member)}]}, member),
    ):
        assert refused(signed(key, payload, text), trusted) == "malformed_disclosure"


@pytest.mark.parametrize(
    "payload",
    [
        {"_sd": "x"},
        {"_sd": {"x": 1}},
        {"_sd": [1]},
        {"_sd": [None]},
        {"...": "x"},
        {"a": {"...": "x"}},
        {"a": [{"...": "x", "b": 1}]},
        {"a": [{"...": 1}]},
        {"a": [{"...": ["x"]}]},
        {"a": {"_sd_alg": "sha-256"}},
        {"": {"_sd_alg": "sha-256"}},
    ],
)
def test_a_payload_of_another_structure_is_refused(
    key: SigningKey, trusted: Trusted, payload: dict[str, object]
) -> None:
    assert sdjwt.verify(signed(key, {"_sd": ["x"], "a": [{"...": "y"}], "b": {}}), trusted, TYP)
    assert refused(signed(key, payload), trusted) == "structure_not_allowed"


@pytest.mark.parametrize("algorithm", ["sha-1", "md5", "sha-512", "SHA-256", "", None, 1, ["sha-256"]])
def test_another_digest_is_refused(key: SigningKey, trusted: Trusted, algorithm: object) -> None:
    assert sdjwt.verify(signed(key, {"_sd_alg": "sha-256"}), trusted, TYP) == {}
    assert sdjwt.verify(signed(key, {}), trusted, TYP) == {}  # RFC 9901 §4.1.1: the default
    assert refused(signed(key, {"_sd_alg": algorithm}), trusted) == "digest_not_allowed"


def test_another_type_and_another_key_are_refused(
    key: SigningKey, other_key: SigningKey, trusted: Trusted
) -> None:
    assert sdjwt.verify(signed(key, {}), trusted, TYP) == {}
    assert refused(signed(key, {}, typ="attestation+sd-jwt"), trusted) == "wrong_type"
    assert refused(signed(other_key, {}), trusted) == "unknown_key"


def test_only_the_form_without_key_binding_is_read(key: SigningKey, trusted: Trusted) -> None:
    compact = issued(key).compact()
    assert sdjwt.verify(compact, trusted, TYP)
    for other in (
        compact[:-1],  # the last disclosure would stand where a key binding does
        compact + "a.b.c",
        compact + "garbage",
        compact + "~",
        compact.replace("~", "~~", 1),
        "~" + compact,
        compact.partition("~")[0],
        "",
        "~",
    ):
        assert refused(other, trusted) == "malformed_token", other[-20:]


def test_the_number_and_size_of_disclosures_are_limited(key: SigningKey, trusted: Trusted) -> None:
    few = [disclosure(SALT, str(number)) for number in range(100)]
    payload = {"a": [{"...": sdjwt.digest(each)} for each in few]}
    assert len(sdjwt.verify(signed(key, payload, *few), trusted, TYP)["a"]) == 100  # type: ignore[arg-type]
    assert refused(signed(key, {}, *["AAAA"] * 257), trusted) == "token_too_large"
    assert refused(signed(key, {}) + "A" * 70_000 + "~", trusted) == "token_too_large"


def test_disclosures_inside_disclosures_open_but_not_without_end(key: SigningKey, trusted: Trusted) -> None:
    def chain(length: int) -> str:
        made: list[str] = [disclosure(SALT, "end", 1)]
        for number in range(length):
            made.append(disclosure(SALT, f"n{number}", {"_sd": [sdjwt.digest(made[-1])]}))
        return signed(key, {"_sd": [sdjwt.digest(made[-1])]}, *made)

    assert sdjwt.verify(chain(2), trusted, TYP) == {"n1": {"n0": {"end": 1}}}
    assert refused(chain(200), trusted) == "structure_not_allowed"


def test_a_withheld_parent_takes_its_children_along(key: SigningKey, trusted: Trusted) -> None:
    child = disclosure(SALT, "child", 1)
    parent = disclosure(SALT, "parent", {"_sd": [sdjwt.digest(child)]})
    payload = {"_sd": [sdjwt.digest(parent)]}
    assert sdjwt.verify(signed(key, payload, parent, child), trusted, TYP) == {"parent": {"child": 1}}
    assert refused(signed(key, payload, child), trusted) == "unreferenced_disclosure"


# --- the library as an oracle --------------------------------------------------------------


def oracle_verifies(compact: str, key: SigningKey) -> object:
    verifier = pytest.importorskip("sd_jwt.verifier")
    jwk = pytest.importorskip("jwcrypto.jwk")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = verifier.SDJWTVerifier(compact, lambda *_: jwk.JWK(**key.public)).get_verified_payload()
    return found


def test_the_oracle_reads_what_we_issue(key: SigningKey, trusted: Trusted) -> None:
    for keep in ("client", "flag", "categories", "none"):
        compact = sdjwt.select(issued(key).compact(), lambda each, name=keep: each.name == name)  # type: ignore[misc]
        assert oracle_verifies(compact, key) == sdjwt.verify(compact, trusted, TYP)


def test_we_read_what_the_oracle_issues(key: SigningKey, trusted: Trusted) -> None:
    issuer = pytest.importorskip("sd_jwt.issuer")
    mark = pytest.importorskip("sd_jwt.common").SDObj
    jwk = pytest.importorskip("jwcrypto.jwk")
    claims = {
        "iss": "ind",
        mark("perspective"): "yes",
        "address": {mark("street"): "x", "country": "NL"},
        "list": ["plain", mark("hidden"), {mark("deep"): 1}],
        mark("outer"): {mark("inner"): [mark("leaf")]},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = issuer.SDJWTIssuer(
            claims,
            jwk.JWK(**key.imported.as_dict(private=True)),
            sign_alg="ES256",
            add_decoy_claims=True,
            extra_header_parameters={"typ": TYP, "kid": key.kid},
        ).sd_jwt_issuance
    assert sdjwt.verify(made, trusted, TYP) == {
        "iss": "ind",
        "perspective": "yes",
        "address": {"street": "x", "country": "NL"},
        "list": ["plain", "hidden", {"deep": 1}],
        "outer": {"inner": ["leaf"]},
    }


VALUES = st.none() | st.booleans() | st.integers(-1000, 1000) | st.text('aé€😀 "\\', max_size=5)
NAMES = st.text("abcdef", min_size=1, max_size=3)


@given(
    properties=st.dictionaries(NAMES, VALUES, max_size=5),
    elements=st.dictionaries(NAMES.map(str.upper), st.lists(VALUES, max_size=5), max_size=3),
    kept=st.integers(0, 2**30),
)
def test_any_selection_verifies_to_exactly_what_was_selected(
    key: SigningKey,
    trusted: Trusted,
    properties: dict[str, object],
    elements: dict[str, list[object]],
    kept: int,
) -> None:
    made = issued(key, properties=properties, elements=elements)
    keep = [each for number, each in enumerate(made.disclosures) if kept >> number & 1]
    claims = sdjwt.verify(sdjwt.join(made.jwt, [each.encoded for each in keep]), trusted, TYP)
    expected: dict[str, object] = {"iss": "ind", "iat": 1, **{name: [] for name in elements}}
    for each in keep:
        if each.name in elements:
            expected[each.name] = [*expected[each.name], each.value]  # type: ignore[misc]
        else:
            expected[each.name] = each.value

    def ordered(found: dict[str, object]) -> dict[str, object]:
        return {
            name: sorted(value, key=repr) if isinstance(value, list) else value
            for name, value in found.items()
        }

    assert ordered(claims) == ordered(expected)
