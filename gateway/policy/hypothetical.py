"""Ask what the agreement alone would permit: about nobody, as if all had signed and a client said yes, or no.

A question made here holds no fact about any client, and so its answer tells nothing about one: whoever is
refused may hear what the agreement asks for, whatever the client consented to, refused or took back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from gateway.policy.port import ConsentFact, Question

Degree = Literal["none", "consent", "explicit_consent"]
# From what asks least of the client to what asks most.
DEGREES: Final[tuple[Degree, ...]] = ("none", "consent", "explicit_consent")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked, by whom and of whom: all of a request but the client."""

    requester: str
    source: str
    purpose: str
    categories: tuple[str, ...]
    role: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """One way to a category that is withheld: what is other than it was, and what the client has to give.

    Empty roles and purposes: as it was asked. Several: any one of them.
    """

    consent: Degree
    roles: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()


# Which of the categories are permitted, at this degree of consent.
Permits = Callable[[Asked, Degree], Awaitable[Collection[str]]]


def question_about_nobody(agreement: str, asked: Asked, degree: Degree, at: int) -> Question:
    """Put it to policy at an instant (seconds, UTC): all is signed, and the worker is on the case."""
    consents = tuple(
        ConsentFact(
            id="consent",
            category=category,
            source=asked.source,
            recipient=asked.requester,
            purpose=asked.purpose,
            status="active",
            confirmed=True,
            explicit=degree == "explicit_consent",
            minor=False,
            guardian=False,
            valid_from=at,
            valid_until=at + 1,
        )
        for category in asked.categories
        if degree != "none"
    )
    return Question(
        now=at,
        agreement=agreement,
        founding_signed=True,
        requester=asked.requester,
        requester_status="active",
        requester_signed=True,
        source=asked.source,
        source_status="active",
        source_signed=True,
        purpose=asked.purpose,
        categories=asked.categories,
        role=asked.role,
        on_case=True,
        # Whatever kind of party asks, one that was invited is involved; by a mandate not every kind is.
        case_basis="invitation",
        worker_on_case=True,
        consents=consents,
    )


async def least_changes(
    permits: Permits, asked: Asked, withheld: Iterable[str], *, roles: Iterable[str], purposes: Iterable[str]
) -> dict[str, tuple[Change, ...]]:
    """Return for each withheld category what would bring it out with the least change; () if nothing does.

    First the same question with what the client can give, then another role, and only where no role may,
    another purpose. Raises what `permits` raises.
    """
    found: dict[str, tuple[Change, ...]] = dict.fromkeys(withheld, ())
    for ways in (
        [(Change("none"), asked)],
        [(Change("none", roles=(role,)), replace(asked, role=role)) for role in roles if role != asked.role],
        [
            (Change("none", purposes=(purpose,)), replace(asked, purpose=purpose))
            for purpose in purposes
            if purpose != asked.purpose
        ],
    ):
        left = {category for category, changes in found.items() if not changes}
        if not left:
            break
        for change, way in ways:
            for category, degree in (await _least(permits, way)).items():
                if category in left:
                    found[category] = _with(found[category], replace(change, consent=degree))
    return found


async def _least(permits: Permits, asked: Asked) -> Mapping[str, Degree]:
    least: dict[str, Degree] = {}
    for degree in reversed(DEGREES):
        opened = await permits(asked, degree)
        if not opened:
            break  # less consent never releases more: the matrix proves it
        least |= dict.fromkeys(opened, degree)
    return least


def _with(changes: tuple[Change, ...], one: Change) -> tuple[Change, ...]:
    """Add a change, to the one that asks the same of the client if there is one."""
    for number, known in enumerate(changes):
        if known.consent == one.consent:
            both = replace(known, roles=known.roles + one.roles, purposes=known.purposes + one.purposes)
            return (*changes[:number], both, *changes[number + 1 :])
    return (*changes, one)
