"""People for one test each: invented, known to the simulated agencies, with small papers."""

from __future__ import annotations

import itertools
from collections.abc import MutableMapping
from dataclasses import dataclass, replace
from typing import Any, cast

from adapters.kit import jose, sdjwt
from adapters.protocol import ClientIdentifier
from adapters.requester import Exchange
from adapters.simulation.personas import BY_NAME, BY_V_NUMBER, BY_VVS_NUMBER, Persona
from tests.integration.town import v_number

_numbers = itertools.count(9_991_000_001)


def newcomer(**changes: Any) -> Persona:
    """Make someone whom every agency knows and no party is involved with yet."""
    number = str(next(_numbers))
    given = {"v_number": number, "vvs_number": f"VVS-{number}", "decisions": 1, "dossier_documents": 1}
    person = replace(
        BY_NAME["amina"], name=f"newcomer-{number}", **{"document_kilobytes": 1, **given, **changes}
    )
    for known, key in ((BY_V_NUMBER, person.v_number), (BY_VVS_NUMBER, person.vvs_number)):
        cast("MutableMapping[str, Persona]", known)[key] = person
    return person


def someone() -> ClientIdentifier:
    """Name a newcomer."""
    return v_number(newcomer().v_number)


def nobody() -> ClientIdentifier:
    """Name a number that no agency and no party has."""
    return v_number(str(next(_numbers)))


@dataclass(frozen=True, slots=True)
class Left:
    """What an answer let go: every category of which anything is in it, and the entry that records it."""

    categories: frozenset[str]
    index: int
    detail: dict[str, Any]


def what_left(exchange: Exchange) -> Left:
    """Read an answer as a thief would: baseline, sealed bytes, and what the attestation discloses."""
    ledger = cast("dict[str, Any]", jose.unverified_payload(str(exchange.receipt))["ledger"])
    categories: set[str] = set()
    if exchange.answer is not None:
        categories |= {str(name) for name in exchange.answer.baseline}
        categories |= {str(document.category) for document in exchange.answer.sealed}
        if exchange.answer.attestation is not None:
            disclosed = sdjwt.unverified_disclosures(exchange.answer.attestation)
            categories |= {disclosure.name for disclosure in disclosed}
    return Left(frozenset(categories), ledger["index"], ledger["detail"])
