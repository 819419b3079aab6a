"""The contract of a source, shown on every adapter before its simulated agency: what it answers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.kit.order_check import order_digest
from adapters.protocol import (
    Category,
    CategoryStatus,
    ClientIdentifier,
    OrderedCategory,
    Scheme,
    SourceRefusal,
)
from adapters.simulation.personas import BY_NAME

pytestmark = pytest.mark.usefixtures("as_it_was")

AMINA = BY_NAME["amina"]


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


def test_four_hundred_papers_arrive_each_once(bench: Any) -> None:
    if bench.source.name != "ind":
        pytest.skip("only IND holds so many")
    jti = bench.spec().consent_jti
    client = ClientIdentifier(scheme=Scheme.V_NUMBER, value=BY_NAME["khalid"].v_number)
    papers = OrderedCategory(category=bench.source.another, ground="consent", consent=jti)
    answer = bench.send(bench.spec(client=client, consent_jti=jti, categories=(papers,))).json()
    assert len({document.content for document in bench.opened(answer)}) == 400


def test_a_paper_of_five_megabytes_arrives_whole(bench: Any) -> None:
    jti = bench.spec().consent_jti
    client = ClientIdentifier(scheme=Scheme.V_NUMBER, value=BY_NAME["petros"].v_number)
    category = Category.DECISIONS if bench.source.name == "ind" else bench.source.another
    paper = OrderedCategory(category=category, ground="consent", consent=jti)
    answer = bench.send(bench.spec(client=client, consent_jti=jti, categories=(paper,))).json()
    largest = max(len(document.content) for document in bench.opened(answer))
    assert largest > (400_000 if bench.source.name == "vvs" else 5_000_000)


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
