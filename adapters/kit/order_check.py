"""Believe no gateway: verify a release order against this party's own register, agreements and keys.

Promise 6: a taken-over gateway can deny service, but it cannot make a source speak. `OrderCheck.verify`
is the list of everything that must hold; only it makes a `VerifiedOrder`, and nothing is looked up in
the agency's system without one.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import Field

from adapters.kit import sealing, statements
from adapters.kit.claims import disclosures
from adapters.kit.ground_check import GroundCheck, KeptConsent
from adapters.kit.order_refused import KeysUnavailable, OrderRefused
from adapters.kit.register import RegisterError
from adapters.kit.session import SessionError
from adapters.protocol import (
    CancellationClaims,
    Category,
    ClientIdentifier,
    ConsentClaims,
    OrderClaims,
    RequestClaims,
    Scheme,
    SealedClient,
    Wire,
)

if TYPE_CHECKING:
    from adapters.kit.agreement_book import AgreementBook
    from adapters.kit.agreement_chain import Version
    from adapters.kit.key_directory import KeyDirectory
    from adapters.kit.keys import Keystore
    from adapters.kit.register import Register

_GATEWAY = "gateway"


class OrderFacts(Wire):
    """What verification established, without the identifier: the form in which an order may be kept."""

    claims: OrderClaims
    digest: str  # base64url SHA-256 of the order's JWS
    request_jti: str
    request_expires_at: int
    seal_to: str  # thumbprint of the recipient's encryption key, from the request it signed
    # Until when each category that rests on a consent or statute may leave; others are not bound in time.
    lapses_at: dict[Category, int]
    # By `jti`. An order that was kept before these were has none: a later version permits nothing on them.
    consents: dict[str, KeptConsent] = Field(default_factory=dict)

    @property
    def categories(self) -> tuple[Category, ...]:
        """What is ordered, in the order's order."""
        return tuple(ordered.category for ordered in self.claims.categories)


@dataclass(frozen=True, slots=True)
class VerifiedOrder:
    """An order of which every part was verified here. Holds an identifier: never log or keep it whole."""

    facts: OrderFacts
    client: ClientIdentifier = field(repr=False)


