"""What is asked: dossier requests of distinct clients, a tenth of which must be refused; signed beforehand.

exchange      a client who consented: baseline, and one document, sealed      200, answered
no_consent    a client on whose case we are, without a consent                200, refused
stranger      by a party that is on no case                                   200, nothing to share
no_purpose    for a purpose that is not in the agreement                      403
hung          to a source that hangs                                          503
"""

from __future__ import annotations

import hashlib
import json
import random
import secrets
from collections.abc import Mapping, Sequence

from adapters.kit import jose, sealing, statements
from adapters.kit.register import Register
from adapters.kit.session import GatewaySession
from adapters.kit.strict_json import encode_base64url
from adapters.protocol import Category, ClientIdentifier, OrderedCategory, Role
from bench.load import Call
from bench.town import ALLOWED, STRANGER, Town
from gateway.cli.world import VW, worker_of
from gateway.clock import system_clock

EXCHANGE, NO_CONSENT, STRANGERS, NO_PURPOSE = "exchange", "no_consent", "stranger", "no_purpose"
PASSED, NOT_PASSED, HUNG = "passed", "not_passed", "hung"
# What each call adds to the ledger.
ENTRIES: Mapping[str, int] = {EXCHANGE: 2, NO_CONSENT: 1, STRANGERS: 1, NO_PURPOSE: 1}
_MIX: Mapping[str, int] = {EXCHANGE: 90, NO_CONSENT: 4, STRANGERS: 3, NO_PURPOSE: 3}
_ORDER_SECONDS = 42 * 24 * 3600 - 60
_ASKED = (Category.PERSPECTIVE, Category.PARTNERS)


class Signer(GatewaySession):
    """A party's session that signs calls now, to be sent later by the load generator."""

    async def headers(self, path: str, *, at: int) -> dict[str, str]:
        """Return the headers of one POST, proven for the moment `at` (Unix seconds)."""
        token = (await self._current_token(None)).text
        claims = {
            "jti": secrets.token_urlsafe(16),
            "htm": "POST",
            "htu": self.base_url + path,
            "iat": at,
            "ath": encode_base64url(hashlib.sha256(token.encode("ascii")).digest()),
        }
        return {
            "Authorization": f"DPoP {token}",
            "DPoP": jose.sign_with_embedded_key(claims, self._proof_key, "dpop+jwt"),
            "Content-Type": "application/json",
        }


