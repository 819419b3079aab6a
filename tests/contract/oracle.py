"""A second reading of who may receive what, written from the domain and in another shape than the Rego.

It walks one category at a time, from the client's side: may this recipient ever have it, did the client open
it, must the source be troubled for it. It shares no code with the gateway and none of the policy's structure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.policy.port import ConsentFact, Question

THREE_FACTS = ("perspective", "guidance", "partners")
NAMED_ONLY = ("flight_narrative", "medical", "trafficking", "vulnerability")
POWER_OVER_CLIENT = ("ind", "dtv", "health", "municipality")
BY_LAW_ONLY = ("municipality", "health")
OUTSIDERS = ("avim", "gateway")


@dataclass(frozen=True)
class Expected:
    """What the oracle holds to be right; compared with the verdict member by member."""

    refusal: str | None
    ask_source: bool
    permitted: Mapping[str, tuple[str, str | None, int]]  # category → ground, consent, until
    withheld: Mapping[str, str]  # category → reason
    valid_until: int


def expected(agreement: Mapping[str, Any], signed_by: Iterable[str], question: Question) -> Expected:
    """Say what the answer must be."""
    reading = _Reading(agreement, frozenset(signed_by), question)
    code = reading.refusal()
    if code is not None:
        why = "never_to_this_party" if code == "party_never_receives" else "no_rule"
        return Expected(code, False, {}, dict.fromkeys(question.categories, why), 0)
    end = agreement["valid_until"]
    if not reading.involved():
        return Expected(None, False, {}, dict.fromkeys(question.categories, "not_on_case"), end)
    permitted: dict[str, tuple[str, str | None, int]] = {}
    withheld: dict[str, str] = {}
    waiting: list[str] = []
    for category in question.categories:
        fate = reading.by_client_or_law(category)
        if fate == "stated":
            waiting.append(category)
        elif isinstance(fate, str):
            withheld[category] = fate
        else:
            permitted[category] = fate
    opened_until = max((until for _, _, until in permitted.values()), default=None)
    for category in waiting:
        found = reading.stated(category, opened_until)
        if found is None:
            withheld[category] = "asking_needs_consent"
        else:
            permitted[category] = found
    return Expected(
        None,
        any(category != "partners" for category in permitted),
        permitted,
        withheld,
        min([end, *(until for _, _, until in permitted.values())]),
    )


class _Reading:
    def __init__(self, agreement: Mapping[str, Any], signed_by: frozenset[str], question: Question) -> None:
        self.agreement, self.signed_by, self.question = agreement, signed_by, question
        parties = agreement["parties"]
        self.requester = parties.get(question.requester, {}).get("kind")
        self.source = parties.get(question.source, {}).get("kind")
        self.purpose = agreement["purposes"].get(question.purpose)
        table = agreement["rules"].get(question.purpose, {}).get(self.requester, {})
        self.rules: Mapping[str, Any] = table.get(self.source, {})

    def refusal(self) -> str | None:
        agreement, question = self.agreement, self.question
        if not agreement["valid_from"] <= question.now < agreement["valid_until"]:
            return "agreement_not_in_force"
        if self.purpose is None:
            return "purpose_not_in_agreement"
        source_serves = (
            question.source in agreement["sources"]
            and self.source is not None
            and agreement["kinds"][self.source]["answers"]
        )
        rules = self.rules if source_serves else {}
        kind = agreement["kinds"].get(self.requester, {"receives": False})
        lawful = any(self._law(rule) for rule in rules.values())
        if (
            not kind["receives"]
            or self.requester in OUTSIDERS
            or (self.requester in BY_LAW_ONLY and not lawful)
        ):
            return "party_never_receives"
        if not rules or self.purpose["aggregated"] is not False or question.purpose == "aggregate_report":
            return "no_rule_in_agreement"
        if not {question.requester, question.source} <= self.signed_by:
            return "agreement_not_signed"
        if (question.requester_status, question.source_status) != ("active", "active"):
            return "party_suspended"
        return None

    def involved(self) -> bool:
        question = self.question
        if not (question.on_case and question.worker_on_case):
            return False
        if question.case_basis not in ("mandate", "invitation"):
            return False
        if self.requester in POWER_OVER_CLIENT:
            return any(self._in_force(fact) for fact in question.consents)
        return True

    def by_client_or_law(self, category: str) -> str | tuple[str, str | None, int]:
        """Return the grant, "stated" for one of the three facts, or the reason against it."""
        rule = self.rules.get(category)
        if not self._may_ever_reach(category, rule):
            return "never_to_this_party"
        need = self._need(category, rule)
        if need is None or rule is None:
            return "no_rule"
        roles = [role for role in rule["roles"] if category != "medical" or role == "medical"]
        if self.question.role not in roles:
            return "role_may_not"
        if need == "baseline":
            return "stated"
        if need == "statutory":
            return ("statutory", None, rule["statutory_basis"]["valid_until"])
        best = self._best(category, explicitly=need == "explicit_consent")
        if best is None:
            return "no_explicit_consent" if need == "explicit_consent" else "no_consent"
        return (need, best.id, best.valid_until)

    def stated(self, category: str, opened_until: int | None) -> tuple[str, str | None, int] | None:
        source = self.agreement["sources"][self.question.source]
        # A government party is on the case only by a consent, and shows it to the source it asks.
        freely = source["may_be_asked_without_consent"] is True and self.requester not in POWER_OVER_CLIENT
        if category == "partners" or freely:
            return ("baseline", None, self.agreement["valid_until"])
        named = self._best(category, explicitly=False)
        if named is not None:
            return ("consent", named.id, named.valid_until)
        return None if opened_until is None else ("baseline", None, opened_until)

    def _may_ever_reach(self, category: str, rule: Mapping[str, Any] | None) -> bool:
        if category == "shelter_location" and self.requester in ("ind", "dtv", "avim"):
            return False
        for_a_stay = self.requester == "ind" and self.question.purpose == "medical_stay"
        if category == "medical" and not (for_a_stay or self.requester == "health"):
            return False
        return self.requester not in BY_LAW_ONLY or (rule is not None and self._law(rule))

    def _need(self, category: str, rule: Mapping[str, Any] | None) -> str | None:
        row = self.agreement["categories"].get(category)
        if rule is None or row is None or row["class"] not in ("baseline", "ordinary", "special"):
            return None
        if category in NAMED_ONLY or row["class"] == "special":
            return "explicit_consent"
        ground = rule["ground"]
        if ground == "statutory":
            return ground if self._law(rule) else None
        if ground == "baseline":
            theirs_to_say = category != "guidance" or self.source == "ngo"
            return (
                ground if category in THREE_FACTS and row["class"] == "baseline" and theirs_to_say else None
            )
        return ground if ground in ("consent", "explicit_consent") else None

    def _law(self, rule: Mapping[str, Any]) -> bool:
        basis = rule.get("statutory_basis")
        if rule["ground"] != "statutory" or not basis or not basis["citation"]:
            return False
        return bool(basis["valid_from"] <= self.question.now < basis["valid_until"])

    def _best(self, category: str, *, explicitly: bool) -> ConsentFact | None:
        facts = [
            fact
            for fact in self.question.consents
            if fact.category == category and self._in_force(fact) and (fact.explicit or not explicitly)
        ]
        return min(facts, key=lambda fact: (-fact.valid_until, fact.id), default=None)

    def _in_force(self, fact: ConsentFact) -> bool:
        question = self.question
        given = (fact.source, fact.recipient, fact.purpose, fact.status, fact.confirmed)
        needed = (question.source, question.requester, question.purpose, "active", True)
        return given == needed and fact.valid_from <= question.now < fact.valid_until
