"""Make release orders as an honest gateway would, or as a taken-over one."""

import time
from dataclasses import dataclass, field
from types import ModuleType

from adapters.dtv import service as dtv_service
from adapters.dtv import simulator as dtv_simulator
from adapters.ind import service as ind_service
from adapters.ind import simulator as ind_simulator
from adapters.kit import sealing, statements
from adapters.kit.keys import SigningKey
from adapters.protocol import (
    Category,
    ClientIdentifier,
    OrderedCategory,
    Scheme,
)
from adapters.simulation.personas import BY_NAME, Persona
from adapters.vvs import service as vvs_service
from adapters.vvs import simulator as vvs_simulator
from tests.contract.world import DAY, World, fresh


@dataclass(frozen=True)
class Source:
    """One adapter under test: what it is asked here, and by which modules."""

    name: str
    party: str
    service: ModuleType
    simulator: ModuleType
    purpose: str
    baseline: Category
    ordinary: Category
    another: Category


SOURCES = (
    Source(
        "ind",
        "ind",
        ind_service,
        ind_simulator,
        "legal_screening",
        Category.PERSPECTIVE,
        Category.DECISIONS,
        Category.DOSSIER_DOCUMENTS,
    ),
    Source(
        "dtv",
        "dtv",
        dtv_service,
        dtv_simulator,
        "return_support",
        Category.PERSPECTIVE,
        Category.RETURN_OPTIONS,
        Category.TRAVEL_DOCUMENTS,
    ),
    Source(
        "vvs",
        "vluchtelingenwerk",
        vvs_service,
        vvs_simulator,
        "legal_screening",
        Category.GUIDANCE,
        Category.PLAN_PHASE,
        Category.DOSSIER_DOCUMENTS,
    ),
)


@dataclass(frozen=True)
class OrderSpec:
    """An order that every source accepts; a test overrides one thing."""

    source: Source
    categories: tuple[OrderedCategory, ...] | None = None
    exchange: str = field(default_factory=fresh)
    request_jti: str = field(default_factory=fresh)
    consent_jti: str = field(default_factory=fresh)
    client: ClientIdentifier | None = None
    purpose: str | None = None
    recipient: str = "askv"
    aud: str | None = None
    agreement: str | None = None
    order_key: SigningKey | None = None
    lives_seconds: int = 600
    issued_ago_seconds: int = 0
    request_key: SigningKey | None = None
    request_aud: str | None = None
    request_purpose: str | None = None
    request_lives_seconds: int | None = None
    requested: tuple[Category, ...] | None = None
    seal_to: str | None = None
    consent_iss: str = "leger-des-heils"
    consent_key: SigningKey | None = None
    consent_aud: str | None = None
    consent_purpose: str | None = None
    consent_client: ClientIdentifier | None = None
    consent_recipients: tuple[str, ...] | None = None
    consented: tuple[Category, ...] | None = None
    explicit: tuple[Category, ...] = ()
    consent_ends_in_seconds: int = DAY
    unsigned_request: bool = False
    without_consent: bool = False


class Orders:
    """Makes orders as a gateway would, or as a hostile one would."""

    def __init__(self, world: World) -> None:
        self._world = world

    def ordered(self, spec: OrderSpec) -> tuple[OrderedCategory, ...]:
        if spec.categories is not None:
            return spec.categories
        source = spec.source
        return (
            OrderedCategory(category=source.baseline, ground="baseline"),
            OrderedCategory(category=source.ordinary, ground="consent", consent=spec.consent_jti),
        )

    def make(self, spec: OrderSpec) -> str:
        world, source = self._world, spec.source
        issued_at = int(time.time()) - spec.issued_ago_seconds
        ends_at = issued_at + spec.lives_seconds
        ordered = self.ordered(spec)
        client = spec.client or amina()
        disclosures: dict[str, str] = {}
        request = statements.make_request(
            key=spec.request_key or world.keystores[spec.recipient].signing("sign"),
            iss=spec.recipient,
            aud=spec.request_aud or source.party,
            jti=spec.request_jti,
            now=issued_at,
            exp=issued_at + (spec.request_lives_seconds or spec.lives_seconds),
            purpose=spec.request_purpose or spec.purpose or source.purpose,
            categories=spec.requested or tuple(each.category for each in ordered),
            client=client,
            seal_to=spec.seal_to or world.keystores[spec.recipient].decryption().kid,
        )
        request, disclosures[spec.request_jti] = statements.split_client(request)
        if spec.unsigned_request:
            jwt, rest = request.split("~", 1)
            request = jwt.rsplit(".", 1)[0] + ".~" + rest
        consents = []
        if not spec.without_consent and any(each.consent for each in ordered):
            consent, disclosures[spec.consent_jti] = statements.split_client(
                self._consent(spec, ordered, client)
            )
            consents.append(consent)
        return statements.make_order(
            key=spec.order_key or world.keystores["gateway"].signing("order"),
            aud=spec.aud or source.party,
            jti=fresh(),
            exchange=spec.exchange,
            now=issued_at,
            exp=ends_at,
            agreement=spec.agreement or world.agreement,
            purpose=spec.purpose or source.purpose,
            recipient=spec.recipient,
            categories=ordered,
            request=request,
            consents=consents,
            client=sealing.seal_client(disclosures, to=world.keystores[source.party].public("encrypt")),
        )

    def _consent(
        self, spec: OrderSpec, ordered: tuple[OrderedCategory, ...], client: ClientIdentifier
    ) -> str:
        now = int(time.time())
        resting = tuple(each.category for each in ordered if each.consent)
        return statements.make_consent_statement(
            key=spec.consent_key or self._world.keystores[spec.consent_iss].signing("sign"),
            iss=spec.consent_iss,
            aud=spec.consent_aud or spec.source.party,
            jti=spec.consent_jti,
            now=now - DAY,
            nbf=now - DAY,
            exp=now + spec.consent_ends_in_seconds,
            purpose=spec.consent_purpose or spec.purpose or spec.source.purpose,
            evidence="sha-256:" + "A" * 43,
            recipients=spec.consent_recipients or (spec.recipient,),
            categories=spec.consented or resting,
            explicit=spec.explicit,
            client=spec.consent_client or client,
        )

    def cancellation(
        self,
        spec: OrderSpec,
        *categories: Category,
        key: SigningKey | None = None,
        exchange: str | None = None,
    ) -> str:
        return statements.make_cancellation(
            key=key or self._world.keystores["gateway"].signing("order"),
            aud=spec.source.party,
            exchange=exchange or spec.exchange,
            now=int(time.time()),
            categories=categories,
        )


def amina() -> ClientIdentifier:
    return client_of(BY_NAME["amina"])


def client_of(persona: Persona) -> ClientIdentifier:
    return ClientIdentifier(scheme=Scheme.V_NUMBER, value=persona.v_number)
