"""Make the record of a consent and its receipt: ISO/IEC TS 27560:2023 in JSON-LD, by the W3C's DPV.

The receipt is what the client takes home, so it holds no identifier, name or nationality of theirs, and
of special categories no more than the category's id (DPV guide on 27560, Annex E). Where the guide's
examples repeat a member, we use an array: a repeated member is not JSON that two readers read alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from consent.model import Consent, Event, Evidence, Noted, Terms

Json: TypeAlias = "str | int | bool | Sequence[Json] | Mapping[str, Json] | None"

RECORD_PROFILE = "https://w3id.org/dpv/schema/dpv-27560#record-eu-gdpr"
RECEIPT_PROFILE = "https://w3id.org/dpv/schema/dpv-27560#receipt-eu-gdpr"
CONTEXT: Mapping[str, str] = {
    "dpv": "https://w3id.org/dpv#",
    "loc": "https://w3id.org/dpv/loc#",
    "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
    "dct": "http://purl.org/dc/terms/",
    "schema": "https://schema.org/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
# Where a complaint goes (GDPR art. 77).
_AUTHORITY = "https://autoriteitpersoonsgegevens.nl/"
# Only ConsentGiven is valid for processing; the others say in DPV's words what became of the consent.
_STATUS: Mapping[Event, str] = {
    Event.RECORDED: "dpv:ConsentRequested",
    Event.GRANTED: "dpv:ConsentGiven",
    Event.REFUSED: "dpv:ConsentRefused",
    Event.WITHDRAWN: "dpv:ConsentWithdrawn",
    Event.PAUSED: "dpv:ConsentUnknown",
    Event.EXPIRED: "dpv:ConsentExpired",
    Event.REPLACED: "dpv:ConsentTerminated",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """What a receipt says beside the consent itself. `base` is the gateway's address.

    Of the parties it has names only: addresses and contacts, which ISO asks for, come with the register.
    """

    base: str
    client_pseudonym: str  # as the recording party knows the client; never an identifier
    controller: str
    names: Mapping[str, str]  # of every party of the consent, the controller included
    special: frozenset[str]


def record(
    consent: Consent, terms: Terms, evidence: Evidence, events: Sequence[Noted], setting: Setting
) -> dict[str, Json]:
    """Describe one consent with everything that happened to it, oldest first."""
    return {
        "@context": dict(CONTEXT),
        "@id": f"{setting.base}/v1/consents/{consent.id}",
        "@type": "dpv:ConsentRecord",
        "dct:conformsTo": RECORD_PROFILE,
        "dct:identifier": consent.id,
        "dpv:hasDataSubject": {"@id": f"urn:dossierpoort:client:{setting.client_pseudonym}"},
        "dpv:hasJurisdiction": {"@id": "loc:NL"},
        "dpv:hasApplicableLaw": {"@id": "eu-gdpr:GDPR"},
        "dpv:hasEntity": _entities(terms, setting),
        "dpv:hasNotice": {
            "@id": f"urn:dossierpoort:notice:{evidence.notice_digest}",
            "@type": "dpv:ConsentNotice",
            "dct:language": evidence.notice_language,
        },
        "dct:language": evidence.notice_language,
        "dpv:hasProcess": [_process(consent, terms, setting)],
        "dpv:hasConsentControl": [
            {
                "@type": ["dpv:WithdrawConsent"],
                "dpv:isExercisedAt": f"{setting.base}/v1/consents/{consent.id}/withdrawal",
            }
        ],
        "dpv:hasRight": [
            {
                "@type": ["dpv:DataSubjectRight", "eu-gdpr:A7-3"],
                "dpv:isExercisedAt": f"{setting.base}/v1/consents/{consent.id}/withdrawal",
            },
            {"@type": ["dpv:DataSubjectRight", "eu-gdpr:A77"], "dpv:isExercisedAt": _AUTHORITY},
        ],
        "dpv:hasConsentStatus": [_status(noted, consent, terms, evidence, setting) for noted in events],
    }


def receipt(
    record_: Mapping[str, Json], *, receipt_id: str, publisher: str, created_at: int
) -> dict[str, Json]:
    """Wrap a record as the receipt that the client may keep."""
    return {
        "@context": dict(CONTEXT),
        "@type": "dpv:ConsentReceipt",
        "dct:conformsTo": RECEIPT_PROFILE,
        "dct:identifier": receipt_id,
        "dct:created": rfc3339(created_at),
        "dct:publisher": publisher,
        "dpv:hasRecordOfActivity": [dict(record_)],
    }


def rfc3339(at: int) -> str:
    """Write an instant as RFC 3339 in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _entities(terms: Terms, setting: Setting) -> list[Json]:
    roles: dict[str, list[str]] = {setting.controller: ["dpv:DataController"]}
    for source in terms.sources:
        roles.setdefault(source, []).append("dpv:DataSource")
    for recipient in terms.recipients:
        roles.setdefault(recipient, []).append("dpv:Recipient")
    return [
        {
            "@id": _party_id(party),
            "@type": ["dpv:LegalEntity", *names],
            "dpv:hasName": setting.names[party],
            "dpv:hasIdentifier": party,
        }
        for party, names in roles.items()
    ]