class Workload:
    """Makes calls to the gateway, and to what it is compared with, from one stream of chance."""

    def __init__(self, town: Town, chance: random.Random) -> None:
        self._town = town
        self._chance = chance
        self._keys = {party: town.deployment[party].keystore() for party in (VW, STRANGER)}
        self._signers = {
            party: Signer(town.gateway_url, party, keys.signing("sign"), system_clock)
            for party, keys in self._keys.items()
        }
        self._order_key = town.deployment["gateway"].keystore().signing("order")
        self._register = Register.load(town.deployment[VW].deployment_folder)
        self._ind_key = town.deployment["ind"].keystore().public("encrypt")

    async def close(self) -> None:
        """Close the sessions by which tokens were fetched."""
        for signer in self._signers.values():
            await signer.close()

    async def exchanges(self, arrivals: Sequence[float]) -> list[Call]:
        """Sign one request to IND for each planned arrival (seconds from now), a tenth to be refused."""
        now = system_clock()
        kinds = self._chance.choices(list(_MIX), list(_MIX.values()), k=len(arrivals))
        return [
            await self._exchange(kind, "ind", at=now + int(at))
            for kind, at in zip(kinds, arrivals, strict=True)
        ]

    async def hung(self, arrivals: Sequence[float]) -> list[Call]:
        """Sign requests to DT&V that will not be answered while its adapter hangs."""
        now = system_clock()
        return [await self._exchange(HUNG, "dtv", at=now + int(at)) for at in arrivals]

    def passed(self, count: int) -> list[Call]:
        """Make calls to the pass-through: whole orders to IND, a tenth to be refused at the door."""
        kinds = self._chance.choices([PASSED, NOT_PASSED], [90, 10], k=count)
        return [self._passed(kind) for kind in kinds]

    async def _exchange(self, kind: str, source: str, *, at: int) -> Call:
        purpose, consented = ALLOWED[source]
        party, categories = VW, (*_ASKED, *consented)
        client = self._chance.choice(self._town.people.consenting)
        match kind:
            case "no_consent":
                client, categories = self._chance.choice(self._town.people.silent), consented
            case "stranger":
                party = STRANGER
            case "no_purpose":
                purpose = "supervision"
        jti = secrets.token_urlsafe(16)
        body = {
            "client": {"scheme": str(client.scheme), "value": client.value},
            "purpose": purpose,
            "source": source,
            "categories": [str(category) for category in categories],
            "worker": worker_of(party, Role.CASEWORKER).model_dump(mode="json"),
            "signed_request": self._signed(party, source, jti, purpose, categories, client, at),
        }
        path = "/v1/dossier-requests"
        headers = await self._signers[party].headers(path, at=at)
        headers |= {"Idempotency-Key": secrets.token_urlsafe(24), "Prefer": "wait=5"}
        return Call(
            self._town.gateway_url + path, headers, json.dumps(body).encode(), kind, party, source, jti
        )

    def _passed(self, kind: str) -> Call:
        exchange, jti = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        body: dict[str, str] = {"id": exchange}
        if kind == PASSED:
            body["order"] = self._order(self._chance.choice(self._town.people.consenting), exchange, jti)
        headers = {"Content-Type": "application/json"}
        return Call(
            self._town.bare_url + "/pass", headers, json.dumps(body).encode(), kind, VW, "ind", jti, exchange
        )

    def _order(self, client: ClientIdentifier, exchange: str, jti: str) -> str:
        """Make the order that the gateway would make, so that the source does the same work."""
        now, (purpose, consented) = system_clock(), ALLOWED["ind"]
        consent_jti = secrets.token_urlsafe(16)
        signed = self._signed(VW, "ind", jti, purpose, (*_ASKED, *consented), client, now)
        consent = statements.make_consent_statement(
            key=self._keys[VW].signing("sign"),
            iss=VW,
            aud="ind",
            jti=consent_jti,
            now=now,
            nbf=now,
            exp=now + 90 * 24 * 3600,
            purpose=purpose,
            evidence="sha-256:" + encode_base64url(hashlib.sha256(b"on paper").digest()),
            recipients=(VW,),
            categories=consented,
            explicit=(),
            client=client,
        )
        request_cut = statements.cut_for_source(signed, categories={Category.PERSPECTIVE, *consented})
        consent_cut = statements.cut_for_source(consent, categories=set(consented), recipients={VW})
        return statements.make_order(
            key=self._order_key,
            aud="ind",
            jti=secrets.token_urlsafe(16),
            exchange=exchange,
            now=now,
            exp=now + _ORDER_SECONDS,
            agreement=self._register.agreement_digest,
            purpose=purpose,
            recipient=VW,
            categories=[
                OrderedCategory(category=Category.PERSPECTIVE, ground="baseline"),
                *(
                    OrderedCategory(category=name, ground="consent", consent=consent_jti)
                    for name in consented
                ),
            ],
            request=request_cut.statement,
            consents=[consent_cut.statement],
            client=sealing.seal_client(
                {jti: request_cut.client, consent_jti: consent_cut.client}, to=self._ind_key
            ),
        )

    def _signed(
        self,
        party: str,
        source: str,
        jti: str,
        purpose: str,
        categories: Sequence[Category],
        client: ClientIdentifier,
        at: int,
    ) -> str:
        keys = self._keys[party]
        return statements.make_request(
            key=keys.signing("sign"),
            iss=party,
            aud=source,
            jti=jti,
            now=at - 5,  # within the leeway of a clock that is a little behind ours
            exp=at + _ORDER_SECONDS + 30,
            purpose=purpose,
            categories=categories,
            client=client,
            seal_to=keys.decryption().kid,
        )
