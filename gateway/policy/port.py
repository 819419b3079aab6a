"""What the gateway asks the policy and what it hears back, whichever engine answers.

A question holds identifiers, enumerations and seconds that the gateway made or looked up itself, never the
caller's bytes. How both look in Rego is `rego.py`'s business; whoever gets no verdict releases nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from gateway.policy.bundle import PolicyBundle

RefusalCode = Literal[
    "agreement_not_in_force",
    "purpose_not_in_agreement",
    "party_never_receives",
    "no_rule_in_agreement",
    "agreement_not_signed",
    "party_suspended",
]
Ground = Literal["baseline", "consent", "explicit_consent", "statutory"]
Reason = Literal[
    "not_on_case",
    "never_to_this_party",
    "no_rule",
    "role_may_not",
    "no_consent",
    "no_explicit_consent",
    "asking_needs_consent",
    # The gateway's own, at hand-over: permitted now, but not what was asked of the source.
    "not_ordered",
]
NextStep = Literal[
    "record_consent",
    "record_explicit_consent",
    "ask_with_medical_role",
    "ask_with_other_role",
    "request_under_other_purpose",
    "ask_again",
]

# Identifiers and enumerations alike: what JSON, Rego and Python all read as the same characters.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_DIGEST = re.compile(r"sha-256:[A-Za-z0-9_-]{43}", re.ASCII)
_OPAQUE = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
# 2^53 - 1: Rego's numbers are read through doubles in places.
LAST_SECOND = 9_007_199_254_740_991


class PolicyUnavailable(Exception):
    """The policy gave no answer that can be read as a decision; nothing may leave."""


class PolicyBuildRefused(Exception):
    """The policy is not what its sources compile to, or cannot decide by the agreement it is given."""


class BundleDiffers(PolicyUnavailable):
    """An engine outside this process decides by other policies, or has not the version asked about."""


@dataclass(frozen=True, slots=True)
class ConsentFact:
    """One recorded consent to one category for one source and one recipient. Seconds, UTC.

    `minor`: the client was under 16 when it was given. `guardian`: a legal representative gave it with
    them (UAVG art. 5).
    """

    id: str
    category: str
    source: str
    recipient: str
    purpose: str
    status: str
    confirmed: bool
    explicit: bool
    minor: bool
    guardian: bool
    valid_from: int
    valid_until: int


@dataclass(frozen=True, slots=True)
class Question:
    """Everything policy reads about one request, at one moment.

    `agreement` is the digest of the version to decide by. Who has signed it are facts like the rest: a
    signature that is withdrawn stops what rests on it. `consents` are those of the requested categories only;
    others are refused here, so that the number of consents a client ever gave does not slow a decision.
    Raises ValueError on anything the gateway should not have made.
    """

    now: int
    agreement: str
    founding_signed: bool
    requester: str
    requester_status: str
    requester_signed: bool
    source: str
    source_status: str
    source_signed: bool
    purpose: str
    categories: tuple[str, ...]
    role: str | None
    on_case: bool
    case_basis: str | None
    worker_on_case: bool
    consents: tuple[ConsentFact, ...] = ()

    def __post_init__(self) -> None:
        plain = [self.requester, self.requester_status, self.source, self.source_status, self.purpose]
        plain += [*self.categories, *(word for word in (self.role, self.case_basis) if word is not None)]
        seconds = [self.now]
        truths = [self.founding_signed, self.requester_signed, self.source_signed]
        truths += [self.on_case, self.worker_on_case]
        opaque = []
        for fact in self.consents:
            plain += [fact.category, fact.source, fact.recipient, fact.purpose, fact.status]
            seconds += [fact.valid_from, fact.valid_until]
            truths += [fact.confirmed, fact.explicit, fact.minor, fact.guardian]
            opaque.append(fact.id)
        _require(_matches(_DIGEST, self.agreement), "the agreement is not named by its digest")
        _require(all(_matches(_PLAIN, word) for word in plain), "an identifier is not plain ASCII")
        _require(all(_matches(_OPAQUE, word) for word in opaque), "a consent id is not plain ASCII")
        _require(all(_is_second(moment) for moment in seconds), "an instant is not in seconds")
        _require(all(truth is True or truth is False for truth in truths), "a truth is not a bool")
        _require(bool(self.categories), "no category is asked for")
        _require(len(set(self.categories)) == len(self.categories), "a category is named twice")
        _require(
            {fact.category for fact in self.consents} <= set(self.categories),
            "a consent of a category that is not asked for",
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """The agreement alone says no; anyone may know why."""

    code: RefusalCode
    paragraph: str


@dataclass(frozen=True, slots=True)
class CategoryDecision:
    """Whether one category may leave, and by which rule.

    Permitted: `ground`, `rule` and `valid_until` are set, `consent` where it rests on one. Withheld: `reason`
    is.
    """

    category: str
    outcome: Literal["permitted", "withheld"]
    ground: Ground | None
    reason: Reason | None
    rule: str | None
    paragraph: str
    next_step: NextStep | None
    consent: str | None
    valid_until: int | None


@dataclass(frozen=True, slots=True)
class Obligations:
    """What binds the recipient: the strictest of the rules that permitted something."""

    retention_days: int
    redistribute: bool
    notify_client: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one question; `decisions` stand in the order of the question's categories.

    `valid_until`: seconds; until then every permitted decision holds if no fact changes. 0 when refused.
    """

    refusal: Refusal | None
    ask_source: bool
    decisions: tuple[CategoryDecision, ...]
    obligations: Obligations
    valid_until: int

    @property
    def permitted(self) -> tuple[CategoryDecision, ...]:
        """Return the decisions under which something may leave."""
        return tuple(decision for decision in self.decisions if decision.outcome == "permitted")


