"""Cases and consents: what the desk and the casemanager of a party do with the client."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import rfc8785
from pydantic import JsonValue

from adapters.kit.statements import make_consent_statement
from adapters.kit.strict_json import encode_base64url
from adapters.protocol import Category, ClientIdentifier, Worker
from adapters.requester.calls import Body, Calls, client_body, instant, worker_body

# docs/domain.md rule 9: six months, the rhythm in which the client's plan is evaluated.
CONSENT_SECONDS = 182 * 24 * 3600


class Desk(Calls):
    """The half of the library that records what a client decided."""

    async def open_case(
        self,
        client: ClientIdentifier,
        *,
        opened_by: Worker,
        casemanager: str,
        workers: Sequence[Worker],
        mandate: Mapping[str, JsonValue],
        own_number: str | None = None,
    ) -> Body:
        """Open a case on the client's mandate. It involves nobody until a second worker confirms it."""
        body: Body = {
            "client": client_body(client),
            "casemanager": casemanager,
            "workers": [worker_body(worker) for worker in workers],
            "mandate": dict(mandate),
            "opened_by": worker_body(opened_by),
        }
        if own_number is not None:
            body["own_number"] = own_number
        return await self._document("POST", "/v1/cases", body)

    async def confirm_case(self, case: str, *, worker: Worker) -> Body:
        """Confirm the mandate as the second worker; from then on the party is on the client's case.

        After a lost answer the same worker makes the same call again.
        """
        return await self._document("POST", f"/v1/cases/{case}/confirmation", {"worker": worker_body(worker)})

    async def search_cases(self, client: ClientIdentifier, *, worker: Worker) -> Body:
        """Find this party's own cases of a client, by the exact identifier."""
        body: Body = {"client": client_body(client), "worker": worker_body(worker)}
        return await self._document("POST", "/v1/cases/search", body)

    async def invite_partner(self, case: str, partner: str, *, worker: Worker) -> Body:
        """Invite another party onto the case, by its casemanager; nothing is shared before it accepts."""
        body: Body = {"party": partner, "worker": worker_body(worker)}
        return await self._document("POST", f"/v1/cases/{case}/partners", body)

    async def accept_invitation(
        self,
        invitation: str,
        client: ClientIdentifier,
        *,
        worker: Worker,
        casemanager: str,
        workers: Sequence[Worker] = (),
        own_number: str | None = None,
    ) -> Body:
        """Join the case of a client that we name exactly; from then on this party is on it."""
        body: Body = {
            "client": client_body(client),
            "casemanager": casemanager,
            "workers": [worker_body(one) for one in workers],
            "worker": worker_body(worker),
        }
        if own_number is not None:
            body["own_number"] = own_number
        return await self._document("POST", f"/v1/case-invitations/{invitation}/acceptance", body)

    async def leave_case(self, case: str, *, worker: Worker) -> Body:
        """Leave the case, by its casemanager; from then on nothing about the client comes here."""
        body: Body = {"worker": worker_body(worker)}
        return await self._document("POST", f"/v1/cases/{case}/departure", body)

    async def record_consent(
        self,
        client: ClientIdentifier,
        *,
        purpose: str,
        sources: Sequence[str],
        recipients: Sequence[str],
        categories: Iterable[Category],
        evidence: Mapping[str, JsonValue],
        worker: Worker,
        explicit: Iterable[Category] = (),
        valid_until: int | None = None,
    ) -> Body:
        """Record what the client allowed, with one signed statement per source. Pending until confirmed.

        `valid_until` is in Unix seconds, six months from now where it is not given.
        """
        categories, explicit = tuple(categories), tuple(explicit)
        now = self._clock()
        until = now + CONSENT_SECONDS if valid_until is None else valid_until
        statements: list[JsonValue] = [
            make_consent_statement(
                **self._addressed(source),
                nbf=now,
                exp=until,
                purpose=purpose,
                evidence=evidence_digest(evidence),
                recipients=tuple(recipients),
                categories=categories,
                explicit=explicit,
                client=client,
            )
            for source in sources
        ]
        body: Body = {
            "client": client_body(client),
            "purpose": purpose,
            "sources": list(sources),
            "recipients": list(recipients),
            "categories": list(map(str, categories)),
            "explicit": list(map(str, explicit)),
            "valid_until": instant(until),
            "evidence": dict(evidence),
            "worker": worker_body(worker),
            "statements": statements,
        }
        return await self._document("POST", "/v1/consents", body)

    async def confirm_consent(self, consent: str, *, worker: Worker) -> Body:
        """Confirm a consent as the second worker; from then on requests may rest on it.

        After a lost answer the same worker makes the same call again: it is one confirmation.
        """
        body: Body = {"worker": worker_body(worker)}
        return await self._document("POST", f"/v1/consents/{consent}/confirmation", body)

    async def withdraw_consent(self, consent: str, *, worker: Worker) -> Body:
        """Withdraw at once; returns the ledger index after which nothing leaves on this consent."""
        body: Body = {"worker": worker_body(worker)}
        return await self._document("POST", f"/v1/consents/{consent}/withdrawal", body)

    async def search_consents(self, client: ClientIdentifier, *, worker: Worker) -> Body:
        """List the consents of a client that this party recorded, by the exact identifier."""
        body: Body = {"client": client_body(client), "worker": worker_body(worker)}
        return await self._document("POST", "/v1/consents/search", body)

    async def consent_receipt(self, consent: str) -> Body:
        """Fetch the receipt that the client takes home."""
        return await self._document("GET", f"/v1/consents/{consent}/receipt")


def evidence_digest(evidence: Mapping[str, JsonValue]) -> str:
    """Digest how a consent was given, so that the statement binds it without carrying it (RFC 8785)."""
    return "sha-256:" + encode_base64url(hashlib.sha256(rfc8785.dumps(dict(evidence))).digest())
