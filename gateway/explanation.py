"""What an explanation of a decision says, in both languages of staff, and how it is put together.

    the decision          ──▶ rule, ground, paragraph, consent ──▶ sentences, with the article itself
    the agreement alone   ──▶ what would change it

Nothing here knows a client or a database: a decision that was recorded and one that policy would make are
explained alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from adapters.protocol import Role
from gateway import explaining_words as words
from gateway.explaining_words import Said
from gateway.policy.hypothetical import Asked, Permits, least_changes
from gateway.terms import Rule

if TYPE_CHECKING:
    from gateway.policy.hypothetical import Change
    from gateway.policy.port import RefusalCode
    from gateway.terms import Terms

ROLES = tuple(role.value for role in Role)


@dataclass(frozen=True, slots=True)
class Way:
    """What would change a decision; `change` is None where it is the parties' to do."""

    change: Change | None
    sentence: Said

    def as_document(self) -> dict[str, Any]:
        """Say it to a machine."""
        said: dict[str, Any] = {"sentence": asdict(self.sentence)}
        if self.change is not None:
            said["consent"] = self.change.consent
            said |= {
                name: list(each) for name in ("roles", "purposes") if (each := getattr(self.change, name))
            }
        return said


@dataclass(frozen=True, slots=True)
class Explained:
    """One category: what was decided, on what it rests, and what would change it."""

    category: str
    title: Said | None
    outcome: str
    sentence: Said
    ground: str | None
    consent: str | None
    reason: str | None
    rule: str | None
    legal_basis: str | None
    paragraph: str | None
    article: Said | None
    next_step: Said | None
    would_change: tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A whole decision. `decisions` is None for who is not on the case: there is no more to say to them."""

    digest: str
    version: str | None
    in_force: str
    asked: Asked
    sentence: Said
    refusal: RefusalCode | None
    paragraph: str | None
    article: Said | None
    decisions: tuple[Explained, ...] | None
    decided_at: int

    def as_document(self) -> dict[str, Any]:
        """Say it to a machine, in the words of the API; when it was decided is the edge's to write down."""
        decisions: list[dict[str, Any]] | None = None
        if self.decisions is not None:
            decisions = [
                asdict(one) | {"would_change": [way.as_document() for way in one.would_change]}
                for one in self.decisions
            ]
        return {
            "agreement": {"digest": self.digest, "version": self.version},
            "in_force": self.in_force,
            "purpose": self.asked.purpose,
            "source": self.asked.source,
            "sentence": asdict(self.sentence),
            "refusal": self.refusal,
            "paragraph": self.paragraph,
            "article": None if self.article is None else asdict(self.article),
            "decisions": decisions,
        }


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision as it was recorded, or as policy would make it: what there is to explain."""

    asked: Asked
    digest: str
    at: int
    refusal: RefusalCode | None
    paragraph: str | None
    said: Sequence[Mapping[str, Any]] | None  # per category; None: nothing was said of any

    @property
    def withheld(self) -> tuple[str, ...]:
        """The categories that stayed behind, all of them where the agreement alone refused."""
        if self.said is None:
            return ()
        permitted = {one["category"] for one in self.said if one["outcome"] == "permitted"}
        return tuple(name for name in self.asked.categories if name not in permitted)


async def compose(
    decision: Decision, made_under: Terms | None, terms: Terms, permits: Permits, *, in_force: str
) -> Explanation:
    """Put a decision into words; `permits` answers for `terms`, the version that is in force now.

    Without the version that it was made under there are no titles and articles, and no guess at them.
    """
    asked, said, refusal = decision.asked, decision.said, decision.refusal
    changes: Mapping[str, tuple[Change, ...]] = {}
    if decision.withheld and words.parties_can(refusal) is None:
        roles, purposes = ROLES, terms.purposes
        changes = await least_changes(permits, asked, decision.withheld, roles=roles, purposes=purposes)
    ways = {
        category: tuple(Way(change, words.change_said(change, terms)) for change in each)
        for category, each in changes.items()
    }
    decisions = None if said is None else tuple(_explained(one, decision, made_under, ways) for one in said)
    return Explanation(
        digest=decision.digest,
        version=None if made_under is None else made_under.version,
        in_force=in_force,
        asked=asked,
        sentence=_summary(decision),
        refusal=refusal,
        paragraph=decision.paragraph,
        article=_article(made_under, decision.paragraph),
        decisions=decisions,
        decided_at=decision.at,
    )


def _summary(decision: Decision) -> Said:
    if decision.said is None:
        return words.NOTHING_TO_SHARE
    if decision.refusal is not None:
        return words.refusal_said(decision.refusal)
    asked = len(decision.said)
    return words.count_said(asked - len(decision.withheld), asked)


def _explained(
    one: Mapping[str, Any], decision: Decision, terms: Terms | None, ways: Mapping[str, tuple[Way, ...]]
) -> Explained:
    category, paragraph = one["category"], one.get("paragraph")
    by_parties = words.parties_can(decision.refusal)
    rule = None if terms is None else _rule(terms, decision.asked, category, one.get("rule"))
    row = None if terms is None else terms.categories.get(category)
    return Explained(
        category=category,
        title=None if row is None else Said.of(row.title),
        outcome=one["outcome"],
        sentence=_sentence(one, decision.refusal),
        ground=one.get("ground"),
        consent=one.get("consent"),
        reason=one.get("reason"),
        rule=one.get("rule"),
        legal_basis=None if rule is None else rule.legal_basis,
        paragraph=paragraph,
        article=_article(terms, paragraph),
        next_step=None
        if (step := one.get("next_step")) is None
        else words.step_said(step, elsewhere=bool(ways.get(category))),
        would_change=ways.get(category, ()) if by_parties is None else (Way(None, by_parties),),
    )


def _sentence(one: Mapping[str, Any], refusal: RefusalCode | None) -> Said:
    if refusal is not None:
        return words.refusal_said(refusal)
    return (
        words.ground_said(one["ground"])
        if one["outcome"] == "permitted"
        else words.reason_said(one["reason"])
    )


def _rule(terms: Terms, asked: Asked, category: str, named: str | None) -> Rule | None:
    """Return the rule that a decision names; None where it names none, or this version has another there."""
    kinds = [terms.parties[party].kind for party in (asked.requester, asked.source) if party in terms.parties]
    place: Any = terms.rules.get(asked.purpose, {})
    for key in (*kinds, category):
        place = place.get(key, {})
    return place if len(kinds) == 2 and isinstance(place, Rule) and place.id == named else None


def _article(terms: Terms | None, paragraph: str | None) -> Said | None:
    found = None if terms is None or paragraph is None else terms.article(paragraph)
    return None if found is None else Said.of(found)