class PolicyEngine(Protocol):
    """Answers questions by the policies and the version that each names. MUST NOT keep anything of one."""

    async def decide(self, question: Question) -> Verdict:
        """Return the verdict, the same for the same question; raise PolicyUnavailable rather than guess."""
        ...


class VersionedEngine(PolicyEngine, Protocol):
    """An engine that can be told, while it answers, which versions of the agreement there are."""

    def hold(self, agreements: Mapping[str, Mapping[str, object]]) -> None:
        """Be ready to decide under exactly these, digest → document; idempotent.

        Raises PolicyBuildRefused where one of them cannot be decided by; then it holds what it held before.
        """
        ...


@runtime_checkable
class RemotePolicy(Protocol):
    """What an engine outside this process has beside its answers: it can be away, or have another bundle."""

    @property
    def bundle(self) -> PolicyBundle:
        """Return what it is to decide by, to be offered to it."""
        ...

    async def check(self, agreement: str) -> None:
        """Return if it decides under this version now; else raise PolicyUnavailable (or BundleDiffers)."""
        ...

    async def close(self) -> None:
        """Close every connection; nothing is asked afterwards."""
        ...


def hold_together(read: Verdict, question: Question) -> None:
    """Refuse a verdict that contradicts itself or the question; raise PolicyUnavailable.

    The second of two ways to say no: no engine can permit a stranger, or what was not asked for.
    """
    if tuple(decision.category for decision in read.decisions) != question.categories:
        raise PolicyUnavailable
    permitted = read.permitted
    if (read.refusal is not None or not (question.on_case and question.worker_on_case)) and permitted:
        raise PolicyUnavailable
    if read.ask_source and not permitted:
        raise PolicyUnavailable
    known = {(fact.category, fact.id) for fact in question.consents}
    for decision in permitted:
        ends = decision.valid_until
        if ends is None or ends <= question.now or read.valid_until > ends:
            raise PolicyUnavailable
        if decision.consent is not None and (decision.category, decision.consent) not in known:
            raise PolicyUnavailable


def _matches(pattern: re.Pattern[str], word: object) -> bool:
    return isinstance(word, str) and pattern.fullmatch(word) is not None


def _is_second(moment: object) -> bool:
    return isinstance(moment, int) and not isinstance(moment, bool) and 0 <= moment <= LAST_SECOND


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
