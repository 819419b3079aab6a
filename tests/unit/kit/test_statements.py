"""The statements say exactly what their form allows, to whom, until when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from adapters.kit import jose, sdjwt
from adapters.kit.keys import SigningKey
from adapters.kit.statements import (
    StatementError,
    cut_for_source,
    join_client,
    make_attestation,
    make_cancellation,
    make_consent_statement,
    make_order,
    make_request,
    narrow,
    split_client,
    unverified_issuer,
    unverified_jti,
    verify_attestation,
    verify_cancellation,
    verify_consent_statement,
    verify_order,
    verify_request,
    withhold,
)
from adapters.kit.strict_json import decode_base64url
from adapters.protocol import (
    ORDER_MAX_SECONDS,
    TYP_ATTESTATION,
    TYP_CANCELLATION,
    TYP_CONSENT,
    TYP_ORDER,
    TYP_REQUEST,
    Category,
    CategoryAnswer,
    CategoryStatus,
    ClientIdentifier,
    OrderedCategory,
    Scheme,
    SourceRefusal,
)

NOW = 1_800_000_000
DAY = 24 * 3600
CLIENT = ClientIdentifier(scheme=Scheme.V_NUMBER, value="1234567890")
DIGEST = "A" * 43
ID = "0123456789abcdef"
REQUEST = "fedcba9876543210"
Trusted = dict[str, dict[str, str]]


def request(key: SigningKey, **changes: Any) -> str:
    return make_request(
        **{
            "key": key,
            "iss": "vluchtelingenwerk",
            "aud": "ind",
            "jti": ID,
            "now": NOW,
            "exp": NOW + DAY,
            "purpose": "legal_screening",
            "categories": [Category.PERSPECTIVE, Category.DECISIONS, Category.FAMILY],
            "client": CLIENT,
            "seal_to": DIGEST,
            **changes,
        }
    )


def consent(key: SigningKey, **changes: Any) -> str:
    return make_consent_statement(
        **{
            "key": key,
            "iss": "vluchtelingenwerk",
            "aud": "ind",
            "jti": ID,
            "now": NOW,
            "nbf": NOW,
            "exp": NOW + DAY,
            "purpose": "legal_screening",
            "evidence": "sha-256:" + DIGEST,
            "recipients": ["vluchtelingenwerk", "askv"],
            "categories": [Category.DECISIONS, Category.MEDICAL],
            "explicit": [Category.MEDICAL],
            "client": CLIENT,
            **changes,
        }
    )


ANSWERS = {
    Category.PERSPECTIVE: CategoryAnswer(status=CategoryStatus.PROVIDED, value="yes"),
    Category.DECISIONS: CategoryAnswer(status=CategoryStatus.PROVIDED, sealed=(DIGEST, "B" * 43)),
    Category.FAMILY: CategoryAnswer(status=CategoryStatus.NOTHING_HELD),
    Category.MEDICAL: CategoryAnswer(status=CategoryStatus.REFUSED, refusal=SourceRefusal.LEGAL_GROUND),
    Category.GUIDANCE: CategoryAnswer(status=CategoryStatus.CLIENT_NOT_FOUND),
    # Given, with what concerns others taken out, and said to be incomplete.
    Category.IDENTITY: CategoryAnswer(
        status=CategoryStatus.PROVIDED, sealed=("C" * 43,), refusal=SourceRefusal.THIRD_PARTY_INTEREST
    ),
}


def attestation(key: SigningKey, **changes: Any) -> str:
    return make_attestation(
        **{
            "key": key,
            "iss": "ind",
            "aud": "vluchtelingenwerk",
            "exchange": ID,
            "order": DIGEST,
            "request": REQUEST,
            "now": NOW,
            "answers": ANSWERS,
            **changes,
        }
    )


def order(key: SigningKey, **changes: Any) -> str:
    return make_order(
        **{
            "key": key,
            "aud": "ind",
            "jti": ID,
            "exchange": ID,
            "now": NOW,
            "exp": NOW + DAY,
            "agreement": "sha-256:" + DIGEST,
            "purpose": "legal_screening",
            "recipient": "vluchtelingenwerk",
            "categories": [
                OrderedCategory(category=Category.PERSPECTIVE, ground="baseline"),
                OrderedCategory(category=Category.DECISIONS, ground="consent", consent=ID),
            ],
            "request": "a.b.c~",
            "consents": ["a.b.c~"],
            "client": "a..b.c.d",
            **changes,
        }
    )


def code_of(attempt: Callable[[], object]) -> str:
    with pytest.raises(StatementError) as caught:
        attempt()
    return caught.value.code


def signed(
    key: SigningKey,
    typ: str,
    plain: Mapping[str, object],
    properties: Mapping[str, object] | None = None,
    elements: Mapping[str, Any] | None = None,
) -> str:
    """Sign any SD-JWT at all, as a dishonest party could."""
    return sdjwt.issue(
        plain, key, typ, disclose_properties=properties or {}, disclose_elements=elements or {}
    ).compact()


# --- request -------------------------------------------------------------------------------


def test_a_request_says_what_was_asked(key: SigningKey, trusted: Trusted) -> None:
    claims = verify_request(request(key), trusted, NOW, audience="ind", issuer="vluchtelingenwerk")
    assert (claims.iss, claims.aud, claims.jti, claims.purpose, claims.seal_to) == (
        "vluchtelingenwerk",
        "ind",
        ID,
        "legal_screening",
        DIGEST,
    )
    assert claims.categories == (Category.DECISIONS, Category.FAMILY, Category.PERSPECTIVE)
    assert claims.client == CLIENT


def test_a_request_travels_without_its_client_and_is_whole_again(key: SigningKey, trusted: Trusted) -> None:
    whole = request(key)
    without, client = split_client(whole)
    assert verify_request(without, trusted, NOW).client is None
    for part in without.replace("~", ".").split("."):
        assert b"1234567890" not in decode_base64url(part)
    assert verify_request(join_client(without, client), trusted, NOW) == verify_request(whole, trusted, NOW)
    assert code_of(lambda: split_client(without)) == "client_not_disclosed"


def test_a_client_of_another_request_does_not_join(key: SigningKey, trusted: Trusted) -> None:
    without, _ = split_client(request(key))
    _, other = split_client(request(key, client=ClientIdentifier(scheme=Scheme.V_NUMBER, value="0000000000")))
    refused = code_of(lambda: verify_request(join_client(without, other), trusted, NOW))
    assert refused == "unreferenced_disclosure"


def test_cut_for_its_source_a_statement_is_split_and_narrowed_in_one_reading(key: SigningKey) -> None:
    for whole, recipients in ((request(key), None), (consent(key), {"askv"})):
        without, client = split_client(whole)
        cut = cut_for_source(whole, categories={Category.DECISIONS}, recipients=recipients)
        assert cut.client == client
        assert cut.statement == narrow(without, categories={Category.DECISIONS}, recipients=recipients)
        assert cut.jti == unverified_jti(whole)
        without_client = cut.statement
        assert code_of(lambda s=without_client: cut_for_source(s, categories=())) == "client_not_disclosed"


def test_a_narrowed_request_names_only_what_is_ordered(key: SigningKey, trusted: Trusted) -> None:
    cut = narrow(request(key), categories={Category.DECISIONS})
    claims = verify_request(cut, trusted, NOW)
    assert claims.categories == (Category.DECISIONS,)
    assert claims.client == CLIENT
    assert verify_request(narrow(cut, categories=set()), trusted, NOW).categories == ()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"audience": "dtv"}, "wrong_audience"),
        ({"issuer": "askv"}, "wrong_issuer"),
        ({"now": NOW + DAY + 10}, "expired"),
        ({"now": NOW - 11}, "not_yet_valid"),
        ({"now": NOW + 301, "require_fresh_seconds": 300}, "not_fresh"),
        ({"keys": {}}, "unknown_key"),
    ],
)
def test_a_request_for_others_or_another_time_is_refused(
    key: SigningKey, trusted: Trusted, change: dict[str, Any], expected: str
) -> None:
    expects: dict[str, Any] = {
        "keys": trusted,
        "now": NOW,
        "audience": "ind",
        "issuer": "vluchtelingenwerk",
        "require_fresh_seconds": 300,
    }
    compact = request(key)
    assert verify_request(compact, **expects)
    assert code_of(lambda: verify_request(compact, **{**expects, **change})) == expected


def test_a_request_lives_no_longer_than_an_officer_may_need(key: SigningKey, trusted: Trusted) -> None:
    assert verify_request(request(key, exp=NOW + ORDER_MAX_SECONDS), trusted, NOW)
    longer = request(key, exp=NOW + ORDER_MAX_SECONDS + 1)
    assert code_of(lambda: verify_request(longer, trusted, NOW)) == "lives_too_long"


REQUEST_PLAIN: dict[str, object] = {
    "iss": "vluchtelingenwerk",
    "aud": "ind",
    "jti": ID,
    "iat": NOW,
    "exp": NOW + DAY,
    "purpose": "legal_screening",
    "seal_to": DIGEST,
}
WHO: dict[str, object] = {"client": {"scheme": "v-number", "value": "1234567890"}}
WHAT = {"categories": ["decisions"]}


@pytest.mark.parametrize(
    ("plain", "properties", "elements", "expected"),
    [
        ({"iat": True}, {}, {}, "time_claims_invalid"),
        ({"exp": float(NOW + DAY)}, {}, {}, "time_claims_invalid"),
        ({"exp": str(NOW + DAY)}, {}, {}, "time_claims_invalid"),
        ({"aud": ["ind", "dtv"]}, {}, {}, "claims_invalid"),
        ({"aud": None}, {}, {}, "claims_invalid"),
        ({"iss": 7}, {}, {}, "claims_invalid"),
        ({"iss": "IND"}, {}, {}, "claims_invalid"),
        ({"jti": "short"}, {}, {}, "claims_invalid"),
        ({"purpose": "Legal Screening"}, {}, {}, "claims_invalid"),
        ({"seal_to": "anything at all"}, {}, {}, "claims_invalid"),
        ({"worker": "w-1"}, {}, {}, "claims_invalid"),
        ({"nbf": NOW}, {}, {}, "claims_invalid"),
        ({}, {"note": "free text"}, {}, "claims_invalid"),
        ({}, {"client": {"scheme": "v-number", "value": "123"}}, {}, "claims_invalid"),
        ({}, {"client": {"scheme": "name", "value": "A"}}, {}, "claims_invalid"),
        ({}, {"client": {"scheme": "v-number", "value": "1234567890", "name": "A"}}, {}, "claims_invalid"),
        ({}, {"client": {"scheme": "v-number", "value": 1234567890}}, {}, "claims_invalid"),
        ({}, {"client": "1234567890"}, {}, "claims_invalid"),
        ({}, {}, {"categories": ["everything"]}, "claims_invalid"),
        ({}, {}, {"categories": [["decisions"]]}, "claims_invalid"),
        ({}, {}, {"categories": ["decisions", "decisions"]}, "claims_invalid"),
        ({}, {}, {"recipients": ["ind"]}, "claims_invalid"),
    ],
)
def test_a_request_of_another_form_is_refused(
    key: SigningKey,
    trusted: Trusted,
    plain: dict[str, object],
    properties: dict[str, object],
    elements: dict[str, Any],
    expected: str,
) -> None:
    honest = signed(key, TYP_REQUEST, REQUEST_PLAIN, WHO, WHAT)
    assert verify_request(honest, trusted, NOW).categories == (Category.DECISIONS,)
    crooked = signed(
        key, TYP_REQUEST, {**REQUEST_PLAIN, **plain}, {**WHO, **properties}, {**WHAT, **elements}
    )
    assert code_of(lambda: verify_request(crooked, trusted, NOW)) == expected


def test_what_could_not_be_dropped_on_the_way_is_refused(key: SigningKey, trusted: Trusted) -> None:
    in_clear = [
        signed(key, TYP_REQUEST, {**REQUEST_PLAIN, **WHO}, {}, WHAT),
        signed(key, TYP_REQUEST, {**REQUEST_PLAIN, **WHAT}, WHO),
        signed(key, TYP_REQUEST, REQUEST_PLAIN, {**WHO, **WHAT}),
    ]
    for crooked in in_clear:
        assert code_of(lambda text=crooked: verify_request(text, trusted, NOW)) == "claims_invalid"  # type: ignore[misc]


def test_every_member_of_a_request_is_required(key: SigningKey, trusted: Trusted) -> None:
    for name in REQUEST_PLAIN:
        fewer = {other: value for other, value in REQUEST_PLAIN.items() if other != name}
        crooked = signed(key, TYP_REQUEST, fewer, WHO, WHAT)
        refused = code_of(lambda text=crooked: verify_request(text, trusted, NOW))  # type: ignore[misc]
        assert refused in ("claims_invalid", "time_claims_invalid")


# --- consent -------------------------------------------------------------------------------


def test_a_consent_says_what_was_agreed(key: SigningKey, trusted: Trusted) -> None:
    claims = verify_consent_statement(consent(key), trusted, NOW, audience="ind", issuer="vluchtelingenwerk")
    assert claims.recipients == ("askv", "vluchtelingenwerk")
    assert claims.categories == (Category.DECISIONS, Category.MEDICAL)
    assert claims.explicit == (Category.MEDICAL,)
    assert claims.client == CLIENT


def test_a_narrowed_consent_names_one_recipient_and_what_is_ordered(
    key: SigningKey, trusted: Trusted
) -> None:
    cut = narrow(consent(key), categories={Category.DECISIONS}, recipients={"askv"})
    claims = verify_consent_statement(cut, trusted, NOW)
    assert (claims.recipients, claims.categories, claims.explicit) == (("askv",), (Category.DECISIONS,), ())
    other = narrow(consent(key), categories={Category.MEDICAL})
    claims = verify_consent_statement(other, trusted, NOW)
    assert (claims.categories, claims.explicit) == ((Category.MEDICAL,), (Category.MEDICAL,))
    assert len(claims.recipients) == 2


def test_the_validity_of_a_consent_may_be_left_to_the_caller(key: SigningKey, trusted: Trusted) -> None:
    compact = consent(key, nbf=NOW + 100)
    assert verify_consent_statement(compact, trusted, NOW + 100)
    assert code_of(lambda: verify_consent_statement(compact, trusted, NOW)) == "not_yet_valid"
    assert code_of(lambda: verify_consent_statement(compact, trusted, NOW + 2 * DAY)) == "expired"
    assert verify_consent_statement(compact, trusted, None).nbf == NOW + 100


@pytest.mark.parametrize(
    "changes",
    [
        {"evidence": "sha-256:x"},
        {"evidence": DIGEST},
        {"exp": NOW},
        {"exp": NOW - 1},
        {"recipients": ["ASKV"]},
        {"purpose": ""},
    ],
)
def test_a_consent_of_another_form_is_refused(
    key: SigningKey, trusted: Trusted, changes: dict[str, Any]
) -> None:
    assert verify_consent_statement(consent(key), trusted, None)
    crooked = consent(key, **changes)
    assert code_of(lambda: verify_consent_statement(crooked, trusted, None)) == "claims_invalid"


def test_a_consent_is_no_request_and_a_request_no_consent(key: SigningKey, trusted: Trusted) -> None:
    assert code_of(lambda: verify_request(consent(key), trusted, NOW)) == "wrong_type"
    assert code_of(lambda: verify_consent_statement(request(key), trusted, NOW)) == "wrong_type"
    assert code_of(lambda: verify_attestation(request(key), trusted, NOW)) == "wrong_type"
    # A plain JWS of the right type is no SD-JWT.
    plain = jose.sign(REQUEST_PLAIN, key, TYP_REQUEST)
    assert code_of(lambda: verify_request(plain, trusted, NOW)) == "malformed_token"
    assert code_of(
        lambda: verify_consent_statement(jose.sign({}, key, TYP_CONSENT) + "~", trusted, None)
    ) == ("claims_invalid")


# --- attestation ---------------------------------------------------------------------------


def test_an_attestation_says_what_was_answered(key: SigningKey, trusted: Trusted) -> None:
    claims = verify_attestation(
        attestation(key),
        trusted,
        NOW,
        issuer="ind",
        audience="vluchtelingenwerk",
        exchange=ID,
        order=DIGEST,
        request=REQUEST,
    )
    assert claims.answers == ANSWERS


def test_an_attestation_cut_down_says_the_rest_and_nothing_of_what_is_withheld(
    key: SigningKey, trusted: Trusted
) -> None:
    cut = withhold(attestation(key), {Category.PERSPECTIVE})
    assert verify_attestation(cut, trusted).answers == {Category.PERSPECTIVE: ANSWERS[Category.PERSPECTIVE]}
    for part in cut.replace("~", ".").split("."):
        assert b"decisions" not in decode_base64url(part)
    assert verify_attestation(withhold(cut, set()), trusted).answers == {}


def test_an_empty_and_a_full_attestation_cut_to_one_have_the_same_length(key: SigningKey) -> None:
    one = {Category.PERSPECTIVE: ANSWERS[Category.PERSPECTIVE]}
    assert len(attestation(key, answers=one)) == len(withhold(attestation(key), {Category.PERSPECTIVE}))


@pytest.mark.parametrize(
    ("expects", "code"),
    [
        ({"issuer": "dtv"}, "wrong_issuer"),
        ({"audience": "askv"}, "wrong_audience"),
        ({"exchange": "another-exchange-1"}, "wrong_exchange"),
        ({"order": "B" * 43}, "wrong_order"),
        ({"request": "another-request-12"}, "wrong_request"),
        ({"now": NOW - 11}, "not_yet_valid"),
    ],
)
def test_an_attestation_of_another_exchange_is_refused(
    key: SigningKey, trusted: Trusted, expects: dict[str, Any], code: str
) -> None:
    compact = attestation(key)
    good: dict[str, Any] = {
        "now": NOW,
        "issuer": "ind",
        "audience": "vluchtelingenwerk",
        "exchange": ID,
        "order": DIGEST,
        "request": REQUEST,
    }
    assert verify_attestation(compact, trusted, **good)
    assert code_of(lambda: verify_attestation(compact, trusted, **{**good, **expects})) == code


ATTESTATION_PLAIN: dict[str, object] = {
    "iss": "ind",
    "aud": "vluchtelingenwerk",
    "exchange": ID,
    "order": DIGEST,
    "request": REQUEST,
    "iat": NOW,
}
PROVIDED = {"status": "provided", "value": "yes"}


@pytest.mark.parametrize(
    ("category", "answer"),
    [
        # Free text must not ride along with the three facts (promise 1).
        ("perspective", {"status": "provided", "value": "yes, because of the medical file"}),
        ("perspective", {"status": "provided", "value": ["yes"]}),
        ("perspective", {"status": "provided", "value": True}),
        ("perspective", {"status": "provided", "value": "yes", "note": "x"}),
        ("perspective", {"status": "provided"}),
        ("perspective", {"status": "nothing_held", "value": "yes"}),
        ("perspective", {"status": "refused"}),
        ("perspective", {"status": "refused", "refusal": "a reason in free text"}),
        ("perspective", {"status": "provided", "value": "yes", "refusal": "legal_ground"}),
        ("perspective", {"status": "provided", "value": "yes", "sealed": [DIGEST]}),
        ("perspective", {"status": "provided", "value": "yes", "refusal": "third_party_interest"}),
        ("guidance", {"status": "provided", "sealed": [DIGEST]}),
        ("perspective", {"value": "yes"}),
        ("perspective", {"status": "maybe"}),
        ("perspective", "yes"),
        ("perspective", None),
        ("partners", {"status": "provided", "value": "yes"}),
        ("partners", {"status": "nothing_held"}),
        ("decisions", {"status": "provided", "value": "yes"}),
        ("decisions", {"status": "provided", "value": "yes", "sealed": [DIGEST]}),
        ("decisions", {"status": "provided"}),
        ("decisions", {"status": "provided", "sealed": []}),
        ("decisions", {"status": "provided", "sealed": ["short"]}),
        ("decisions", {"status": "provided", "sealed": ["free text, forty-three characters in length."]}),
        ("decisions", {"status": "provided", "sealed": [DIGEST, DIGEST]}),
        ("decisions", {"status": "provided", "sealed": DIGEST}),
        ("decisions", {"status": "nothing_held", "sealed": [DIGEST]}),
        ("decisions", {"status": "provided", "sealed": [DIGEST], "refusal": "legal_ground"}),
        ("decisions", {"status": "provided", "refusal": "third_party_interest"}),
        ("decisions", {"status": "refused", "sealed": [DIGEST], "refusal": "legal_ground"}),
        ("everything", {"status": "nothing_held"}),
        ("remarks", "free text"),
    ],
)
def test_an_answer_of_another_form_is_refused(
    key: SigningKey, trusted: Trusted, category: str, answer: object
) -> None:
    honest = signed(key, TYP_ATTESTATION, ATTESTATION_PLAIN, {"perspective": PROVIDED})
    assert verify_attestation(honest, trusted).answers
    crooked = signed(key, TYP_ATTESTATION, ATTESTATION_PLAIN, {category: answer})
    refused = code_of(lambda: verify_attestation(crooked, trusted))
    assert refused in ("answer_not_allowed", "claims_invalid")


def test_an_answer_that_could_not_be_withheld_is_refused(key: SigningKey, trusted: Trusted) -> None:
    crooked = signed(key, TYP_ATTESTATION, {**ATTESTATION_PLAIN, "perspective": PROVIDED})
    assert code_of(lambda: verify_attestation(crooked, trusted)) == "claims_invalid"
    crooked = signed(key, TYP_ATTESTATION, {**ATTESTATION_PLAIN, "remarks": "free text"})
    assert code_of(lambda: verify_attestation(crooked, trusted)) == "claims_invalid"


def test_a_source_cannot_sign_an_answer_of_another_form(key: SigningKey) -> None:
    assert attestation(key)
    crooked = {Category.PERSPECTIVE: CategoryAnswer(status=CategoryStatus.PROVIDED)}
    assert code_of(lambda: attestation(key, answers=crooked)) == "answer_not_allowed"


# --- order and cancellation ----------------------------------------------------------------


def test_an_order_says_what_may_leave(key: SigningKey, trusted: Trusted) -> None:
    claims = verify_order(order(key), trusted, NOW, audience="ind")
    assert [(each.category, each.ground, each.consent) for each in claims.categories] == [
        (Category.PERSPECTIVE, "baseline", None),
        (Category.DECISIONS, "consent", ID),
    ]
    assert (claims.iss, claims.recipient, claims.client) == ("gateway", "vluchtelingenwerk", "a..b.c.d")


@pytest.mark.parametrize(
    ("category", "ground", "rests_on", "allowed"),
    [
        ("perspective", "baseline", None, True),
        ("decisions", "consent", ID, True),
        ("decisions", "explicit_consent", ID, True),
        ("decisions", "statutory", None, True),
        ("medical", "explicit_consent", ID, True),
        ("perspective", "baseline", ID, False),
        ("decisions", "baseline", None, False),
        ("decisions", "consent", None, False),
        ("medical", "consent", ID, False),
        ("medical", "explicit_consent", None, False),
        ("flight_narrative", "baseline", None, False),
    ],
)
def test_a_ground_fits_its_category(
    key: SigningKey, trusted: Trusted, category: str, ground: Any, rests_on: str | None, allowed: bool
) -> None:
    ordered = OrderedCategory(category=Category(category), ground=ground, consent=rests_on)
    compact = order(key, categories=[ordered])
    if allowed:
        assert verify_order(compact, trusted, NOW).categories == (ordered,)
    else:
        assert code_of(lambda: verify_order(compact, trusted, NOW)) == "order_not_allowed"


def test_an_order_for_nothing_or_twice_the_same_is_refused(key: SigningKey, trusted: Trusted) -> None:
    once = OrderedCategory(category=Category.PERSPECTIVE, ground="baseline")
    assert verify_order(order(key, categories=[once]), trusted, NOW)
    empty, twice = order(key, categories=[]), order(key, categories=[once, once])
    assert code_of(lambda: verify_order(empty, trusted, NOW)) == "order_not_allowed"
    assert code_of(lambda: verify_order(twice, trusted, NOW)) == "claims_invalid"


def test_an_order_is_for_one_source_for_a_time(key: SigningKey, trusted: Trusted) -> None:
    compact = order(key)
    assert verify_order(compact, trusted, NOW, audience="ind")
    assert code_of(lambda: verify_order(compact, trusted, NOW, audience="dtv")) == "wrong_audience"
    assert code_of(lambda: verify_order(compact, trusted, NOW + 2 * DAY)) == "expired"
    longer = order(key, exp=NOW + ORDER_MAX_SECONDS + 1)
    assert code_of(lambda: verify_order(longer, trusted, NOW)) == "lives_too_long"
    vague = order(key, agreement="the agreement")
    assert code_of(lambda: verify_order(vague, trusted, NOW)) == "claims_invalid"


def test_only_the_gateway_orders(key: SigningKey, trusted: Trusted) -> None:
    claims = jose.verify(order(key), trusted, TYP_ORDER)
    assert verify_order(jose.sign(claims, key, TYP_ORDER), trusted, NOW)
    other = jose.sign({**claims, "iss": "ind"}, key, TYP_ORDER)
    assert code_of(lambda: verify_order(other, trusted, NOW)) == "claims_invalid"
    extra = jose.sign({**claims, "note": "x"}, key, TYP_ORDER)
    assert code_of(lambda: verify_order(extra, trusted, NOW)) == "claims_invalid"


def test_a_cancellation_names_what_lost_its_ground(key: SigningKey, trusted: Trusted) -> None:
    compact = make_cancellation(
        key=key, aud="ind", exchange=ID, now=NOW, categories=[Category.DECISIONS, Category.DECISIONS]
    )
    claims = verify_cancellation(compact, trusted, NOW + 100 * DAY, audience="ind", exchange=ID)
    assert claims.categories == (Category.DECISIONS,)
    assert code_of(lambda: verify_cancellation(compact, trusted, NOW, audience="dtv")) == "wrong_audience"
    elsewhere = "another-exchange-1"
    assert code_of(lambda: verify_cancellation(compact, trusted, NOW, exchange=elsewhere)) == "wrong_exchange"
    assert code_of(lambda: verify_cancellation(compact, trusted, NOW - 11)) == "not_yet_valid"
    assert code_of(lambda: verify_order(compact, trusted, NOW)) == "wrong_type"
    other = jose.sign(
        {**jose.verify(compact, trusted, TYP_CANCELLATION), "iss": "ind"}, key, TYP_CANCELLATION
    )
    assert code_of(lambda: verify_cancellation(other, trusted, NOW)) == "claims_invalid"


# --- reading before verifying --------------------------------------------------------------


def test_the_issuer_can_be_read_to_find_the_keys(key: SigningKey) -> None:
    assert unverified_issuer(request(key)) == "vluchtelingenwerk"
    assert unverified_issuer(order(key)) == "gateway"
    for nonsense in ("", "~", "a.b.c", jose.sign({}, key, TYP_ORDER), jose.sign({"iss": 1}, key, TYP_ORDER)):
        code_of(lambda text=nonsense: unverified_issuer(text))  # type: ignore[misc]


@pytest.mark.parametrize("nonsense", ["", "~", "x", "a.b.c~", "~~", "é~", "a.b.c~" + "A" * 100_000 + "~"])
def test_cutting_down_nonsense_is_refused_not_a_crash(key: SigningKey, nonsense: str) -> None:
    assert narrow(request(key), categories=set())
    code_of(lambda: narrow(nonsense, categories=set()))
    code_of(lambda: withhold(nonsense, set()))
    code_of(lambda: split_client(nonsense))


def test_elements_that_are_no_texts_are_dropped_not_a_crash(key: SigningKey) -> None:
    crooked = signed(key, TYP_CONSENT, {}, {}, {"categories": [["x"], {"y": 1}], "recipients": [["x"]]})
    assert narrow(crooked, categories={Category.DECISIONS}, recipients={"ind"}).count("~") == 1


def test_a_statement_error_quotes_nothing(key: SigningKey, trusted: Trusted) -> None:
    crooked = signed(
        key, TYP_REQUEST, REQUEST_PLAIN, {"client": {"scheme": "v-number", "value": "12345678901"}}, WHAT
    )
    with pytest.raises(StatementError) as caught:
        verify_request(crooked, trusted, NOW)
    assert "12345678901" not in repr(caught.value)
    assert caught.value.__cause__ is None
