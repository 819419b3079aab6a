"""A second reading of the domain: the whole answer to a question, written from the domain, not from the Rego.

Three tables say what holds of kinds of parties and of categories whatever an agreement says; the agreement,
as data, says the rest. The answer is walked category by category, from the client's side: may this recipient
ever have it, does a rule speak, did the client or a law open it, must the source be troubled for it. It
shares no code with the gateway and none of the policy's structure. What is missing in the agreement, or of
another type, opens nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeGuard

from gateway.policy.port import ConsentFact, Question

Answer: TypeAlias = dict[str, Any]
Consents: TypeAlias = Mapping[str, Sequence[ConsentFact]]


@dataclass(frozen=True)
class Standing:
    """How a kind of party comes to a client's case, and which categories never reach it."""

    joins: Literal["by the client's act", "by consent", "by law", "never"]
    never: frozenset[str] = frozenset()


_ACT = Standing("by the client's act", frozenset({"medical"}))
# DOMAIN rules 4 (municipality, GGD), 5 (AVIM; where someone sleeps), 6 (medical) and 7 (who joins how).
KINDS: Mapping[str, Standing] = {
    "ngo": _ACT,
    "lawyer": _ACT,
    "return_org": _ACT,
    "review": _ACT,
    "coordination": _ACT,
    "ind": Standing("by consent", frozenset({"medical", "shelter_location"})),
    "dtv": Standing("by consent", frozenset({"medical", "shelter_location"})),
    "health": Standing("by law"),
    "municipality": Standing("by law", frozenset({"medical"})),
    "avim": Standing("never"),
    "gateway": Standing("never"),
}
_NOBODY = Standing("never")
# Vw art. 64: the one purpose for which IND may learn of an illness.
EXCEPTIONS: Collection[tuple[str, str, str]] = {("ind", "medical_stay", "medical")}
# Rule 1: the baseline, and of which kinds of source each fact can be (None: any).
THREE_FACTS: Mapping[str, Collection[str] | None] = {
    "perspective": None,
    "guidance": {"ngo"},
    "partners": None,
}
# Rule 6 and "Categories of data": only an explicit yes that names them.
NAMED_ONLY = frozenset({"flight_narrative", "medical", "trafficking", "vulnerability"})
ROLE_NEEDED: Mapping[str, str] = {"medical": "medical"}
COUNTS_ONLY = frozenset({"aggregate_report"})
# Rule 9: the length of a stay. Months of 31 days and one day of grace, as the recording side counts.
_DAY = 86_400
MOST_MONTHS = 18

_NEXT_STEPS: Mapping[str, str | None] = {
    "not_on_case": None,
    "never_to_this_party": None,
    "no_rule": "request_under_other_purpose",
    "role_may_not": "ask_with_other_role",
    "no_consent": "record_consent",
    "no_explicit_consent": "record_explicit_consent",
    "asking_needs_consent": "record_consent",
}
_NOTHING_OWED = {"retention_days": 0, "redistribute": False, "notify_client": False}


@dataclass(frozen=True)
class Grant:
    """On what a category may leave, and until when."""

    ground: str
    consent: str | None
    until: int


def answer(agreement: Mapping[str, Any], question: Question) -> Answer:
    """Return the whole answer, in the form that the policy gives it."""
    reading = Reading(agreement, question)
    refused = reading.refused()
    if refused is not None:
        return refused
    consents: dict[str, list[ConsentFact]] = {}
    for fact in question.consents:
        consents.setdefault(fact.category, []).append(fact)
    return reading.answered(
        role=question.role,
        on_case=question.on_case,
        case_basis=question.case_basis,
        worker_on_case=question.worker_on_case,
        consents=consents,
    )


