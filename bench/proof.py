"""Prove every answer after the clock has stopped: signatures, decryption, receipt, ledger.

A figure counts only if all of this holds: each exchange's document opens with the requester's key and
is what the source attested, each receipt opens its own entry of one verified ledger, and the ledger
grew by exactly what was answered.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from adapters.kit import statements
from adapters.kit.key_directory import KeyDirectory
from adapters.kit.keys import Keystore
from adapters.kit.register import Register
from adapters.kit.sealing import digest, open_sealed
from adapters.kit.session import GatewaySession
from adapters.protocol import Answer
from adapters.requester.exchange import Exchange
from adapters.requester.opening import open_answer
from adapters.requester.receipts import Receipt, verify_receipt
from bench.load import Sample
from bench.processes import BenchFailed
from bench.town import STRANGER, Town
from bench.workload import ENTRIES, EXCHANGE, HUNG, NO_CONSENT, NO_PURPOSE, NOT_PASSED, PASSED, STRANGERS
from gateway.cli.world import VW
from gateway.clock import system_clock
from gateway.ledger.verify import UnverifiedBundle, verify_bundle

# Answered, and as what: the rest is a refusal by overload, or no answer at all.
_STATUS = {
    EXCHANGE: 200,
    NO_CONSENT: 200,
    STRANGERS: 200,
    NO_PURPOSE: 403,
    PASSED: 200,
    NOT_PASSED: 403,
    HUNG: 0,
}


def is_good(sample: Sample) -> bool:
    """Say whether a call got the answer it should get, by its status alone."""
    return sample.status == _STATUS[sample.call.kind] != 0


@dataclass(slots=True)
class Book:
    """What was proven so far."""

    receipts: list[Receipt] = field(default_factory=list)
    proven: Counter[str] = field(default_factory=Counter)
    began_at: int = 0  # the ledger's size
    unknown: int = 0  # calls whose outcome nobody told us: they may have left an entry


class Prover:
    """Opens answers as their requesters would."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self._keys: dict[str, Keystore] = {}
        self._directories: dict[str, KeyDirectory] = {}
        self._sessions: list[GatewaySession] = []
        for party in (VW, STRANGER):
            keys = self._keys[party] = town.deployment[party].keystore()
            register = Register.load(town.deployment[party].deployment_folder)
            session = GatewaySession(town.gateway_url, party, keys.signing("sign"), system_clock)
            self._sessions.append(session)
            self._directories[party] = KeyDirectory(register, session.fetch_key_list, system_clock)
        self.book = Book()

    async def begin(self) -> None:
        """Note how long the ledger is before the first call."""
        self.book.began_at = len((await self._town.requesters[VW].copy_ledger()).entries)

    async def close(self) -> None:
        """Close the sessions."""
        for session in self._sessions:
            await session.close()

    async def prove(self, samples: Iterable[Sample]) -> None:
        """Prove every answer among these; drop the bodies. Raises BenchFailed, or the refused proof."""
        for sample in samples:
            if is_good(sample):
                await self._prove(sample)
                self.book.proven[sample.call.kind] += 1
            elif sample.call.kind not in (PASSED, NOT_PASSED):
                self.book.unknown += 1
            sample.body = b""

    async def ledger_holds_all(self) -> int:
        """Copy and verify the whole ledger, with every receipt in it; return its size."""
        copy = await self._town.requesters[VW].copy_ledger()
        vkey = Register.load(self._town.deployment[VW].deployment_folder).ledger_vkey
        book = self.book
        indices = [receipt.ledger.index for receipt in book.receipts]
        if len(set(indices)) != len(indices):
            raise BenchFailed("two answers name the same entry of the ledger")
        verify_bundle(
            UnverifiedBundle(copy.checkpoint, copy.entries),
            vkey,
            receipts=[receipt.model_dump(exclude_none=True) for receipt in book.receipts],
        )
        grown = len(copy.entries) - book.began_at
        due = sum(ENTRIES.get(kind, 0) * count for kind, count in book.proven.items())
        if grown != due if book.unknown == 0 else grown < due:
            raise BenchFailed(f"the ledger grew by {grown} entries for answers that make {due}")
        return len(copy.entries)

    async def _prove(self, sample: Sample) -> None:
        call = sample.call
        match call.kind:
            case "passed":
                await self._passed(sample)
            case "not_passed":
                pass
            case _:
                body = json.loads(sample.body)
                exchange = Exchange.model_validate(body | {"state": body.get("state", "refused")})
                await self._told(call.kind, body, exchange, call.party)
                if call.kind == EXCHANGE:
                    opened = await open_answer(
                        exchange,
                        source=call.source,
                        party=call.party,
                        keystore=self._keys[call.party],
                        key_directory=self._directories[call.party],
                        request=call.request,
                    )
                    if [one.content[:5] for one in opened.documents] != [b"%PDF-"]:
                        raise BenchFailed("not exactly the one document came")

    async def _told(self, kind: str, body: dict[str, object], exchange: Exchange, party: str) -> None:
        said = body.get("code") if kind == NO_PURPOSE else exchange.state
        due = {
            EXCHANGE: "answered",
            NO_CONSENT: "refused",
            STRANGERS: "nothing_to_share",
            NO_PURPOSE: "purpose_not_in_agreement",
        }[kind]
        if said != due or exchange.receipt is None:
            raise BenchFailed(f"{kind} was answered with {said}")
        keys = await self._directories[party].keys("gateway", "receipt")
        self.book.receipts.append(
            verify_receipt(exchange.receipt, keys=keys, party=party, exchange=exchange.id)
        )

    async def _passed(self, sample: Sample) -> None:
        call, answer = sample.call, Answer.model_validate_json(sample.body)
        keys = await self._directories[VW].keys("ind", "sign")
        claims = statements.verify_attestation(
            answer.attestation, keys, issuer="ind", audience=VW, exchange=call.exchange, request=call.request
        )
        attested = {sealed for one in claims.answers.values() for sealed in one.sealed}
        if {digest(one.jwe) for one in answer.sealed} != attested or not attested:
            raise BenchFailed("the pass-through's answer is not what the source attested")
        for one in answer.sealed:
            open_sealed(one.jwe, self._keys[VW], exchange=call.exchange, category=one.category)


def good(samples: Sequence[Sample]) -> list[Sample]:
    """Keep the calls that got the answer they should get."""
    return [sample for sample in samples if is_good(sample)]
