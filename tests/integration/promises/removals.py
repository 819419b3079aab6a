"""Take one thing away from a call, for a moment: what policy reads, what is sent, what a part says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from adapters.kit.register import sign_withdrawal
from adapters.kit.session import Response
from adapters.protocol import Category, ClientIdentifier, Role, Worker
from gateway.cli.world import IND, PURPOSE, VW, worker_of
from gateway.limits import SourceLimits
from gateway.parties import raise_epoch
from gateway.policy.port import PolicyEngine, Question, Verdict
from gateway.sources import Sources
from gateway.storage.agreement_tables import agreement_signatures
from gateway.storage.tables import gateway_state
from gateway.storage.unit_of_work import Transaction
from tests.integration.promises.people import someone
from tests.integration.town import Town

ASKED = (Category.PERSPECTIVE, Category.APPLICATION_STATUS)
NAMES = frozenset(map(str, ASKED))
JURIST, MANAGER = worker_of(VW, Role.CASEWORKER), worker_of(VW, Role.CASEMANAGER)


@dataclass
class Call:
    """One call with everything that it needs; a removal may change what is sent, or the town."""

    place: Town
    client: ClientIdentifier
    case: str
    consent: str
    worker: Worker = JURIST
    purpose: str = PURPOSE
    source: str = IND
    body: Callable[[dict[str, Any]], dict[str, Any]] = dict

    async def make(self) -> Response:
        """Ask through the public API."""
        prepared = self.place.prepare(
            self.client, ASKED, worker=self.worker, purpose=self.purpose, source=self.source
        )
        body = self.body({**prepared.body})
        return await self.place.call(
            VW, "POST", "/v1/dossier-requests", body, Idempotency_Key=prepared.idempotency_key
        )


async def answered_call(place: Town) -> Call:
    client = someone()
    case = await place.open_case(client)
    return Call(place, client, case, await place.consent(client, ASKED[1:]))


def leaving(answered: Response) -> frozenset[str]:
    answer = cast("Mapping[str, Any]", answered.body).get("answer") or {}
    sealed = {str(one["category"]) for one in answer.get("sealed", [])}
    return frozenset(answer.get("baseline", {})) | sealed


Removal = Callable[[Call], AbstractAsyncContextManager[None]]


def sent(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Removal:
    """Send another body than the one that was signed."""

    @asynccontextmanager
    async def removed(call: Call) -> AsyncIterator[None]:
        whole, call.body = call.body, change
        try:
            yield
        finally:
            call.body = whole

    return removed


def with_field(name: str, value: Any) -> Removal:
    """Ask with another worker, purpose or source, correctly signed."""

    @asynccontextmanager
    async def removed(call: Call) -> AsyncIterator[None]:
        whole = getattr(call, name)
        setattr(call, name, value)
        try:
            yield
        finally:
            setattr(call, name, whole)

    return removed


def with_engine(make: Callable[[PolicyEngine, Call], PolicyEngine]) -> Removal:
    """Let another policy engine answer."""

    @asynccontextmanager
    async def removed(call: Call) -> AsyncIterator[None]:
        whole = call.place.services
        call.place.replace_services(replace(whole, engine=make(whole.engine, call)))
        try:
            yield
        finally:
            call.place.replace_services(whole)

    return removed


def suspended(party: str) -> Removal:
    @asynccontextmanager
    async def removed(call: Call) -> AsyncIterator[None]:
        await call.place.set_status(party, "suspended")
        try:
            yield
        finally:
            await call.place.set_status(party, "active")

    return removed


def without_key_list(party: str) -> Removal:
    @asynccontextmanager
    async def removed(call: Call) -> AsyncIterator[None]:
        path = call.place.services.settings.deployment_folder / "key-lists" / f"{party}.jws"
        content = path.read_bytes()
        path.unlink()
        try:
            yield
        finally:
            path.write_bytes(content)

    return removed


@asynccontextmanager
async def left_behind(call: Call) -> AsyncIterator[None]:
    """Let the shared database say that an agreement is in force which this gateway knows nothing of."""
    services = call.place.services

    async def bring(digest: str) -> None:
        change = gateway_state.update().values(agreement_digest=digest)
        await services.store.write(lambda tx: tx.conn.execute(change).rowcount)

    await bring("sha-256:" + "B" * 43)
    try:
        yield
    finally:
        await bring(services.agreement.digest)


@asynccontextmanager
async def source_gone(call: Call) -> AsyncIterator[None]:
    whole = call.place.services
    others = {party: "http://127.0.0.1:9" for party in whole.sources.states() if party != IND}
    sources = Sources(others, limits=SourceLimits(), room=whole.room)
    call.place.replace_services(replace(whole, sources=sources))
    try:
        yield
    finally:
        await call.place.services.sources.close()
        call.place.replace_services(whole)


class Asked:
    """The real engine, asked about another moment, or told less."""

    def __init__(self, engine: PolicyEngine, **changes: Any) -> None:
        self._engine, self._changes = engine, changes

    async def decide(self, question: Question) -> Verdict:
        return await self._engine.decide(replace(question, **self._changes))


class Saying:
    """An engine that is not one."""

    def __init__(self, say: Callable[[Verdict], Any], engine: PolicyEngine) -> None:
        self._say, self._engine = say, engine

    async def decide(self, question: Question) -> Verdict:
        return cast("Verdict", self._say(await self._engine.decide(question)))


def fails(_: Verdict) -> Verdict:
    raise RuntimeError("no answer")


def unsigned_by(party: str) -> Removal:
    """Have a party take its signature under the agreement back, and forget that it did."""

    @asynccontextmanager
    async def removed(call: Call) -> AsyncIterator[None]:
        services, place = call.place.services, call.place
        digest, now = services.agreement.digest, place.clock()
        key = place.deployment[party].keystore().signing("identity")
        withdrawal = sign_withdrawal(key=key, party=party, digest=digest, now=now + 1)
        mine = agreement_signatures.update().filter_by(digest=digest, party_id=party)

        async def write(**values: Any) -> None:
            def work(tx: Transaction) -> None:
                tx.conn.execute(mine.values(**values))
                raise_epoch(tx)

            await services.store.write(work)

        await write(withdrawal=withdrawal, withdrawn_at=now + 1)
        try:
            yield
        finally:
            await write(withdrawal=None, withdrawn_at=None)

    return removed