class Reading:
    """One question read under one agreement; role, case and consents come with each call of `answered`."""

    def __init__(self, agreement: Mapping[str, Any], question: Any) -> None:
        self.agreement, self.question = agreement, question
        self.now: int = question.now
        self.purpose = _row(agreement, "purposes", question.purpose)
        self.requester = _row(agreement, "parties", question.requester).get("kind")
        self.source = _row(agreement, "parties", question.source).get("kind")
        self.source_terms = _row(agreement, "sources", question.source)
        self.standing = KINDS.get(str(self.requester), _NOBODY)
        self.rules: Mapping[str, Any] = {}
        if self.source_terms and _row(agreement, "kinds", self.source).get("answers") is True:
            self.rules = _row(agreement, "rules", question.purpose, self.requester, self.source)
        self._stranger = self._all_withheld("not_on_case", self._clause("not_on_case"))
        self._stranger["valid_until"] = agreement.get("valid_until")

    # --- what the agreement alone refuses ---------------------------------------------------------

    def refused(self) -> Answer | None:
        """Return the answer where nothing about the client matters; None where the case is looked at."""
        code = self._refusal()
        if code is None:
            return None
        never = code == "party_never_receives"
        paragraph = self._paragraph_of_requester() if never else self._clause(code)
        said = self._all_withheld("never_to_this_party" if never else "no_rule", paragraph)
        return {**said, "refusal": {"code": code, "paragraph": paragraph}}

    def _refusal(self) -> str | None:
        question = self.question
        if question.founding_signed is not True or not self._holds(self.agreement):
            return "agreement_not_in_force"
        if not self.purpose:
            return "purpose_not_in_agreement"
        if not self._requester_may_receive():
            return "party_never_receives"
        counts = question.purpose in COUNTS_ONLY or self.purpose.get("aggregated") is not False
        if not self.rules or counts:
            return "no_rule_in_agreement"
        if not (question.requester_signed is True and question.source_signed is True):
            return "agreement_not_signed"
        if (question.requester_status, question.source_status) != ("active", "active"):
            return "party_suspended"
        return None

    def _requester_may_receive(self) -> bool:
        if _row(self.agreement, "kinds", self.requester).get("receives") is not True:
            return False
        if self.standing.joins == "by law":
            return any(self._law_of(rule) is not None for rule in self.rules.values())
        return self.standing.joins != "never"

    # --- what the client's case and consents decide -------------------------------------------------

    def answered(
        self,
        *,
        role: str | None,
        on_case: bool,
        case_basis: str | None,
        worker_on_case: bool,
        consents: Consents,
    ) -> Answer:
        """Return the answer where the agreement does not refuse."""
        categories = self.question.categories
        given = {category: self._in_force(category, consents.get(category, ())) for category in categories}
        involved = on_case is True and worker_on_case is True and case_basis in self._bases()
        if not involved or (self.standing.joins == "by consent" and not any(given.values())):
            return self._stranger
        granted: dict[str, Grant] = {}
        against: dict[str, str] = {}
        waiting: list[str] = []
        for category in categories:
            fate = self._fate(category, role, given[category])
            if isinstance(fate, Grant):
                granted[category] = fate
            elif fate == "stated":
                waiting.append(category)
            else:
                against[category] = fate
        asked_until = max((grant.until for grant in granted.values()), default=None)
        for category in waiting:
            stated = self._stated(category, given[category], asked_until)
            if stated is None:
                against[category] = "asking_needs_consent"
            else:
                granted[category] = stated
        return self._whole(granted, against, role)

    def _bases(self) -> Collection[str]:
        """Return which way onto the case counts: a mandate is a yes, and some it cannot be given freely."""
        return ("invitation",) if self.standing.joins == "by law" else ("mandate", "invitation")

    def _fate(self, category: str, role: str | None, given: Sequence[ConsentFact]) -> Grant | str:
        """Return the grant, "stated" for one of the three facts, or the reason against it."""
        rule = self.rules.get(category)
        law = self._law_of(rule)
        kind, purpose = self.requester, self.question.purpose
        if category in self.standing.never and (kind, purpose, category) not in EXCEPTIONS:
            return "never_to_this_party"
        if self.standing.joins == "by law" and law is None:
            return "never_to_this_party"
        need = self._need(category, rule)
        if rule is None or need is None:
            return "no_rule"
        roles = rule["roles"] if isinstance(rule["roles"], list) else []
        if role is None or role not in roles or role != ROLE_NEEDED.get(category, role):
            return "role_may_not"
        if need == "baseline":
            return "stated"
        if need == "statutory":
            return Grant(need, None, law or 0)
        named = [fact for fact in given if fact.explicit is True or need == "consent"]
        if not named:
            return "no_consent" if need == "consent" else "no_explicit_consent"
        best = _best(named)
        return Grant(need, best.id, self._ends(rule, best.valid_until))

    def _need(self, category: str, rule: Any) -> str | None:
        """Return what must be proven for the rule to open the category; None where the rule is void."""
        row = _row(self.agreement, "categories", category)
        if not isinstance(rule, dict) or not self._legal_basis_stands(rule):
            return None
        if category in NAMED_ONLY or row.get("class") == "special":
            return "explicit_consent"
        ground, plain = rule.get("ground"), row.get("class")
        if plain not in ("baseline", "ordinary"):
            return None
        if ground == "statutory":
            return ground if self._law_of(rule) is not None else None
        # A client who depends on the one who asks gives it no basis by saying yes.
        if self.standing.joins == "by law":
            return None
        if ground in ("consent", "explicit_consent"):
            return str(ground)
        if ground == "baseline" and plain == "baseline" and category in THREE_FACTS:
            whose = THREE_FACTS[category]
            return ground if whose is None or self.source in whose else None
        return None

    def _stated(self, category: str, given: Sequence[ConsentFact], asked_until: int | None) -> Grant | None:
        """Return on what one of the three facts may leave: asking for it is disclosing, too."""
        rule, end = self.rules[category], self.agreement["valid_until"]
        at_the_gate = _row(self.agreement, "categories", category).get("answered_by") == "gateway"
        # A party with power over the client is on the case by a consent, and shows it to the source.
        freely = (
            self.source_terms.get("may_be_asked_without_consent") is True
            and self.standing.joins == "by the client's act"
        )
        if at_the_gate or freely:
            return Grant("baseline", None, self._ends(rule, end))
        if given:
            best = _best(given)
            return Grant("consent", best.id, self._ends(rule, best.valid_until))
        return None if asked_until is None else Grant("baseline", None, self._ends(rule, asked_until))

    # --- laws, consents, periods --------------------------------------------------------------------

    def _law_of(self, rule: Any) -> int | None:
        """Return until when the law that the rule names is in force; None where none is."""
        name = rule.get("statute") if isinstance(rule, dict) else None
        statute = _row(self.agreement, "statutes", name) if isinstance(name, str) else {}
        citation = statute.get("citation")
        if not isinstance(citation, str) or not citation or not self._holds(statute):
            return None
        return int(statute["valid_until"])

    def _legal_basis_stands(self, rule: Mapping[str, Any]) -> bool:
        # Legal basis and consent are two fields, both required: a yes does not mend a law that lapsed.
        return rule.get("statute") is None or self._law_of(rule) is not None

    def _ends(self, rule: Mapping[str, Any], until: int) -> int:
        law = self._law_of(rule)
        return until if law is None else min(until, law)

    def _in_force(self, category: str, facts: Sequence[ConsentFact]) -> list[ConsentFact]:
        """Return the consents that cover this question now; rules 2 and 9."""
        terms = self.agreement.get("consent")
        months = terms.get("max_months") if isinstance(terms, dict) else None
        if not _number(months):
            return []
        longest = (min(months, MOST_MONTHS) * 31 + 1) * _DAY
        question = self.question
        needed = (category, question.source, question.requester, question.purpose, "active", True)
        return [
            fact
            for fact in facts
            if (fact.category, fact.source, fact.recipient, fact.purpose, fact.status, fact.confirmed)
            == needed
            and fact.valid_from <= self.now < fact.valid_until
            and fact.valid_until - fact.valid_from <= longest
            and (fact.minor, fact.guardian) in ((False, False), (False, True), (True, True))
        ]

    def _holds(self, period: Mapping[str, Any]) -> bool:
        begins, ends = period.get("valid_from"), period.get("valid_until")
        return _number(begins) and _number(ends) and begins <= self.now < ends

    # --- in the policy's words ----------------------------------------------------------------------

    def _whole(self, granted: Mapping[str, Grant], against: Mapping[str, str], role: str | None) -> Answer:
        decisions: dict[str, Any] = {}
        for category, grant in granted.items():
            rule = self.rules[category]
            decisions[category] = {
                "outcome": "permitted",
                "ground": grant.ground,
                "reason": None,
                "rule": rule["id"],
                "paragraph": rule["paragraph"],
                "next_step": None,
                "consent": grant.consent,
                "valid_until": grant.until,
            }
        for category, reason in against.items():
            step = _NEXT_STEPS[reason]
            if reason == "role_may_not" and role != ROLE_NEEDED.get(category, role):
                step = "ask_with_medical_role"
            decisions[category] = {**self._against(category, reason), "next_step": step}
        if not granted:
            return {**self._stranger, "decisions": decisions}
        rules = [self.rules[category] for category in granted]
        listed = self.agreement["categories"]
        return {
            "refusal": None,
            "ask_source": any(listed[category]["answered_by"] == "source" for category in granted),
            "decisions": decisions,
            "obligations": {
                "retention_days": min(rule["retention_days"] for rule in rules),
                "redistribute": all(rule["redistribute"] is True for rule in rules),
                "notify_client": any(rule["notify_client"] is not False for rule in rules),
            },
            "valid_until": min([self.agreement["valid_until"], *(grant.until for grant in granted.values())]),
        }

    def _against(self, category: str, reason: str) -> Answer:
        if reason in ("role_may_not", "no_consent", "no_explicit_consent"):
            rule = self.rules[category]
            return _withheld(reason, rule["paragraph"], rule["id"])
        if reason != "never_to_this_party":
            return _withheld(reason, self._clause(reason))
        if self.standing.joins == "by law":
            return _withheld(reason, self._paragraph_of_requester())
        return _withheld(reason, _row(self.agreement, "categories", category).get("paragraph", ""))

    def _all_withheld(self, reason: str, paragraph: str) -> Answer:
        return {
            "refusal": None,
            "ask_source": False,
            "decisions": {category: _withheld(reason, paragraph) for category in self.question.categories},
            "obligations": _NOTHING_OWED,
            "valid_until": 0,
        }

    def _paragraph_of_requester(self) -> str:
        paragraph = _row(self.agreement, "kinds", self.requester).get("paragraph")
        return self._clause("no_rule_in_agreement") if paragraph is None else str(paragraph)

    def _clause(self, outcome: str) -> str:
        clauses = self.agreement.get("clauses")
        return str(clauses.get(outcome, "")) if isinstance(clauses, dict) else ""


def _withheld(reason: str, paragraph: str, rule: str | None = None) -> Answer:
    return {
        "outcome": "withheld",
        "ground": None,
        "reason": reason,
        "rule": rule,
        "paragraph": paragraph,
        "next_step": None,
        "consent": None,
        "valid_until": None,
    }


def _best(facts: Sequence[ConsentFact]) -> ConsentFact:
    """Return the one that lasts longest, then the lowest id: the same facts, the same answer."""
    return min(facts, key=lambda fact: (-fact.valid_until, fact.id))


def _row(document: Mapping[str, Any], *path: Any) -> Mapping[str, Any]:
    """Return the table at `path`, or an empty one where there is none."""
    found: Any = document
    for step in path:
        found = found.get(step) if isinstance(found, dict) and isinstance(step, str) else None
    return found if isinstance(found, dict) else {}


def _number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
