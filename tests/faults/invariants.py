"""Check the five invariants from outside: no table of the gateway, none of its code, is asked.

What is read: what callers were told (`Answered`, `Failed`), what sources were asked (`Served`), the
ledger as anyone may copy it with every checkpoint that was kept on the way, and what the client had
allowed when, as the party that recorded it saw it (`Consent`, `Ending`).

    I1 every released byte has exactly one ledger entry, committed before it
    I2 nothing outside policy and consent, as they stood at that entry's index
    I3 nothing after a withdrawal's index, or after another change that forbids it
    I4 all signed heads are beginnings of one another
    I5 where the outcome is unknown the caller has nothing, and may ask again: one exchange, once
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import rfc8785

from adapters.kit.strict_json import encode_base64url
from gateway.ledger import LedgerDoesNotVerify
from gateway.ledger.verify import UnverifiedBundle, verify_bundle

# Members of an answer that a caller may not have when the gateway could not say what happened.
CONTENT = frozenset({"answer", "decisions", "receipt", "obligations"})
HELD_BY_GATEWAY = "partners"  # never asked of a source


@dataclass(frozen=True)
class Request:
    """A signed request as its party made it."""

    jti: str
    key: str  # Idempotency-Key
    requester: str
    worker: str
    kind: str  # of the requester, in the agreement
    source: str
    source_kind: str
    purpose: str
    client: str
    asked: frozenset[str]


@dataclass(frozen=True)
class Answered:
    """What a caller held after one call. `receipt` is its payload; the signature was verified before."""

    request: Request
    exchange: str
    state: str
    categories: frozenset[str]  # of which anything came
    content_digest: str | None  # of baseline and attestation, as received
    receipt: Mapping[str, Any]
    size_after: int  # of the ledger, asked for after the answer was here

    @property
    def index(self) -> int:
        return int(self.receipt["ledger"]["index"])

    @property
    def detail(self) -> Mapping[str, Any]:
        detail: Mapping[str, Any] = self.receipt["ledger"]["detail"]
        return detail


@dataclass(frozen=True)
class Failed:
    """A call that ended without an answer: no connection, or a problem document."""

    request: Request
    status: int | None
    members: frozenset[str] = frozenset()
    exchange: str | None = None


@dataclass(frozen=True)
class Served:
    """One order that a source took in, from its own books."""

    source: str
    exchange: str
    request: str  # jti
    categories: frozenset[str]


@dataclass(frozen=True)
class Consent:
    """A consent as the party that recorded it saw it."""

    id: str
    client: str
    purpose: str
    sources: frozenset[str]
    recipients: frozenset[str]
    categories: frozenset[str]
    not_before: int  # size of the ledger when its confirmation was sent
    state: str = "active"  # as a search said at the end
    withdrawn_at: int | None = None  # the index that the gateway named
    valid_until: int = 1 << 53


@dataclass(frozen=True)
class Ending:
    """From `index` on the requester may have none of `categories` (None: nothing at all)."""

    why: str
    index: int
    requester: str
    worker: str | None = None
    client: str | None = None
    purpose: str | None = None
    categories: frozenset[str] | None = None
    until: int = 1 << 53  # when it was allowed again

    def forbids(self, answered: Answered) -> frozenset[str]:
        """Name what of an answer came after the end."""
        request = answered.request
        concerned = (
            self.index <= answered.index < self.until
            and self.requester == request.requester
            and self.worker in (None, request.worker)
            and self.client in (None, request.client)
            and self.purpose in (None, request.purpose)
        )
        if not concerned:
            return frozenset()
        return answered.categories if self.categories is None else answered.categories & self.categories


@dataclass
class Evidence:
    """All that a run left in the hands of others than the gateway."""

    agreement: Mapping[str, Any]
    vkey: str
    bundle: UnverifiedBundle
    kept: Sequence[str] = ()  # checkpoints, in the order in which they were seen
    answers: list[Answered] = field(default_factory=list)
    failures: list[Failed] = field(default_factory=list)
    served: list[Served] = field(default_factory=list)
    consents: list[Consent] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)

    @property
    def released(self) -> list[Answered]:
        """Answers with content."""
        return [answered for answered in self.answers if answered.categories]


def content_digest(answer: Mapping[str, Any]) -> str:
    """Digest what an answer holds, as its receipt does."""
    content = {"baseline": answer.get("baseline", {}), "attestation": answer.get("attestation")}
    return encode_base64url(hashlib.sha256(rfc8785.dumps(content)).digest())


def violations(evidence: Evidence) -> list[str]:
    """Say in one sentence each what must not be; empty when everything holds."""
    return [
        *_one_entry_before_each_release(evidence),
        *_nothing_beyond_policy_and_consent(evidence),
        *_nothing_after_the_end(evidence),
        *_one_history(evidence),
        *_nothing_on_an_unknown_outcome(evidence),
    ]


def _one_entry_before_each_release(evidence: Evidence) -> Iterator[str]:
    seen: dict[int, Answered] = {}
    every_receipt_opens = not _unproven(evidence, evidence.answers)
    for answered in evidence.answers:
        who = f"the answer of exchange {answered.exchange}"
        if not every_receipt_opens and (unproven := _unproven(evidence, [answered])):
            yield f"I1: {who} is not recorded where its receipt says: {unproven}"
            continue
        if not answered.categories:
            continue
        if answered.index >= answered.size_after:
            yield (
                f"I1: {who} was here when the ledger still ended before its entry"
                f" ({answered.index} of {answered.size_after})."
            )
        if answered.index in seen:
            other = seen[answered.index].exchange
            yield f"I1: {who} and another of exchange {other} share the entry {answered.index}."
        seen[answered.index] = answered
        if answered.detail.get("kind") != "handed_over":
            yield f"I1: {who} holds data, and its entry says {answered.detail.get('kind')!r}."
        recorded = {c["category"] for c in answered.detail["categories"] if c["outcome"] == "permitted"}
        if not answered.categories <= recorded:
            more = sorted(answered.categories - recorded)
            yield f"I1: {who} holds {more}, which its entry does not record as released."
        if answered.detail.get("answer") != answered.content_digest:
            yield f"I1: {who} is not, byte for byte, what its entry records."
    known = {answered.exchange: answered.request.jti for answered in evidence.answers}
    known |= {failed.exchange: failed.request.jti for failed in evidence.failures if failed.exchange}
    for served in evidence.served:
        if known.get(served.exchange) != served.request:
            yield (
                f"I1: {served.source} was given an order for exchange {served.exchange}, of which no entry"
                " was ever shown to whoever asked."
            )


def _unproven(evidence: Evidence, answers: Sequence[Answered]) -> str:
    try:
        receipts = [answered.receipt for answered in answers]
        verify_bundle(evidence.bundle, evidence.vkey, receipts=receipts)
    except LedgerDoesNotVerify as unproven:
        return str(unproven) or "it does not verify"
    return ""


def _nothing_beyond_policy_and_consent(evidence: Evidence) -> Iterator[str]:
    for answered in evidence.released:
        for category in sorted(answered.categories):
            reason = _not_allowed(evidence, answered, category)
            if reason:
                where = f"in exchange {answered.exchange} (entry {answered.index})"
                yield f"I2: {category} left {where} {reason}."
    asked_by = {answered.request.jti: answered.request for answered in evidence.answers}
    asked_by |= {failed.request.jti: failed.request for failed in evidence.failures}
    for served in evidence.served:
        request = asked_by.get(served.request)
        if request is None or not served.categories <= request.asked:
            yield f"I2: {served.source} was asked in exchange {served.exchange} for what nobody had asked."


def _not_allowed(evidence: Evidence, answered: Answered, category: str) -> str | None:
    request = answered.request
    if category not in request.asked:
        return "and was not asked for"
    rules = evidence.agreement["rules"].get(request.purpose, {}).get(request.kind, {})
    rule = rules.get(request.source_kind, {}).get(category)
    if rule is None:
        return "without any rule in the agreement"
    if rule["ground"] == "baseline":
        return None
    given = [consent for consent in evidence.consents if _covers(consent, request, category)]
    if any(_stands(consent, answered) for consent in given):
        return None
    return f"without a consent ({len(given)} such consents at other times)"


def _covers(consent: Consent, request: Request, category: str) -> bool:
    return (
        consent.client == request.client
        and consent.purpose == request.purpose
        and request.source in consent.sources
        and request.requester in consent.recipients
        and category in consent.categories
    )


def _stands(consent: Consent, answered: Answered) -> bool:
    withdrawn = consent.withdrawn_at
    return (
        consent.not_before <= answered.index
        and int(answered.detail["at"]) < consent.valid_until
        and (withdrawn is None or answered.index < withdrawn)
    )


def _nothing_after_the_end(evidence: Evidence) -> Iterator[str]:
    for consent in evidence.consents:
        if (consent.state == "withdrawn") != (consent.withdrawn_at is not None):
            yield f"I3: the consent {consent.id} is {consent.state}, and its party was told otherwise."
        if consent.withdrawn_at is None:
            continue
        for answered in evidence.released:
            named = {c["category"] for c in answered.detail["categories"] if c.get("consent") == consent.id}
            if answered.index > consent.withdrawn_at and named & answered.categories:
                yield (
                    f"I3: {sorted(named & answered.categories)} left at entry {answered.index} on the consent"
                    f" {consent.id}, withdrawn at {consent.withdrawn_at}."
                )
    for ending in evidence.endings:
        for answered in evidence.released:
            if late := ending.forbids(answered):
                when = f"after {ending.why} at {ending.index}"
                yield f"I3: {sorted(late)} left at entry {answered.index}, {when}."


def _one_history(evidence: Evidence) -> Iterator[str]:
    try:
        verify_bundle(evidence.bundle, evidence.vkey, earlier=evidence.kept)
    except LedgerDoesNotVerify as different:
        yield f"I4: {different}"


def _nothing_on_an_unknown_outcome(evidence: Evidence) -> Iterator[str]:
    for failed in evidence.failures:
        if failed.members & CONTENT and failed.status is not None and failed.status >= 500:
            yield f"I5: a call that failed with {failed.status} carried {sorted(failed.members & CONTENT)}."
    ids: dict[str, set[str]] = defaultdict(set)
    keys: dict[str, str] = {}
    ended: dict[str, str] = {}
    calls: list[Answered | Failed] = [*evidence.answers, *evidence.failures]
    for call in calls:
        keys[call.request.key] = call.request.jti
        if call.exchange:
            ids[call.request.key].add(call.exchange)
        if isinstance(call, Answered):
            ended[call.request.key] = call.state
    for key, jti in keys.items():
        if len(ids[key]) > 1:
            yield f"I5: the same call, repeated, made {len(ids[key])} exchanges ({sorted(ids[key])})."
        if key not in ended:
            yield f"I5: the call of request {jti} never got an answer, however often it was repeated."
        elif ended[key] == "failed":
            yield f"I5: the request {jti} failed for good, though nobody did anything wrong."
    served: dict[str, set[str]] = defaultdict(set)
    for order in evidence.served:
        served[order.request].add(order.exchange)
    for jti, exchanges in served.items():
        if len(exchanges) > 1:
            yield f"I5: one signed request ({jti}) reached its source in {len(exchanges)} exchanges."
