"""Each agency's fields become the categories that its table says, and nothing else passes."""

import base64
from typing import Any

import pytest

from adapters.dtv import mapping as dtv
from adapters.ind import mapping as ind
from adapters.kit.agency import AgencyTrouble
from adapters.protocol import Category, ClientIdentifier, Scheme, SourceRefusal
from adapters.vvs import mapping as vvs

V_NUMBER = "9990000101"
PDF = base64.b64encode(b"%PDF-1.4").decode()


def a_page(**override: Any) -> dict[str, Any]:
    return {
        "vnummer": V_NUMBER,
        "perspectief": "ja",
        "gegevens": {"personalia": {"geslachtsnaam": "Lul", "geboortedatum": "1990-00-00"}},
        "stukken": [
            {"soort": "beschikkingen", "titel": "Brief", "mediatype": "application/pdf", "inhoud": PDF}
        ],
        "geweigerd": [],
        "pagina": 1,
        "paginas": 1,
    } | override


def a_case(**override: Any) -> dict[str, Any]:
    return {
        "VNr": "999 000 0101",
        "KansOpToelating": "N",
        "Mogelijkheden": [{"Land": "herkomst"}],
        "Bestanden": [{"Id": "LP-1", "Type": "Reisdocumenten", "Titel": "Brief"}],
        "Afgeschermd": {},
    } | override


def a_record(**override: Any) -> dict[str, Any]:
    record = {
        "client_no": "VVS-000101",
        "alien_no": V_NUMBER,
        "in_guidance": True,
        "legal_prospects": 0,
        "trajectory": {"phase": "screening", "step": 1, "plan": ["intake"]},
    }
    return {"record": record | override, "withheld": []}


@pytest.mark.parametrize(("said", "value"), [("ja", "yes"), ("nee", "no"), (None, None)])
def test_perspectief_of_ind_is_yes_no_or_no_statement(said: object, value: object) -> None:
    found = ind.to_record([a_page(perspectief=said)]).findings[Category.PERSPECTIVE]
    assert found.unverified_value == value


@pytest.mark.parametrize(("said", "value"), [("J", "yes"), ("N", "no"), ("", None)])
def test_the_chance_of_dtv_is_yes_no_or_no_statement(said: object, value: object) -> None:
    found = dtv.to_record(a_case(KansOpToelating=said), {}).findings[Category.PERSPECTIVE]
    assert found.unverified_value == value


@pytest.mark.parametrize(
    ("field", "said", "category", "value"),
    [
        ("in_guidance", True, Category.GUIDANCE, "yes"),
        ("in_guidance", False, Category.GUIDANCE, "no"),
        ("legal_prospects", 1, Category.PERSPECTIVE, "yes"),
        ("legal_prospects", 0, Category.PERSPECTIVE, "no"),
        ("legal_prospects", None, Category.PERSPECTIVE, None),
    ],
)
def test_vvs_says_yes_and_no_in_its_own_types(
    field: str, said: object, category: Category, value: object
) -> None:
    found = vvs.to_record(a_record(**{field: said}), scheme=Scheme.V_NUMBER).findings[category]
    assert found.unverified_value == value


@pytest.mark.parametrize("said", [True, 2, "ja", [1]])
def test_a_value_of_vvs_in_another_type_is_not_translated(said: object) -> None:
    found = vvs.to_record(a_record(legal_prospects=said), scheme=Scheme.V_NUMBER)
    assert found.findings[Category.PERSPECTIVE].unverified_value not in ("yes", "no")


def test_a_date_that_is_partly_unknown_stays_as_it_is() -> None:
    (document,) = ind.to_record([a_page()]).findings[Category.IDENTITY].documents
    assert b'"1990-00-00"' in document.content


def test_phase_and_progress_of_one_trajectory_are_told_apart() -> None:
    findings = vvs.to_record(a_record(), scheme=Scheme.V_NUMBER).findings
    (phase,) = findings[Category.PLAN_PHASE].documents
    (progress,) = findings[Category.PLAN_PROGRESS].documents
    assert b"screening" in phase.content
    assert b"intake" not in phase.content
    assert b"screening" not in progress.content


def test_vvs_answers_by_the_number_it_was_asked_by() -> None:
    by_own = vvs.to_record(a_record(), scheme=Scheme.PARTY_NUMBER).about
    assert by_own == ClientIdentifier(scheme=Scheme.PARTY_NUMBER, value="VVS-000101")


def test_pages_are_one_record() -> None:
    findings = ind.to_record([a_page(paginas=2), a_page(pagina=2, paginas=2)]).findings
    assert len(findings[Category.DECISIONS].documents) == 2


def test_a_refusal_is_one_of_the_table() -> None:
    refused = a_page(geweigerd=[{"onderdeel": "beschikkingen", "reden": "WET"}])
    assert ind.to_record([refused]).findings[Category.DECISIONS].refusal is SourceRefusal.LEGAL_GROUND
    with pytest.raises(AgencyTrouble):
        ind.to_record(
            [a_page(geweigerd=[{"onderdeel": "beschikkingen", "reden": "mevrouw X woont daar ook"}])]
        )


@pytest.mark.parametrize(
    "spoilt",
    [
        {"vnummer": None},
        {"vnummer": "12"},
        {"vnummer": 9990000101},
        {"stukken": {}},
        {"stukken": ["brief"]},
        {
            "stukken": [
                {"soort": "beschikkingen", "titel": "x", "mediatype": "application/pdf", "inhoud": "%%"}
            ]
        },
        {"stukken": [{"soort": "beschikkingen", "titel": "x" * 500, "mediatype": "a/b", "inhoud": PDF}]},
        {"gegevens": []},
        {"geweigerd": "alles"},
    ],
)
def test_a_field_of_another_type_is_the_agencys_trouble(spoilt: dict[str, Any]) -> None:
    assert ind.to_record([a_page()]).about.value == V_NUMBER
    with pytest.raises(AgencyTrouble) as trouble:
        ind.to_record([a_page(**spoilt)])
    assert V_NUMBER not in str(trouble.value)


def test_only_what_the_agency_holds_is_asked_of_it() -> None:
    wanted = {Category.DECISIONS, Category.SHELTER_LOCATION}
    assert ind.parts(wanted) == ["beschikkingen"]
    assert dtv.topics({Category.RETURN_OPTIONS, Category.MEDICAL}) == ["Mogelijkheden"]
    assert vvs.includes({Category.PLAN_PHASE, Category.PLAN_PROGRESS}) == ["trajectory"]
