"""The people of the sandbox: invented, deterministic, the same at every simulated agency.

Their numbers start with 999, which stands for nobody; no checksum of a V-number is published.
Whoever should be tried with a clock, a guardian or four eyes comes with the parts that need them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal[
    "ok",
    "later",  # 202 first, the answer after `delay_seconds`
    "down",
    "down_then_back",  # two failures, then well
    "error",
    "garbage",
    "duplicate_keys",
    "huge",
    "wrong_client",
    "extra",
    "free_text",
    "not_found",
]
Opinion = Literal["yes", "no"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a simulated system treats questions about one person."""

    mode: Mode = "ok"
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Persona:
    """One invented client, with what to try them for."""

    name: str
    story: str
    v_number: str
    vvs_number: str
    given_name: str | None
    family_name: str
    birth_date: str  # year-month-day; 00 where a part is unknown, as in the Dutch registers
    nationality: str
    perspective: Opinion | None
    guidance: bool
    phase: str
    decisions: int = 2
    dossier_documents: int = 3
    document_kilobytes: int = 240
    known: bool = True
    refused_by_law: bool = False
    third_parties_removed: bool = False
    behaviours: Mapping[str, Behaviour] = field(default_factory=dict)


PERSONAS: tuple[Persona, ...] = (
    Persona(
        name="amina",
        story="complete, at once",
        v_number="9990000101",
        vvs_number="VVS-000101",
        given_name="Amina",
        family_name="Warsame",
        birth_date="1991-04-17",
        nationality="Somalische",
        perspective="yes",
        guidance=True,
        phase="juridische begeleiding",
    ),
    Persona(
        name="bilal",
        story="gives no consent: the baseline only",
        v_number="9990000202",
        vvs_number="VVS-000202",
        given_name="Bilal",
        family_name="Haddad",
        birth_date="1986-11-02",
        nationality="Algerijnse",
        perspective="no",
        guidance=True,
        phase="toekomstoriëntatie",
    ),
    Persona(
        name="chaltu",
        story="withdraws while IND works: IND answers after some seconds",
        v_number="9990000303",
        vvs_number="VVS-000303",
        given_name="Chaltu",
        family_name="Gemechu",
        birth_date="1995-02-28",
        nationality="Ethiopische",
        perspective="yes",
        guidance=True,
        phase="screening",
        behaviours={"ind": Behaviour("later", delay_seconds=5.0)},
    ),
    Persona(
        name="estifanos",
        story="not found: no agency knows the number",
        v_number="9990000404",
        vvs_number="VVS-000404",
        given_name="Estifanos",
        family_name="Tesfay",
        birth_date="1979-07-07",
        nationality="Eritrese",
        perspective=None,
        guidance=False,
        phase="screening",
        known=False,
    ),
    Persona(
        name="goitom",
        story="partial: parts about third parties were removed",
        v_number="9990000505",
        vvs_number="VVS-000505",
        given_name="Goitom",
        family_name="Haile",
        birth_date="1983-09-14",
        nationality="Eritrese",
        perspective="yes",
        guidance=True,
        phase="screening",
        third_parties_removed=True,
    ),
    Persona(
        name="halima",
        story="the source refuses the papers on a legal ground",
        v_number="9990000606",
        vvs_number="VVS-000606",
        given_name="Halima",
        family_name="Noori",
        birth_date="1998-12-30",
        nationality="Afghaanse",
        perspective="yes",
        guidance=True,
        phase="screening",
        refused_by_law=True,
    ),
    Persona(
        name="khalid",
        story="four hundred small documents, over eight pages of the agency's list",
        v_number="9990000707",
        vvs_number="VVS-000707",
        given_name="Khalid",
        family_name="Osman",
        birth_date="1974-03-21",
        nationality="Soedanese",
        perspective="no",
        guidance=True,
        phase="toekomstoriëntatie",
        dossier_documents=400,
        document_kilobytes=1,
    ),
    Persona(
        name="lul",
        story="one name only, born on an unknown day of 1990",
        v_number="9990000808",
        vvs_number="VVS-000808",
        given_name=None,
        family_name="Lul",
        birth_date="1990-00-00",
        nationality="Zuid-Soedanese",
        perspective=None,
        guidance=True,
        phase="screening",
    ),
    Persona(
        name="nasir",
        story="the source is down twice, then back",
        v_number="9990000909",
        vvs_number="VVS-000909",
        given_name="Nasir",
        family_name="Rahimi",
        birth_date="1989-06-05",
        nationality="Afghaanse",
        perspective="no",
        guidance=False,
        phase="terugkeerbegeleiding",
        behaviours=dict.fromkeys(("ind", "dtv", "vvs"), Behaviour("down_then_back")),
    ),
    Persona(
        name="petros",
        story="a decision of five megabytes",
        v_number="9990001010",
        vvs_number="VVS-001010",
        given_name="Petros",
        family_name="Ghebre",
        birth_date="1968-01-19",
        nationality="Eritrese",
        perspective="yes",
        guidance=True,
        phase="juridische begeleiding",
        decisions=1,
        document_kilobytes=5_000,
    ),
)

BY_V_NUMBER: Mapping[str, Persona] = {persona.v_number: persona for persona in PERSONAS}
BY_VVS_NUMBER: Mapping[str, Persona] = {persona.vvs_number: persona for persona in PERSONAS}
BY_NAME: Mapping[str, Persona] = {persona.name: persona for persona in PERSONAS}
