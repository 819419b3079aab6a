"""Beside step 9: requests that never pause while one version of the agreement takes over from another."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from adapters.protocol import Category, Role
from adapters.requester import Exchange, Requester
from gateway.cli.facts import Facts
from gateway.cli.world import IND, PURPOSE, VW, World, worker_of
from gateway.clock import system_clock

# What IND may come to pass on for the screening, and what it may pass on no longer.
OPENED, CLOSED = Category.CONTACT, Category.FAMILY
ASKED = (Category.PERSPECTIVE, OPENED, CLOSED)
_PAUSE_SECONDS = 0.2


@dataclass(slots=True)
class Meanwhile:
    """One question, again and again, from two systems of a party; where there are two gateways, at both."""

    world: World
    exchanges: list[Exchange] = field(default_factory=list)

    async def ask_until(self, until: int) -> None:
        """Ask again and again; a call that is refused or lost raises, as the requester's library does."""
        by = (self.world.vluchtelingenwerk, self.world.desk)
        await asyncio.gather(*(self._ask(requester, until) for requester in by))

    async def _ask(self, requester: Requester, until: int) -> None:
        while system_clock() < until:
            self.exchanges.append(
                await requester.request_dossier(
                    self.world.amina,
                    purpose=PURPOSE,
                    source=IND,
                    categories=ASKED,
                    worker=worker_of(VW, Role.CASEWORKER),
                )
            )
            await asyncio.sleep(_PAUSE_SECONDS)

    async def look_back(self, facts: Facts, old: str, new: str) -> None:
        """Prove each answer, and see by which version it was decided; raise StepFailed, ProofRefused."""
        reasons: dict[str, set[tuple[str | None, str | None]]] = {old: set(), new: set()}
        indexes: dict[str, list[int]] = {old: [], new: []}
        for exchange in self.exchanges:
            leaf = (await self.world.vluchtelingenwerk.receipt(exchange.id)).receipt.ledger
            cited = str(leaf.detail.get("agreement"))
            indexes.setdefault(cited, []).append(leaf.index)
            reasons.setdefault(cited, set()).add(reasons_of(exchange))
        facts.check(
            all(exchange.state == "answered" for exchange in self.exchanges),
            f"{len(self.exchanges)} requests went on meanwhile, without a pause; none was refused",
        )
        facts.check(
            reasons == {old: {("no_rule", "no_consent")}, new: {("no_consent", "no_rule")}},
            f"{len(indexes[old])} were decided by the old version and {len(indexes[new])} by the new one,"
            " each by its own rules",
        )
        facts.check(
            max(indexes[old]) < min(indexes[new]), "in the ledger none of the old ones follows a new one"
        )
        facts.values["asked_meanwhile"] = {"old": len(indexes[old]), "new": len(indexes[new])}


def reasons_of(exchange: Exchange) -> tuple[str | None, str | None]:
    """Say why the two categories of the change stayed behind."""
    reasons = {decision.category: decision.reason for decision in exchange.decisions}
    return reasons.get(OPENED), reasons.get(CLOSED)
