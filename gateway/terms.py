"""The form of an agreement: what a version must say before anyone is asked to sign or obey it.

`check` reads a document as strictly as policy trusts it: an unknown key, a kind that does not exist or a rule
without a paragraph is refused with a sentence that names the place. Much of what is forbidden outright is
refused by policies/prohibitions.rego as well; here it is caught while people can still mend it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from adapters.protocol import BASELINE, SPECIAL, Category, PartyId, Role, Scheme, Slug

Text = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]
# What every decision cites: an article of the agreement, and in brackets the source that the article rests
# on.
Paragraph = Annotated[str, StringConstraints(pattern=r"^art\. [0-9]+\.[0-9]+ \([^()]+\)$")]
Seconds = Annotated[int, Field(ge=0, le=2**53 - 1)]
# Under these, the policy cites a paragraph that belongs to no rule.
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
    }
)

# Clients depend on these, so a consent gives them nothing (003 §5.1; policies/prohibitions.rego).
ONLY_BY_STATUTE = frozenset({"health", "municipality"})


class AgreementInvalid(Exception):
    """The document is no agreement; `sentences` say where and why."""

    def __init__(self, sentences: tuple[str, ...]) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = sentences


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Wording(_Row):
    """The same in the two languages of staff."""

    nl: Text
    en: Text


class Article(Wording):
    """One article, and the paragraph of law or plan it rests on (`ours`: the parties' own choice)."""

    source: Text


class Party(_Row):
    kind: Slug
    name: Text
    listed_among_partners: bool


class Kind(_Row):
    title: Wording
    receives: bool
    answers: bool
    paragraph: Paragraph


class Purpose(_Row):
    title: Wording
    aggregated: bool
    paragraph: Paragraph


class CategoryTerms(_Row):
    title: Wording
    class_: Literal["baseline", "ordinary", "special"] = Field(alias="class")
    answered_by: Literal["source", "gateway"]
    paragraph: Paragraph


class Source(_Row):
    identifier_schemes: Annotated[list[Annotated[Scheme, Field(strict=False)]], Field(min_length=1)]
    may_be_asked_without_consent: bool
    paragraph: Paragraph


class Statute(_Row):
    """A law that rules may name; a change of the law is a new version of the agreement with a row here."""

    title: Wording
    citation: Text
    valid_from: Seconds
    valid_until: Seconds
    paragraph: Paragraph


class ConsentTerms(_Row):
    """For how long a consent may be given, and from which age by the client alone."""

    default_months: Annotated[int, Field(ge=1, le=18)]
    max_months: Annotated[int, Field(ge=1, le=18)]
    own_consent_from_age: Literal[16]
    paragraph: Paragraph


class Rule(_Row):
    id: Text
    ground: Literal["baseline", "consent", "explicit_consent", "statutory"]
    roles: Annotated[list[Annotated[Role, Field(strict=False)]], Field(min_length=1)]
    legal_basis: Text
    retention_days: Annotated[int, Field(ge=1, le=3650)]
    redistribute: bool
    notify_client: bool
    paragraph: Paragraph
    statute: Slug | None = None


class OpenQuestion(_Row):
    question: Text
    answer: str


class Terms(_Row):
    """One version of the agreement. Instants in seconds, UTC; `valid_until` is the first that is outside."""

    id: Text
    version: Text
    title: Wording
    valid_from: Seconds
    valid_until: Seconds
    founding_set: Annotated[list[PartyId], Field(min_length=1)]
    consent: ConsentTerms
    statutes: dict[Slug, Statute] = Field(default_factory=dict)
    clauses: dict[str, Paragraph]
    parties: dict[PartyId, Party]
    kinds: dict[Slug, Kind]
    purposes: dict[Slug, Purpose]
    categories: dict[Slug, CategoryTerms]
    sources: dict[PartyId, Source]
    rules: dict[Slug, dict[Slug, dict[Slug, dict[Slug, Rule]]]]
    open_questions: dict[Slug, OpenQuestion]
    articles: dict[str, Article]

    def each_rule(self) -> Iterator[tuple[tuple[str, str, str, str], Rule]]:
        """Yield every rule with its place: purpose, requester kind, source kind, category."""
        for purpose, by_requester in self.rules.items():
            for requester, by_source in by_requester.items():
                for source, by_category in by_source.items():
                    for category, rule in by_category.items():
                        yield (purpose, requester, source, category), rule


def check(agreement: Mapping[str, object]) -> Terms:
    """Return the agreement, typed; raise AgreementInvalid with every fault that was found."""
    try:
        terms = Terms.model_validate(dict(agreement))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        places = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}." for fault in faults)
        raise AgreementInvalid(tuple(places)) from None
    faults_found = tuple(_faults(terms))
    if faults_found:
        raise AgreementInvalid(faults_found)
    return terms


