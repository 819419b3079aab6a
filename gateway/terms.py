"""The form of an agreement: what a version must say before anyone is asked to sign or obey it.

A document is read as strictly as policy trusts it: unknown keys, other types and empty texts are refused.
What the parts say together is `gateway.terms_check`'s question, and what a person reads about a fault
`gateway.terms_sentences`'s. `python -m gateway.terms` writes `policies/agreement/schema.json`, by which an
editor completes and checks a draft while it is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from adapters.protocol import PartyId, Role, Scheme, Slug

SCHEMA = Path(__file__).resolve().parents[1] / "policies" / "agreement" / "schema.json"

Ground = Literal["baseline", "consent", "explicit_consent", "statutory"]
Language = Literal["nl", "en"]
# Purpose, requester kind, source kind, category.
RulePlace = tuple[str, str, str, str]

# As long as the longest article; a text that is longer is a document, not a clause.
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]
# What every decision cites: an article of the agreement, and in brackets the source that the article rests
# on.
Paragraph = Annotated[str, StringConstraints(pattern=r"^art\. [0-9]+\.[0-9]+ \([^()]+\)$")]
ArticleNumber = Annotated[str, StringConstraints(pattern=r"^art\. [1-9][0-9]?\.[1-9][0-9]?$")]
ChapterNumber = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]?$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha-256:[A-Za-z0-9_-]{43}$")]
# The last second of the year 9999: after it no calendar goes on, and milliseconds are soon beyond it.
Seconds = Annotated[int, Field(ge=0, le=253_402_300_799)]
Months = Annotated[int, Field(ge=1, le=120)]

# Clients depend on these, so a consent alone opens nothing to them (003 §5.1; policies/prohibitions.rego).
ONLY_BY_STATUTE = frozenset({"health", "municipality"})


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Wording(_Row):
    """The same in the two languages of staff."""

    nl: Text
    en: Text

    def said_in(self, language: Language) -> str:
        """Return the text in that language."""
        return self.nl if language == "nl" else self.en


class Article(Wording):
    """One article, and the paragraph of law or plan it rests on (`ours`: the parties' own choice)."""

    source: Text


class Operator(_Row):
    """Who runs the gateway. It is no party by that, and never the municipality (rule 4 of docs/domain.md)."""

    name: Text
    kind: Slug


class ConsentTerms(_Row):
    """How long a consent lasts, and from which age a client gives it alone."""

    default_months: Months
    max_months: Months
    own_consent_from_age: Annotated[int, Field(ge=0, le=120)]
    paragraph: Paragraph


class Party(_Row):
    """One organisation. `listed_among_partners`: its mere involvement may be told to others on the case."""

    kind: Slug
    name: Text
    listed_among_partners: bool


class Kind(_Row):
    """A kind of party: rules are between kinds. Whoever does not receive gets nothing by any rule.

    `receives_counts`: it may read how many clients there are, in tens, and never who.
    """

    title: Wording
    receives: bool
    receives_counts: bool = False
    answers: bool
    paragraph: Paragraph


class Purpose(_Row):
    """What an exchange is for. `aggregated`: it is served with counts, and no rule stands under it."""

    title: Wording
    aggregated: bool
    paragraph: Paragraph


class CategoryTerms(_Row):
    """A category of data, and whether its source or the gateway (from the case) answers it."""

    title: Wording
    class_: Literal["baseline", "ordinary", "special"] = Field(alias="class")
    answered_by: Literal["source", "gateway"]
    paragraph: Paragraph


class Source(_Row):
    """A party that can be asked: by which numbers it knows a client, and whether asking needs a consent."""

    identifier_schemes: Annotated[list[Annotated[Scheme, Field(strict=False)]], Field(min_length=1)]
    may_be_asked_without_consent: bool
    paragraph: Paragraph


class Statute(_Row):
    """A law on which rules rest; outside its period they open nothing. The end itself is outside."""

    title: Wording
    citation: Text
    valid_from: Seconds
    valid_until: Seconds
    paragraph: Paragraph


class Rule(_Row):
    """What opens one category between two kinds of party for one purpose, and what the recipient owes for it.

    `ground` is what has to be shown each time, `legal_basis` why the processing is lawful at all: two
    questions, both answered. `statute` stands beside any ground.
    """

    id: Text
    ground: Ground
    roles: Annotated[list[Annotated[Role, Field(strict=False)]], Field(min_length=1)]
    legal_basis: Text
    statute: Slug | None = None
    retention_days: Annotated[int, Field(ge=1, le=3650)]
    redistribute: bool
    notify_client: bool
    paragraph: Paragraph


class OpenQuestion(_Row):
    """What lawyers still have to settle; in production there is none without an answer."""

    question: Wording
    answer: Annotated[str, StringConstraints(max_length=2000)]


class Terms(_Row):
    """One version of the agreement. Instants in seconds, UTC; `valid_until` is the first that is outside."""

    id: Text
    version: Annotated[str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True)]
    title: Wording
    supersedes: Digest | None = None
    operator: Operator
    valid_from: Seconds
    valid_until: Seconds
    founding_set: Annotated[list[PartyId], Field(min_length=1)]
    consent: ConsentTerms
    chapters: dict[ChapterNumber, Wording]
    statutes: dict[Slug, Statute] = Field(default_factory=dict)
    clauses: dict[Slug, Paragraph]
    parties: dict[PartyId, Party]
    kinds: dict[Slug, Kind]
    purposes: dict[Slug, Purpose]
    categories: dict[Slug, CategoryTerms]
    sources: dict[PartyId, Source]
    rules: dict[Slug, dict[Slug, dict[Slug, dict[Slug, Rule]]]]
    open_questions: dict[Slug, OpenQuestion]
    articles: dict[ArticleNumber, Article]

    def article(self, paragraph: str) -> Article | None:
        """Return the article that a decision cites as `art. 2.1 (…)`; None where it cites none of ours."""
        number, _, source = paragraph.partition(" (")
        found = self.articles.get(number)
        return found if found is not None and f"{found.source})" == source else None

    def each_rule(self) -> Iterator[tuple[RulePlace, Rule]]:
        """Yield every rule with its place: purpose, requester kind, source kind, category."""
        for purpose, by_requester in self.rules.items():
            for requester, by_source in by_requester.items():
                for source, by_category in by_source.items():
                    for category, rule in by_category.items():
                        yield (purpose, requester, source, category), rule


def json_schema() -> dict[str, object]:
    """Return the JSON Schema of an agreement; what it cannot say, `gateway.terms_check` does."""
    described = Terms.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described}


def schema_text() -> str:
    """Return the schema as it stands in policies/agreement/schema.json."""
    return json.dumps(json_schema(), ensure_ascii=False, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
