"""What a lawyer gets to read of a draft: what is wrong with it and where, its text, and what it changes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from typer.testing import CliRunner, Result

from adapters.kit.register import agreement_digest
from gateway.agreement import check as checked
from gateway.agreement_document.text import render
from gateway.agreement_state import Stage
from gateway.cli.agreement import app as agreement_app
from gateway.cli.agreement_told import print_told, standing
from gateway.cli.commands import app

FILE = Path(__file__).resolve().parents[3] / "policies" / "agreement" / "agreement.json"
TEXT = FILE.read_text("utf-8")
DATA: dict[str, Any] = json.loads(TEXT)
VERSION = f'"version": "{DATA["version"]}"'


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["agreement", *map(str, arguments)])


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    return tmp_path / "concept.json"


def written(draft: Path, content: str | bytes | dict[str, Any]) -> Path:
    if isinstance(content, dict):
        content = json.dumps(content)
    draft.write_bytes(content.encode() if isinstance(content, str) else content)
    return draft


# --- check -----------------------------------------------------------------------------------


def test_a_draft_that_holds_is_named_by_what_its_parties_sign() -> None:
    done = run("check", FILE)
    assert done.exit_code == 0
    assert f"agreement.json: in orde, versie {DATA['version']}" in done.output
    assert f"vingerafdruk: {agreement_digest(DATA)}" in done.output
    assert "geldig: van 1 januari 2025 tot 1 januari 2031" in done.output
    assert f"digest: {agreement_digest(DATA)}" in run("check", FILE, "--lang", "en").output


def test_an_oversight_is_told_and_is_no_fault(draft: Path) -> None:
    told = "Open vraag controllers — is nog niet beantwoord; in productie start de poort dan niet."
    assert told in run("check", FILE).output.splitlines()
    found = json.loads(run("check", FILE, "--json").output)
    assert (found["valid"], found["digest"], found["faults"]) == (True, agreement_digest(DATA), [])
    assert found["warnings"][0]["place"] == "Open vraag controllers"
    answered = copy.deepcopy(DATA)
    for question in answered["open_questions"].values():
        question["answer"] = "Zo."
    assert "Let op" not in run("check", written(draft, answered)).output


def test_every_fault_has_a_line_with_its_place_in_the_order_of_the_draft(draft: Path) -> None:
    document = copy.deepcopy(DATA)
    document["valid_until"] = 1
    document["founding_set"].append("gemeente-amsterdam")
    document["kinds"]["avim"]["receives"] = True
    done = run("check", written(draft, document))
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "Geldig tot — de overeenkomst eindigt voor zij begint.",
        "Oprichtende partijen › nummer 5 — gemeente-amsterdam kan niet mede bepalen wanneer de overeenkomst"
        " werkt.",
        "Soort partij vreemdelingenpolitie (AVIM) › ontvangt — deze soort partij ontvangt nooit iets.",
    ]
    assert done.stderr.strip() == "concept.json is zo geen overeenkomst: 3 fouten."
    english = run("check", draft, "--lang", "en")
    assert english.stdout.splitlines()[0] == "Valid until — it ends before it begins."
    assert english.stderr.strip() == "concept.json is no agreement like this: 3 faults."


def test_a_wrong_type_an_unknown_name_and_what_is_missing_are_told_together(draft: Path) -> None:
    document = copy.deepcopy(DATA)
    document["rules"]["legal_screening"]["ngo"]["ind"]["decisions"]["retention_days"] = "lang"
    document["surprise"] = 1
    del document["title"]
    assert run("check", written(draft, document)).stdout.splitlines() == [
        "Regel juridische screening › ngo vraagt IND › beschikkingen › bewaartermijn in dagen"
        " — moet een heel getal zijn.",
        "Surprise — hoort hier niet.",
        "Titel — ontbreekt.",
    ]


def test_faults_are_one_json_document_for_machines(draft: Path) -> None:
    done = run("check", written(draft, DATA | {"valid_until": 1}), "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["valid"], found["file"]) == (False, draft.name)
    assert found["faults"] == [
        {
            "place": "Geldig tot",
            "nl": "de overeenkomst eindigt voor zij begint.",
            "en": "it ends before it begins.",
            "place_en": "Valid until",
        }
    ]


LAST_RULE = TEXT.rindex('"paragraph": "art. 2')
BROKEN = {
    "a comma is missing": (
        TEXT.replace(f"{VERSION},", VERSION),
        "concept.json, regel 4, teken 3 — hier of vlak ervoor ontbreekt een komma",
    ),
    "a comma too many": (
        TEXT.replace(f"{VERSION},", f"{VERSION},,"),
        "concept.json, regel 3, teken 28 — hier hoort een naam tussen dubbele rechte aanhalingstekens.",
    ),
    "curly quotation marks": (
        TEXT.replace('"version"', "“version”", 1),
        "regel 3, teken 3 — hier hoort een naam",
    ),
    "no value": (TEXT.replace(VERSION, '"version":'), "regel 3, teken 13 — hier ontbreekt een waarde"),
    "no colon": (
        TEXT.replace(VERSION, '"version" "1"'),
        "regel 3, teken 13 — na de naam ontbreekt een dubbele",
    ),
    "cut off": (
        TEXT[: TEXT.index('"version": "') + 15],
        "regel 3, teken 14 — deze tekst wordt niet afgesloten",
    ),
    "a text over two lines": (
        TEXT.replace(VERSION, '"version": "1\n2"'),
        "regel 3, teken 16 — deze tekst loopt",
    ),
    "an escape that is none": (
        TEXT.replace(VERSION, r'"version": "\q"'),
        "regel 3, teken 15 — een \\ mag alleen",
    ),
    "something after the end": (TEXT + "}", "na het einde van de overeenkomst staat nog iets."),
    "a name twice": (
        TEXT.replace(VERSION, f'{VERSION},\n  "id": "x"'),
        'concept.json, regel 4 — de naam "id" staat twee keer in hetzelfde blok',
    ),
    "a name twice deep down, where it stands everywhere": (
        f'{TEXT[:LAST_RULE]}"paragraph": "art. 2.4 (AVG art. 9)",\n{TEXT[LAST_RULE:]}',
        f'concept.json, regel {TEXT.count(chr(10), 0, LAST_RULE) + 2} — de naam "paragraph" staat twee keer',
    ),
    "a number that is none": (
        TEXT.replace(str(DATA["valid_from"]), "NaN", 1),
        "niet elk programma hetzelfde",
    ),
    "a number too large": (
        TEXT.replace(str(DATA["valid_from"]), "1" * 30, 1),
        "niet elk programma hetzelfde",
    ),
    "nested without end": ("[" * 50_000, "niet elk programma hetzelfde"),
    "empty": ("", "concept.json — is leeg."),
    "blank": (" \n\n", "concept.json — is leeg."),
    "a list": ("[1, 2]", "concept.json — is geen blok met onderdelen"),
    "a Word file": (
        b"PK\x03\x04" + bytes(range(256)) * 9,
        "is geen tekst: een overeenkomst is een JSON-bestand",
    ),
    "a PDF": (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", "concept.json — is geen tekst"),
    "a picture": (b"\x89PNG" + bytes(range(128, 256)), "concept.json — is geen tekst"),
    "a byte-order mark": (b"\xef\xbb\xbf" + TEXT.encode(), "concept.json — is niet opgeslagen als UTF-8."),
    "UTF-16": (TEXT.encode("utf-16"), "concept.json — is niet opgeslagen als UTF-8."),
    "Windows letters": (
        TEXT.replace(DATA["version"], "één").encode("cp1252", "replace"),
        "concept.json, regel 3 — is niet opgeslagen als UTF-8.",
    ),
    "larger than any agreement": (b" " * (8 * 1024 * 1024 + 1), "is groter dan een overeenkomst ooit is."),
}


@pytest.mark.parametrize(("content", "told"), BROKEN.values(), ids=BROKEN.keys())
def test_a_file_that_cannot_be_read_is_explained_with_its_line(
    draft: Path, content: str | bytes, told: str
) -> None:
    assert run("check", written(draft, TEXT)).exit_code == 0
    done = run("check", written(draft, content))
    assert done.exit_code == 1
    assert done.stdout.count("\n") == 1
    assert told in done.stdout
    english = run("check", draft, "--lang", "en").stdout
    assert english.startswith("concept.json")
    assert english != done.stdout


def test_a_file_that_is_not_there_or_is_a_folder_is_said_so(tmp_path: Path) -> None:
    assert run("check", tmp_path / "weg.json").stdout == "weg.json — dit bestand is er niet.\n"
    assert run("check", tmp_path).stdout == f"{tmp_path.name} — is een map, geen bestand.\n"


# --- render ----------------------------------------------------------------------------------


def test_the_text_is_written_as_a_page_or_as_markdown(tmp_path: Path) -> None:
    terms, digest = checked(DATA), agreement_digest(DATA)
    page = tmp_path / "overeenkomst.html"
    assert run("render", FILE, "--out", page).exit_code == 0
    assert page.read_text("utf-8") == render(terms, digest, form="html")
    assert run("render", FILE).stdout == render(terms, digest, form="md")
    assert run("render", FILE, "--format", "html", "--lang", "en").stdout == render(
        terms, digest, form="html", language="en"
    )
    markdown = tmp_path / "overeenkomst.md"
    run("render", FILE, "--out", markdown)
    assert markdown.read_text("utf-8") == render(terms, digest, form="md")


def test_the_document_itself_is_written_to_begin_a_draft_from(tmp_path: Path) -> None:
    draft = tmp_path / "draft.json"
    assert run("render", FILE, "--out", draft).exit_code == 0
    assert json.loads(draft.read_text("utf-8")) == DATA
    assert run("render", FILE, "--format", "json").stdout == draft.read_text("utf-8")


def cited(part: Any, key: str = "") -> Iterator[str]:
    """Yield every paragraph that a decision under the agreement can cite."""
    if isinstance(part, dict):
        for name, inner in part.items():
            yield from cited(inner, "paragraph" if key == "clauses" else name)
    elif key == "paragraph":
        yield part


@pytest.mark.parametrize("form", ["html", "md"])
def test_every_paragraph_that_decisions_cite_is_a_place_in_the_text(form: str) -> None:
    written = run("render", FILE, "--format", form).stdout
    paragraphs = {paragraph.partition(" (")[0] for paragraph in cited(DATA)}
    assert len(paragraphs) > 20
    places = [number.replace(". ", "-").replace(".", "-") for number in paragraphs]
    assert [place for place in places if written.count(f'id="{place}"') != 1] == []


def test_a_draft_is_not_overwritten_by_its_own_text(draft: Path) -> None:
    done = run("render", written(draft, TEXT), "--out", draft)
    assert done.exit_code == 2
    assert draft.read_text("utf-8") == TEXT


def test_where_nothing_can_be_written_is_said(tmp_path: Path) -> None:
    done = run("render", FILE, "--out", tmp_path / "nowhere" / "page.html")
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr


def test_a_draft_with_faults_has_no_text(draft: Path) -> None:
    done = run("render", written(draft, DATA | {"valid_until": 1}))
    assert done.exit_code == 1
    assert done.stdout == "Geldig tot — de overeenkomst eindigt voor zij begint.\n"


# --- diff ------------------------------------------------------------------------------------


def small() -> dict[str, Any]:
    """Return the agreement with one purpose: the same questions, sooner answered."""
    document = copy.deepcopy(DATA)
    for collection in ("purposes", "rules"):
        document[collection] = {"legal_screening": document[collection]["legal_screening"]}
    return document


def test_two_drafts_are_compared_in_sentences_and_for_machines(tmp_path: Path) -> None:
    old, document = written(tmp_path / "old.json", small()), small()
    to_ind = document["rules"]["legal_screening"]["ngo"]["ind"]
    to_ind["contact"] = {**to_ind["decisions"], "id": "legal_screening.ngo.ind.contact"}
    del to_ind["family"]
    document["version"] = "2026.2"
    new = written(tmp_path / "new.json", document)
    done = run("diff", old, new)
    assert done.exit_code == 0
    assert " ".join(done.stdout.split()) == (
        f"{DATA['version']} → 2026.2"
        " Nieuw toegestaan • Juridische screening: een ngo mag van de IND krijgen, met toestemming:"
        " contactgegevens. Voor: begeleider, casemanager."
        " Niet meer toegestaan • Juridische screening: een ngo krijgt van de IND niet meer (tot nu toe met"
        " toestemming): gezin en familie. Voor: begeleider, casemanager."
        f" Verder anders • Versie: was ‘{DATA['version']}’, wordt ‘2026.2’."
    )
    found = json.loads(run("diff", old, new, "--json").stdout)
    assert (found["old"], found["new"]) == (agreement_digest(small()), agreement_digest(document))
    assert [change["categories"] for change in found["permits"]] == [["contact"]]
    assert [change["categories"] for change in found["forbids"]] == [["family"]]
    assert [change["path"] for change in found["otherwise"]] == [["version"]]


def test_the_same_draft_twice_changes_nothing(draft: Path) -> None:
    written(draft, small())
    assert "Er verandert niets." in run("diff", draft, draft).stdout
    assert "Nothing changes." in run("diff", draft, draft, "--lang", "en").stdout


def test_a_draft_with_faults_is_not_compared(draft: Path) -> None:
    done = run("diff", FILE, written(draft, DATA | {"valid_until": 1}))
    assert done.exit_code == 1
    assert "Geldig tot — de overeenkomst eindigt voor zij begint." in done.stdout
    assert "concept.json is zo geen overeenkomst: 1 fout." in done.stderr


# --- in Dutch and in English -----------------------------------------------------------------


def test_every_command_speaks_dutch_unless_asked_for_english() -> None:
    group: Any = typer.main.get_command(agreement_app)
    assert len(group.commands) >= 10
    declared = {
        name: [(one.default, one.help) for one in command.params if "--lang" in one.opts]
        for name, command in group.commands.items()
    }
    assert {name: each for name, each in declared.items() if each != declared["check"]} == {}
    assert [default for default, _ in declared["check"]] == ["nl"]
    assert run("check", FILE, "--lang", "fr").exit_code == 2


@pytest.mark.parametrize("state", [*get_args(Stage), "draft"])
def test_every_stage_has_its_word_in_both_languages(state: str) -> None:
    told = {"state": state, "signed": 3, "needed": 4, "valid_from": "2027-01-01T00:00:00Z"}
    dutch, english = standing(told, "nl"), standing(told, "en")
    assert "; ondertekend door 3 van 4 oprichtende partijen" in dutch
    assert english.startswith(state.replace("_", " "))
    assert dutch.partition(";")[0] != english.partition(";")[0]


def test_a_version_that_a_founder_left_says_that_it_stopped_and_what_starts_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = {"version": "2026.1", "digest": agreement_digest(DATA), "state": "in_force", "signed": 4}
    print_told(told, "nl", as_json=False)
    assert "volgende stap" not in capsys.readouterr().out
    print_told({**told, "state": "stopped", "signed": 3, "needed": 4}, "nl", as_json=False)
    shown = capsys.readouterr().out
    assert shown.startswith("versie 2026.1  stilgelegd; ondertekend door 3 van 4")
    assert "volgende stap: wie haar ondertekening introk, ondertekent opnieuw" in shown
    assert f"poort agreement sign {told['digest']} --worker ID:admin" in shown
