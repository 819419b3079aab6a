"""An agreement as people read it: the articles by which decisions cite it, and every rule in tables.

    Terms ──_parts──▶ headings, paragraphs, lists, tables ──▶ Markdown | one HTML page

Both forms come from the same parts, so they say the same. The page needs nothing but itself: no script, no
font, no other file. It prints, and on a narrow screen a table becomes a list of cards.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.agreement_document.annexes import annexes
from gateway.agreement_document.page import Anchor, Entries, Facts, Heading, Part, Table, markdown, page
from gateway.agreement_document.words import (
    SCHEMES,
    cited,
    day,
    listed,
    source_of,
    word,
    yes_no,
)
from gateway.terms import Language, Terms

Form = Literal["html", "md"]
_BOTH = tuple[str, str]
# What a computed state is called; another word is shown as it is.
STATES: Mapping[str, _BOTH] = {
    "draft": ("concept", "draft"),
    "proposed": ("voorgesteld", "proposed"),
    "approved": ("goedgekeurd, nog niet in werking", "approved, not in force"),
    "signed": ("ligt ter ondertekening", "open for signature"),
    "scheduled": ("ondertekend, gaat in op de eerste dag", "signed, in force from its first day"),
    "in_force": ("in werking", "in force"),
    "stopped": (
        "stilgelegd, een oprichtende partij heeft haar ondertekening ingetrokken",
        "stopped, a founding party has taken its signature back",
    ),
    "superseded": ("vervangen door een latere versie", "superseded by a later version"),
    "lapsed": ("vervallen", "lapsed"),
}


def render(
    agreement: Terms,
    digest: str,
    *,
    form: Form,
    language: Language = "nl",
    signed_by: Collection[str] = (),
    state: str = "draft",
) -> str:
    """Return the whole agreement as Markdown or as one HTML page; the same input gives the same bytes.

    `signed_by`: the parties whose signature on this digest was verified by the caller. `state`: one of
    `STATES`.
    """
    written = _Text(agreement, digest, language, frozenset(signed_by), state)
    parts = tuple(written.parts())
    title = agreement.title.said_in(language)
    return page(title, language, parts) if form == "html" else markdown(parts)


@dataclass(frozen=True, slots=True)
class _Text:
    terms: Terms
    digest: str
    language: Language
    signed_by: frozenset[str]
    state: str

    def parts(self) -> Iterator[Part]:
        yield from self._front()
        yield from self._parties()
        yield from self._chapters()
        yield from annexes(self.terms, self.language)

    def _say(self, nl: str, en: str) -> str:
        return nl if self.language == "nl" else en

    def _name(self, party: str) -> str:
        row = self.terms.parties.get(party)
        return party if row is None else row.name

    def _front(self) -> Iterator[Part]:
        terms, say = self.terms, self._say
        yield Heading(1, terms.title.said_in(self.language))
        needed = [*terms.founding_set]
        have = sum(party in self.signed_by for party in needed)
        months, most = terms.consent.default_months, terms.consent.max_months
        age = terms.consent.own_consent_from_age
        rows = [
            (say("Versie", "Version"), terms.version),
            (say("Stand", "State"), word(STATES, self.state, self.language)),
            (
                say("Geldig", "Valid"),
                say(
                    f"van {day(terms.valid_from, 'nl')} tot {day(terms.valid_until, 'nl')}",
                    f"from {day(terms.valid_from, 'en')} until {day(terms.valid_until, 'en')}",
                ),
            ),
            (say("Beheerder van de poort", "Operator of the gateway"), terms.operator.name),
            (
                say("Oprichtende partijen", "Founding parties"),
                say(
                    f"{listed(map(self._name, needed), 'nl')} ({have} van {len(needed)} ondertekend)",
                    f"{listed(map(self._name, needed), 'en')} ({have} of {len(needed)} signed)",
                ),
            ),
            (
                say("Toestemming", "Consent"),
                say(
                    f"geldt {months} maanden, hooguit {most}; vanaf {age} jaar beslist de cliënt zelf, "
                    f"{cited(terms.consent.paragraph, 'nl')}",
                    f"lasts {months} months, {most} at most; from {age} the client decides, "
                    f"{cited(terms.consent.paragraph, 'en')}",
                ),
            ),
            (say("Vervangt", "Supersedes"), terms.supersedes or say("eerste versie", "first version")),
            (say("Vingerafdruk", "Digest"), self.digest),
        ]
        yield Facts(tuple(rows))

    def _parties(self) -> Iterator[Part]:
        terms, say, language = self.terms, self._say, self.language
        yield Heading(2, say("Partijen", "Parties"))
        rows = []
        for party, row in terms.parties.items():
            kind = terms.kinds.get(row.kind)
            signed = party in self.signed_by
            founding = party in terms.founding_set
            rows.append(
                (
                    row.name,
                    row.kind if kind is None else kind.title.said_in(language),
                    say("ja", "yes") if signed else say("nog niet", "not yet"),
                    yes_no(founding, language),
                    yes_no(row.listed_among_partners, language),
                )
            )
        yield Table(
            say("Wie meedoet", "Who takes part"),
            (
                say("Partij", "Party"),
                say("Soort", "Kind"),
                say("Ondertekend", "Signed"),
                say("Oprichtend", "Founding"),
                say("Als ketenpartner te noemen", "May be named as chain partner"),
            ),
            tuple(rows),
        )
        yield Table(
            say("Wie kan worden gevraagd", "Who can be asked"),
            (
                say("Bron", "Source"),
                say("Herkent de cliënt aan", "Knows the client by"),
                say("Te vragen zonder toestemming", "May be asked without consent"),
                say("Artikel", "Article"),
            ),
            tuple(
                (
                    self._name(party),
                    listed(
                        (word(SCHEMES, each.value, language) for each in row.identifier_schemes), language
                    ),
                    yes_no(row.may_be_asked_without_consent, language),
                    Anchor(cited(row.paragraph, language)),
                )
                for party, row in terms.sources.items()
            ),
        )

    def _chapters(self) -> Iterator[Part]:
        terms = self.terms
        by_chapter: dict[str, list[tuple[int, str]]] = {}
        for number in terms.articles:
            chapter, member = number.removeprefix("art. ").split(".")
            by_chapter.setdefault(chapter, []).append((int(member), number))
        for chapter in sorted(terms.chapters, key=int):
            heading = self._say(f"Hoofdstuk {chapter}", f"Chapter {chapter}")
            yield Heading(2, f"{heading}. {terms.chapters[chapter].said_in(self.language)}")
            yield Entries(
                tuple(
                    (
                        number,
                        terms.articles[number].said_in(self.language),
                        source_of(terms.articles[number].source, self.language),
                    )
                    for _, number in sorted(by_chapter.get(chapter, []))
                )
            )
