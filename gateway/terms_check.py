"""Whether the parts of an agreement say something together that may be signed.

Much of what is refused here is refused again by policies/prohibitions.rego, whatever the data say; here it is
found while people can still mend it, and all of it at once.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from pydantic import ValidationError

from adapters.protocol import BASELINE, SPECIAL, Category
from gateway.terms import ONLY_BY_STATUTE, Terms
from gateway.terms_characters import as_read, unseen
from gateway.terms_rules import findings_of_rule
from gateway.terms_sentences import AgreementInvalid, Fault, Finding, at, faults, finding_of

__all__ = ["AgreementInvalid", "Fault", "check", "warnings"]

# Under these, policy and desk cite a paragraph that belongs to no rule.
CLAUSES = frozenset(
    {
        "agreement_not_in_force",
        "purpose_not_in_agreement",
        "no_rule_in_agreement",
        "agreement_not_signed",
        "party_suspended",
        "not_on_case",
        "no_rule",
        "asking_needs_consent",
        # The desk may promise it only while the agreement does (rule 9 of docs/domain.md).
        "refusing_has_no_consequences",
    }
)
# Every kind that the prohibitions know. A kind by another name would be one that no prohibition meets.
KINDS = frozenset(
    {
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
)
NEVER_RECEIVES = frozenset({"avim", "gateway"})
COUNTS_ONLY = frozenset({"aggregate_report"})
# The stay in the programme (003 §3.2), and the age of UAVG art. 5.
MAX_MONTHS, OWN_CONSENT_FROM_AGE = 18, 16

_CATEGORIES = frozenset(category.value for category in Category)
_BASELINE = frozenset(category.value for category in BASELINE)
_SPECIAL = frozenset(category.value for category in SPECIAL)


def check(document: Mapping[str, object]) -> Terms:
    """Return the agreement, typed; raise AgreementInvalid with every fault that was found."""
    try:
        terms = Terms.model_validate(dict(document))
    except ValidationError as error:
        findings = [finding_of(each) for each in error.errors(include_url=False, include_input=False)]
        raise AgreementInvalid(faults(document, [*findings, *_behind(document, findings)])) from None
    if found := [*_findings(terms)]:
        raise AgreementInvalid(faults(document, found))
    return terms


def warnings(terms: Terms) -> tuple[Fault, ...]:
    """Return what is no fault but may be an oversight, as `poort agreement check` prints it."""
    return faults(terms.model_dump(by_alias=True), _oversights(terms))


def _behind(document: Mapping[str, object], form: list[Finding]) -> list[Finding]:
    """Return the other faults where only rules are malformed: nothing else refers to a rule."""
    broken = {finding.path[1:5] for finding in form if finding.path[:1] == ("rules",)}
    rules = document.get("rules")
    if len(form) > sum(finding.path[:1] == ("rules",) for finding in form) or not isinstance(rules, dict):
        return []
    if any(len(place) < 4 for place in broken):
        return []
    sound = copy.deepcopy(rules)
    for purpose, requester, source, category in broken:
        del sound[purpose][requester][source][category]
    return [*_findings(Terms.model_validate({**document, "rules": sound}))]


def _findings(terms: Terms) -> Iterator[Finding]:
    yield from _whole(terms)
    yield from _parties(terms)
    yield from _kinds_and_purposes(terms)
    yield from _categories(terms)
    yield from _articles(terms)
    for place, rule in terms.each_rule():
        yield from findings_of_rule(terms, place, rule)
    yield from unseen(terms.model_dump(by_alias=True))


def _whole(terms: Terms) -> Iterator[Finding]:
    if terms.valid_from >= terms.valid_until:
        yield at("valid_until")("de overeenkomst eindigt voor zij begint.", "it ends before it begins.")
    if terms.operator.kind not in KINDS - ONLY_BY_STATUTE:
        yield at("operator", "kind")(
            "de gemeente en haar diensten beheren de poort niet; kies een andere bekende soort partij.",
            "the municipality and its services do not run the gateway; name another known kind of party.",
        )
    consent = terms.consent
    if consent.max_months > MAX_MONTHS:
        yield at("consent", "max_months")(
            f"een toestemming geldt hooguit {MAX_MONTHS} maanden, de duur van het verblijf.",
            f"a consent lasts {MAX_MONTHS} months at most, as long as the stay.",
        )
    if consent.default_months > consent.max_months:
        yield at("consent", "default_months")(
            "de gewone duur is langer dan de langste.", "the usual length is more than the greatest."
        )
    if consent.own_consent_from_age != OWN_CONSENT_FROM_AGE:
        yield at("consent", "own_consent_from_age")(
            f"de wet zegt {OWN_CONSENT_FROM_AGE} jaar (UAVG art. 5).",
            f"the law says {OWN_CONSENT_FROM_AGE} years (UAVG art. 5).",
        )
    for name, statute in terms.statutes.items():
        if statute.valid_from >= statute.valid_until:
            yield at("statutes", name, "valid_until")(
                "de wet eindigt voor zij begint.", "the statute ends before it begins."
            )
    for clause in sorted(CLAUSES - terms.clauses.keys()):
        yield at("clauses", clause)("ontbreekt.", "is missing.")
    for clause in terms.clauses.keys() - CLAUSES:
        yield at("clauses", clause)("is een onbekende bepaling.", "is an unknown clause.")


def _parties(terms: Terms) -> Iterator[Finding]:
    founding, parties = terms.founding_set, terms.parties
    for index, party in enumerate(founding):
        if party not in parties:
            yield at("founding_set", index)(f"{party} is geen partij.", f"{party} is no party.")
        elif parties[party].kind in ONLY_BY_STATUTE | NEVER_RECEIVES:
            yield at("founding_set", index)(
                f"{party} kan niet mede bepalen wanneer de overeenkomst werkt.",
                f"{party} cannot be among those who bring the agreement into force.",
            )
        if party in founding[:index]:
            yield at("founding_set", index)(f"{party} staat er twee keer.", f"{party} is there twice.")
    if not any(party in parties and parties[party].kind == "ngo" for party in founding):
        yield at("founding_set")("er is geen ngo bij.", "there is no ngo among them.")
    names = Counter(as_read(row.name) for row in parties.values())
    for party, row in parties.items():
        if row.kind not in terms.kinds:
            yield at("parties", party, "kind")(
                f"is een onbekende soort: {row.kind}.", f"is an unknown kind: {row.kind}."
            )
        if names[as_read(row.name)] > 1:
            yield at("parties", party, "name")(
                "twee partijen dragen deze naam.", "two parties bear this name."
            )
    for party in terms.sources:
        kind = terms.kinds.get(parties[party].kind) if party in parties else None
        if kind is None or not kind.answers:
            yield at("sources", party)(
                "is geen partij van een soort die antwoordt.", "is no party of a kind that answers."
            )


def _kinds_and_purposes(terms: Terms) -> Iterator[Finding]:
    by_statute = {place[1] for place, rule in terms.each_rule() if rule.statute is not None}
    for name, kind in terms.kinds.items():
        if name not in KINDS:
            yield at("kinds", name)("deze soort kent de poort niet.", "the gateway does not know this kind.")
        if kind.receives and name in NEVER_RECEIVES:
            yield at("kinds", name, "receives")(
                "deze soort partij ontvangt nooit iets.", "this kind of party never receives anything."
            )
        if kind.receives_counts and name in NEVER_RECEIVES:
            yield at("kinds", name, "receives_counts")(
                "deze soort partij ontvangt ook geen tellingen.",
                "this kind of party receives no counts either.",
            )
        if kind.receives and name in ONLY_BY_STATUTE - by_statute:
            yield at("kinds", name, "receives")(
                "ontvangt pas iets als een regel een wet noemt; toestemming is hier niet genoeg.",
                "receives only once a rule names a statute; consent is not enough here.",
            )
    for name, purpose in terms.purposes.items():
        if name in COUNTS_ONLY and not purpose.aggregated:
            yield at("purposes", name, "aggregated")(
                "onder dit doel gaan alleen tellingen.", "under this purpose only counts are given."
            )


def _categories(terms: Terms) -> Iterator[Finding]:
    for name in sorted(_CATEGORIES - terms.categories.keys()):
        yield at("categories", name)("ontbreekt.", "is missing.")
    for name, row in terms.categories.items():
        if name not in _CATEGORIES:
            yield at("categories", name)("is een onbekend gegeven.", "is an unknown category.")
        if (name in _BASELINE) != (row.class_ == "baseline"):
            yield at("categories", name, "class")(
                "er zijn drie basisgegevens, niet meer en niet minder: perspective, guidance, partners.",
                "the baseline is three facts, no more and no less: perspective, guidance, partners.",
            )
        if name in _SPECIAL and row.class_ != "special":
            yield at("categories", name, "class")(
                "dit is een bijzonder of zeer gevoelig gegeven (special).",
                "this is special or highly sensitive (special).",
            )
        if (row.answered_by == "gateway") != (name == "partners"):
            yield at("categories", name, "answered_by")(
                "de poort beantwoordt alleen `partners`, uit de zaak zelf.",
                "the gateway answers `partners`, from the case, and nothing else.",
            )


def _articles(terms: Terms) -> Iterator[Finding]:
    members: dict[int, list[int]] = {}
    for number in terms.articles:
        chapter, member = number.removeprefix("art. ").split(".")
        members.setdefault(int(chapter), []).append(int(member))
        if chapter not in terms.chapters:
            yield at("articles", number)("valt onder geen hoofdstuk.", "belongs to no chapter.")
    for wanted, chapter in enumerate(sorted(terms.chapters, key=int), start=1):
        if int(chapter) != wanted:
            yield at("chapters", chapter)(
                f"hoofdstuk {wanted} ontbreekt ervoor.", f"chapter {wanted} is missing before it."
            )
            break
    for chapter in terms.chapters:
        found = set(members.get(int(chapter), ()))
        for gap in sorted(set(range(1, max(found, default=1) + 1)) - found):
            number = f"art. {chapter}.{gap}"
            yield at("articles", number)("ontbreekt in de nummering.", "is missing from the numbering.")
    existing = {f"{number} ({article.source})" for number, article in terms.articles.items()}
    for path, paragraph in _cited(terms):
        if paragraph not in existing:
            yield at(*path)("er is geen artikel dat zo heet.", "there is no article by this name.")


def _cited(terms: Terms) -> Iterator[tuple[tuple[str, ...], str]]:
    yield ("consent", "paragraph"), terms.consent.paragraph
    for clause, paragraph in terms.clauses.items():
        yield ("clauses", clause), paragraph
    collections: Iterable[tuple[str, Mapping[str, object]]] = (
        ("statutes", terms.statutes),
        ("kinds", terms.kinds),
        ("purposes", terms.purposes),
        ("categories", terms.categories),
        ("sources", terms.sources),
    )
    for name, rows in collections:
        for key, row in rows.items():
            yield (name, key, "paragraph"), str(getattr(row, "paragraph", ""))
    for place, rule in terms.each_rule():
        yield ("rules", *place, "paragraph"), rule.paragraph


def _oversights(terms: Terms) -> Iterator[Finding]:
    used = {rule.statute for _, rule in terms.each_rule()}
    for name in terms.statutes.keys() - used:
        yield at("statutes", name)("geen regel rust op deze wet.", "no rule rests on this statute.")
    for name, purpose in terms.purposes.items():
        if not purpose.aggregated and not terms.rules.get(name):
            yield at("purposes", name)(
                "geen regel opent iets voor dit doel.", "no rule opens anything for this purpose."
            )
    asking = {row.kind for row in terms.parties.values()}
    asked = {terms.parties[party].kind for party in terms.sources if party in terms.parties}
    for purpose_id, by_requester in terms.rules.items():
        for requester, by_source in by_requester.items():
            for source in by_source:
                if requester not in asking or source not in asked:
                    yield at("rules", purpose_id, requester, source)(
                        "nog geen partij vraagt of antwoordt volgens deze regels.",
                        "no party yet asks or answers by these rules.",
                    )
    for name, question in terms.open_questions.items():
        if not question.answer.strip():
            yield at("open_questions", name)(
                "is nog niet beantwoord; in productie start de poort dan niet.",
                "has no answer yet; in production the gateway does not start.",
            )
