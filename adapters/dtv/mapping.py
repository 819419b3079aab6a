"""Say which field of DT&V is which category: a table, and its reading.

DT&V's field        category
KansOpToelating     perspective        J → yes, N → no, "" → no statement
Mogelijkheden       return_options     a JSON document
Belemmeringen       return_obstacles   a JSON document
Bestanden           travel_documents   files of Type "Reisdocumenten", as they are
Afgeschermd         a refusal          A1 → legal_ground, D2 → third_party_interest
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from adapters.kit.agency import AgencyTrouble, Document, Finding, Record
from adapters.kit.agency_fields import identifier, json_document, listed, mapped, text
from adapters.protocol import Category, Scheme, SourceRefusal

TOPICS: Mapping[Category, str] = {
    Category.PERSPECTIVE: "KansOpToelating",
    Category.RETURN_OPTIONS: "Mogelijkheden",
    Category.RETURN_OBSTACLES: "Belemmeringen",
    Category.TRAVEL_DOCUMENTS: "Reisdocumenten",
}
PERSPECTIVE: Mapping[str, str | None] = {"J": "yes", "N": "no", "": None}
REFUSALS: Mapping[str, SourceRefusal] = {
    "A1": SourceRefusal.LEGAL_GROUND,
    "D2": SourceRefusal.THIRD_PARTY_INTEREST,
}


def spaced(v_number: str) -> str:
    """Write a V-number as DT&V does: 999 000 0101."""
    return f"{v_number[:3]} {v_number[3:6]} {v_number[6:]}"


def topics(categories: Collection[Category]) -> list[str]:
    """Name the topics of a departure case that hold these categories."""
    return sorted(TOPICS[category] for category in categories if category in TOPICS)


def to_record(case: Mapping[str, object], files: Mapping[str, bytes]) -> Record:
    """Read one case; `files` are the contents by id. Raise AgencyTrouble on a field of another type."""
    said = case.get("KansOpToelating")
    withheld = mapped(case.get("Afgeschermd", {}))
    findings = {
        Category.PERSPECTIVE: Finding(
            unverified_value=PERSPECTIVE.get(said, said) if isinstance(said, str) else said
        )
    }
    for category in (Category.RETURN_OPTIONS, Category.RETURN_OBSTACLES):
        rows = listed(case, TOPICS[category])
        documents = (json_document(category.value, rows),) if rows else ()
        findings[category] = Finding(documents=documents, refusal=_refusal(withheld, TOPICS[category]))
    entries = [entry for entry in map(mapped, listed(case, "Bestanden")) if text(entry, "Id") in files]
    findings[Category.TRAVEL_DOCUMENTS] = Finding(
        documents=tuple(
            Document(text(entry, "Titel"), "application/pdf", files[text(entry, "Id")]) for entry in entries
        ),
        refusal=_refusal(withheld, TOPICS[Category.TRAVEL_DOCUMENTS]),
    )
    return Record(identifier(Scheme.V_NUMBER, text(case, "VNr").replace(" ", "")), findings)


def _refusal(withheld: Mapping[str, object], topic: str) -> SourceRefusal | None:
    if topic not in withheld:
        return None
    code = withheld[topic]
    if not isinstance(code, str) or code not in REFUSALS:
        raise AgencyTrouble("agency_answer_invalid", "a reason for refusing that is not in the table")
    return REFUSALS[code]
