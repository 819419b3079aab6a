"""The annexes of an agreement as people read it: every rule, its statutes, and what is still open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.agreement_document.page import Anchor, Heading, Lead, Part, Table
from gateway.agreement_document.words import (
    CLASSES,
    GROUNDS,
    acting,
    cited,
    day,
    legal_basis,
    listed,
    roles,
    word,
    yes_no,
)
from gateway.terms import Language, Rule, Terms


def annexes(terms: Terms, language: Language) -> Iterator[Part]:
    """Yield annex A (rules), B (statutes) and C (open questions)."""
    written = _Annexes(terms, language)
    yield from written.rules()
    yield from written.statutes()
    yield from written.questions()


@dataclass(frozen=True, slots=True)
class _Annexes:
    terms: Terms
    language: Language

    def _say(self, nl: str, en: str) -> str:
        return nl if self.language == "nl" else en

    def rules(self) -> Iterator[Part]:
        terms, say, language = self.terms, self._say, self.language
        closed = cited(terms.clauses.get("no_rule", ""), language)
        yield Heading(2, say("Bijlage A. De regels", "Annex A. The rules"))
        yield Lead(
            say(
                "Per doel staat hier wie aan wie wat mag vragen. De voorwaarde zegt wat er bij elke "
                "afgifte moet zijn aangetoond. De grondslag zegt waarom de verwerking rechtmatig is. "
                f"Wat hier niet staat, blijft dicht: {closed}.",
                "For each purpose: who may ask whom for what. The condition says what has to be shown at "
                "each hand-over. The legal basis says why the processing is lawful. What does not stand "
                f"here stays closed: {closed}.",
            )
        )
        yield self._categories()
        for purpose, row in terms.purposes.items():
            title = row.title.said_in(language)
            yield Heading(3, f"{title[:1].upper()}{title[1:]}")
            between = [
                (requester, source, rules)
                for requester, by_source in terms.rules.get(purpose, {}).items()
                for source, rules in by_source.items()
                if rules
            ]
            yield Lead(f"{cited(row.paragraph, language)}. {self._what_opens(row.aggregated, bool(between))}")
            for requester, source, rules in between:
                asks = say("vraagt", "asks")
                caption = f"{acting(requester, terms, language)} {asks} {acting(source, terms, language)}"
                yield self._table(f"{caption[:1].upper()}{caption[1:]}", rules)

    def _categories(self) -> Table:
        say, language = self._say, self.language
        return Table(
            say("De gegevens", "The categories"),
            (
                say("Gegeven", "Category"),
                say("Klasse", "Class"),
                say("Antwoord van", "Answered by"),
                say("Artikel", "Article"),
            ),
            tuple(
                (
                    row.title.said_in(language),
                    word(CLASSES, row.class_, language),
                    say("de bron", "the source")
                    if row.answered_by == "source"
                    else say("de poort", "the gateway"),
                    Anchor(cited(row.paragraph, language)),
                )
                for row in self.terms.categories.values()
            ),
        )

    def _what_opens(self, aggregated: bool, some: bool) -> str:
        if aggregated:
            told = [name for name, kind in self.terms.kinds.items() if kind.receives_counts]
            who = listed((acting(name, self.terms, self.language) for name in told), self.language)
            return self._say(
                f"Alleen tellingen in tientallen, geen gegevens over personen. Voor: {who or 'niemand'}.",
                f"Counts only, in tens, nothing about persons. For: {who or 'nobody'}.",
            )
        return "" if some else self._say("Nog geen regels.", "No rules yet.")

    def _table(self, caption: str, rules: Mapping[str, Rule]) -> Table:
        terms, say, language = self.terms, self._say, self.language
        laws = any(rule.statute for rule in rules.values())
        rows = []
        for category, rule in rules.items():
            known = terms.categories.get(category)
            cells: list[str | Anchor] = [
                category if known is None else known.title.said_in(language),
                word(GROUNDS, rule.ground, language),
                legal_basis(rule.legal_basis, language),
                *([self._law(rule)] if laws else []),
                roles((role.value for role in rule.roles), language),
                say(f"{rule.retention_days} dagen", f"{rule.retention_days} days"),
                yes_no(rule.redistribute, language),
                yes_no(rule.notify_client, language),
                Anchor(cited(rule.paragraph, language)),
            ]
            rows.append(tuple(cells))
        head = [say("Gegeven", "Category"), say("Voorwaarde", "Condition"), say("Grondslag", "Legal basis")]
        head += [say("Wet", "Statute")] if laws else []
        head += [say("Voor wie", "For whom"), say("Bewaren", "Kept"), say("Doorgeven", "Passed on")]
        head += [say("Melden aan cliënt", "Client told"), say("Artikel", "Article")]
        return Table(caption, tuple(head), tuple(rows))

    def _law(self, rule: Rule) -> str:
        if rule.statute is None:
            return ""
        law = self.terms.statutes.get(rule.statute)
        return rule.statute if law is None else law.title.said_in(self.language)

    def statutes(self) -> Iterator[Part]:
        say, language = self._say, self.language
        yield Heading(
            2, say("Bijlage B. Wetten waarop regels rusten", "Annex B. Statutes on which rules rest")
        )
        if not self.terms.statutes:
            yield Lead(
                say(
                    "Geen. Wie alleen op grond van een wet mag ontvangen, ontvangt onder deze versie "
                    "niets over een persoon.",
                    "None. Whoever may receive by statute only receives nothing about a person under "
                    "this version.",
                )
            )
            return
        yield Table(
            say("Wetten", "Statutes"),
            (
                say("Wet", "Statute"),
                say("Vindplaats", "Citation"),
                say("In werking vanaf", "In force from"),
                say("Tot", "Until"),
                say("Artikel", "Article"),
            ),
            tuple(
                (
                    law.title.said_in(language),
                    law.citation,
                    day(law.valid_from, language),
                    day(law.valid_until, language),
                    Anchor(cited(law.paragraph, language)),
                )
                for law in self.terms.statutes.values()
            ),
        )

    def questions(self) -> Iterator[Part]:
        say, language = self._say, self.language
        yield Heading(2, say("Bijlage C. Open vragen", "Annex C. Open questions"))
        unanswered = say("Nog niet beantwoord", "Not answered yet")
        rows = self.terms.open_questions.values()
        left = sum(not row.answer.strip() for row in rows)
        yield Lead(
            say(
                f"{left} van {len(rows)} vragen zijn nog niet beantwoord.",
                f"{left} of {len(rows)} questions have no answer yet.",
            )
        )
        yield Table(
            say("Vragen voor juristen", "Questions for lawyers"),
            (say("Vraag", "Question"), say("Antwoord", "Answer")),
            tuple((row.question.said_in(language), row.answer.strip() or unanswered) for row in rows),
        )
