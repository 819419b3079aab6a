"""`poort policy explain`: what a version says to a question about nobody, in words, without a gateway."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.commands import app

AGREEMENT = Path(__file__).parents[3] / "policies" / "agreement" / "agreement.json"
QUESTION = ("--as", "vluchtelingenwerk", "--source", "ind", "--purpose", "legal_screening")


def poort(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["policy", "explain", *arguments], terminal_width=100)


def shown(*arguments: str) -> str:
    done = poort(*arguments)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def decided(*arguments: str) -> dict[str, dict[str, Any]]:
    done = poort(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return {one["category"]: one for one in json.loads(done.stdout)["decisions"]}


def test_a_person_reads_the_rule_the_article_and_what_would_change_it() -> None:
    text = shown(*QUESTION, "--category", "perspective", "--category", "decisions")
    assert "Toegestaan: 1 van 2 gevraagde gegevens." in text
    assert f"versie van de overeenkomst: {json.loads(AGREEMENT.read_bytes())['version']}" in text
    assert "regel: legal_screening.ngo.ind.decisions" in text
    assert "grondslag: art. 6 lid 1 onder f AVG" in text
    assert "art. 5.2 (000 §2.1): Juridische screening" in text
    assert "wat het zou veranderen: Vraag het opnieuw als de cliënt toestemming heeft gegeven" in text


def test_the_same_in_english() -> None:
    text = shown(*QUESTION, "--category", "flight_narrative", "--lang", "en")
    assert "No consent in force names this sensitive category explicitly." in text
    assert "what would change it: Ask again once a consent of the client" in text


def test_without_categories_all_of_the_agreement_are_asked_for() -> None:
    assert [*decided(*QUESTION)] == [*json.loads(AGREEMENT.read_bytes())["categories"]]


@pytest.mark.parametrize(
    ("consent", "permitted"),
    [("none", set()), ("given", {"decisions"}), ("explicit", {"decisions", "flight_narrative"})],
)
def test_what_the_client_would_consent_to_counts(consent: str, permitted: set[str]) -> None:
    both = ("--category", "decisions", "--category", "flight_narrative", "--consent", consent)
    found = decided(*QUESTION, *both)
    assert {name for name, one in found.items() if one["outcome"] == "permitted"} == permitted


def test_a_role_that_may_not_is_told_who_may() -> None:
    one = decided(*QUESTION, "--category", "decisions", "--role", "desk")["decisions"]
    assert (one["reason"], one["would_change"][0]["roles"]) == ("role_may_not", ["caseworker", "casemanager"])


def test_another_version_in_a_file_is_asked_as_it_stands_there(tmp_path: Path) -> None:
    draft = json.loads(AGREEMENT.read_bytes())
    assert "decisions" in decided(*QUESTION, "--category", "decisions")
    del draft["rules"]["legal_screening"]["ngo"]["ind"]["decisions"]
    (tmp_path / "draft.json").write_text(json.dumps(draft))
    one = decided(*QUESTION, "--category", "decisions", "--agreement", str(tmp_path / "draft.json"))
    assert one["decisions"]["reason"] == "no_rule"


def test_a_kind_that_never_receives_reads_that_nothing_would_change_it() -> None:
    text = shown("--as", "avim", *QUESTION[2:], "--category", "decisions", "--lang", "en")
    assert "This kind of party never receives anything." in text
    assert "AVIM answers, never asks" in text
    assert "Nothing that you or the client can do changes this." in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (QUESTION[2:], "--as, --source and --purpose"),
        (("--as", "nobody", *QUESTION[2:]), "no such party: nobody; there are vluchtelingenwerk"),
        ((*QUESTION[:4], "--purpose", "hobby"), "no such purpose: hobby"),
        ((*QUESTION, "--category", "shoe_size"), "no such category: shoe_size"),
        ((*QUESTION, "--role", "boss"), "no such role: boss; there are desk"),
    ],
)
def test_a_question_that_cannot_be_asked_is_answered_with_what_can(
    arguments: tuple[str, ...], told: str
) -> None:
    done = poort(*arguments)
    assert done.exit_code == 2
    assert told in done.output


def test_a_file_that_is_no_agreement_is_refused_with_its_faults(tmp_path: Path) -> None:
    (tmp_path / "draft.json").write_text("{}")
    done = poort(*QUESTION, "--agreement", str(tmp_path / "draft.json"))
    assert done.exit_code == 1
