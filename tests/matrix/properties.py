"""What must hold of every answer, said without the oracle: a misreading that both share would show here.

`broken` looks at the answers of a whole block, after both engines were found to give exactly these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.policy.port import ConsentFact
from tests.matrix.compare import Expected
from tests.matrix.space import CONSENTS, ROTATED, Block

ON_THE_CASE = frozenset({"by mandate", "by invitation"})
# States in which nobody said yes to this, for this recipient, now: each opens what no consent at all opens.
NO_YES = frozenset(CONSENTS) - {
    "explicit",
    "plain",
    "several",
    "longest, last second",
    "minor with guardian, first second",
}
SPECIAL = frozenset({"flight_narrative", "medical", "trafficking", "vulnerability"})
BASELINE = frozenset({"perspective", "guidance", "partners"})
NOTHING_EVER = frozenset({"avim", "gateway", "nobody"})
LAW_ONLY = frozenset({"municipality", "health"})
ENFORCE = frozenset({"ind", "dtv", "avim"})
NOT_FOR_PERSONS = frozenset({"supervision", "aggregate_report"})
LONGEST_SECONDS = 559 * 86_400


def permitted(answer: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return category → decision of what may leave."""
    return {name: each for name, each in answer["decisions"].items() if each["outcome"] == "permitted"}


def broken(block: Block, expected: Expected) -> Iterator[str]:
    """Yield what does not hold of the block, in words."""
    released = [permitted(answer) for answer in expected.answers]
    for answer in expected.answers:
        if set(answer["decisions"]) != set(block.categories):
            yield f"{block.words(0, 0, 0)}: other categories are decided on than were asked"
    if not any(released):
        return
    for requirement, holds in _of_the_block(block):
        if not holds:
            yield f"{block.words(0, 0, 0)}: {requirement}"
    none = block.states.index("none") if "none" in block.states else None
    for role in range(len(block.roles)):
        for case, named in enumerate(block.cases):
            row = expected.where[role][case]
            for state, index in enumerate(row):
                found = released[index]
                if not found:
                    continue
                if named not in ON_THE_CASE:
                    yield f"{block.words(role, case, state)}: somebody not on the case gets {sorted(found)}"
                for why in _of_one(block, found, block.roles[role], state):
                    yield f"{block.words(role, case, state)}: {why}"
            if none is not None:
                yield from _of_consents(block, [released[index] for index in row], (role, case, none))


def _of_the_block(block: Block) -> Iterator[tuple[str, bool]]:
    document, now = block.variant.document, block.variant.now
    requester, source = block.kinds
    standing = ("active", True)
    yield "AVIM, the gateway and nobody receive nothing", requester not in NOTHING_EVER
    yield "supervision and counts release nothing about a person", block.purpose not in NOT_FOR_PERSONS
    yield (
        "a version that is not in force releases nothing",
        (
            document["valid_from"] <= now < document["valid_until"]
            and block.base["founding_signed"]
            and block.variant.held
        ),
    )
    for side in ("requester", "source"):
        has = (block.base[f"{side}_status"], block.base[f"{side}_signed"])
        yield f"the {side} is active and has signed", has == standing
    yield "the kind that asks receives", document["kinds"][requester]["receives"] is True
    yield "the kind that is asked answers", document["kinds"][source]["answers"] is True


def _of_one(
    block: Block, found: Mapping[str, Mapping[str, Any]], role: str | None, state: int
) -> Iterator[str]:
    requester, source = block.kinds
    rules = block.variant.document["rules"][block.purpose][requester][source]
    for category, decision in found.items():
        rule, ground = rules[category], decision["ground"]
        if role not in rule["roles"]:
            yield f"{category}: the rule does not name the role"
        if rule.get("statute") is not None or requester in LAW_ONLY:
            statute = block.variant.document["statutes"][rule["statute"]]
            if not (
                statute["citation"] and statute["valid_from"] <= block.variant.now < statute["valid_until"]
            ):
                yield f"{category}: the law is not in force"
            if decision["valid_until"] > statute["valid_until"]:
                yield f"{category}: outlasts the law"
        if requester in LAW_ONLY and category not in SPECIAL and ground != "statutory":
            yield f"{category}: {requester} gets it on {ground}"
        if category == "shelter_location" and requester in ENFORCE:
            yield "where someone sleeps reaches who can fetch them"
        if category == "medical" and not (
            role == "medical"
            and (requester == "health" or (requester, block.purpose) == ("ind", "medical_stay"))
        ):
            yield "medical data reach somebody else than a health professional of GGD or IND"
        if category in SPECIAL and ground != "explicit_consent":
            yield f"{category}: special, on {ground}"
        if ground == "baseline" and category not in BASELINE:
            yield f"{category}: not one of the three facts"
        if ground in ("consent", "explicit_consent"):
            facts = block.consents[state].get(category, ())
            if not any(fact.id == decision["consent"] and _is_a_yes(block, fact, ground) for fact in facts):
                yield f"{category}: no consent says so"


def _is_a_yes(block: Block, fact: ConsentFact, ground: str) -> bool:
    base, now = block.base, block.variant.now
    named = (fact.source, fact.recipient, fact.purpose) == (base["source"], base["requester"], block.purpose)
    given = fact.status == "active" and fact.confirmed and fact.valid_from <= now < fact.valid_until
    length = fact.valid_until - fact.valid_from <= min(LONGEST_SECONDS, block.variant.longest_seconds)
    capable = fact.guardian or not fact.minor
    return named and given and length and capable and (fact.explicit or ground == "consent")


def _of_consents(
    block: Block, released: list[dict[str, Mapping[str, Any]]], at: tuple[int, int, int]
) -> Iterator[str]:
    """Compare one role on one case over all consent states: more consent never releases less."""
    by_state = {state: set(found) for state, found in zip(block.states, released, strict=True)}
    role, case, none = at
    without = by_state["none"]
    for state, found in by_state.items():
        if state in NO_YES and found != without:
            yield f"{block.words(role, case, none)}: without a yes, {state} changes what is released"
        if not without <= found:
            yield f"{block.words(role, case, none)}: consent {state} releases less than none"
        if state not in ("none", ROTATED) and not found <= by_state.get("explicit", found):
            yield f"{block.words(role, case, none)}: explicit consent releases less than {state}"
    if not by_state.get("plain", without) <= by_state.get("several", by_state.get("explicit", without)):
        yield f"{block.words(role, case, none)}: several consents release less than one"
