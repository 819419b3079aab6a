"""An adapter that holds IND's real keys and answers what a test wants: a source that was taken over.

It verifies nothing and asks nobody. Left alone it answers honestly, so that a spoiled answer is
refused for what was spoiled and not for how this adapter makes answers.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from sqlalchemy import func, select
from starlette.responses import JSONResponse, Response

from adapters.kit import jose, sdjwt, sealing
from adapters.kit.keys import Keystore, SigningKey
from adapters.kit.order_check import order_digest
from adapters.protocol import BASELINE, TYP_ATTESTATION, Category, ClientIdentifier, Role
from adapters.requester import PreparedRequest
from gateway import exchange_records
from gateway.cli.provision import Deployment
from gateway.cli.stack import free_ports
from gateway.cli.world import IND, PURPOSE, VW, persona, worker_of
from gateway.storage.tables import cases, clients, exchanges, idempotency, invitations, ledger_details, outbox
from tests.integration.edge import FILE_MARK, TEXT_MARK, Answer, Edge, stored_bytes
from tests.integration.town import BASELINE as ASKED_BASELINE
from tests.integration.town import PAPERS, Town, serving, town


@dataclass
class Draft:
    """An honest answer to one order, in parts, for a test to spoil before it is signed and sent."""

    claims: dict[str, Any]  # of the attestation, in the clear
    answers: dict[str, Any]  # category → its disclosure
    sealed: list[dict[str, str]]
    exchange: str
    key: SigningKey
    typ: str = TYP_ATTESTATION
    more: dict[str, Any] = field(default_factory=dict)  # members of the message beside its own

    @property
    def attestation(self) -> str:
        return sdjwt.issue(
            self.claims, self.key, self.typ, disclose_properties=self.answers, disclose_elements={}
        ).compact()

    @property
    def message(self) -> dict[str, Any]:
        attested = {"exchange": self.exchange, "attestation": self.attestation, "sealed": self.sealed}
        return {**attested, **self.more}


# Of the gateway's first attempts (`gateway.dispatch`).
_LONGEST_BACKOFF_SECONDS = 20

Behaviour = Callable[[Draft], Awaitable[Response]]


async def honest(draft: Draft) -> Response:
    """Answer as the adapter of IND would."""
    return JSONResponse(draft.message)


class Rogue:
    """One source. `behave` is what it does with the next orders; `sent` is what it answered last."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{free_ports(1)[0]}"
        self.behave: Behaviour = honest
        self.orders: list[str] = []
        self.sent = b""
        self.elsewhere = 0  # calls at an address that nobody configured
        self.cancellations: list[str] = []  # the exchanges of those that came
        self.takes_cancellations = 200  # how it answers them
        self._deployment: Deployment | None = None
        self._keystores: dict[str, Keystore] = {}

    def serve(self, deployment: Deployment) -> AbstractAsyncContextManager[None]:
        """Stand at the address of IND's adapter for the length of a `with`."""
        self._deployment = deployment
        app = FastAPI()
        app.add_api_route("/v1/orders", self._order, methods=["POST"])
        app.add_api_route("/v1/orders/{exchange}/cancellation", self._cancellation, methods=["POST"])
        app.add_api_route("/elsewhere", self._elsewhere, methods=["GET", "POST"])
        return serving(app, self.url)

    def keystore(self, party: str) -> Keystore:
        """Return any party's keys: this is a test."""
        assert self._deployment is not None
        if party not in self._keystores:
            self._keystores[party] = self._deployment[party].keystore()
        return self._keystores[party]

    def key(self, party: str) -> SigningKey:
        """Return any party's signing key."""
        return self.keystore(party).signing("sign")

    def draft(self, order: str) -> Draft:
        """Make the honest answer to an order: a document for every category, yes to the baseline."""
        claims = jose.unverified_payload(order)
        recipient, exchange = str(claims["recipient"]), str(claims["exchange"])
        to = self.keystore(recipient).public("encrypt")
        answers: dict[str, Any] = {}
        documents: list[dict[str, str]] = []
        for ordered in claims["categories"]:
            category = Category(ordered["category"])
            if category in BASELINE:
                answers[category.value] = {"status": "provided", "value": "yes"}
                continue
            jwe = seal(category, exchange, to)
            documents.append({"category": category.value, "jwe": jwe})
            answers[category.value] = {"status": "provided", "sealed": [sealing.digest(jwe)]}
        said: dict[str, Any] = {"iss": IND, "aud": recipient, "exchange": exchange}
        request = jose.unverified_payload(str(claims["request"]).partition("~")[0])
        said |= {"order": order_digest(order), "request": request["jti"], "iat": claims["iat"]}
        return Draft(said, answers, documents, exchange, self.key(IND))

    async def _order(self, request: Request) -> Response:
        order = str((await request.json())["order"])
        self.orders.append(order)
        response = await self.behave(self.draft(order))
        self.sent = getattr(response, "body", b"")
        return response

    async def _cancellation(self, exchange: str) -> Response:
        self.cancellations.append(exchange)
        return JSONResponse({"dropped": []}, self.takes_cancellations)

    async def _elsewhere(self) -> Response:
        self.elsewhere += 1
        return await honest(self.draft(self.orders[-1]))


def seal(category: Category, exchange: str, to: Any) -> str:
    """Seal a document that nobody has seen before."""
    return sealing.seal(
        secrets.token_bytes(64),
        media_type="application/pdf",
        name=f"{FILE_MARK}.pdf",
        category=category,
        exchange=exchange,
        to=to,
    )


