"""Say which field of IND is which category: a table, and its reading.

IND's field            category
perspectief            perspective       ja → yes, nee → no; anything else is no baseline value
stukken[soort=…]       documents         PDF files, as they are
gegevens[…]            a JSON document   structured facts
geweigerd[…]           a refusal         WET → legal_ground, DERDEN → third_party_interest
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from adapters.kit.agency import AgencyTrouble, Document, Finding, Record
from adapters.kit.agency_fields import base64_bytes, identifier, json_document, listed, mapped, text
from adapters.protocol import Category, Scheme, SourceRefusal

PARTS: Mapping[Category, str] = {
    Category.PERSPECTIVE: "perspectief",
    Category.IDENTITY: "personalia",
    Category.RESIDENCE_STATUS: "verblijfsstatus",
    Category.APPLICATION_STATUS: "aanvraagstatus",
    Category.PROCEDURE_HISTORY: "procedureverloop",
    Category.DECISIONS: "beschikkingen",
    Category.DOSSIER_DOCUMENTS: "dossierstukken",
    Category.FLIGHT_NARRATIVE: "gehoren",
}
PERSPECTIVE: Mapping[str, str] = {"ja": "yes", "nee": "no"}
REFUSALS: Mapping[str, SourceRefusal] = {
    "WET": SourceRefusal.LEGAL_GROUND,
    "DERDEN": SourceRefusal.THIRD_PARTY_INTEREST,
}


def parts(categories: Collection[Category]) -> list[str]:
    """Name the parts of IND's dossier that hold these categories; what IND does not hold is left out."""
    return sorted(PARTS[category] for category in categories if category in PARTS)


def to_record(pages: Sequence[Mapping[str, object]]) -> Record:
    """Read the pages of one dossier; raise AgencyTrouble on a field of another type.

    What was not asked for is read too, where it fits the table: the order desk drops it.
    """
    first = pages[0]
    papers = [mapped(paper) for page in pages for paper in listed(page, "stukken")]
    facts = mapped(first.get("gegevens", {}))
    refused = {
        text(line, "onderdeel"): text(line, "reden") for line in map(mapped, listed(first, "geweigerd"))
    }
    findings: dict[Category, Finding] = {}
    for category, part in PARTS.items():
        if category is Category.PERSPECTIVE:
            said = first.get(part)
            value = PERSPECTIVE.get(said, said) if isinstance(said, str) else said
            findings[category] = Finding(unverified_value=value)
            continue
        documents = [_document(paper) for paper in papers if paper.get("soort") == part]
        if part in facts:
            documents.append(json_document(part, facts[part]))
        findings[category] = Finding(documents=tuple(documents), refusal=_refusal(refused.get(part)))
    return Record(identifier(Scheme.V_NUMBER, text(first, "vnummer")), findings)


def _document(paper: Mapping[str, object]) -> Document:
    return Document(text(paper, "titel"), text(paper, "mediatype"), base64_bytes(paper, "inhoud"))


def _refusal(reason: str | None) -> SourceRefusal | None:
    if reason is None:
        return None
    if reason not in REFUSALS:
        raise AgencyTrouble("agency_answer_invalid", "a reason for refusing that is not in the table")
    return REFUSALS[reason]
