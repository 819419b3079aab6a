"""The contract of a source: what every adapter does, shown on each, before its real simulated agency."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.kit.keys import SigningKey
from adapters.protocol import (
    Category,
    CategoryAnswer,
    CategoryStatus,
    ClientIdentifier,
    OrderedCategory,
    Scheme,
    SourceRefusal,
)
from adapters.simulation.personas import BY_NAME

pytestmark = pytest.mark.usefixtures("as_it_was")

AMINA, BILAL = BY_NAME["amina"], BY_NAME["bilal"]
OTHER_CLIENT = ClientIdentifier(scheme=Scheme.V_NUMBER, value=BILAL.v_number)
LAPSED = CategoryAnswer(status=CategoryStatus.REFUSED, refusal=SourceRefusal.CONSENT_LAPSED)


# --- what is answered ----------------------------------------------------------------------


def test_answers_exactly_what_is_ordered_sealed_and_attested(bench: Any) -> None:
    spec = bench.spec()
    order = bench.orders.make(spec)
    response = bench.send(order)
    assert response.status_code == 200, response.text
    answer = response.json()
    claims = bench.attested(answer)
    assert claims.aud == spec.recipient
    assert set(claims.answers) == {bench.source.baseline, bench.source.ordinary}
    assert claims.answers[bench.source.baseline].value in ("yes", "no")
    documents = bench.opened(answer)
    assert documents
    assert {document.category for document in documents} == {bench.source.ordinary}
    assert len(claims.answers[bench.source.ordinary].sealed) == len(documents)


def test_the_order_that_was_answered_is_named_by_its_digest(bench: Any) -> None:
    order = bench.orders.make(bench.spec())
    assert bench.attested(bench.send(order).json()).order == order_digest(order)


def test_a_baseline_order_brings_a_yes_or_no_and_no_document(bench: Any) -> None:
    if bench.source.name == "dtv":
        pytest.skip("DT&V may not be asked without consent: tested below")
    spec = bench.spec(categories=(OrderedCategory(category=bench.source.baseline, ground="baseline"),))
    answer = bench.send(spec).json()
    assert bench.attested(answer).answers[bench.source.baseline].value == "yes"
    assert answer.get("sealed", []) == []


def test_pdf_documents_arrive_whole(bench: Any) -> None:
    spec = bench.spec()
    another = bench.source.another
    spec = bench.spec(
        consent_jti=spec.consent_jti,
        categories=(OrderedCategory(category=another, ground="consent", consent=spec.consent_jti),),
    )
    documents = bench.opened(bench.send(spec).json())
    pdfs = [document for document in documents if document.media_type == "application/pdf"]
    assert pdfs
    assert all(pdf.content.startswith(b"%PDF-") and pdf.content.rstrip().endswith(b"%%EOF") for pdf in pdfs)


def test_a_client_nobody_knows_is_attested_as_not_found(bench: Any) -> None:
    assert bench.send(bench.spec()).status_code == 200
    unknown = ClientIdentifier(scheme=Scheme.V_NUMBER, value=BY_NAME["estifanos"].v_number)
    answer = bench.send(bench.spec(client=unknown)).json()
    statuses = {given.status for given in bench.attested(answer).answers.values()}
    assert statuses == {CategoryStatus.CLIENT_NOT_FOUND}
    assert answer.get("sealed", []) == []


def test_what_the_agency_refuses_by_law_is_attested_so(bench: Any) -> None:
    client = ClientIdentifier(scheme=Scheme.V_NUMBER, value=BY_NAME["halima"].v_number)
    answer = bench.send(bench.spec(client=client)).json()
    given = bench.attested(answer).answers
    assert given[bench.source.ordinary].refusal is SourceRefusal.LEGAL_GROUND
    assert given[bench.source.baseline].value == "yes"


def test_what_was_taken_out_for_others_is_said(bench: Any) -> None:
    client = ClientIdentifier(scheme=Scheme.V_NUMBER, value=BY_NAME["goitom"].v_number)
    jti = bench.spec().consent_jti
    another = OrderedCategory(category=bench.source.another, ground="consent", consent=jti)
    answer = bench.send(bench.spec(client=client, consent_jti=jti, categories=(another,))).json()
    given = bench.attested(answer).answers[bench.source.another]
    assert given.status is CategoryStatus.PROVIDED
    assert given.refusal is SourceRefusal.THIRD_PARTY_INTEREST


# --- what is refused -----------------------------------------------------------------------

OTHER_KEY = SigningKey.generate()

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


# --- the body ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "malformed_json"),
        (b"{", 400, "malformed_json"),
        (b'{"order": "a.b.c", "order": "d.e.f"}', 400, "duplicate_key"),
        (b'{"order": "a.b.c", "more": 1}', 400, "invalid_input"),
        (b'{"order": 1}', 400, "invalid_input"),
        (b"[]", 400, "invalid_input"),
        (b'{"order": "' + b"a" * 70_000 + b'"}', 413, "body_too_large"),
        (b'{"order": "a.b.c"}', 403, "order_refused_order_invalid"),
        (b'{"order": "garbage"}', 403, "order_refused_order_invalid"),
    ],
)
def test_a_body_that_is_no_order_is_refused(bench: Any, content: bytes, status: int, code: str) -> None:
    headers = {"content-type": "application/json"}
    refused = bench.post("/v1/orders", content=content, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (status, code)


def test_a_body_of_another_media_type_is_refused(bench: Any) -> None:
    order = bench.orders.make(bench.spec())
    body = json.dumps({"order": order}).encode()
    refused = bench.post("/v1/orders", content=body, headers={"content-type": "text/plain"})
    assert refused.json()["code"] == "unsupported_media_type"
    assert bench.post("/v1/orders", json={"order": order}).status_code == 200


def test_addresses_that_are_not_there_answer_problems(bench: Any) -> None:
    assert bench.get("/livez").status_code == 200
    assert bench.get("/readyz").status_code == 200
    assert bench.get("/v1/everything").json()["code"] == "page_not_found"
    assert bench.get("/v1/orders").json()["code"] == "method_not_allowed"


# --- a bad agency --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [
        ("down", 503, "agency_unavailable"),
        ("error", 503, "agency_unavailable"),
        ("garbage", 502, "agency_answer_invalid"),
        ("duplicate_keys", 502, "agency_answer_invalid"),
        ("huge", 502, "agency_answer_invalid"),
        ("wrong_client", 502, "agency_answer_invalid"),
        ("free_text", 502, "agency_answer_invalid"),
    ],
)
def test_nothing_leaves_while_the_agency_misbehaves_and_the_order_stays_open(
    bench: Any, mode: str, status: int, code: str
) -> None:
    order = bench.orders.make(bench.spec())
    bench.behave(AMINA, mode)
    failed = bench.send(order)
    assert (failed.status_code, failed.json()["code"]) == (status, code)
    assert "attestation" not in failed.text
    bench.behave(AMINA, "ok")
    assert bench.send(order).status_code == 200


def test_what_the_agency_sends_beyond_the_order_stays_behind(bench: Any) -> None:
    bench.behave(AMINA, "extra")
    answer = bench.send(bench.spec()).json()
    assert set(bench.attested(answer).answers) == {bench.source.baseline, bench.source.ordinary}
    assert {document.category for document in bench.opened(answer)} == {bench.source.ordinary}


def test_a_slow_agency_does_not_hold_the_order_for_ever(
    bench: Any, tmp_path: Path, another_adapter: Callable[..., Any]
) -> None:
    with another_adapter(tmp_path / "state.sqlite", agency_timeout_seconds=0.3) as impatient:
        order = impatient.orders.make(impatient.spec())
        bench.behave(AMINA, "ok", delay_seconds=1.0)
        assert impatient.send(order).json()["code"] == "agency_unavailable"
        bench.behave(AMINA, "ok")
        assert impatient.send(order).status_code == 200


def test_a_source_that_comes_back_answers_the_order_that_was_open(bench: Any) -> None:
    nasir = BY_NAME["nasir"]
    bench.behave(nasir, "down_then_back")
    spec = bench.spec(client=ClientIdentifier(scheme=Scheme.V_NUMBER, value=nasir.v_number))
    order = bench.orders.make(spec)
    assert [bench.send(order).status_code for _ in range(3)] == [503, 503, 200]


# --- later, and cancelled ------------------------------------------------------------------


def delivered(bench: Any, exchange: str, seconds: float = 8.0) -> dict[str, Any]:
    """Wait until the gateway was brought the answer of this exchange."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for answer in list(bench.world.gateway.delivered):
            if answer["exchange"] == exchange:
                return dict(answer)
        time.sleep(0.02)
    raise AssertionError("nothing was delivered")


