"""What a new version permits and forbids is computed by the policy, and told in words."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.agreement_document.difference import Difference, Side, difference

POLICIES = Path(__file__).resolve().parents[3] / "policies"
WHOLE: dict[str, Any] = json.loads((POLICIES / "agreement" / "agreement.json").read_bytes())
Edit = Callable[[dict[str, Any]], object]


def smaller() -> dict[str, Any]:
    """Return the agreement with few purposes and parties: the same questions, sooner answered."""
    document = copy.deepcopy(WHOLE)
    kept = ("legal_screening", "return_support", "identification")
    for collection in ("purposes", "rules"):
        document[collection] = {name: row for name, row in WHOLE[collection].items() if name in kept}
    for party in ("iom", "worthy-future-coaching", "hvo-querido", "toetsingscommissie", "regie-organisatie"):
        del document["parties"][party]
    return document


DATA = smaller()


@pytest.fixture(scope="module")
def old() -> Side:
    return Side.of(DATA, POLICIES)


@pytest.fixture
def against(old: Side) -> Callable[..., Difference]:
    """Return what an edit of the agreement changes."""

    def compare(*edits: Edit, reverse: bool = False) -> Difference:
        document = copy.deepcopy(DATA)
        for edit in edits:
            edit(document)
        new = Side.of(document, POLICIES)
        return difference(new, old) if reverse else difference(old, new)

    return compare


def rules(document: dict[str, Any], purpose: str, requester: str, source: str) -> dict[str, Any]:
    found: dict[str, Any] = document["rules"][purpose][requester][source]
    return found


def open_contact(document: dict[str, Any]) -> None:
    to_ind = rules(document, "legal_screening", "ngo", "ind")
    to_ind["contact"] = {**to_ind["decisions"], "id": "legal_screening.ngo.ind.contact"}


def drop_family(document: dict[str, Any]) -> None:
    del rules(document, "legal_screening", "ngo", "ind")["family"]


def dutch(found: Difference) -> tuple[list[str], list[str], list[str]]:
    permits, forbids, otherwise = (
        [change.said_in("nl") for change in part] for part in (found.permits, found.forbids, found.otherwise)
    )
    return permits, forbids, otherwise


def test_a_version_differs_in_nothing_from_itself(old: Side) -> None:
    found = difference(old, old)
    assert not found
    assert dutch(found) == ([], [], [])


def test_a_new_rule_permits_and_a_dropped_one_forbids(against: Callable[..., Difference]) -> None:
    found = against(open_contact, drop_family)
    assert dutch(found) == (
        [
            "Juridische screening: een ngo mag van de IND krijgen, met toestemming: contactgegevens. "
            "Voor: begeleider, casemanager."
        ],
        [
            "Juridische screening: een ngo krijgt van de IND niet meer (tot nu toe met toestemming): "
            "gezin en familie. Voor: begeleider, casemanager."
        ],
        [],
    )
    opened = found.permits[0]
    assert (opened.requester_kind, opened.source_kind, opened.purpose) == ("ngo", "ind", "legal_screening")
    assert (opened.categories, opened.ground) == (("contact",), "consent")
    assert opened.roles == ("caseworker", "casemanager")
    assert opened.en == (
        "Legal screening: an NGO may get from IND, with consent: contact details. "
        "For: caseworker, casemanager."
    )


def test_the_way_back_permits_what_the_way_there_forbade(against: Callable[..., Difference]) -> None:
    back = against(open_contact, drop_family, reverse=True)
    assert [change.categories for change in back.permits] == [("family",)]
    assert [change.categories for change in back.forbids] == [("contact",)]


def test_a_condition_that_becomes_milder_or_stricter_is_told_with_the_one_before(
    against: Callable[..., Difference],
) -> None:
    def stricter(document: dict[str, Any]) -> None:
        rules(document, "legal_screening", "ngo", "ind")["decisions"]["ground"] = "explicit_consent"

    _, forbids, otherwise = dutch(against(stricter))
    assert forbids == [
        "Juridische screening: een ngo krijgt van de IND alleen nog met uitdrukkelijke toestemming: "
        "beschikkingen. Voor: begeleider, casemanager."
    ]
    assert otherwise == []
    permits, _, _ = dutch(against(stricter, reverse=True))
    assert permits == [
        "Juridische screening: een ngo mag van de IND krijgen, met toestemming "
        "(tot nu toe met uitdrukkelijke toestemming): beschikkingen. Voor: begeleider, casemanager."
    ]


def test_a_role_that_may_no_longer_is_the_only_one_named(against: Callable[..., Difference]) -> None:
    def only_casemanagers(document: dict[str, Any]) -> None:
        rules(document, "legal_screening", "ngo", "ind")["identity"]["roles"] = ["casemanager"]

    found = against(only_casemanagers)
    assert [change.roles for change in found.forbids] == [("caseworker",)]
    assert (found.permits, found.otherwise) == ((), ())


def test_asking_only_with_consent_takes_the_baseline_from_those_without(
    against: Callable[..., Difference],
) -> None:
    def ask_less(document: dict[str, Any]) -> None:
        document["sources"]["ind"]["may_be_asked_without_consent"] = False

    found = against(ask_less)
    assert [(change.purpose, change.categories) for change in found.forbids] == [
        ("legal_screening", ("perspective",))
    ]
    assert [change.said_in("nl") for change in found.otherwise] == [
        "Bron IND › te vragen zonder toestemming: was ja, wordt nee."
    ]


def test_a_rule_that_opens_nothing_is_no_change_whatever_the_text_says(
    against: Callable[..., Difference],
) -> None:
    """No party of the kind is there to ask: the rule opens nothing, and is told as a field only."""

    def without_effect(document: dict[str, Any]) -> None:
        to_coordination = document["rules"]["legal_screening"].setdefault("coordination", {})
        decisions = rules(document, "legal_screening", "ngo", "ind")["decisions"]
        to_coordination["ind"] = {
            "decisions": {**decisions, "id": "legal_screening.coordination.ind.decisions"}
        }

    permits, forbids, otherwise = dutch(against(without_effect))
    assert (permits, forbids) == ([], [])
    assert otherwise == [
        "Regel juridische screening › Regie & Organisatie vraagt IND › beschikkingen: is nieuw."
    ]


def test_a_party_that_joins_and_may_what_its_kind_may_is_one_sentence(
    against: Callable[..., Difference],
) -> None:
    def join(document: dict[str, Any]) -> None:
        document["parties"]["rode-kruis"] = {
            "kind": "ngo",
            "name": "Rode Kruis",
            "listed_among_partners": True,
        }

    permits, forbids, _ = dutch(against(join))
    assert permits == ["Nieuwe partij: Rode Kruis. Mag vragen wat elke partij van de soort ngo mag vragen."]
    assert forbids == []
    permits, forbids, _ = dutch(against(join, reverse=True))
    assert forbids == ["Geen partij meer: Rode Kruis. Mag niets meer vragen."]
    assert permits == []


def test_a_party_that_becomes_of_another_kind_is_called_by_its_name(
    against: Callable[..., Difference],
) -> None:
    def become_ngo(document: dict[str, Any]) -> None:
        document["parties"]["goedwerk"]["kind"] = "ngo"

    permits, _, otherwise = dutch(against(become_ngo))
    assert any(sentence.startswith("Juridische screening: Goedwerk mag van de IND") for sentence in permits)
    assert "Partij Goedwerk › soort: was ‘return_org’, wordt ‘ngo’." in otherwise


def test_a_statute_opens_what_consent_did_not(against: Callable[..., Difference]) -> None:
    def change_the_law(document: dict[str, Any]) -> None:
        document["kinds"]["municipality"]["receives"] = True
        decisions = rules(document, "legal_screening", "ngo", "ind")["decisions"]
        # In force for part of the version only: its edges are asked as well.
        period = {"valid_from": document["valid_from"] + 9, "valid_until": document["valid_from"] + 99}
        by_law = {
            **decisions,
            "id": "legal_screening.municipality.ngo.plan_phase",
            "ground": "statutory",
            "statute": "vw",
        }
        document["statutes"] = {
            "vw": {
                "title": {"nl": "Wet opvang", "en": "Shelter act"},
                "citation": "Vw 2000 art. 1",
                "paragraph": "art. 4.3 (003 §5.1)",
                **period,
            }
        }
        document["rules"]["legal_screening"]["municipality"] = {"ngo": {"plan_phase": by_law}}

    found = against(change_the_law)
    assert [change.said_in("nl") for change in found.permits] == [
        "Juridische screening: de gemeente mag van een ngo krijgen, op grond van een wet: fase van het plan. "
        "Voor: begeleider, casemanager."
    ]
    assert found.forbids == ()


def test_what_changes_without_opening_or_closing_anything_is_told_field_by_field(
    against: Callable[..., Difference],
) -> None:
    def obligations(document: dict[str, Any]) -> None:
        document["version"] = "2026.2"
        document["valid_until"] -= 86_400
        document["founding_set"] = ["vluchtelingenwerk", "askv", "ind"]
        rule = rules(document, "legal_screening", "ngo", "ind")["decisions"]
        rule.update(retention_days=30, notify_client=True, legal_basis="GDPR 6(1)(e)")
        document["articles"]["art. 2.6"]["nl"] = "Dicht."
        document["open_questions"]["controllers"]["answer"] = "Ieder voor zich."

    permits, forbids, otherwise = dutch(against(obligations))
    assert (permits, forbids) == ([], [])
    place = "Regel juridische screening › ngo vraagt IND › beschikkingen"
    assert otherwise == [
        "Versie: was ‘2026.1-demo’, wordt ‘2026.2’.",
        "Geldig tot: was 1 januari 2031, wordt 31 december 2030.",
        "Oprichtende partijen: was vluchtelingenwerk, askv, ind, dtv, wordt vluchtelingenwerk, askv, ind.",
        f"{place} › grondslag: was art. 6 lid 1 onder f AVG, wordt art. 6 lid 1 onder e AVG.",
        f"{place} › bewaartermijn in dagen: was 90, wordt 30.",
        f"{place} › melden aan de cliënt: was nee, wordt ja.",
        "Open vraag controllers › antwoord: was ‘’, wordt ‘Ieder voor zich.’.",
        "Art. 2.6 › Nederlandse tekst: was ‘Wat geen regel opent, blijft dicht.’, wordt ‘Dicht.’.",
    ]


def test_who_may_read_counts_is_told_as_newly_permitted_or_no_longer() -> None:
    before = copy.deepcopy(DATA)
    before["purposes"]["aggregate_report"] = WHOLE["purposes"]["aggregate_report"]
    after = copy.deepcopy(before)
    after["kinds"]["review"]["receives_counts"] = True
    del after["kinds"]["coordination"]["receives_counts"]
    found = difference(Side.of(before, POLICIES), Side.of(after, POLICIES))
    assert dutch(found) == (
        ["De toetsingscommissie mag tellingen krijgen."],
        ["Regie & Organisatie krijgt geen tellingen meer."],
        [],
    )
    assert [change.en for change in found.permits] == ["The review committee may get counts."]


def test_where_no_purpose_gives_counts_who_may_read_them_is_told_as_a_field(
    against: Callable[..., Difference],
) -> None:
    assert dutch(against(lambda document: document["kinds"]["review"].update(receives_counts=True))) == (
        [],
        [],
        ["Soort partij toetsingscommissie › ontvangt tellingen: was nee, wordt ja."],
    )