def order_digest(unverified_order: str) -> str:
    """Name an order by its bytes: base64url SHA-256, as the attestation names it."""
    digest = hashlib.sha256(unverified_order.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class OrderCheck:
    """Verifies orders for one source."""

    def __init__(
        self,
        *,
        party: str,
        schemes: frozenset[Scheme],
        register: Register,
        book: AgreementBook,
        keystore: Keystore,
        directory: KeyDirectory,
        clock: Callable[[], int],
    ) -> None:
        self._party = party
        self._schemes = schemes
        self._keystore = keystore
        self._directory = directory
        self._register = register
        self._book = book
        self._clock = clock

    async def verify(self, unverified_order: str) -> VerifiedOrder:
        """Return the order if everything holds; raise OrderRefused at the first thing that does not.

        1 the gateway signed it with its order key, for us, and it is in force
        2 it stands on a version of the agreement that followed from ours, in force when the order was made,
          and its founding set holds to it; so does that of the version in force now, if that is another
        3 the recipient is a known party that may receive, and signed the agreement, as we did
        4 the client is sealed to us
        5 the recipient signed the request, for this purpose, every ordered category and this client
        6 every category has the ground that the agreement asks, with the client's consent where due;
          what only the version in force now withholds, is left out of the answer (`closed_since`)
        7 the answer will be sealed to an encryption key that the recipient itself published

        That an exchange has one order, and a request serves one exchange, is proven by the atomic
        insert of `OrderStore.remember`.
        """
        now = self._clock()
        order = await self._signed_by_the_gateway(unverified_order, now)  # 1
        grounds, *_ = self._judges(order, await self._book.judging(order))  # 2, 3
        sealed = self._open_client(order)  # 4
        request = await self._signed_by_the_recipient(order, sealed, now)  # 5
        client = self._client_of(order, request)
        consents = await self._consents(order, sealed, grounds, now)  # 6
        lapses_at = grounds.every_category_has_its_ground(order, client, consents, now)
        await self.encryption_key(order.recipient, request.seal_to)  # 7
        facts = OrderFacts(
            claims=order,
            digest=order_digest(unverified_order),
            request_jti=request.jti,
            request_expires_at=request.exp,
            seal_to=request.seal_to,
            lapses_at=lapses_at,
            consents={
                jti: KeptConsent(iss=one.iss, seconds=one.exp - one.nbf) for jti, one in consents.items()
            },
        )
        return VerifiedOrder(facts, client)

    async def verify_cancellation(self, unverified_cancellation: str, *, exchange: str) -> CancellationClaims:
        """Return a cancellation that the gateway signed for us and this exchange; raise OrderRefused.

        Only the gateway's word is needed: withdrawing is never harder than giving (GDPR art. 7(3)).
        """
        keys = await self._keys(_GATEWAY, "order")
        try:
            return statements.verify_cancellation(
                unverified_cancellation, keys, self._clock(), audience=self._party, exchange=exchange
            )
        except statements.StatementError as refused:
            raise OrderRefused("cancellation_invalid", cause=refused.code) from refused

    async def encryption_key(self, recipient: str, seal_to: str) -> Mapping[str, object]:
        """Return the recipient's own key by thumbprint, as its key list has it now; raise OrderRefused.

        Asked again when the answer is sealed: weeks may have passed, and the key been revoked.
        """
        with _key_lists():
            return await self._directory.encryption(recipient, seal_to)

    def reopen(self, kept: OrderFacts) -> VerifiedOrder:
        """Return an order that was verified before and kept, with its client; raise OrderRefused.

        Weeks may have passed: the agreement may have ended since, signatures under it been taken back, or
        another version have come into force, which is then asked too.
        """
        self._judges(kept.claims, self._book.standing(kept.claims))
        disclosure = self._open_client(kept.claims).disclosures.get(kept.request_jti)
        if disclosure is None:
            raise OrderRefused("client_not_readable")
        for each in disclosures(statements.join_client(kept.claims.request, disclosure)):
            if each.name == "client":
                return VerifiedOrder(kept, ClientIdentifier.model_validate(each.value))
        raise OrderRefused("client_not_readable")

    def still_asked(self, kept: OrderFacts, wanted: frozenset[Category]) -> frozenset[Category]:
        """Return what of `wanted` the agency may still be asked for when the rest has lapsed."""
        wanted -= self.closed_since(kept)
        for grounds in self._judges(kept.claims, self._book.standing(kept.claims)):
            wanted = grounds.still_asked(kept.claims, wanted)
        return wanted

    def closed_since(self, kept: OrderFacts) -> frozenset[Category]:
        """Return which ordered categories the version in force now withholds; raise OrderRefused for all."""
        ordered = frozenset(kept.categories)
        closed: frozenset[Category] = frozenset()
        for grounds in self._judges(kept.claims, self._book.standing(kept.claims))[1:]:
            closed |= ordered - grounds.permits_too(kept.claims, kept.consents, self._clock())
        return closed

    def _judges(self, order: OrderClaims, versions: tuple[Version, ...]) -> list[GroundCheck]:
        """Return one check for each version that judges, each in force and between parties that signed it."""
        judges = []
        for version in versions:
            grounds = GroundCheck(party=self._party, register=self._register, agreement=version)
            superseded = version is not versions[-1]
            grounds.agreement_holds(
                max(order.iat, version.valid_from) if superseded else max(order.iat, self._clock())
            )
            grounds.recipient_may_receive(order)
            judges.append(grounds)
        return judges

    async def _keys(self, party: str, use: str) -> Mapping[str, Mapping[str, object]]:
        with _key_lists():
            return await self._directory.keys(party, use)

    async def _signed_by_the_gateway(self, unverified_order: str, now: int) -> OrderClaims:
        keys = await self._keys(_GATEWAY, "order")
        try:
            return statements.verify_order(unverified_order, keys, now, audience=self._party)
        except statements.StatementError as refused:
            raise OrderRefused("order_invalid", cause=refused.code) from refused

    def _open_client(self, order: OrderClaims) -> SealedClient:
        try:
            return sealing.open_client(order.client, self._keystore)
        except sealing.SealingError as broken:
            raise OrderRefused("client_not_readable") from broken

    async def _signed_by_the_recipient(
        self, order: OrderClaims, sealed: SealedClient, now: int
    ) -> RequestClaims:
        keys = await self._keys(order.recipient, "sign")
        try:
            request = statements.verify_request(
                _joined(order.request, sealed), keys, now, issuer=order.recipient, audience=self._party
            )
        except statements.StatementError as refused:
            raise OrderRefused("request_invalid", cause=refused.code) from refused
        # Nor does an order outlive the question: the recipient said until when it asks.
        if request.purpose != order.purpose or order.exp > request.exp:
            raise OrderRefused("request_mismatch")
        # The recipient asked for each of them: a gateway cannot add a category to what was asked.
        if not {ordered.category for ordered in order.categories} <= set(request.categories):
            raise OrderRefused("category_not_requested")
        return request

    def _client_of(self, order: OrderClaims, request: RequestClaims) -> ClientIdentifier:
        if request.client is None:
            raise OrderRefused("client_not_readable")
        if request.client.scheme not in self._schemes:
            raise OrderRefused("unknown_scheme")
        return request.client

    async def _consents(
        self, order: OrderClaims, sealed: SealedClient, grounds: GroundCheck, now: int
    ) -> Mapping[str, ConsentClaims]:
        verified: dict[str, ConsentClaims] = {}
        for unverified in order.consents:
            consent = await self._consent(unverified, sealed, grounds, now)
            if consent.jti in verified:
                raise OrderRefused("consent_mismatch")
            verified[consent.jti] = consent
        if set(verified) != {ordered.consent for ordered in order.categories if ordered.consent}:
            raise OrderRefused("consent_mismatch")
        return verified

    async def _consent(
        self, unverified: str, sealed: SealedClient, grounds: GroundCheck, now: int
    ) -> ConsentClaims:
        try:
            unverified_issuer = statements.unverified_issuer(unverified)
            grounds.may_record_consent(unverified_issuer)
            keys = await self._keys(unverified_issuer, "sign")
            return statements.verify_consent_statement(
                _joined(unverified, sealed), keys, now, issuer=unverified_issuer, audience=self._party
            )
        except statements.StatementError as refused:
            raise OrderRefused("consent_invalid", cause=refused.code) from refused


@contextmanager
def _key_lists() -> Iterator[None]:
    try:
        yield
    except RegisterError as refused:
        raise OrderRefused("keys_not_verified", cause=refused.code) from refused
    except SessionError as down:
        raise KeysUnavailable(down.code) from down


def _joined(unverified: str, sealed: SealedClient) -> str:
    """Put the client's disclosure back into its statement, found by the statement's own `jti`."""
    disclosure = sealed.disclosures.get(statements.unverified_jti(unverified))
    if disclosure is None:
        raise OrderRefused("client_not_readable")
    return statements.join_client(unverified, disclosure)