def test_an_answer_that_comes_later_is_brought_to_the_gateway(bench: Any) -> None:
    bench.behave(AMINA, "later", delay_seconds=0.2)
    spec = bench.spec()
    order = bench.orders.make(spec)
    accepted = bench.send(order)
    assert accepted.status_code == 202
    assert accepted.json() == {"exchange": spec.exchange, "state": "accepted"}
    answer = delivered(bench, spec.exchange)
    assert set(bench.attested(answer).answers) == {bench.source.baseline, bench.source.ordinary}
    assert bench.opened(answer)
    assert bench.send(order).json() == answer


def test_an_answer_is_brought_again_until_the_gateway_takes_it(bench: Any) -> None:
    bench.world.gateway.answer_status = 503
    bench.behave(AMINA, "later", delay_seconds=0.1)
    spec = bench.spec()
    assert bench.send(spec).status_code == 202
    time.sleep(1.6)
    bench.world.gateway.answer_status = 201
    delivered(bench, spec.exchange)


def test_a_waiting_order_survives_a_restart(
    bench: Any, tmp_path: Path, another_adapter: Callable[..., Any]
) -> None:
    state = tmp_path / "state.sqlite"
    bench.behave(AMINA, "later", delay_seconds=0.5)
    with another_adapter(state) as before:
        spec = before.spec()
        assert before.send(spec).status_code == 202
    with another_adapter(state):
        assert bench.opened(delivered(bench, spec.exchange))


