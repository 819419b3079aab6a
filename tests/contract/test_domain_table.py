"""The agreement against docs/domain.md itself: who asks whom for what, the ten rules, the lists of names.

Written by hand from the domain, so that neither the data nor the policy can be its own proof.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.protocol import Category, Role
from gateway.agreement import AgreementInvalid, check

ROOT = Path(__file__).resolve().parents[2]
DATA: dict[str, Any] = json.loads((ROOT / "policies" / "agreement" / "agreement.json").read_bytes())
TERMS = check(DATA)
RULES = dict(TERMS.each_rule())

# Purpose → who asks whom. What docs/domain.md's table of purposes says, one row each.
TABLE: dict[str, set[tuple[str, str]]] = {
    "intake_check": {("ngo", "ind")},
    "legal_screening": {("ngo", "ind"), ("ngo", "ngo"), ("ngo", "lawyer")},
    "legal_guidance": {("ngo", "ind"), ("ngo", "ngo"), ("lawyer", "ind"), ("lawyer", "ngo")},
    "future_orientation": {("ngo", "ngo"), ("ngo", "dtv")},
    "return_support": {
        ("ngo", "dtv"),
        ("ngo", "ngo"),
        ("return_org", "dtv"),
        ("return_org", "ngo"),
        ("dtv", "ngo"),
    },
    "identification": {("ngo", "avim")},
    "medical_stay": {("ind", "health"), ("ind", "ngo"), ("health", "health"), ("health", "ngo")},
    "case_conference": {(asks, asked) for asks in ("ngo", "ind", "dtv") for asked in ("ngo", "ind", "dtv")},
    "case_transfer": {("ngo", "ngo"), ("return_org", "ngo")},
    "progress_report": {("coordination", "ngo")},
    "aggregate_report": {("coordination", "ngo"), ("municipality", "ngo")},
    "return_monitoring": {("ngo", "ngo"), ("return_org", "ngo")},
    "review": {("review", "ngo")},
}
# Pairs of the table under which no rule stands, and why.
WAITING: dict[tuple[str, str, str], str] = {
    ("medical_stay", "health", "health"): "rule 4: nothing to it until the agreement states a statute",
    ("medical_stay", "health", "ngo"): "rule 4: nothing to it until the agreement states a statute",
    ("case_conference", "ind", "ind"): "there is one IND; it does not ask itself",
    ("case_conference", "dtv", "dtv"): "there is one DT&V; it does not ask itself",
    ("aggregate_report", "coordination", "ngo"): "counts only, never a person",
    ("aggregate_report", "municipality", "ngo"): "counts only, never a person",
}
SPECIAL = {"flight_narrative", "medical", "trafficking", "vulnerability"}
THREE_FACTS = {"perspective", "guidance", "partners"}


def pairs(purpose: str) -> set[tuple[str, str]]:
    return {(place[1], place[2]) for place in RULES if place[0] == purpose}


def test_the_agreement_has_the_purposes_of_the_domain_and_no_other() -> None:
    assert set(TERMS.purposes) == set(TABLE)


@pytest.mark.parametrize("purpose", TABLE)
def test_every_pair_of_the_table_has_a_rule_or_waits_for_a_reason_and_no_other_pair_has(purpose: str) -> None:
    waiting = {(asks, asked) for name, asks, asked in WAITING if name == purpose}
    assert pairs(purpose) == TABLE[purpose] - waiting
    assert waiting <= TABLE[purpose]


def test_kinds_categories_and_roles_are_those_of_the_domain() -> None:
    assert set(TERMS.kinds) == {
        "ngo",
        "ind",
        "dtv",
        "avim",
        "municipality",
        "coordination",
        "health",
        "lawyer",
        "return_org",
        "review",
        "gateway",
    }
    assert set(TERMS.categories) == {category.value for category in Category}
    assert len(TERMS.categories) == 26
    assert {role for rule in RULES.values() for role in rule.roles} <= set(Role)


def test_every_kind_but_the_gateway_has_a_party_and_every_kind_that_is_asked_a_source() -> None:
    assert {row.kind for row in TERMS.parties.values()} == set(TERMS.kinds) - {"gateway"}
    asked = {TERMS.parties[party].kind for party in TERMS.sources}
    assert {place[2] for place in RULES} <= asked


def test_the_baseline_is_three_facts_and_guidance_is_an_ngos_to_tell() -> None:
    without_consent = {place for place, rule in RULES.items() if rule.ground == "baseline"}
    assert {place[3] for place in without_consent} == THREE_FACTS
    assert {place[2] for place in without_consent if place[3] == "guidance"} == {"ngo"}


def test_lawyers_and_the_review_committee_get_nothing_without_consent() -> None:
    for (_, requester, _, _), rule in RULES.items():
        if requester in {"lawyer", "review"}:
            assert rule.ground in {"consent", "explicit_consent"}


def test_municipality_health_avim_and_gateway_receive_nothing() -> None:
    assert {place[1] for place in RULES} & {"municipality", "health", "avim", "gateway"} == set()
    assert not any(TERMS.kinds[kind].receives for kind in ("municipality", "health", "avim", "gateway"))
    assert TERMS.statutes == {}
    assert TERMS.operator.kind not in {"municipality", "health"}


def test_counts_go_to_coordination_municipality_and_health_service_and_to_no_agency() -> None:
    # Rule 4: the municipality until there is a statute, R&O beside the baseline, the GGD treated alike.
    assert {kind for kind, row in TERMS.kinds.items() if row.receives_counts} == {
        "coordination",
        "health",
        "municipality",
    }
    assert {name for name, row in TERMS.purposes.items() if row.aggregated} == {"aggregate_report"}
    for kind in ("avim", "gateway"):
        hostile = json.loads(json.dumps(DATA))
        hostile["kinds"][kind]["receives_counts"] = True
        with pytest.raises(AgreementInvalid, match="receives no counts either"):
            check(hostile)


def test_coordination_gets_phase_and_progress_by_consent_only() -> None:
    found = {place[3]: rule.ground for place, rule in RULES.items() if place[1] == "coordination"}
    assert found == {
        **dict.fromkeys(THREE_FACTS, "baseline"),
        "plan_phase": "consent",
        "plan_progress": "consent",
    }


def test_where_someone_sleeps_goes_to_no_agency() -> None:
    assert {place[1] for place in RULES if place[3] == "shelter_location"} <= {"ngo", "return_org", "lawyer"}


def test_special_categories_open_to_explicit_consent_and_medical_data_to_a_health_professional() -> None:
    for (purpose, requester, _, category), rule in RULES.items():
        assert (rule.ground == "explicit_consent") == (category in SPECIAL)
        if category == "medical":
            assert (purpose, requester) == ("medical_stay", "ind")
            assert rule.roles == [Role.MEDICAL]


def test_an_agency_is_asked_without_consent_only_where_the_mission_says_so() -> None:
    freely = {party for party, row in TERMS.sources.items() if row.may_be_asked_without_consent}
    assert freely == {"vluchtelingenwerk", "ind"}


def test_parties_whose_name_tells_of_shelter_illness_or_legal_action_are_not_listed() -> None:
    listed = {TERMS.parties[party].kind for party, row in TERMS.parties.items() if row.listed_among_partners}
    assert listed & {"health", "lawyer", "avim", "municipality", "review"} == set()
    assert not TERMS.parties["leger-des-heils"].listed_among_partners
    assert not TERMS.parties["hvo-querido"].listed_among_partners


def test_consent_lasts_six_months_eighteen_at_most_and_is_the_clients_own_from_sixteen() -> None:
    consent = TERMS.consent
    assert (consent.default_months, consent.max_months, consent.own_consent_from_age) == (6, 18, 16)


def test_every_rule_has_its_obligations_and_whoever_holds_power_tells_the_client() -> None:
    for (_, requester, _, category), rule in RULES.items():
        assert 1 <= rule.retention_days <= 365
        assert not rule.redistribute
        assert rule.legal_basis.startswith("GDPR 6(1)")
        if requester in {"ind", "dtv", "coordination", "review"} or category in SPECIAL:
            assert rule.notify_client


def test_the_open_legal_questions_of_the_domain_are_fields() -> None:
    assert {"controllers", "impact_assessment", "legal_basis_per_flow", "v_number_at_ngo"} <= set(
        TERMS.open_questions
    )
