"""Ask a version of the agreement about everything: who gets what, in what role, with what consent.

Nothing here reads a rule. Every pair of parties, purpose, role and degree of consent is put to the policy
that decides in earnest, and what it permits is written down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from adapters.kit.register import SignedAgreement, agreement_digest
from adapters.protocol import Role
from gateway.policy.hypothetical import DEGREES, Asked, Degree, question_about_nobody
from gateway.policy.port import Question, Verdict
from gateway.policy.wasm import WasmEngine
from gateway.terms import Terms
from gateway.terms_check import check

ALL_ROLES = tuple(role.value for role in Role)


class Answers(Protocol):
    """What decides under a version; `WasmEngine.answer` is one."""

    def __call__(self, question: Question, /) -> Verdict:
        """Answer as if the founding set and both parties had signed; raise PolicyUnavailable if it cannot."""


@dataclass(frozen=True, slots=True)
class Side:
    """One version to compare: its terms, and what decides under it."""

    digest: str
    terms: Terms
    answers: Answers

    @classmethod
    def of(cls, document: Mapping[str, object], policies_dir: Path) -> Side:
        """Return a version by its document, decided by the compiled policy as if all had signed it.

        Raises AgreementInvalid, and PolicyBuildRefused where the compiled policy is not what it should be.
        """
        terms, digest = check(document), agreement_digest(document)
        signed = SignedAgreement(digest, document, frozenset(terms.parties))
        return cls(digest, terms, WasmEngine.load(policies_dir / "build", policies_dir, signed).answer)


@dataclass(frozen=True, slots=True)
class Group:
    """Parties that no rule tells apart, in either version; one of them asks or answers for all."""

    old_kind: str | None
    new_kind: str | None
    members: tuple[str, ...]

    @property
    def kind(self) -> str:
        """Return the kind, the later one where it changed."""
        return self.new_kind or self.old_kind or ""


# Who asks, who is asked, for what purpose, which category, in which role.
Cell = tuple[Group, Group, str, str, str]
# What opens a cell at the least, and the ground on which it then rests.
Least = Mapping[Cell, tuple[Degree, str]]


def rank(least: tuple[Degree, str] | None) -> int:
    """Return how much the client has to give: 0 for nothing, the most where nothing opens it."""
    return len(DEGREES) if least is None else DEGREES.index(least[0])


def groups(old: Terms, new: Terms, *, as_sources: bool) -> tuple[Group, ...]:
    """Return the parties of both versions by kind; as sources also by how they may be asked."""
    alike: dict[tuple[object, ...], list[str]] = {}
    for party in dict.fromkeys([*new.parties, *old.parties]):
        kinds = (_kind(party, old), _kind(party, new))
        rows = (_askable(party, old), _askable(party, new)) if as_sources else ()
        alike.setdefault((kinds, rows), []).append(party)
    return tuple(
        Group(_kind(members[0], old), _kind(members[0], new), tuple(members)) for members in alike.values()
    )


def _instants(terms: Terms) -> tuple[int, ...]:
    """Return the version's first second, and the first and last of each law in it."""
    edges = {terms.valid_from}
    for law in terms.statutes.values():
        edges |= {law.valid_from, law.valid_until - 1}
    return tuple(sorted(at for at in edges if terms.valid_from <= at < terms.valid_until))


def _kind(party: str, terms: Terms) -> str | None:
    return terms.parties[party].kind if party in terms.parties else None


def _askable(party: str, terms: Terms) -> bool | None:
    return terms.sources[party].may_be_asked_without_consent if party in terms.sources else None


class Reading:
    """What one version permits, by the groups that both versions tell apart."""

    def __init__(self, side: Side, old: Side, new: Side) -> None:
        self._side, self._terms = side, side.terms
        self._requesters = groups(old.terms, new.terms, as_sources=False)
        self._sources = groups(old.terms, new.terms, as_sources=True)
        self._instants = _instants(side.terms)

    def least(self) -> Least:
        """Return for each cell that is ever permitted the least that opens it, and its ground then."""
        found: dict[Cell, tuple[Degree, str]] = {}
        every = (tuple(self._terms.categories),)
        for requester, source, purpose, pair in self._triples():
            for role in ALL_ROLES:
                # More consent never releases less (the matrix proves it): most roles are done with here.
                if not any(self._permitted(pair, purpose, role, DEGREES[-1], every)):
                    continue
                for degree in reversed(DEGREES):
                    for category, ground in self._permitted(pair, purpose, role, degree, self._apart()):
                        found[(requester, source, purpose, category, role)] = (degree, ground)
        return found

    def _triples(self) -> Iterator[tuple[Group, Group, str, tuple[str, str]]]:
        for requester in self._requesters:
            for source in self._sources:
                pair = next(((a, b) for a in requester.members for b in source.members if a != b), None)
                if pair is None:
                    continue
                for purpose in self._terms.purposes:
                    if self._opens_anything(pair, purpose):
                        yield requester, source, purpose, pair

    def _opens_anything(self, pair: tuple[str, str], purpose: str) -> bool:
        asked = (self._question(pair, purpose, None, "none", ("perspective",), at) for at in self._instants)
        return any(self._side.answers(question).refusal is None for question in asked)

    def _apart(self) -> tuple[tuple[str, ...], ...]:
        # A category beside it that has the source asked anyway would carry the baseline along.
        rows = self._terms.categories
        baseline = tuple(name for name in rows if rows[name].class_ == "baseline")
        return baseline, tuple(name for name in rows if name not in baseline)

    def _permitted(
        self,
        pair: tuple[str, str],
        purpose: str,
        role: str,
        degree: Degree,
        asked: tuple[tuple[str, ...], ...],
    ) -> Iterator[tuple[str, str]]:
        for at in self._instants:
            for categories in asked:
                verdict = self._side.answers(self._question(pair, purpose, role, degree, categories, at))
                for decision in verdict.permitted:
                    yield decision.category, str(decision.ground)

    def _question(
        self,
        pair: tuple[str, str],
        purpose: str,
        role: str | None,
        degree: Degree,
        categories: tuple[str, ...],
        at: int,
    ) -> Question:
        requester, source = pair
        asked = Asked(requester, source, purpose, categories, role)
        return question_about_nobody(self._side.digest, asked, degree, at)