def test_a_cancelled_category_is_not_in_the_answer_that_comes_later(bench: Any) -> None:
    bench.behave(AMINA, "later", delay_seconds=0.5)
    spec = bench.spec()
    assert bench.send(spec).status_code == 202
    cancelled = bench.cancel(spec, bench.source.ordinary)
    assert cancelled.json() == {"dropped": [bench.source.ordinary.value]}
    answer = delivered(bench, spec.exchange)
    claims = bench.attested(answer)
    assert claims.answers[bench.source.ordinary] == LAPSED
    assert claims.answers[bench.source.baseline].value == "yes"
    assert answer.get("sealed", []) == []


def test_a_cancellation_may_come_before_its_order(bench: Any) -> None:
    spec = bench.spec()
    assert bench.cancel(spec, bench.source.ordinary).status_code == 200
    answer = bench.send(spec).json()
    assert bench.attested(answer).answers[bench.source.ordinary] == LAPSED
    assert answer.get("sealed", []) == []


def test_when_everything_is_cancelled_the_agency_is_not_asked(bench: Any) -> None:
    spec = bench.spec()
    bench.cancel(spec, bench.source.ordinary, bench.source.baseline)
    bench.behave(AMINA, "down")
    answer = bench.send(spec).json()
    assert [given for given in bench.attested(answer).answers.values() if given != LAPSED] == []


def test_an_answer_that_was_made_but_not_brought_loses_what_is_cancelled(bench: Any) -> None:
    bench.world.gateway.answer_status = 503
    bench.behave(AMINA, "later", delay_seconds=0.1)
    spec = bench.spec()
    assert bench.send(spec).status_code == 202
    time.sleep(1.6)
    assert bench.cancel(spec, bench.source.ordinary).json() == {"dropped": [bench.source.ordinary.value]}
    bench.world.gateway.answer_status = 201
    answer = delivered(bench, spec.exchange)
    assert bench.attested(answer).answers[bench.source.ordinary] == LAPSED
    assert answer.get("sealed", []) == []


def test_what_was_answered_cannot_be_dropped_but_is_not_sent_again(bench: Any) -> None:
    spec = bench.spec()
    order = bench.orders.make(spec)
    assert bench.opened(bench.send(order).json())
    assert bench.cancel(spec, bench.source.ordinary).json() == {"dropped": []}
    again = bench.send(order).json()
    assert bench.attested(again).answers[bench.source.ordinary] == LAPSED
    assert again.get("sealed", []) == []


@pytest.mark.parametrize("forged", ["key", "exchange"])
def test_a_forged_cancellation_drops_nothing(bench: Any, forged: str) -> None:
    forgeries = {"key": {"key": OTHER_KEY}, "exchange": {"exchange": "x" * 22}}
    spec = bench.spec()
    refused = bench.cancel(spec, bench.source.ordinary, **forgeries[forged])
    assert (refused.status_code, refused.json()["code"]) == (403, "order_refused_cancellation_invalid")
    assert bench.opened(bench.send(spec).json())


# --- what stays on disk --------------------------------------------------------------------


def test_no_identifier_and_no_paper_is_on_disk(
    bench: Any, tmp_path: Path, another_adapter: Callable[..., Any]
) -> None:
    with another_adapter(tmp_path / "state" / "state.sqlite") as adapter:
        answer = adapter.send(adapter.spec()).json()
        assert adapter.opened(answer)
        files = list((tmp_path / "state").iterdir())
        assert files
        for path in files:
            content = path.read_bytes()
            assert AMINA.v_number.encode() not in content
            assert AMINA.vvs_number.encode() not in content
            assert b"%PDF" not in content
            assert path.stat().st_mode & 0o077 == 0