def _process(consent: Consent, terms: Terms, setting: Setting) -> dict[str, Json]:
    return {
        "@type": "dpv:Process",
        "dpv:hasPurpose": [
            {
                "@id": f"urn:dossierpoort:purpose:{terms.purpose}",
                "skos:broader": {"@id": "dpv:ServiceProvision"},
            }
        ],
        "dpv:hasProcessing": [{"@id": "dpv:Disclose"}],
        "dpv:hasPersonalData": [_category(category, setting) for category in terms.categories],
        # Two fields, both there: what the exchange rests on in law, and the client's yes beside it.
        "dpv:hasLegalBasis": [
            {"@type": "dpv:LegalBasis", "dct:title": consent.legal_basis},
            *({"@id": "eu-gdpr:A9-2-a"} for _ in terms.explicit[:1]),
        ],
        "dpv:hasDataController": [{"@id": _party_id(setting.controller)}],
        "dpv:hasDataSource": [{"@id": _party_id(source)} for source in terms.sources],
        "dpv:hasRecipient": [{"@id": _party_id(recipient)} for recipient in terms.recipients],
        "dpv:hasStorageCondition": [
            {"@type": "dpv:StorageLocation", "dpv:hasLocation": {"@id": "loc:NL"}},
            {"@type": "dpv:StorageDuration", "dct:valid": rfc3339(terms.valid_until)},
        ],
    }


def _category(category: str, setting: Setting) -> dict[str, Json]:
    kinds = ["dpv:PersonalData"]
    if category in setting.special:
        kinds.append("dpv:SpecialCategoryPersonalData")
    return {"@id": f"urn:dossierpoort:category:{category}", "@type": kinds}


def _status(
    noted: Noted, consent: Consent, terms: Terms, evidence: Evidence, setting: Setting
) -> dict[str, Json]:
    consent_type = "dpv:ExplicitlyExpressedConsent" if terms.explicit else "dpv:ExpressedConsent"
    return {
        "@type": [_STATUS[noted.event], consent_type],
        "dpv:hasConsentStatus": {"@id": _STATUS[noted.event]},
        "dpv:isIndicatedAtTime": rfc3339(noted.at),
        "dpv:isIndicatedBy": {"@id": "dpv:DataSubject"},
        "dpv:hasIndicationMethod": evidence.method.value,
        "dpv:hasDuration": {
            "@type": "dpv:TemporalDuration",
            "schema:startDate": rfc3339(consent.valid_from),
            "schema:endDate": rfc3339(consent.valid_until),
        },
        # The leaf of the transparency log that commits to this event.
        "dct:source": {"@id": f"urn:dossierpoort:ledger:{noted.ledger_index}"},
    }


def _party_id(party: str) -> str:
    return f"urn:dossierpoort:party:{party}"
