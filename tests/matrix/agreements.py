"""The agreements of the matrix: as it is, after a change of the law, hostile in every way, and refusing.

One party stands for each kind, for rules are between kinds; as source another than as requester where the
agreement has two. Kinds that the agreement gives no party get one here.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
POLICIES = ROOT / "policies"
DAY = 86_400
NOBODY = "nobody"
MUNICIPAL = ("municipality", "health")
_ROLES = (("caseworker", "medical"), ("caseworker",), ("medical",), ("caseworker", "medical", "desk"))
# What a rule of an agreement after a change of the law may rest on, and what it may not.
_LAW = "vw_lvv"
_HEALTH_LAW = "wpg"


@dataclass(frozen=True)
class Variant:
    """One agreement and the facts about it; `facts` replace members of every question."""

    name: str
    title: str
    document: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)
    held: bool = True  # the engine has this version

    @property
    def digest(self) -> str:
        """Under which name the engines hold it; of the form of a digest, and one per document and holding."""
        named = f"{self.document['version']} {'' if self.held else 'not held'}"
        return "sha-256:" + base64.urlsafe_b64encode(hashlib.sha256(named.encode()).digest()).decode().rstrip(
            "="
        )

    @property
    def now(self) -> int:
        told = self.facts.get("now")
        return present(self.document) if told is None else int(told)

    @property
    def longest_seconds(self) -> int:
        """How long a consent may last under it: what it says, at most 18 months."""
        months = self.document["consent"]["max_months"]
        return (min(months if isinstance(months, int) else 18, 18) * 31 + 1) * DAY


def present(document: Mapping[str, Any]) -> int:
    """Return a moment well inside the validity of the agreement."""
    return int(document["valid_from"]) + 1_000_000


def requester_of(document: Mapping[str, Any], kind: str) -> str:
    """Return the party that asks for its kind: the last one named."""
    return _named(document, kind)[-1] if kind != NOBODY else NOBODY


def source_of(document: Mapping[str, Any], kind: str) -> str:
    """Return the party that is asked for its kind: the first that is a source."""
    if kind == NOBODY:
        return NOBODY
    named = _named(document, kind)
    return next((party for party in named if party in document["sources"]), named[0])


def as_signed() -> dict[str, Any]:
    """Return the agreement of this repository, with a party of every kind."""
    document: dict[str, Any] = json.loads((POLICIES / "agreement" / "agreement.json").read_bytes())
    document.setdefault("statutes", {})
    document.setdefault("consent", {"default_months": 6, "max_months": 18, "own_consent_from_age": 16})
    for kind, row in document["kinds"].items():
        if not _named(document, kind):
            document["parties"][f"a-{kind}"] = {"kind": kind, "name": kind, "listed_among_partners": False}
        if row["answers"] and not set(_named(document, kind)) & document["sources"].keys():
            document["sources"][_named(document, kind)[0]] = _source(asked_freely=False)
    return document


def with_changed_law() -> dict[str, Any]:
    """Return it as a coming version: a statute each for the municipality and its health service."""
    changed = as_signed()
    now = present(changed)
    changed["version"] += " changed law"
    changed["consent"]["max_months"] = 12
    changed["statutes"] = {
        _LAW: _statute("Vw 2000 art. 999", now - 30 * DAY, now + 300 * DAY),
        _HEALTH_LAW: _statute("Wpg art. 999", now - 30 * DAY, now + 2),
        "lapsed": _statute("Vw 2000 art. 998", now - 30 * DAY, now),
    }
    for kind in MUNICIPAL:
        changed["kinds"][kind].update(receives=True, answers=True)
        changed["sources"].setdefault(source_of(changed, kind), _source(asked_freely=True))
    tables: Mapping[tuple[str, str, str], Mapping[str, tuple[str, str | None]]] = {
        ("progress_report", "municipality", "ngo"): {
            "perspective": ("statutory", _LAW),
            "partners": ("statutory", _LAW),
            "guidance": ("baseline", _LAW),
            "plan_phase": ("statutory", _LAW),
            "plan_progress": ("consent", _LAW),
            "identity": ("statutory", "lapsed"),
            "contact": ("consent", None),
            "shelter_location": ("statutory", _LAW),
            "vulnerability": ("explicit_consent", _LAW),
            "medical": ("explicit_consent", _LAW),
            "trafficking": ("explicit_consent", None),
            "flight_narrative": ("statutory", _LAW),
        },
        ("intake_check", "municipality", "ind"): {"identity": ("consent", None)},
        ("case_transfer", "municipality", "ngo"): {"identity": ("statutory", "lapsed")},
        ("aggregate_report", "municipality", "ngo"): {"plan_phase": ("statutory", _LAW)},
        ("medical_stay", "health", "health"): {"medical": ("explicit_consent", _HEALTH_LAW)},
        ("medical_stay", "health", "ngo"): {
            "perspective": ("statutory", _LAW),
            "medical": ("explicit_consent", _LAW),
            "vulnerability": ("explicit_consent", _HEALTH_LAW),
            "identity": ("statutory", _HEALTH_LAW),
            "contact": ("consent", _HEALTH_LAW),
        },
        ("progress_report", "coordination", "ngo"): {
            "perspective": ("baseline", None),
            "partners": ("baseline", _HEALTH_LAW),
            "guidance": ("baseline", "lapsed"),
            "plan_phase": ("statutory", _LAW),
            "plan_progress": ("consent", None),
        },
        ("intake_check", "ngo", "ind"): {
            "perspective": ("baseline", _HEALTH_LAW),
            "measures": ("consent", _HEALTH_LAW),
            "residence_status": ("consent", _LAW),
            "identity": ("consent", "lapsed"),
            "trafficking": ("explicit_consent", _HEALTH_LAW),
        },
        ("return_support", "ngo", "dtv"): {
            "perspective": ("baseline", _HEALTH_LAW),
            "return_options": ("consent", _LAW),
            "travel_documents": ("explicit_consent", None),
        },
    }
    for (purpose, requester, source), table in tables.items():
        for number, (category, (ground, statute)) in enumerate(table.items()):
            rule = _rule(f"{purpose}.{requester}.{source}.{category}", ground, statute, number)
            _table(changed, purpose, requester, source)[category] = rule
    return changed


def hostile(purposes: tuple[str, ...] | None = None, kinds: tuple[str, ...] | None = None) -> dict[str, Any]:
    """Return one that tries to give everything to everyone, each way in turn; of these only, if any."""
    document = as_signed()
    now = present(document)
    document["version"] += " hostile"
    document["consent"]["max_months"] = 1_200
    document["statutes"] = {
        "before": _statute("a law", now + 1, now + 9),
        "first": _statute("a law", now, now + 9),
        "within": _statute("a law", now - 9, now + 9),
        "last": _statute("a law", now - 9, now + 1),
        "after": _statute("a law", now - 9, now),
        "unnamed": _statute("", now - 9, now + 9),
    }
    for number, (kind, row) in enumerate(document["kinds"].items()):
        row.update(receives=True, answers=True)
        document["sources"][source_of(document, kind)] = _source(asked_freely=number % 2 == 0)
    document["purposes"]["review"]["aggregated"] = True
    document["purposes"]["aggregate_report"]["aggregated"] = False
    del document["purposes"]["intake_check"]["aggregated"]
    grounds = ("consent", "baseline", "statutory", "explicit_consent", "anything")
    laws = (None, "within", "after", "first", None, "before", "last", "unnamed", "unknown")
    turn = itertools.count()
    document["rules"] = {}
    for purpose in purposes or tuple(document["purposes"]):
        for requester, source in itertools.product(kinds or document["kinds"], repeat=2):
            for category in document["categories"]:
                number = next(turn)
                # The shifts let a category meet every law, and every ground, in some table.
                ground = grounds[(number + number // 45) % len(grounds)]
                law = laws[(number + 5 * (number // len(document["categories"]))) % len(laws)]
                rule = _rule(f"h{number}", ground, law, number)
                _table(document, purpose, requester, source)[category] = rule
    return document


def relabelled() -> dict[str, Any]:
    """Return a hostile one that calls every category baseline, or something that is no class."""
    document = hostile(("legal_screening", "medical_stay"))
    document["version"] += " relabelled"
    for number, row in enumerate(document["categories"].values()):
        row["class"] = {6: "special", 10: "harmless", 13: "special", 21: "harmless"}.get(number, "baseline")
    document["categories"]["perspective"]["class"] = "ordinary"
    return document


def _bent(number: int) -> tuple[str, dict[str, Any]]:
    """Return a small hostile agreement with members of another type: what it cannot mean opens nothing."""
    document = hostile(("legal_screening",), ("ngo", "lawyer", "ind", "municipality"))
    document["version"] += f" bent {number}"
    statute, tables = document["statutes"]["within"], document["rules"]["legal_screening"]
    rules = [rule for asks in tables.values() for table in asks.values() for rule in table.values()]
    if number == 1:
        document["valid_from"] = None
        return "begins at no moment", document
    if number == 2:
        document["valid_until"] = str(document["valid_until"])
        return "ends at a text", document
    if number == 3:
        statute["valid_from"] = None
        return "a law begins at no moment", document
    if number == 4:
        statute["valid_until"] = str(statute["valid_until"])
        return "a law ends at a text", document
    if number == 5:
        statute["citation"] = 64
        return "a law is cited by number", document
    if number == 6:
        for rule in rules:
            rule["roles"] = dict.fromkeys(rule["roles"], "caseworker")
        return "roles are a table", document
    if number == 7:
        tables["ngo"] = {"ngo": {}, "ind": ["contact"], "lawyer": "contact"}
        document["sources"][source_of(document, "municipality")] = "askable"
        return "tables of rules are none", document
    if number == 8:
        for kind in ("ngo", "ind"):
            document["kinds"][kind]["answers" if kind == "ngo" else "receives"] = "true"
        return "kinds answer and receive by text", document
    document["consent"]["max_months"] = "18"
    return "consents last a text", document


def variants() -> tuple[Variant, ...]:
    """Return every agreement of the matrix with the facts about it."""
    signed = as_signed()
    begin, end = signed["valid_from"], signed["valid_until"]
    facts: Mapping[str, Mapping[str, Any]] = {
        "before it begins": {"now": begin - 1},
        "after its end": {"now": end},
        "a founder withdrew": {"founding_signed": False},
        "the requester has not signed": {"requester_signed": False},
        "the source has not signed": {"source_signed": False},
        "the requester is suspended": {"requester_status": "suspended"},
        "the source is suspended": {"source_status": "suspended"},
        "in its first second": {"now": begin},
        "in its last second": {"now": end - 1},
    }
    refusing = tuple(
        Variant(f"D{number}", title, signed, told) for number, (title, told) in enumerate(facts.items(), 1)
    )
    told = {"now": present(signed)}
    bent = tuple(Variant(f"M{number}", *_bent(number), told) for number in range(1, 10))
    return (
        Variant("A", "as signed", signed),
        Variant("B", "after a change of the law", with_changed_law()),
        Variant("C", "hostile", hostile()),
        Variant("R", "hostile, categories relabelled", relabelled()),
        *refusing,
        *bent,
        Variant("D0", "a version that nobody holds", signed, held=False),
    )


def _named(document: Mapping[str, Any], kind: str) -> list[str]:
    return [party for party, row in document["parties"].items() if row["kind"] == kind]


def _source(*, asked_freely: bool) -> dict[str, Any]:
    return {
        "identifier_schemes": ["v-number"],
        "may_be_asked_without_consent": asked_freely,
        "paragraph": "art. 0.1",
    }


def _statute(citation: str, begins: int, ends: int) -> dict[str, Any]:
    title = {"nl": "een wet", "en": "a law"}
    return {
        "title": title,
        "citation": citation,
        "valid_from": begins,
        "valid_until": ends,
        "paragraph": "art. 0.2",
    }


def _rule(name: str, ground: str, statute: str | None, number: int) -> dict[str, Any]:
    return {
        "id": name,
        "ground": ground,
        "roles": list(_ROLES[number % len(_ROLES)]),
        "legal_basis": "GDPR 6(1)(c)",
        "statute": statute,
        "retention_days": 1 + number % 90,
        "redistribute": number % 3 != 0,
        "notify_client": number % 7 == 0,
        "paragraph": f"art. 0.{number % 60}",
    }


def _table(document: dict[str, Any], purpose: str, requester: str, source: str) -> dict[str, Any]:
    table: dict[str, Any] = (
        document["rules"].setdefault(purpose, {}).setdefault(requester, {}).setdefault(source, {})
    )
    return table
