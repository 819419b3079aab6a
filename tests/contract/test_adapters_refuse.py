"""The contract of a source, shown on every adapter before its simulated agency: what it refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.kit.keys import SigningKey
from adapters.protocol import (
    Category,
    ClientIdentifier,
    OrderedCategory,
    Scheme,
)
from adapters.simulation.personas import BY_NAME

pytestmark = pytest.mark.usefixtures("as_it_was")

OTHER_KEY = SigningKey.generate()
AMINA, BILAL = BY_NAME["amina"], BY_NAME["bilal"]
OTHER_CLIENT = ClientIdentifier(scheme=Scheme.V_NUMBER, value=BILAL.v_number)


# --- what is refused -----------------------------------------------------------------------


REFUSALS: list[tuple[str, str, Callable[[Any], dict[str, Any]]]] = [
    ("an order by another key", "order_invalid", lambda _: {"order_key": OTHER_KEY}),
    (
        "an order signed with a party's key",
        "order_invalid",
        lambda b: {"order_key": b.world.keystores["askv"].signing("sign")},
    ),
    (
        "an order signed with the gateway's receipt key",
        "order_invalid",
        lambda b: {"order_key": b.world.keystores["gateway"].signing("receipt")},
    ),
    ("an order for another source", "order_invalid", lambda _: {"aud": "avim"}),
    ("an order that has expired", "order_invalid", lambda _: {"issued_ago_seconds": 1000}),
    ("an order from the future", "order_invalid", lambda _: {"issued_ago_seconds": -1000}),
    ("another agreement", "other_agreement", lambda _: {"agreement": "sha-256:" + "B" * 43}),
    ("a recipient nobody knows", "recipient_unknown", lambda _: {"recipient": "nobody", **_keys_of_askv(_)}),
    ("a kind that never receives", "recipient_never_receives", lambda _: {"recipient": "avim"}),
    ("the municipality", "recipient_never_receives", lambda _: {"recipient": "gemeente-amsterdam"}),
    ("a recipient that has not signed", "agreement_not_signed", lambda _: {"recipient": "goedwerk"}),
    ("a request without a signature", "request_invalid", lambda _: {"unsigned_request": True}),
    ("a request signed by another key", "request_invalid", lambda _: {"request_key": OTHER_KEY}),
    (
        "a request signed by another party",
        "request_invalid",
        lambda b: {"request_key": b.world.keystores["leger-des-heils"].signing("sign")},
    ),
    ("a request to another source", "request_invalid", lambda _: {"request_aud": "avim"}),
    ("an order that outlives its request", "request_mismatch", lambda _: {"request_lives_seconds": 300}),
    ("a request for another purpose", "request_mismatch", lambda _: {"request_purpose": "case_conference"}),
    (
        "a category that was not requested",
        "category_not_requested",
        lambda b: {"requested": (b.source.baseline,)},
    ),
    ("a purpose without a rule", "no_rule_in_agreement", lambda _: {"purpose": "medical_stay"}),
    (
        "a consent signed by the gateway",
        "consent_invalid",
        lambda b: {"consent_key": b.world.keystores["gateway"].signing("order")},
    ),
    ("a consent signed by a key nobody knows", "consent_invalid", lambda _: {"consent_key": OTHER_KEY}),
    (
        "a consent that the gateway claims to have recorded",
        "recording_party_unknown",
        lambda b: {"consent_iss": "gateway", "consent_key": b.world.keystores["gateway"].signing("order")},
    ),
    (
        "a consent that a government recorded",
        "recording_party_unknown",
        lambda b: {"consent_iss": "avim", "consent_key": b.world.keystores["avim"].signing("sign")},
    ),
    ("a consent of another client", "consent_mismatch", lambda _: {"consent_client": OTHER_CLIENT}),
    ("a consent for another purpose", "consent_mismatch", lambda _: {"consent_purpose": "case_transfer"}),
    ("a consent for another source", "consent_invalid", lambda _: {"consent_aud": "avim"}),
    ("a consent for another recipient", "consent_does_not_cover", lambda _: {"consent_recipients": ("ind",)}),
    (
        "a consent that does not disclose the category",
        "consent_does_not_cover",
        lambda b: {"consented": (b.source.another,)},
    ),
    ("a consent that has ended", "consent_invalid", lambda _: {"consent_ends_in_seconds": -60}),
    ("no consent where it is due", "consent_mismatch", lambda _: {"without_consent": True}),
    ("a key to seal to that nobody published", "keys_not_verified", lambda _: {"seal_to": "C" * 43}),
    (
        "a key to seal to of another party",
        "keys_not_verified",
        lambda b: {"seal_to": b.world.keystores["avim"].decryption().kid},
    ),
]


def _keys_of_askv(bench: Any) -> dict[str, Any]:
    askv = bench.world.keystores["askv"]
    return {"request_key": askv.signing("sign"), "seal_to": askv.decryption().kid}


@pytest.mark.parametrize(
    ("why", "override"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS]
)
def test_an_order_is_not_believed_for(
    bench: Any, why: str, override: Callable[[Any], dict[str, Any]]
) -> None:
    assert bench.send(bench.spec()).status_code == 200
    refused = bench.send(bench.spec(**override(bench)))
    assert (refused.status_code, refused.json()["code"]) == (403, f"order_refused_{why}")
    assert refused.headers["content-type"] == "application/problem+json"
    assert AMINA.v_number not in refused.text


def test_a_special_category_needs_a_consent_that_names_it(bench: Any) -> None:
    if bench.source.name == "dtv":
        pytest.skip("the agreement has no special category of DT&V")
    narrative = Category.FLIGHT_NARRATIVE
    spec = bench.spec()
    explicit = OrderedCategory(category=narrative, ground="explicit_consent", consent=spec.consent_jti)
    named = bench.spec(consent_jti=spec.consent_jti, categories=(explicit,), explicit=(narrative,))
    assert bench.send(named).status_code == 200
    unnamed = bench.spec(consent_jti=spec.consent_jti, categories=(explicit,))
    assert bench.send(unnamed).json()["code"] == "order_refused_consent_does_not_cover"


def test_a_category_that_needs_consent_does_not_leave_as_baseline(bench: Any) -> None:
    assert bench.send(bench.spec()).status_code == 200
    smuggled = OrderedCategory.model_construct(
        category=bench.source.ordinary, ground="baseline", consent=None
    )
    refused = bench.send(bench.spec(categories=(smuggled,)))
    assert refused.json()["code"] == "order_refused_order_invalid"


def test_a_category_does_not_leave_by_a_statute_that_the_agreement_does_not_name(bench: Any) -> None:
    assert bench.send(bench.spec()).status_code == 200
    claimed = OrderedCategory(category=bench.source.ordinary, ground="statutory")
    assert bench.send(bench.spec(categories=(claimed,))).json()["code"] == "order_refused_ground_differs"


def test_an_agency_that_may_not_be_asked_without_consent_is_not(bench: Any) -> None:
    assert bench.send(bench.spec()).status_code == 200
    baseline = OrderedCategory(category=bench.source.baseline, ground="baseline")
    response = bench.send(bench.spec(categories=(baseline,)))
    if bench.source.name == "dtv":
        assert response.json()["code"] == "order_refused_ground_differs"
    else:
        assert response.status_code == 200


def test_partners_are_not_a_sources_to_tell(bench: Any) -> None:
    assert bench.send(bench.spec()).status_code == 200
    partners = OrderedCategory(category=Category.PARTNERS, ground="baseline")
    refused = bench.send(bench.spec(categories=(*bench.orders.ordered(bench.spec())[:1], partners)))
    assert refused.status_code == 403


def test_a_number_by_which_the_source_knows_nobody_is_refused(bench: Any) -> None:
    number = ClientIdentifier(scheme=Scheme.PARTY_NUMBER, value=AMINA.vvs_number)
    response = bench.send(bench.spec(client=number))
    if bench.source.name == "vvs":
        assert response.status_code == 200
    else:
        assert response.json()["code"] == "order_refused_unknown_scheme"


# --- keys ----------------------------------------------------------------------------------


def test_a_key_list_that_the_gateway_made_up_is_found_out(
    bench: Any, tmp_path: Path, another_adapter: Callable[..., Any]
) -> None:
    assert bench.send(bench.spec()).status_code == 200
    gateways_own = SigningKey.generate()
    world = bench.world
    world.gateway.key_lists["askv"] = world.key_list(
        "askv", signed_by=SigningKey.generate(), encrypt=gateways_own.public
    )
    with another_adapter(tmp_path / "state.sqlite") as fresh_cache:
        refused = fresh_cache.send(fresh_cache.spec(seal_to=gateways_own.kid))
        assert refused.json()["code"] == "order_refused_keys_not_verified"


def test_key_lists_that_cannot_be_fetched_leave_the_order_open(
    bench: Any, tmp_path: Path, another_adapter: Callable[..., Any]
) -> None:
    served = bench.world.gateway.key_lists.pop("askv")
    with another_adapter(tmp_path / "state.sqlite") as fresh_cache:
        order = fresh_cache.orders.make(fresh_cache.spec())
        down = fresh_cache.send(order)
        assert (down.status_code, down.json()["code"]) == (503, "keys_unavailable")
        bench.world.gateway.key_lists["askv"] = served
        assert fresh_cache.send(order).status_code == 200


# --- single use ----------------------------------------------------------------------------


def test_the_same_order_gets_the_same_bytes(bench: Any) -> None:
    order = bench.orders.make(bench.spec())
    first = bench.send(order)
    assert first.status_code == 200
    assert bench.send(order).content == first.content


def test_the_same_order_gets_the_same_bytes_after_a_restart(
    bench: Any, tmp_path: Path, another_adapter: Callable[..., Any]
) -> None:
    state = tmp_path / "state.sqlite"
    with another_adapter(state) as before:
        order = before.orders.make(before.spec())
        first = before.send(order)
        assert first.status_code == 200
    with another_adapter(state) as after:
        assert after.send(order).content == first.content


def test_other_bytes_under_the_same_exchange_are_refused(bench: Any) -> None:
    spec = bench.spec()
    assert bench.send(spec).status_code == 200
    refused = bench.send(bench.spec(exchange=spec.exchange))
    assert (refused.status_code, refused.json()["code"]) == (409, "other_bytes_under_this_exchange")


def test_a_signed_request_serves_one_exchange(bench: Any) -> None:
    spec = bench.spec()
    assert bench.send(spec).status_code == 200
    replayed = bench.send(bench.spec(request_jti=spec.request_jti))
    assert replayed.json()["code"] == "order_refused_request_replayed"
