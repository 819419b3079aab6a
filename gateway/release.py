"""Check again, keep only what is permitted now, and prove it: the second half of an exchange.

Only `recheck` makes a ReleasePermit; only `minimise`, with a permit, makes a Release (DESIGN §2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from adapters.kit import sealing, statements
from adapters.protocol import (
    BASELINE,
    Answer,
    AttestationClaims,
    Category,
    CategoryStatus,
)
from gateway import exchange_records, facts
from gateway.errors import SourceTrouble
from gateway.exchange_recording import attestation_place
from gateway.limits import SMALL_BYTES
from gateway.orders import ANSWERED_HERE
from gateway.policy.asking import ask_policy
from gateway.stages import Exchange, Facts, Footing

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.policy.port import CategoryDecision, Verdict
    from gateway.services import Services
    from gateway.stages import State


class _Recheck:
    """Proof that `recheck` was here; nothing outside this module can name an instance."""


_RECHECKED = _Recheck()


@dataclass(frozen=True, slots=True)
class ReleasePermit:
    """What may leave, for how long, and the versions of the facts that say so."""

    exchange_id: str
    footing: Footing
    valid_until: int
    facts: Facts
    verdict: Verdict
    decisions: tuple[CategoryDecision, ...]
    # Given and not kept: `dataclasses.replace` of a permit cannot pass it on, so it makes no other permit.
    proof: InitVar[_Recheck]

    def __post_init__(self, proof: _Recheck) -> None:
        if proof is not _RECHECKED:
            raise TypeError("only recheck makes a ReleasePermit")

    @property
    def permitted(self) -> frozenset[str]:
        """The categories that may leave under this permit."""
        return frozenset(d.category for d in self.decisions if d.outcome == "permitted")

    def holds(self, at: int) -> bool:
        """Say whether time alone has not ended what is permitted."""
        return not self.permitted or at < self.valid_until


@dataclass(frozen=True, slots=True)
class HeldAnswer:
    """What a source sent and the gateway keeps until it is collected."""

    attestation: str | None = field(repr=False)
    claims: AttestationClaims | None
    documents: tuple[tuple[str, str], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Release:
    """What leaves: nothing in it that the permit does not name."""

    permit: ReleasePermit
    baseline: Mapping[str, object] = field(repr=False)
    sealed: tuple[tuple[str, str], ...] = field(repr=False)
    attestation: str | None = field(repr=False)
    proof: InitVar[_Recheck]

    def __post_init__(self, proof: _Recheck) -> None:
        if proof is not _RECHECKED:
            raise TypeError("only minimise makes a Release")

    @property
    def content(self) -> dict[str, Any]:
        """Everything that leaves, sealed bytes by the attestation that names them: what a receipt covers."""
        return {"baseline": dict(self.baseline), "attestation": self.attestation}

    @property
    def state(self) -> State:
        """Say it with one face: not on the case (any more), all withheld, or something leaves."""
        involvement = self.permit.facts.involvement
        if not (involvement.on_case and involvement.worker_on_case):
            return "nothing_to_share"
        return "answered" if self.permit.permitted else "refused"


async def recheck(services: Services, exchange: Exchange, *, now: int) -> ReleasePermit:
    """Ask policy again with fresh facts; a category keeps its permission only on its ordered ground."""
    fresh = await services.store.look_up(lambda conn: facts.gather_for_hand_over(conn, services, exchange))
    verdict = await ask_policy(services.engine, facts.question(services, fresh, exchange, now=now))
    decisions = tuple(_on_ordered_ground(decision, exchange) for decision in verdict.decisions)
    return ReleasePermit(
        exchange_id=exchange.id,
        footing=fresh.footing,
        valid_until=min(verdict.valid_until, exchange.expires_at),
        facts=fresh,
        verdict=verdict,
        decisions=decisions if fresh.involvement.worker_on_case else (),
        proof=_RECHECKED,
    )


def minimise(held: HeldAnswer, permit: ReleasePermit) -> Release:
    """Keep what the permit names; withholding drops the disclosure and the bytes."""
    keep = {Category(name) for name in permit.permitted}
    baseline: dict[str, object] = {}
    attestation = None
    if held.claims is not None and held.attestation is not None:
        attestation = statements.withhold(held.attestation, keep=keep)
        for category, answer in held.claims.answers.items():
            if category in keep & BASELINE and answer.status is CategoryStatus.PROVIDED:
                baseline[category.value] = answer.value
    if Category.PARTNERS in keep:
        baseline[Category.PARTNERS.value] = list(permit.facts.partners)
    sealed = tuple((category, jwe) for category, jwe in held.documents if Category(category) in keep)
    return Release(permit, baseline, sealed, attestation, proof=_RECHECKED)


async def verify_answer(
    services: Services, exchange: Exchange, unverified: Answer, *, now: int
) -> AttestationClaims:
    """Accept an answer only if its source attests exactly what was ordered and sent.

    Raises SourceTrouble("source_answer_invalid"): nothing of such an answer is kept.
    """
    keys = services.key_lists.verified(exchange.source).keys("sign", now)
    try:
        claims = statements.verify_attestation(unverified.attestation, keys, now)
    except statements.StatementError as unproven:
        raise SourceTrouble("source_answer_invalid", cause=unproven.code) from unproven
    ordered = {Category(name) for name in exchange.ordered if name not in ANSWERED_HERE}
    sent: dict[Category, list[str]] = {}
    for document in unverified.sealed:
        sent.setdefault(document.category, []).append(await _digest(document.jwe))
    attested = {name: list(answer.sealed) for name, answer in claims.answers.items() if answer.sealed}
    checks = {
        "attested by another party": claims.iss == exchange.source,
        "attested to another party": claims.aud == exchange.requester,
        "attested for another exchange": claims.exchange == exchange.id == unverified.exchange,
        "attested for another order": claims.order == exchange.order_digest,
        "attested for another request": claims.request == exchange.request_jti,
        "other categories than ordered": set(claims.answers) == ordered,
        "other documents than attested": sent == attested,
        "not sealed to the requester": _sealed_to_requester(services, exchange, unverified, now),
    }
    for failure, holds in checks.items():
        if not holds:
            raise SourceTrouble("source_answer_invalid", cause=failure)
    return claims


async def _digest(jwe: str) -> str:
    # Of a large document it takes milliseconds, in which another thread lets everyone else go on.
    return sealing.digest(jwe) if len(jwe) <= SMALL_BYTES else await asyncio.to_thread(sealing.digest, jwe)


def _sealed_to_requester(services: Services, exchange: Exchange, unverified: Answer, now: int) -> bool:
    own = services.key_lists.verified(exchange.requester).keys("encrypt", now)
    try:
        return all(sealing.sealed_to(document.jwe) in own for document in unverified.sealed)
    except sealing.SealingError:
        return False


def as_held(verified: Answer, claims: AttestationClaims) -> HeldAnswer:
    """Take an answer that `verify_answer` just accepted as what will be kept of it."""
    documents = tuple((document.category.value, document.jwe) for document in verified.sealed)
    return HeldAnswer(verified.attestation, claims, documents)


def held_answer(
    conn: Connection, services: Services, exchange: Exchange, permit: ReleasePermit
) -> HeldAnswer:
    """Open what waits for collection; what lies in a database may be tampered with, so verify it again."""
    client = permit.facts.client
    if client is None or exchange.attestation_sealed is None:
        return HeldAnswer(None, None, ())
    place = attestation_place(exchange.id)
    attestation = client.key.open(exchange.attestation_sealed, place=place).decode()
    keys = services.key_lists.verified(exchange.source).keys("sign", services.clock())
    try:
        claims = statements.verify_attestation(attestation, keys)
    except statements.StatementError as unproven:
        raise SourceTrouble("source_answer_invalid", cause=unproven.code) from unproven
    documents = exchange_records.documents(conn, exchange.id)
    attested = {(name.value, digest) for name, answer in claims.answers.items() for digest in answer.sealed}
    if any((category, sealing.digest(jwe)) not in attested for category, jwe in documents):
        raise SourceTrouble("source_answer_invalid", cause="a kept document is not attested")
    return HeldAnswer(attestation, claims, documents)


def _on_ordered_ground(decision: CategoryDecision, exchange: Exchange) -> CategoryDecision:
    """Withhold what was not ordered, or is permitted now on another ground than the source was shown."""
    entry = exchange.ordered.get(decision.category)
    if decision.outcome != "permitted":
        return decision
    if (
        entry is not None
        and not entry.lost
        and (entry.ground, entry.consent) == (decision.ground, decision.consent)
    ):
        return decision
    return replace(
        decision,
        outcome="withheld",
        ground=None,
        reason="not_ordered",
        consent=None,
        valid_until=None,
        next_step="ask_again",
    )
