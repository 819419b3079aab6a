"""What a new version of the agreement newly permits and newly forbids, in words.

It is computed, not read off the text: both versions are asked for every kind of party, source, purpose, role,
degree of consent and category, through the same policy that decides in earnest. Two versions that are written
otherwise and permit the same differ in nothing here but their fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.agreement_document.changes import Field, field_changes
from gateway.agreement_document.matrix import ALL_ROLES, Cell, Group, Least, Reading, Side, rank
from gateway.agreement_document.words import acting, listed, roles
from gateway.policy.hypothetical import Degree
from gateway.terms import Language, Terms

__all__ = ["Change", "Difference", "Field", "Side", "difference"]

_LANGUAGES: tuple[Language, Language] = ("nl", "en")
_NEEDS: Mapping[str, tuple[str, str]] = {
    "none": ("zonder toestemming", "without consent"),
    "consent": ("met toestemming", "with consent"),
    "explicit_consent": ("met uitdrukkelijke toestemming", "with explicit consent"),
    "statutory": ("op grond van een wet", "by statute"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """Categories that become, or are no longer, permitted between two kinds of party for one purpose.

    `ground`: the least that has to be there: `none`, `consent`, `explicit_consent` or `statutory`. `roles`:
    those whom it concerns. A party that joins or leaves is one change, without purpose and categories.
    """

    requester_kind: str
    source_kind: str
    purpose: str
    categories: tuple[str, ...]
    ground: str
    roles: tuple[str, ...]
    nl: str
    en: str

    def said_in(self, language: Language) -> str:
        """Return the sentence."""
        return self.nl if language == "nl" else self.en


@dataclass(frozen=True, slots=True)
class Difference:
    """All that changes. `otherwise`: what changes without any category becoming permitted or forbidden."""

    permits: tuple[Change, ...]
    forbids: tuple[Change, ...]
    otherwise: tuple[Field, ...]

    def __bool__(self) -> bool:
        """Tell whether anything changes."""
        return bool(self.permits or self.forbids or self.otherwise)


def difference(old: Side, new: Side) -> Difference:
    """Return what `new` permits and forbids that `old` did not; both are asked over all combinations.

    Takes a few seconds: some thousands of decisions. Raises PolicyUnavailable where a version gets no answer.
    """
    was, becomes = Reading(old, old, new).least(), Reading(new, old, new).least()
    opened = {cell: to for cell, to in becomes.items() if rank(to) < rank(was.get(cell))}
    closed = {cell: had for cell, had in was.items() if rank(had) < rank(becomes.get(cell))}
    told = {_rule_of(cell) for cell in (*opened, *closed)}
    counts = [*_counts(old.terms, new.terms, opens=True)], [*_counts(new.terms, old.terms, opens=False)]
    told |= {("kinds", change.requester_kind, "receives_counts") for part in counts for change in part}
    return Difference(
        (
            *_parties(opened, becomes, new.terms, joined=True),
            *counts[0],
            *_sentences(opened, was, becomes, new.terms, opens=True),
        ),
        (
            *_parties(closed, was, old.terms, joined=False),
            *counts[1],
            *_sentences(closed, becomes, was, old.terms, opens=False),
        ),
        tuple(field for field in field_changes(old.terms, new.terms) if not _said(field, told)),
    )


def _rule_of(cell: Cell) -> tuple[str, ...]:
    requester, source, purpose, category, _ = cell
    return (purpose, requester.kind, source.kind, category)


def _said(field: Field, told: set[tuple[str, ...]]) -> bool:
    """Tell whether a change of a rule is one that a sentence on who may what says already."""
    path = tuple(map(str, field.path))
    if path[:1] == ("kinds",):
        return path in told
    decides = len(path) == 5 or path[5:6] in {("ground",), ("roles",), ("statute",)}
    return path[:1] == ("rules",) and path[1:5] in told and decides


def _parties(
    cells: dict[Cell, tuple[Degree, str]], whole: Least, terms: Terms, *, joined: bool
) -> Iterator[Change]:
    """Take out of `cells` what a party gets, or loses, only because it joins or leaves; say that in one."""
    for party in dict.fromkeys(cell[0] for cell in cells):
        if (party.old_kind if joined else party.new_kind) is not None:
            continue
        its_own = _by_place(whole, party)
        kin = (group for group in dict.fromkeys(cell[0] for cell in whole) if group != party)
        if not any(group.kind == party.kind and _by_place(whole, group) == its_own for group in kin):
            continue
        for cell in [cell for cell in cells if cell[0] == party]:
            del cells[cell]
        nl, en = (_joining(party, terms, language, joined=joined) for language in _LANGUAGES)
        yield Change(party.kind, "", "", (), "", (), nl, en)


def _joining(party: Group, terms: Terms, language: Language, *, joined: bool) -> str:
    names = listed((terms.parties[member].name for member in party.members), language)
    kind = terms.kinds[party.kind].title.said_in(language)
    if language == "nl":
        return (
            f"Nieuwe partij: {names}. Mag vragen wat elke partij van de soort {kind} mag vragen."
            if joined
            else f"Geen partij meer: {names}. Mag niets meer vragen."
        )
    return (
        f"New party: {names}. May ask what every party of the kind {kind} may ask."
        if joined
        else f"No party any more: {names}. May ask nothing any more."
    )


def _counts(without: Terms, having: Terms, *, opens: bool) -> Iterator[Change]:
    """Name the kinds of party that may read counts by one version and not by the other."""
    for kind in having.kinds:
        if _may_count(kind, having) and not _may_count(kind, without):
            nl, en = acting(kind, having, "nl"), acting(kind, having, "en")
            nl += " mag tellingen krijgen" if opens else " krijgt geen tellingen meer"
            en += " may get counts" if opens else " no longer gets counts"
            who = (f"{nl[:1].upper()}{nl[1:]}.", f"{en[:1].upper()}{en[1:]}.")
            yield Change(kind, "", "", (), "", (), *who)


def _may_count(kind: str, terms: Terms) -> bool:
    row = terms.kinds.get(kind)
    return row is not None and row.receives_counts and any(one.aggregated for one in terms.purposes.values())


def _by_place(cells: Least, requester: Group) -> dict[tuple[object, ...], tuple[Degree, str]]:
    return {cell[1:]: least for cell, least in cells.items() if cell[0] == requester}


def _sentences(cells: Least, other: Least, whole: Least, terms: Terms, *, opens: bool) -> Iterator[Change]:
    """Fold cells into one sentence per purpose, pair, condition and set of roles."""
    may: dict[tuple[Group, Group, str, str, str, str], list[str]] = {}
    for cell, (degree, ground) in cells.items():
        requester, source, purpose, category, role = cell
        needs: str = "statutory" if ground == "statutory" else degree
        kept: str = other[cell][0] if cell in other else ""
        may.setdefault((requester, source, purpose, needs, kept, category), []).append(role)
    folded: dict[tuple[Group, Group, str, str, str, tuple[str, ...]], list[str]] = {}
    for (requester, source, purpose, needs, kept, category), named in may.items():
        who = tuple(role for role in ALL_ROLES if role in named)
        folded.setdefault((requester, source, purpose, needs, kept, who), []).append(category)
    purposes, order = [*terms.purposes], [*terms.categories]
    for key in sorted(folded, key=lambda key: purposes.index(key[2])):
        requester, source, purpose, needs, kept, who = key
        categories = tuple(sorted(folded[key], key=order.index))
        nl, en = (_sentence(key, categories, whole, terms, language, opens=opens) for language in _LANGUAGES)
        yield Change(requester.kind, source.kind, purpose, categories, needs, who, nl, en)


def _sentence(
    key: tuple[Group, Group, str, str, str, tuple[str, ...]],
    categories: tuple[str, ...],
    whole: Least,
    terms: Terms,
    language: Language,
    *,
    opens: bool,
) -> str:
    requester, source, purpose, needs, kept, who = key
    dutch, column = language == "nl", _LANGUAGES.index(language)
    title = terms.purposes[purpose].title.said_in(language)
    asks = _name(requester, {cell[0] for cell in whole}, terms, language)
    gives = _name(source, {cell[1] for cell in whole}, terms, language)
    what = "; ".join(terms.categories[category].title.said_in(language) for category in categories)
    now, then = _NEEDS[needs][column], _NEEDS[kept][column] if kept else ""
    if opens:
        was = (f" (tot nu toe {then})" if dutch else f" (so far {then})") if kept else ""
        does = f"mag van {gives} krijgen, {now}{was}" if dutch else f"may get from {gives}, {now}{was}"
    elif kept:
        does = (
            f"krijgt van {gives} alleen nog {then}" if dutch else f"from now on gets from {gives} only {then}"
        )
    else:
        does = (
            f"krijgt van {gives} niet meer (tot nu toe {now})"
            if dutch
            else f"no longer gets from {gives} (so far {now})"
        )
    named = f"{title[:1].upper()}{title[1:]}"
    return f"{named}: {asks} {does}: {what}. {'Voor' if dutch else 'For'}: {roles(who, language)}."


def _name(group: Group, all_groups: set[Group], terms: Terms, language: Language) -> str:
    """Name the kind; the parties themselves where the kind alone would say too much."""
    alone = not any(other.kind == group.kind for other in all_groups if other != group)
    if alone and group.old_kind == group.new_kind:
        return acting(group.kind, terms, language)
    return listed((terms.parties[party].name for party in group.members if party in terms.parties), language)
