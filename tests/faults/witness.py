"""Make calls as parties do, and keep everything that came back: the evidence for `invariants`."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from adapters.kit import jose, sdjwt
from adapters.kit.session import Response, SessionError
from adapters.protocol import Category, ClientIdentifier, Role, Worker
from adapters.requester import PreparedRequest
from adapters.requester.errors import GatewayRefused, GatewayUnreachable, ProofRefused
from adapters.requester.receipts import verify_receipt
from gateway.cli.cast import PARTIES, SOURCES
from gateway.cli.evidence import signed_on_paper
from gateway.cli.provision import AGREEMENT
from gateway.cli.world import IND, PURPOSE, VW, worker_of
from gateway.ledger.verify import UnverifiedBundle
from tests.faults.invariants import (
    Answered,
    Consent,
    Ending,
    Evidence,
    Failed,
    Request,
    Served,
    content_digest,
    violations,
)
from tests.integration.town import Town, v_number

T = TypeVar("T")
Seen = Answered | Failed
Categories = tuple[Category, ...]
_REQUESTS = "/v1/dossier-requests"
_KINDS = {party.id: party.kind for party in PARTIES}
# A caller that comes back: how often, how long in all, and the pause between.
PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.1
# Who looks at the ledger: a party that no run suspends, so that no answer goes unnoticed.
AUDITOR = "askv"
_OPEN = frozenset({"forwarded"})


class Witness:
    """One party's worker who asks, comes back, and writes everything down. `town` is where it lives."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.evidence = Evidence(
            json.loads(AGREEMENT.read_bytes()),
            self.requester(VW)._register.ledger_vkey,
            UnverifiedBundle("", ()),
        )
        self.kept: list[str] = []
        self.requests: dict[str, Request] = {}  # by exchange
        self._receipt_keys: Mapping[str, Mapping[str, object]] = {}
        self._others = {served.exchange for served in self._served()}  # of earlier days

    def requester(self, party: str) -> Any:
        return self.town.world.requesters[party]

    async def arrive(self) -> None:
        """Learn the gateway's receipt keys, while it runs."""
        self._receipt_keys = await self.requester(VW)._key_directory.keys("gateway", "receipt")
        await self.checkpoint()

    # --- asking ----------------------------------------------------------------------------------

    def prepare(
        self, client: ClientIdentifier, categories: tuple[Category, ...], **more: Any
    ) -> tuple[PreparedRequest, Request]:
        """Sign a request, and note what it is."""
        by = more.pop("by", VW)
        worker: Worker = more.get("worker") or worker_of(by, Role.CASEWORKER)
        purpose, source = more.get("purpose", PURPOSE), more.get("source", IND)
        prepared = self.town.prepare(client, categories, by=by, **more)
        request = Request(
            jti=prepared.jti,
            key=prepared.idempotency_key,
            requester=by,
            worker=worker.id,
            kind=_KINDS[by],
            source=source,
            source_kind=_KINDS[source],
            purpose=purpose,
            client=client.value,
            asked=frozenset(map(str, categories)),
        )
        return prepared, request

    async def send(self, prepared: PreparedRequest, request: Request, *, wait_seconds: int = 5) -> Seen:
        """Send a request once."""
        sending = self.requester(request.requester).send_for_response(prepared, wait_seconds=wait_seconds)
        return await self._once(request, sending)

    async def get(self, request: Request, exchange: str) -> Seen:
        """Look at an exchange once."""
        looking = self.requester(request.requester)._call("GET", f"{_REQUESTS}/{exchange}")
        return await self._once(request, looking)

    async def end(self, request: Request, exchange: str, how: str) -> Seen:
        """Acknowledge or cancel once."""
        body = {"worker": {"id": request.worker, "role": Role.CASEWORKER.value}}
        call = self.requester(request.requester)._call("POST", f"{_REQUESTS}/{exchange}/{how}", body)
        return await self._once(request, call)

    async def insist(self, call: Callable[[], Awaitable[Seen]], *, even_open: bool = False) -> Seen:
        """Repeat a call until it is answered for good, as long as a caller has patience.

        `even_open`: an exchange that is not over yet is an answer, too.
        """
        end = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            result = await call()
            final = isinstance(result, Answered) and (even_open or result.state not in _OPEN)
            refused = isinstance(result, Failed) and result.status is not None and result.status < 500
            if final or refused or asyncio.get_running_loop().time() > end:
                return result
            await asyncio.sleep(_PAUSE_SECONDS)

    async def until_done(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat any other call until the gateway answers it."""
        end = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            try:
                return await call()
            except (GatewayUnreachable, GatewayRefused, SessionError) as failure:
                # 401: the clock was set ahead between the making of the proof and its verification.
                again = not isinstance(failure, GatewayRefused) or failure.status in (401, *range(500, 600))
                if not again or asyncio.get_running_loop().time() > end:
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _once(self, request: Request, call: Awaitable[Response]) -> Seen:
        try:
            response = await call
        except GatewayRefused as refused:
            known = refused.problem.get("id")
            exchange = None if known is None else str(known)
            failed = Failed(request, refused.status, frozenset(refused.problem), exchange)
            self.evidence.failures.append(failed)
            return failed
        except GatewayUnreachable:
            self.evidence.failures.append(failed := Failed(request, None))
            return failed
        assert isinstance(response.body, dict)
        answered = self._read(request, response.body)
        # Asked for after the answer is here: what it holds was recorded before it left, or it was not.
        answered = replace(answered, size_after=await self.until_done(self.checkpoint))
        self.evidence.answers.append(answered)
        self.requests[answered.exchange] = request
        return answered

    def _read(self, request: Request, body: Mapping[str, Any]) -> Answered:
        answer = body.get("answer")
        categories: set[str] = set()
        if answer is not None:
            categories |= set(answer.get("baseline", {}))
            categories |= {document["category"] for document in answer.get("sealed", ())}
            if answer.get("attestation"):
                disclosed = sdjwt.unverified_disclosures(answer["attestation"])
                categories |= {disclosure.name for disclosure in disclosed}
        receipt = str(body["receipt"])
        try:
            verify_receipt(
                receipt, keys=self._receipt_keys, party=request.requester, exchange=str(body["id"])
            )
        except ProofRefused as refused:
            raise AssertionError(f"I1: a receipt does not hold: {refused.code}") from refused
        return Answered(
            request=request,
            exchange=str(body["id"]),
            state=str(body["state"]),
            categories=frozenset(categories),
            content_digest=None if answer is None else content_digest(answer),
            receipt=jose.unverified_payload(receipt),
            size_after=0,
        )

    # --- what the client decides -------------------------------------------------------------------

    async def consent(self, client: ClientIdentifier, categories: Categories, **more: Any) -> Consent:
        """Record and confirm a consent, however often that takes."""
        size = await self.until_done(self.checkpoint)
        first, second = worker_of(VW, Role.DESK), worker_of(VW, Role.DESK, 1)
        question: dict[str, Any] = {"purpose": PURPOSE, "sources": [IND], "recipients": (VW,), **more}
        evidence = signed_on_paper(first.id, "ti")
        recorded = await self.until_done(
            lambda: self.requester(VW).record_consent(
                client, categories=categories, evidence=evidence, worker=first, **question
            )
        )
        given = str(recorded["id"])
        # Not a second consent in the place of one whose confirmation got no answer: that one may stand.
        try:
            await self.until_done(lambda: self.requester(VW).confirm_consent(given, worker=second))
        except GatewayRefused as refused:
            if refused.status != 409:  # it was confirmed already, by a call whose answer was lost
                raise
        consent = Consent(
            id=given,
            client=client.value,
            purpose=question["purpose"],
            sources=frozenset(question["sources"]),
            recipients=frozenset(question["recipients"]),
            categories=frozenset(map(str, categories)),
            not_before=size,
            valid_until=more.get("valid_until") or 1 << 53,
        )
        self.evidence.consents.append(consent)
        return consent

    async def withdraw(self, consent: Consent) -> int:
        """Withdraw, as often as it takes to be told since when."""
        desk = worker_of(VW, Role.DESK)
        done = await self.until_done(lambda: self.requester(VW).withdraw_consent(consent.id, worker=desk))
        index = int(done["ledger_index"])
        at = next(n for n, one in enumerate(self.evidence.consents) if one.id == consent.id)
        self.evidence.consents[at] = replace(self.evidence.consents[at], withdrawn_at=index)
        return index

    def ended(self, why: str, index: int, requester: str = VW, **what: Any) -> None:
        """Note that something is forbidden from an index on."""
        self.evidence.endings.append(Ending(why, index, requester, **what))

    # --- what others have ----------------------------------------------------------------------------

    async def checkpoint(self) -> int:
        """Fetch the newest signed head, keep it, and return the ledger's size."""
        response = await self.requester(AUDITOR)._call("GET", "/v1/ledger/checkpoint")
        assert isinstance(response.body, bytes)
        self.kept.append(response.body.decode())
        return int(self.kept[-1].split("\n")[1])

    async def conclude(self) -> list[str]:
        """Collect what is with others, and say what must not be."""
        evidence = self.evidence
        await self.until_done(self.checkpoint)
        copy = await self.until_done(self.requester(AUDITOR).copy_ledger)
        evidence.bundle = UnverifiedBundle(copy.checkpoint, copy.entries)
        evidence.kept = list(dict.fromkeys(self.kept))
        evidence.served = [served for served in self._served() if served.exchange not in self._others]
        for client in {consent.client for consent in evidence.consents}:
            await self._history(client)
        return violations(evidence)

    def _served(self) -> list[Served]:
        folder = self.town.deployment.folder
        books = [(source.party, folder / f"{source.name}-adapter.sqlite") for source in SOURCES]
        return [served for party, file in books for served in _books(party, file)]

    async def _history(self, client: str) -> None:
        known = v_number(client)
        desk = worker_of(VW, Role.DESK)
        seen = await self.until_done(lambda: self.requester(VW).search_consents(known, worker=desk))
        states = {str(one["id"]): str(one["state"]) for one in seen["consents"]}
        self.evidence.consents = [
            replace(consent, state=states.get(consent.id, consent.state))
            for consent in self.evidence.consents
        ]


@asynccontextmanager
async def impatient(database_url: str) -> AsyncIterator[None]:
    """Let orders in the outbox be due at once: else the dispatcher waits a quarter of a minute.

    Only the moment of the next try is moved, as if that time had gone by.
    """

    async def passing() -> None:
        while True:
            await asyncio.sleep(0.4)
            if database_url.startswith("sqlite:///"):
                await asyncio.to_thread(_make_due, Path(database_url.removeprefix("sqlite:///")))
            else:
                await _make_due_at(database_url.replace("+asyncpg", ""))

    time_passes = asyncio.create_task(passing())
    try:
        yield
    finally:
        time_passes.cancel()


_DUE = "UPDATE outbox SET next_attempt_at = 1 WHERE next_attempt_at > 1"


def _make_due(file: Path) -> None:
    # What a fault keeps us from writing is written at the next turn.
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(file, timeout=10)) as database:
        database.execute(_DUE)
        database.commit()


async def _make_due_at(url: str) -> None:
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        database = await asyncpg.connect(url, timeout=5, command_timeout=5)
        try:
            await database.execute(_DUE)
        finally:
            await database.close(timeout=2)


def _books(party: str, file: Path) -> list[Served]:
    """Read what a source noted of the orders that it took in."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as books:
        rows = books.execute("SELECT exchange, request_jti, facts FROM orders").fetchall()
    return [
        Served(
            party,
            exchange,
            jti,
            frozenset(one["category"] for one in json.loads(facts)["claims"]["categories"]),
        )
        for exchange, jti, facts in rows
    ]
