"""The readable agreement says all of the data, in both languages, and is one page that needs nothing else."""

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import pytest

from adapters.kit.register import agreement_digest
from gateway.agreement import check
from gateway.agreement_document.text import render
from gateway.terms import Language

FOLDER = Path(__file__).resolve().parents[3] / "policies" / "agreement"
DATA: dict[str, Any] = json.loads((FOLDER / "agreement.json").read_bytes())
DIGEST = agreement_digest(DATA)


def rendered(
    form: Literal["html", "md"] = "html",
    language: Language = "nl",
    document: dict[str, Any] = DATA,
    signed_by: tuple[str, ...] = ("askv", "ind"),
    state: str = "approved",
) -> str:
    terms = check(document)
    return render(terms, DIGEST, form=form, language=language, signed_by=signed_by, state=state)


class Page(HTMLParser):
    """What a reader and a browser find in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.headings: list[int] = []
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        if tag not in {"meta"}:
            self.open.append(tag)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if tag == "a" else []
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action"}]
        self.headings += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("language", ["nl", "en"])
@pytest.mark.parametrize("form", ["html", "md"])
def test_says_every_title_text_rule_and_question_of_the_data(
    form: Literal["html", "md"], language: Language
) -> None:
    text = rendered(form, language).replace("&#x27;", "'").replace("&amp;", "&").replace("\\", "")
    for collection in ("kinds", "purposes", "categories"):
        for key, row in DATA[collection].items():
            if key != "gateway":
                assert row["title"][language].lower() in text.lower()
    for number, article in DATA["articles"].items():
        assert number in text
        assert article[language] in text
    assert all(row["name"] in text for row in DATA["parties"].values())
    assert all(row["question"][language] in text for row in DATA["open_questions"].values())
    assert DIGEST in text
    assert DATA["version"] in text
    rules = check(DATA).each_rule()
    days = "dagen" if language == "nl" else "days"
    assert len(re.findall(rf"\d+ {days}", text)) == len(list(rules))


def test_an_article_is_found_at_the_number_that_decisions_cite() -> None:
    page, text = Page(rendered()), rendered("md")
    for number in DATA["articles"]:
        assert number.replace(". ", "-").replace(".", "-") in page.ids
    assert "art-2-1" in page.ids
    assert '<a id="art-2-1"></a>**art. 2.1**' in text
    assert "[art. 2.1 (000 §2.5)](#art-2-1)" in text


def test_every_link_leads_somewhere_on_the_page_and_nothing_comes_from_elsewhere() -> None:
    page = Page(rendered())
    assert len(page.links) > 200
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert all(address.startswith("#") for address in page.addresses)
    assert not page.tags & {"script", "img", "link", "iframe", "form", "object"}
    assert "url(" not in rendered()
    assert "@import" not in rendered()


def test_headings_come_in_order_and_every_tag_is_closed() -> None:
    page = Page(rendered())
    assert page.open == []
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    assert '<html lang="nl">' in rendered()
    assert '<html lang="en">' in rendered(language="en")


def test_says_who_signed_and_how_far_it_is() -> None:
    text = rendered("md")
    assert "| ASKV | ngo | ja | ja | ja |" in text
    assert "| VluchtelingenWerk | ngo | nog niet | ja | ja |" in text
    assert "VluchtelingenWerk, ASKV, IND en DT&V (2 van 4 ondertekend)" in text
    assert "- **Stand:** goedgekeurd, nog niet in werking" in text
    assert "- **Geldig:** van 1 januari 2025 tot 1 januari 2031" in text
    assert "- **State:** in force" in rendered("md", "en", state="in_force")


def test_a_rule_says_condition_and_legal_basis_apart_as_dutch_lawyers_write_them() -> None:
    row = next(line for line in rendered("md").splitlines() if line.startswith("| vluchtrelaas | uitdr"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:4] == [
        "uitdrukkelijke toestemming",
        "art. 6 lid 1 onder f en art. 9 lid 2 onder a AVG",
        "begeleider, casemanager",
    ]
    assert cells[-1] == "[art. 2.4 (AVG art. 9)](#art-2-4)"


def test_says_that_no_statute_is_recorded_or_lists_those_that_are() -> None:
    assert "Geen. Wie alleen op grond van een wet mag ontvangen, ontvangt" in rendered("md")
    document = copy.deepcopy(DATA)
    title = {"nl": "Wet opvang", "en": "Shelter act"}
    period = {"valid_from": DATA["valid_from"], "valid_until": DATA["valid_until"]}
    law = {"title": title, "citation": "Vw 2000 art. 1", **period, "paragraph": "art. 4.3 (003 §5.1)"}
    document["statutes"] = {"vw": law}
    document["kinds"]["municipality"]["receives"] = True
    rule = copy.deepcopy(DATA["rules"]["legal_screening"]["ngo"]["ind"]["decisions"])
    rule.update(id="legal_screening.municipality.ngo.plan_phase", ground="statutory", statute="vw")
    document["rules"]["legal_screening"]["municipality"] = {"ngo": {"plan_phase": rule}}
    text = rendered("md", document=document)
    assert "| Wet opvang | Vw 2000 art. 1 | 1 januari 2025 | 1 januari 2031 |" in text
    assert "**De gemeente vraagt een ngo**" in text
    assert "| fase van het plan | wet | art. 6 lid 1 onder f AVG | Wet opvang |" in text


def test_an_open_question_is_marked_until_it_has_an_answer() -> None:
    assert "7 van 7 vragen zijn nog niet beantwoord." in rendered("md")
    document = copy.deepcopy(DATA)
    document["open_questions"]["v_number_at_ngo"]["answer"] = "UAVG art. 46 lid 2."
    text = rendered("md", document=document)
    assert "6 van 7 vragen zijn nog niet beantwoord." in text
    assert "| UAVG art. 46 lid 2. |" in text


@pytest.mark.parametrize("form", ["html", "md"])
def test_what_an_author_wrote_is_text_and_never_markup(form: Literal["html", "md"]) -> None:
    document = copy.deepcopy(DATA)
    hostile = "<script>alert(1)</script> [a](http://example.org) | `b` \"'"
    document["title"]["nl"] = document["articles"]["art. 1.1"]["nl"] = hostile
    document["parties"]["askv"]["name"] = document["version"] = hostile[:60]
    document["purposes"]["review"]["title"]["nl"] = hostile
    text = rendered(form, document=document)
    assert "<script" not in text
    assert "[a](http" not in (text if form == "md" else "")
    if form == "html":
        assert Page(text).open == []


def test_an_author_names_no_character_that_one_form_shows_and_the_other_hides() -> None:
    document = copy.deepcopy(DATA)
    document["title"]["nl"] = "Niet&#8203; &#x202e;dus&nbsp;wel, R&O"
    assert r"# Niet&amp;\#8203; &amp;\#x202e;dus&amp;nbsp;wel, R&O" in rendered("md", document=document)
    assert "Niet&amp;#8203; &amp;#x202e;dus&amp;nbsp;wel, R&amp;O" in rendered("html", document=document)


def test_the_same_data_give_the_same_bytes() -> None:
    assert rendered() == rendered()
    assert rendered(signed_by=("ind", "askv")) == rendered()
