"""Say which field of VVS is which category: a table, and its reading.

VVS's field                  category
in_guidance                  guidance            true → yes, false → no
legal_prospects              perspective         1 → yes, 0 → no, null → no statement
trajectory.phase             plan_phase          a JSON document
trajectory.step, .plan       plan_progress       a JSON document
contact                      contact             a JSON document
attachments                  dossier_documents   PDF files, as they are
withheld                     a refusal           law → legal_ground, others → third_party_interest
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from adapters.kit.agency import AgencyTrouble, Document, Finding, Record
from adapters.kit.agency_fields import base64_bytes, identifier, json_document, listed, mapped, text
from adapters.protocol import Category, Scheme, SourceRefusal

FIELDS: Mapping[Category, str] = {
    Category.GUIDANCE: "in_guidance",
    Category.PERSPECTIVE: "legal_prospects",
    Category.PLAN_PHASE: "trajectory",
    Category.PLAN_PROGRESS: "trajectory",
    Category.CONTACT: "contact",
    Category.DOSSIER_DOCUMENTS: "attachments",
}
# Which keys of `trajectory` tell the phase, and which the progress: consent for one is not for both.
_TRAJECTORY: Mapping[Category, tuple[str, ...]] = {
    Category.PLAN_PHASE: ("phase",),
    Category.PLAN_PROGRESS: ("step", "plan"),
}
REFUSALS: Mapping[str, SourceRefusal] = {
    "law": SourceRefusal.LEGAL_GROUND,
    "others": SourceRefusal.THIRD_PARTY_INTEREST,
}


def includes(categories: Collection[Category]) -> list[str]:
    """Name the parts of a record that hold these categories, each once."""
    return sorted({FIELDS[category] for category in categories if category in FIELDS})


def to_record(answered: Mapping[str, object], *, scheme: Scheme) -> Record:
    """Read one record; `scheme` says by which of its two numbers we asked. Raises AgencyTrouble."""
    record = mapped(answered.get("record"))
    withheld = {
        text(line, "what"): _refusal(text(line, "why")) for line in map(mapped, listed(answered, "withheld"))
    }
    trajectory = mapped(record.get("trajectory", {}))
    findings = {
        Category.GUIDANCE: Finding(unverified_value=_yes_or_no(record.get("in_guidance"), bool)),
        Category.PERSPECTIVE: Finding(unverified_value=_yes_or_no(record.get("legal_prospects"), int)),
        Category.DOSSIER_DOCUMENTS: Finding(
            documents=tuple(_attachment(mapped(entry)) for entry in listed(record, "attachments")),
            refusal=withheld.get("attachments"),
        ),
        Category.CONTACT: _structured(Category.CONTACT, record.get("contact"), withheld),
    }
    for category, keys in _TRAJECTORY.items():
        part = {key: trajectory[key] for key in keys if key in trajectory}
        findings[category] = _structured(category, part, withheld)
    number = text(record, "alien_no" if scheme is Scheme.V_NUMBER else "client_no")
    return Record(identifier(scheme, number), findings)


def _yes_or_no(said: object, kind: type[bool] | type[int]) -> object:
    # type(…) is: True equals 1, and a field of the other kind is not what the table says.
    if type(said) is kind and said in {0, 1}:
        return "yes" if said else "no"
    return said


def _structured(category: Category, facts: object, withheld: Mapping[str, SourceRefusal]) -> Finding:
    documents = (json_document(category.value, facts),) if facts else ()
    return Finding(documents=documents, refusal=withheld.get(FIELDS[category]))


def _attachment(entry: Mapping[str, object]) -> Document:
    return Document(text(entry, "file_name"), "application/pdf", base64_bytes(entry, "data"))


def _refusal(why: str) -> SourceRefusal:
    if why not in REFUSALS:
        raise AgencyTrouble("agency_answer_invalid", "a reason for refusing that is not in the table")
    return REFUSALS[why]
