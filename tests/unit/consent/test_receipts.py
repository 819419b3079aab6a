"""Records and receipts: the fields of ISO/IEC TS 27560 that DPV requires, and nothing of the client."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from consent import receipts
from consent.model import AgeGroup, Consent, Event, Evidence, Method, Noted, State, TeachBack, Terms

NOW = int(datetime(2026, 3, 31, 9, tzinfo=UTC).timestamp())
LATER = int(datetime(2026, 9, 30, 9, tzinfo=UTC).timestamp())
# DPV guide on ISO/IEC TS 27560, §8: what a record must have.
REQUIRED = {
    "dct:conformsTo",
    "dct:identifier",
    "dpv:hasDataSubject",
    "dpv:hasNotice",
    "dct:language",
    "dpv:hasProcess",
    "dpv:hasConsentControl",
    "dpv:hasJurisdiction",
    "dpv:hasRight",
    "dpv:hasEntity",
    "dpv:hasConsentStatus",
}


def made(*events: Event, explicit: tuple[str, ...] = ()) -> dict[str, Any]:
    consent = Consent(
        id="consent-0123456789",
        client_id="the-gateways-own-client-id",
        recorded_by_party="vluchtelingenwerk",
        recorded_by="desk-01",
        confirmed_by="desk-02",
        purpose="legal_screening",
        state=State.ACTIVE,
        legal_basis="GDPR 6(1)(f)",
        minor=False,
        guardian=False,
        valid_from=NOW,
        valid_until=LATER,
        evidence_digest="sha-256:" + "A" * 43,
        created_at=NOW,
        changed_at=NOW,
    )
    terms = Terms(
        purpose="legal_screening",
        sources=("ind", "dtv"),
        recipients=("vluchtelingenwerk",),
        categories=("decisions", "flight_narrative"),
        explicit=explicit,
        valid_from=NOW,
        valid_until=LATER,
    )
    evidence = Evidence(
        method=Method.VERBAL_WITH_WITNESS,
        notice_language="ti",
        notice_digest="sha-256:" + "B" * 43,
        staff="staff-marked-1",
        teach_back=TeachBack.UNDERSTOOD,
        age_group=AgeGroup.FROM_16,
        salt="c2FsdC1vZi10aGlzLXRlc3Q",
        interpreter="interpreter-marked-2",
        witness="witness-marked-3",
    )
    setting = receipts.Setting(
        base="https://gate.example",
        client_pseudonym="pseudonym",
        controller="vluchtelingenwerk",
        names={"vluchtelingenwerk": "VluchtelingenWerk", "ind": "IND", "dtv": "DT&V"},
        special=frozenset({"flight_narrative"}),
    )
    noted = [
        Noted(event, NOW + n, "worker-marked-4", n) for n, event in enumerate(events or (Event.RECORDED,))
    ]
    return receipts.record(consent, terms, evidence, noted, setting)


def test_a_record_has_what_dpv_requires() -> None:
    record = made(Event.RECORDED, Event.GRANTED)
    assert set(record) >= REQUIRED
    process = record["dpv:hasProcess"][0]
    for member in (
        "hasPurpose",
        "hasPersonalData",
        "hasStorageCondition",
        "hasDataController",
        "hasRecipient",
    ):
        assert process[f"dpv:{member}"]
    assert process["dpv:hasLegalBasis"][0]["dct:title"] == "GDPR 6(1)(f)"


def test_a_record_says_what_happened_in_order() -> None:
    record = made(Event.RECORDED, Event.GRANTED, Event.WITHDRAWN)
    statuses = [status["@type"][0] for status in record["dpv:hasConsentStatus"]]
    assert statuses == ["dpv:ConsentRequested", "dpv:ConsentGiven", "dpv:ConsentWithdrawn"]
    assert record["dpv:hasConsentStatus"][0]["dpv:isIndicatedAtTime"] == "2026-03-31T09:00:00Z"


def test_every_event_has_a_word_and_only_granting_is_valid_for_processing() -> None:
    words = {event: made(event)["dpv:hasConsentStatus"][0]["@type"][0] for event in Event}
    assert [event for event, word in words.items() if word == "dpv:ConsentGiven"] == [Event.GRANTED]


def test_a_record_holds_nothing_of_the_client_or_of_who_was_in_the_room() -> None:
    text = json.dumps(made(Event.RECORDED, Event.GRANTED))
    assert "pseudonym" in text
    for mark in ("marked", "the-gateways-own-client-id", "2801234567"):
        assert mark not in text


def test_a_special_category_is_named_by_its_id_alone() -> None:
    data = made(explicit=("flight_narrative",))["dpv:hasProcess"][0]["dpv:hasPersonalData"]
    assert data[1] == {
        "@id": "urn:dossierpoort:category:flight_narrative",
        "@type": ["dpv:PersonalData", "dpv:SpecialCategoryPersonalData"],
    }
    assert "dpv:SpecialCategoryPersonalData" not in data[0]["@type"]


@pytest.mark.parametrize("explicit", [(), ("flight_narrative",)])
def test_explicit_consent_is_called_so(explicit: tuple[str, ...]) -> None:
    record = made(explicit=explicit)
    bases = record["dpv:hasProcess"][0]["dpv:hasLegalBasis"]
    assert ({"@id": "eu-gdpr:A9-2-a"} in bases) is bool(explicit)


def test_a_party_with_two_parts_is_one_entity() -> None:
    record = made()
    entities = {entity["dpv:hasIdentifier"]: entity["@type"] for entity in record["dpv:hasEntity"]}
    assert entities["vluchtelingenwerk"] == ["dpv:LegalEntity", "dpv:DataController", "dpv:Recipient"]
    assert entities["ind"] == ["dpv:LegalEntity", "dpv:DataSource"]


def test_a_receipt_wraps_its_record() -> None:
    record = made()
    receipt = receipts.receipt(record, receipt_id="r-1", publisher="https://gate.example", created_at=NOW)
    assert receipt["dpv:hasRecordOfActivity"] == [record]
    assert receipt["dct:created"] == "2026-03-31T09:00:00Z"
    assert receipt["dct:conformsTo"] == receipts.RECEIPT_PROFILE
