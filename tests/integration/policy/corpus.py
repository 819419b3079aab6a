"""Questions and agreements by chance, from a seed: near enough to what is asked to reach every answer."""

import copy
import random
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.policy.port import LAST_SECOND, ConsentFact, Question

ROLES = ("caseworker", "casemanager", "medical", "desk", "dpo", None)
STATUSES = ("active", "suspended", "removed", "Active", "unknown")
CONSENT_STATUSES = ("active", "pending", "refused", "withdrawn", "paused", "expired")
BASES = ("mandate", "invitation", "other", None)
ODD_NAMES = ("nobody", "0", "A", "a.b-c_d", "null", "true", "constructor", "x" * 64)
ODD_VALUES = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    "",
    "true",
    "baseline",
    "\u2028 ü \u0001 é",
    [],
    {},
    [[]],
    {"a": 1},
)


def questions(agreement: Mapping[str, Any], size: int, seed: int, *, under: str) -> Iterator[Question]:
    """Yield `size` questions to ask under the version of that digest, shaped by what `agreement` says.

    Most facts are usually as they should be, so that many are permitted.
    """
    chance = random.Random(seed)
    moments, ruled = _moments(agreement), _ruled(agreement)
    for _ in range(size):
        yield _question(agreement, under, moments, ruled, chance)


def malformed(agreement: Mapping[str, Any], seed: int, *, one_in: int = 40) -> dict[str, Any]:
    """Return the agreement with some of its values of another type, or gone."""
    chance = random.Random(seed)

    def bent(value: Any, depth: int) -> Any:
        # Of what stands at the top, much would hang: bend below it.
        if depth > 1 and chance.randrange(one_in) == 0:
            return copy.deepcopy(chance.choice(ODD_VALUES))
        if isinstance(value, dict):
            kept = {name: bent(each, depth + 1) for name, each in value.items()}
            if depth > 1 and kept and chance.randrange(one_in) == 0:
                del kept[chance.choice(sorted(kept))]
            return kept
        return [bent(each, depth + 1) for each in value] if isinstance(value, list) else value

    return {name: bent(value, 1) for name, value in agreement.items()}


def _question(
    agreement: Mapping[str, Any],
    under: str,
    moments: list[int],
    ruled: list[tuple[str, str, str]],
    chance: random.Random,
) -> Question:
    def mostly(right: Any, others: Any, one_in: int = 12) -> Any:
        return chance.choice(others) if chance.randrange(one_in) == 0 else right

    names = [*agreement["parties"], *ODD_NAMES]
    between = chance.choice(ruled)
    purpose = mostly(between[0], [*agreement["purposes"], *ODD_NAMES])
    now = mostly(moments[0], moments)
    requester = mostly(between[1], names)
    source = mostly(between[2], names)
    every = [*agreement["categories"], *ODD_NAMES[:2]]
    categories = tuple(chance.sample(every, chance.choice((1, 1, 2, 3, 5, len(every)))))
    given = chance.choice(((0,), (0, 1), (1,), (1, 2, 4)))
    consents = tuple(
        ConsentFact(
            id=f"{chance.choice('abcXYZ_-')}{number}",
            category=category,
            source=mostly(source, names),
            recipient=mostly(requester, names),
            purpose=mostly(purpose, ODD_NAMES),
            status=mostly("active", CONSENT_STATUSES, 25),
            confirmed=mostly(True, (False,), 25),
            explicit=chance.random() < 0.6,
            minor=mostly(False, (True,), 12),
            guardian=chance.random() < 0.3,
            valid_from=mostly(max(0, now - 50), moments),
            valid_until=mostly(min(LAST_SECOND, now + chance.choice((1, 50, 90))), moments),
        )
        for category in categories
        for number in range(chance.choice(given))
    )
    return Question(
        now=now,
        agreement=under,
        founding_signed=mostly(True, (False,), 25),
        requester=requester,
        requester_status=mostly("active", STATUSES, 20),
        requester_signed=mostly(True, (False,), 25),
        source=source,
        source_status=mostly("active", STATUSES, 20),
        source_signed=mostly(True, (False,), 25),
        purpose=purpose,
        categories=categories,
        role=mostly(chance.choice(("caseworker", "medical")), ROLES),
        on_case=mostly(True, (False,), 25),
        case_basis=mostly("mandate", BASES, 25),
        worker_on_case=mostly(True, (False,), 25),
        consents=consents,
    )


def _ruled(agreement: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return purpose, requester and source of every table of rules."""
    kind = {party: row["kind"] for party, row in agreement["parties"].items()}
    return [
        (purpose, requester, source)
        for purpose, by_requester in sorted(agreement["rules"].items())
        for requester in sorted(kind)
        for source in sorted(agreement["sources"])
        if kind[source] in by_requester.get(kind[requester], {})
    ]


def _moments(agreement: Mapping[str, Any]) -> list[int]:
    """Return a moment in force first, then the edges of everything."""
    begin, end = agreement["valid_from"], agreement["valid_until"]
    inside = begin + 1_000_000
    return [inside, begin - 1, begin, end - 1, end, 0, 1, LAST_SECOND, inside - 9, inside + 8, inside + 9]