@dataclass
class Stage:
    """A town whose IND is a rogue. Amina and Bilal have a case at VluchtelingenWerk, and consented."""

    place: Town
    edge: Edge
    rogue: Rogue
    standing: AsyncExitStack

    async def source_leaves(self) -> None:
        """From now on nobody listens at IND's address."""
        await self.standing.aclose()

    async def source_returns(self) -> None:
        """IND is back, and whatever waits for it is due."""
        await self.standing.enter_async_context(self.rogue.serve(self.place.deployment))
        self.passes(_LONGEST_BACKOFF_SECONDS)

    def passes(self, seconds: int) -> None:
        """Let time pass, for the gateway and for this caller."""
        self.place.clock.ahead_seconds += seconds

    def prepared(self, client: ClientIdentifier | None = None) -> PreparedRequest:
        """Sign a request for the baseline and the papers."""
        return self.place.world.vluchtelingenwerk.prepare(
            client or persona("amina"),
            purpose=PURPOSE,
            source=IND,
            categories=(*ASKED_BASELINE, *PAPERS),
            worker=worker_of(VW, Role.CASEWORKER),
        )

    async def ask(self, behave: Behaviour = honest, client: ClientIdentifier | None = None) -> Answer:
        """Ask anew, while IND behaves so."""
        self.rogue.behave = behave
        try:
            return await self.repeat(self.prepared(client))
        finally:
            self.rogue.behave = honest

    async def repeat(self, request: PreparedRequest) -> Answer:
        """Send a prepared request, as often as wanted."""
        self.rogue.sent = b""
        return await self.edge.ask(request.body, request.idempotency_key)

    async def get(self, exchange_id: str, wait_seconds: int = 0) -> Answer:
        """Look at an exchange."""
        return await self.edge.call(
            "GET", f"/v1/dossier-requests/{exchange_id}", Prefer=f"wait={wait_seconds}"
        )

    async def accepts(self, client: ClientIdentifier | None = None) -> None:
        """The control: an honest answer arrives, the baseline in the clear and both papers."""
        complete(await self.ask(client=client))
        # What waits for collection lies on the disk, sealed: so what is not there was not kept.
        kept = await stored_bytes(self.place)
        assert all(part in kept for part in self._sealed_parts())

    async def written(self) -> dict[str, int]:
        """Count what a call may have written: compare before and after a refusal. Orders sent, too."""

        def count(conn: Any) -> dict[str, int]:
            tables = (exchanges, cases, clients, invitations, idempotency, ledger_details)
            return {
                table.name: conn.execute(select(func.count()).select_from(table)).scalar_one()
                for table in tables
            }

        counted = await self.place.services.store.read(count)
        return {**counted, "orders sent": len(self.rogue.orders)}

    async def refused_whole(self, answer: Answer, code: str) -> None:
        """The caller is told what to do next; the exchange has failed, and stays so, and holds nothing."""
        assert (answer.status, answer.code) == (502, code)
        assert "answer" not in answer.json
        exchange_id = answer.json["id"]
        again = await self.get(exchange_id)
        assert (again.status, again.json["state"], again.json["failure"]) == (200, "failed", code)
        assert "answer" not in again.json
        assert again.json["next_step"]
        await self.nothing_kept(exchange_id)
        assert not await self.waiting(exchange_id)

    async def waiting(self, exchange_id: str) -> list[Any]:
        """Return what is still to be sent for an exchange."""
        wanted = outbox.select().where(outbox.c.exchange_id == exchange_id)
        return await self.place.services.store.read(lambda conn: list(conn.execute(wanted)))

    async def nothing_kept(self, exchange_id: str) -> None:
        """Nothing that the source sent last is in a row of the exchange, or anywhere on the disk."""

        def kept(conn: Any) -> tuple[Any, ...]:
            known = exchange_records.present(conn, exchange_id)
            return known.attestation_sealed, exchange_records.documents(conn, exchange_id)

        assert await self.place.services.store.read(kept) == (None, ())
        disk = await stored_bytes(self.place)
        planted = (TEXT_MARK.encode(), FILE_MARK.encode(), *self._sealed_parts())
        assert not [part for part in planted if part in disk]

    def _sealed_parts(self) -> list[bytes]:
        try:
            sealed = json.loads(self.rogue.sent)["sealed"]
        except (ValueError, TypeError, KeyError):
            return []
        return [one["jwe"].encode() for one in sealed]


def complete(answer: Answer) -> None:
    """Assert that all that was asked for is there."""
    assert answer.status == 200, answer.text
    assert answer.json["state"] == "answered", answer.text
    assert answer.json["answer"]["baseline"]["perspective"] == "yes"
    assert len(answer.json["answer"]["sealed"]) == len(PAPERS)


@asynccontextmanager
async def staged(folder: Path, **settings: Any) -> AsyncIterator[Stage]:
    """Run a town with a rogue at IND's address."""
    rogue = Rogue()
    async with AsyncExitStack() as standing:
        place = await standing.enter_async_context(town(folder, sources={IND: rogue.url}, **settings))
        for name in ("amina", "bilal"):
            await place.open_case(persona(name))
            await place.consent(persona(name), PAPERS)
        edge = await standing.enter_async_context(Edge(place))
        source = await standing.enter_async_context(AsyncExitStack())
        await source.enter_async_context(rogue.serve(place.deployment))
        yield Stage(place, edge, rogue, source)
