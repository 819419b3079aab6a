"""The parties of a gate bring a version of the agreement about; each act is valid unless a test says not."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from adapters.kit.keys import SigningKey
from adapters.kit.register import agreement_digest, sign_agreement, sign_withdrawal
from adapters.protocol import Role, Worker
from gateway import agreement_signing, agreement_versions, parties
from gateway import agreement_state as states
from gateway.agreement_state import VersionState
from gateway.cli.provision import Deployment
from gateway.ledger.entry import open_detail
from gateway.storage.tables import ledger_details
from tests.integration.gate import VW, Gate

DPO = Worker(id="fg-01", role=Role.DPO)
DPO_2 = Worker(id="fg-02", role=Role.DPO)
ADMIN = Worker(id="beheer-01", role=Role.ADMIN)
FOUNDERS = (VW, "askv", "ind", "dtv")
# From the moment that a test begins until the version does.
BEGINS_IN_SECONDS = 3600


def identities(deployment: Deployment) -> dict[str, SigningKey]:
    """Return the key by which each party signs agreements."""
    return {name: deployment[name].keystore().signing("identity") for name in (*FOUNDERS, "goedwerk")}


@dataclass
class Agreeing:
    """What parties do about a version; `keys` are their identity keys."""

    gate: Gate
    keys: dict[str, SigningKey] = field(repr=False)

    @property
    def anchor(self) -> str:
        """The version that the deployment began with."""
        return self.gate.services.register.agreement_digest

    def document(self, **changes: Any) -> dict[str, Any]:
        """Write a version that follows the one in force, and differs from it as a test says."""
        before = self.gate.services.agreement
        document: dict[str, Any] = copy.deepcopy(dict(before.signed.data))
        document |= {
            "version": "2026.2",
            "supersedes": before.digest,
            "valid_from": self.gate.now + BEGINS_IN_SECONDS,
        }
        return document | changes

    async def proposes(
        self, document: dict[str, Any] | None = None, *, party: str = VW, worker: Worker = DPO
    ) -> VersionState:
        services, caller = self.gate.services, self.gate.caller(party)
        found, _ = await agreement_versions.propose(services, caller, document or self.document(), worker)
        return found

    async def approves(self, digest: str, *, party: str = VW, worker: Worker = DPO_2) -> VersionState:
        return await agreement_versions.approve(self.gate.services, self.gate.caller(party), digest, worker)

    def signature(self, digest: str, party: str, *, by: str | None = None, at: int | None = None) -> str:
        """Sign a digest as a party; `by`: with another's key; `at`: Unix seconds, else now."""
        key = self.keys[by or party]
        return sign_agreement(key=key, party=party, digest=digest, now=at or self.gate.now)

    def withdrawal(self, digest: str, party: str, *, by: str | None = None, at: int | None = None) -> str:
        key = self.keys[by or party]
        return sign_withdrawal(key=key, party=party, digest=digest, now=at or self.gate.now)

    async def signs(
        self, digest: str, party: str, signature: str | None = None, *, worker: Worker = ADMIN
    ) -> VersionState:
        jws = signature or self.signature(digest, party)
        caller = self.gate.caller(party)
        return await agreement_signing.sign(self.gate.services, caller, digest, party, jws, worker)

    async def withdraws(
        self, digest: str, party: str, withdrawal: str | None = None, *, worker: Worker = ADMIN
    ) -> VersionState:
        jws = withdrawal or self.withdrawal(digest, party)
        caller = self.gate.caller(party)
        return await agreement_signing.withdraw(self.gate.services, caller, digest, jws, worker)

    async def activates(self, digest: str, *, party: str = VW, worker: Worker = ADMIN) -> VersionState:
        return await agreement_versions.activate(self.gate.services, self.gate.caller(party), digest, worker)

    async def has_proposed(self, **changes: Any) -> str:
        return (await self.proposes(self.document(**changes))).row.digest

    async def has_approved(self, **changes: Any) -> str:
        digest = await self.has_proposed(**changes)
        await self.approves(digest)
        return digest

    async def has_signed(self, *without: str, **changes: Any) -> str:
        """Bring a version as far as it goes without being scheduled; `without`: founders who do not sign."""
        digest = await self.has_approved(**changes)
        for party in FOUNDERS:
            if party not in without:
                await self.signs(digest, party)
        return digest

    async def has_scheduled(self, **changes: Any) -> str:
        digest = await self.has_signed(**changes)
        await self.activates(digest)
        return digest

    async def has_in_force(self, **changes: Any) -> str:
        digest = await self.has_scheduled(**changes)
        self.gate.passes(BEGINS_IN_SECONDS)
        await self.gate.services.agreements.keep_up(self.gate.services, anew=True)
        return digest

    async def state(self, digest: str) -> VersionState:
        return await self.gate.reads(lambda conn: states.state(conn, digest, self.gate.now))

    async def stage(self, digest: str) -> str:
        return (await self.state(digest)).state

    async def epoch(self) -> int:
        return (await self.gate.reads(lambda conn: parties.standing(conn, VW))).epoch

    async def entries(self) -> list[dict[str, Any]]:
        """Return what the ledger says of the agreement, oldest first."""
        rows = await self.gate.reads(
            lambda conn: (
                conn.execute(select(ledger_details).order_by(ledger_details.c.index)).mappings().all()
            )
        )
        key = self.gate.services.vault.party_key
        return [dict(open_detail(row, key(row["party_id"])).detail) for row in rows]


def digest_of(document: dict[str, Any]) -> str:
    """Name a document."""
    return agreement_digest(document)
