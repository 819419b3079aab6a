"""Take one thing away from a call, for a moment: what policy reads, what is sent, what a part says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from adapters.kit.session import Response
from adapters.protocol import Category, ClientIdentifier, Role, Worker
from gateway.cli.world import IND, PURPOSE, VW, worker_of
from gateway.limits import SourceLimits
from gateway.policy.port import PolicyEngine, Question, Verdict
from gateway.sources import Sources
from gateway.storage.tables import gateway_state
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
    """Let another replica bring another agreement into force in the shared database."""
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


class At:
    """The real engine, asked about another moment."""

    def __init__(self, engine: PolicyEngine, now: int) -> None:
        self._engine, self._now = engine, now

    async def decide(self, question: Question) -> Verdict:
        return await self._engine.decide(replace(question, now=self._now))


class Saying:
    """An engine that is not one."""

    def __init__(self, say: Callable[[Verdict], Any], engine: PolicyEngine) -> None:
        self._say, self._engine = say, engine

    async def decide(self, question: Question) -> Verdict:
        return cast("Verdict", self._say(await self._engine.decide(question)))


def fails(_: Verdict) -> Verdict:
    raise RuntimeError("no answer")


def unsigned_by(party: str, *, founder: bool) -> Removal:
    """Let the gateway know of one signature less under the agreement in force."""

    @asynccontextmanager
    async def removed(call: Call) -> AsyncIterator[None]:
        whole = call.place.services
        signed = whole.agreement.signed
        less = replace(signed, signed_by=signed.signed_by - frozenset({party}))
        terms = whole.agreement.terms
        founding = set(terms.founding_set) | {party} if founder else set(terms.founding_set) - {party}
        terms = terms.model_copy(update={"founding_set": sorted(founding)})
        call.place.replace_services(
            replace(whole, agreement=replace(whole.agreement, signed=less, terms=terms))
        )
        try:
            yield
        finally:
            call.place.replace_services(whole)

    return removed
