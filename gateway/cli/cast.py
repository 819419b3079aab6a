"""The parties and workers of the demonstration. Real organisations of the plan, invented workers.

Kinds and names are those of `policies/agreement/agreement.json`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CastWorker:
    """A worker by pseudonym and role; no worker has a name here."""

    id: str
    role: str


@dataclass(frozen=True, slots=True)
class CastParty:
    """A party of the demonstration's register."""

    id: str
    kind: str
    name: str
    workers: tuple[CastWorker, ...] = ()


@dataclass(frozen=True, slots=True)
class CastSource:
    """A source: the folder under `adapters/` and the party whose dossiers it serves."""

    name: str
    party: str


PARTIES = (
    CastParty(
        "vluchtelingenwerk",
        "ngo",
        "VluchtelingenWerk",
        (
            CastWorker("vw-balie-01", "desk"),
            CastWorker("vw-balie-02", "desk"),
            CastWorker("vw-regie-07", "casemanager"),
            CastWorker("vw-jurist-12", "caseworker"),
            CastWorker("vw-fg-01", "dpo"),
            CastWorker("vw-beheer-02", "admin"),
        ),
    ),
    CastParty(
        "askv",
        "ngo",
        "ASKV",
        (
            CastWorker("askv-balie-1", "desk"),
            CastWorker("askv-regie-2", "casemanager"),
            CastWorker("askv-jurist-3", "caseworker"),
            CastWorker("askv-fg-4", "dpo"),
            CastWorker("askv-beheer-5", "admin"),
        ),
    ),
    CastParty(
        "leger-des-heils",
        "ngo",
        "Leger des Heils",
        (
            CastWorker("ldh-regie-1", "casemanager"),
            CastWorker("ldh-begeleider-2", "caseworker"),
            CastWorker("ldh-beheer-3", "admin"),
        ),
    ),
    CastParty(
        "goedwerk",
        "return_org",
        "Goedwerk",
        (
            CastWorker("gw-regie-1", "casemanager"),
            CastWorker("gw-begeleider-2", "caseworker"),
            CastWorker("gw-beheer-3", "admin"),
        ),
    ),
    CastParty(
        "ind",
        "ind",
        "IND",
        (
            CastWorker("ind-contact-1", "source_officer"),
            CastWorker("ind-fg-2", "dpo"),
            CastWorker("ind-beheer-3", "admin"),
        ),
    ),
    CastParty(
        "dtv",
        "dtv",
        "DT&V",
        (
            CastWorker("dtv-regie-1", "source_officer"),
            CastWorker("dtv-fg-2", "dpo"),
            CastWorker("dtv-beheer-3", "admin"),
        ),
    ),
    CastParty(
        "avim",
        "avim",
        "AVIM",
        (CastWorker("avim-agent-1", "caseworker"), CastWorker("avim-beheer-2", "admin")),
    ),
    CastParty(
        "gemeente-amsterdam",
        "municipality",
        "Gemeente Amsterdam",
        (CastWorker("ams-loket-1", "caseworker"), CastWorker("ams-beheer-2", "admin")),
    ),
    CastParty(
        "regie-organisatie",
        "coordination",
        "Regie & Organisatie",
        (CastWorker("ro-regie-1", "casemanager"), CastWorker("ro-beheer-2", "admin")),
    ),
)

SOURCES = (
    CastSource("ind", "ind"),
    CastSource("dtv", "dtv"),
    CastSource("vvs", "vluchtelingenwerk"),
)


def party_name(party: str) -> str:
    """Say a party's name as people know it."""
    return next((one.name for one in PARTIES if one.id == party), party)


_IN_ROLE = {
    "desk": "at the desk",
    "source_officer": "officer at the source",
    "dpo": "data-protection officer",
    "admin": "administrator",
}


def introduce(worker: str, role: str) -> str:
    """Say who a worker is: the pseudonym, and in what role."""
    return f"{worker}, {_IN_ROLE.get(role, role)}"
