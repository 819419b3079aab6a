"""The library of a party that asks: cases, consents and dossier requests, signed with its own keys.

    requester = Requester(session, keystore, register, key_directory, party, clock, state_folder)
    exchange = await requester.request_dossier(client, purpose=…, source=…, categories=…, worker=…)
    dossier = await requester.open(exchange, source=…)      # verified, or an error that says why not

Every call raises `RequesterError`; each error says what to do next.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable
from typing import NotRequired, TypedDict, Unpack

from pydantic import ValidationError

from adapters.kit.register import RegisterError
from adapters.kit.session import Response, SessionError
from adapters.kit.statements import make_request
from adapters.protocol import ORDER_MAX_SECONDS, Category, ClientIdentifier, Worker
from adapters.requester.calls import Body, client_body, worker_body
from adapters.requester.continuity import require_continuity
from adapters.requester.errors import GatewayRefused, GatewayUnreachable, ProofRefused, StillWaiting
from adapters.requester.exchange import Exchange, PreparedRequest, read_exchange
from adapters.requester.ledger_copy import LedgerCopy, copy_ledger
from adapters.requester.opening import OpenedDossier, open_answer
from adapters.requester.receipts import (
    LedgerProof,
    LedgerReceipt,
    verify_ledger_proof,
    verify_receipt,
)
from adapters.requester.reports import Reports

# Between two looks at a request under way, unless the gateway says otherwise.
_POLL_SECONDS = 1.0
_REQUESTS = "/v1/dossier-requests"


class Question(TypedDict):
    """What a dossier request asks, beside whom it is about.

    `reason` is a word of the agreement. Asked again under the same `idempotency_key`, it is the same
    request; a fresh one is made where none is given.
    """

    purpose: str
    source: str
    categories: Iterable[Category]
    worker: Worker
    reason: NotRequired[str | None]
    idempotency_key: NotRequired[str | None]


class Requester(Reports):
    """One party at one gateway. Safe to share between tasks; the session is the caller's to close."""

    def prepare(self, client: ClientIdentifier, **question: Unpack[Question]) -> PreparedRequest:
        """Sign a request with this party's key, to be answered under its encryption key."""
        purpose, source, worker = question["purpose"], question["source"], question["worker"]
        categories, reason = tuple(question["categories"]), question.get("reason")
        addressed = self._addressed(source)
        signed = make_request(
            **addressed,
            # As long as an order may live: an officer at the source may need weeks.
            exp=addressed["now"] + ORDER_MAX_SECONDS,
            purpose=purpose,
            categories=categories,
            client=client,
            seal_to=self._keystore.decryption().kid,
        )
        body: Body = {
            "client": client_body(client),
            "purpose": purpose,
            "source": source,
            "categories": [str(category) for category in categories],
            "worker": worker_body(worker),
            "signed_request": signed,
        }
        if reason is not None:
            body["reason"] = reason
        key = question.get("idempotency_key") or secrets.token_urlsafe(24)
        return PreparedRequest(source, addressed["jti"], key, body)

    async def send(self, prepared: PreparedRequest, *, wait_seconds: int = 5) -> Exchange:
        """Send a prepared request; sent again it is the same exchange, never a second one.

        The gateway holds the call for at most `wait_seconds`; the state `forwarded` says that the
        source needs longer.
        """
        exchange = read_exchange(await self.send_for_response(prepared, wait_seconds=wait_seconds))
        self._sent[exchange.id] = prepared.jti
        return exchange

    async def send_for_response(self, prepared: PreparedRequest, *, wait_seconds: int = 0) -> Response:
        """Send a prepared request and return the gateway's answer as it came; see `send`."""
        headers = {"Idempotency-Key": prepared.idempotency_key, "Prefer": f"wait={wait_seconds}"}
        return await self._call("POST", _REQUESTS, prepared.body, headers, wait_seconds=wait_seconds)

    async def request_dossier(
        self,
        client: ClientIdentifier,
        *,
        wait_seconds: int = 5,
        patience_seconds: float = 60.0,
        on_progress: Callable[[str, float], None] | None = None,
        **question: Unpack[Question],
    ) -> Exchange:
        """Ask a source and wait for it: sign, send, and follow a `202` until it is settled.

        Raises StillWaiting after `patience_seconds`, with the id to look it up by later.
        """
        prepared = self.prepare(client, **question)
        try:
            exchange = await self._send_twice(prepared, wait_seconds)
            known, settled = exchange.id, exchange.settled
        except GatewayRefused as refused:
            # The source is down, but the gateway keeps the order and sends it again.
            known, settled = str(refused.problem.get("id", "")), False
            if refused.code != "source_unavailable" or not known:
                raise
        if settled:
            return exchange
        self._sent[known] = prepared.jti
        return await self.follow(known, patience_seconds=patience_seconds, on_progress=on_progress)

    async def _send_twice(self, prepared: PreparedRequest, wait_seconds: int) -> Exchange:
        try:
            return await self.send(prepared, wait_seconds=wait_seconds)
        except GatewayUnreachable:
            # A lost answer is no lost request: the key makes the second call the same exchange.
            return await self.send(prepared, wait_seconds=wait_seconds)

    async def follow(
        self,
        exchange: str,
        *,
        patience_seconds: float = 60.0,
        on_progress: Callable[[str, float], None] | None = None,
    ) -> Exchange:
        """Look at a request until it is settled; `on_progress` is told its state and the seconds waited."""
        began = time.monotonic()
        while True:
            response = await self._call("GET", f"{_REQUESTS}/{exchange}")
            seen = _of(exchange, read_exchange(response))
            waited = time.monotonic() - began
            if seen.settled:
                return seen
            if on_progress is not None:
                on_progress(seen.state, waited)
            pause = _retry_after(response)
            if waited + pause > patience_seconds:
                raise StillWaiting(exchange, waited)
            await asyncio.sleep(pause)

    async def get(self, exchange: str) -> Exchange:
        """Look at a request once; what may be handed over is, each time by a fresh decision."""
        return _of(exchange, read_exchange(await self._call("GET", f"{_REQUESTS}/{exchange}")))

    async def explain(self, exchange: str) -> Body:
        """Ask why a request was answered as it was, and what would change that, in Dutch and in English."""
        return await self._document("GET", f"{_REQUESTS}/{exchange}/explanation")

    async def acknowledge(self, exchange: str, *, worker: Worker) -> Exchange:
        """Say that the answer arrived whole; the gateway then deletes the sealed bytes."""
        return await self._settle(exchange, "acknowledgement", worker)

    async def cancel(self, exchange: str, *, worker: Worker) -> Exchange:
        """Take a request back; the source is told to stop."""
        return await self._settle(exchange, "cancellation", worker)

    async def _settle(self, exchange: str, how: str, worker: Worker) -> Exchange:
        body: Body = {"worker": worker_body(worker)}
        return read_exchange(await self._call("POST", f"{_REQUESTS}/{exchange}/{how}", body))

    async def open(self, exchange: Exchange, *, source: str, request: str | None = None) -> OpenedDossier:
        """Verify and decrypt an answer; raises ProofRefused, and then nothing was opened.

        `request` is the `jti` of the signed request, known here if this object sent it: an answer to
        another one of ours, about another client, is refused.
        """
        return await open_answer(
            exchange,
            source=source,
            party=self.party,
            keystore=self._keystore,
            key_directory=self._key_directory,
            request=request or self._sent.get(exchange.id),
        )

    async def receipt(self, exchange: str) -> LedgerReceipt:
        """Fetch the receipt of the last hand-over and prove that the ledger holds it.

        Against the ledger's key in our own register, and against the checkpoint that this party verified
        before: raises ProofRefused, also where it cites an agreement that was not in force, and LedgerForked
        where the ledger does not continue that one.
        """
        response = await self._call("GET", f"{_REQUESTS}/{exchange}/receipt")
        try:
            proof = LedgerProof.model_validate(response.body)
            keys = await self._key_directory.keys("gateway", "receipt")
        except (ValidationError, RegisterError, SessionError) as invalid:
            raise ProofRefused("receipt_invalid", "The receipt cannot be read or verified.") from invalid
        receipt = verify_receipt(proof.receipt, keys=keys, party=self.party, exchange=exchange)
        checkpoint = verify_ledger_proof(receipt, proof, self._register)
        await require_continuity(
            self._kept, proof.checkpoint, checkpoint, lambda path: self._call("GET", path)
        )
        await self._cited.require(receipt)
        return LedgerReceipt(receipt, checkpoint.size, proof)

    async def copy_ledger(self, on_progress: Callable[[int, int], None] | None = None) -> LedgerCopy:
        """Copy the whole ledger, for an auditor to verify offline."""
        return await copy_ledger(lambda path: self._call("GET", path), on_progress)


def _retry_after(response: Response) -> float:
    unverified = response.headers.get("Retry-After", "")
    return min(max(float(unverified), 0.2), 30.0) if unverified.isdigit() else _POLL_SECONDS


def _of(asked: str, seen: Exchange) -> Exchange:
    # Another request's answer under this address would be another client's data under this one's name.
    if seen.id != asked:
        raise ProofRefused(
            "answer_of_another", "The gateway answered with another request than we asked for."
        )
    return seen