def _faults(terms: Terms) -> Iterator[str]:
    if terms.valid_from >= terms.valid_until:
        yield "The agreement ends before it begins."
    if terms.consent.default_months > terms.consent.max_months:
        yield "A consent would by default last longer than it may."
    for name, statute in terms.statutes.items():
        if statute.valid_from >= statute.valid_until:
            yield f"Statute {name} ends before it begins."
    for party in terms.founding_set:
        if party not in terms.parties:
            yield f"The founding set names {party}, which is no party."
    for party, row in terms.parties.items():
        if row.kind not in terms.kinds:
            yield f"Party {party} is of unknown kind {row.kind}."
    for party in terms.sources:
        kind = terms.kinds.get(terms.parties[party].kind) if party in terms.parties else None
        if kind is None or not kind.answers:
            yield f"Source {party} is no party of a kind that answers."
    for clause in sorted(CLAUSES ^ terms.clauses.keys()):
        yield f"Clause {clause} is {'missing' if clause in CLAUSES else 'unknown'}."
    yield from _category_faults(terms)
    yield from _paragraph_faults(terms)
    for place, rule in terms.each_rule():
        yield from (f"Rule {'.'.join(place)} {fault}" for fault in _rule_faults(terms, place, rule))


def _category_faults(terms: Terms) -> Iterator[str]:
    known = {category.value for category in Category}
    for category in sorted(known ^ terms.categories.keys()):
        yield f"Category {category} is {'missing' if category in known else 'unknown'}."
    for name, row in terms.categories.items():
        if (name in {category.value for category in BASELINE}) != (row.class_ == "baseline"):
            yield f"Category {name}: the baseline is three facts, no more."
        if name in {category.value for category in SPECIAL} and row.class_ != "special":
            yield f"Category {name} is special."
        if (row.answered_by == "gateway") != (name == "partners"):
            yield f"Category {name}: the gateway answers `partners`, and nothing else."


def _paragraph_faults(terms: Terms) -> Iterator[str]:
    cited = {f"clause {name}": paragraph for name, paragraph in terms.clauses.items()}
    for label, rows in (
        ("kind", terms.kinds),
        ("purpose", terms.purposes),
        ("category", terms.categories),
        ("source", terms.sources),
        ("statute", terms.statutes),
    ):
        cited.update({f"{label} {name}": row.paragraph for name, row in rows.items()})
    cited["consent"] = terms.consent.paragraph
    cited.update({f"rule {'.'.join(place)}": rule.paragraph for place, rule in terms.each_rule()})
    existing = {f"{number} ({article.source})" for number, article in terms.articles.items()}
    for what, paragraph in cited.items():
        if paragraph not in existing:
            yield f"No article reads {paragraph!r}, which {what} cites."


def _rule_faults(terms: Terms, place: tuple[str, str, str, str], rule: Rule) -> Iterator[str]:
    purpose, requester, source, category = place
    row = terms.categories.get(category)
    if purpose not in terms.purposes:
        yield f"stands under unknown purpose {purpose}."
    elif terms.purposes[purpose].aggregated:
        yield "would give something about a person under a purpose of counts."
    for kind, duty in ((requester, "receives"), (source, "answers")):
        if kind not in terms.kinds or not getattr(terms.kinds[kind], duty):
            yield f"needs {kind} to be a kind that {duty}."
    if row is None:
        yield f"opens unknown category {category}."
    elif row.class_ == "special" and rule.ground != "explicit_consent":
        yield "opens a special category without explicit consent."
    elif rule.ground == "baseline" and row.class_ != "baseline":
        yield "calls something baseline that is not."
    if rule.id != ".".join(place):
        yield "has an id that is not its place."
    by_law_only = requester in ONLY_BY_STATUTE
    if rule.statute is None:
        if rule.ground == "statutory" or by_law_only:
            yield "must name the statute that it rests on."
    elif rule.statute not in terms.statutes:
        yield f"names unknown statute {rule.statute}."
    if by_law_only and rule.ground in ("baseline", "consent"):
        yield f"would rest on a yes that {requester} cannot be given freely."
