"""A small world for the adapters: real keys, the real agreement, real simulators on real sockets, and a
gateway that does whatever a test wants of it, as a taken-over one would."""

import asyncio
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import SecretStr

from adapters.dtv import service as dtv_service
from adapters.dtv import simulator as dtv_simulator
from adapters.ind import service as ind_service
from adapters.ind import simulator as ind_simulator
from adapters.kit import sealing, statements
from adapters.kit.keys import Keystore, SigningKey
from adapters.kit.register import Register, agreement_digest, sign_agreement, sign_key_list
from adapters.protocol import (
    AttestationClaims,
    Category,
    ClientIdentifier,
    OrderedCategory,
    Scheme,
)
from adapters.settings import AdapterSettings
from adapters.simulation.personas import BY_NAME, Persona
from adapters.vvs import service as vvs_service
from adapters.vvs import simulator as vvs_simulator

AGREEMENT = Path(__file__).resolve().parents[2] / "policies" / "agreement" / "agreement.json"
PASSPHRASE = "a passphrase of the tests"
DAY = 86_400
GATEWAY_USES = ("order", "receipt", "token")


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


def fresh() -> str:
    """Return an id that no order had before."""
    return secrets.token_urlsafe(16)


@dataclass
class HostileGateway:
    """Serves tokens and key lists, takes answers; every part of it can be set to lie."""

    key_lists: dict[str, str] = field(default_factory=dict)
    delivered: list[dict[str, Any]] = field(default_factory=list)
    answer_status: int = 201

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/oauth/token")
        async def token() -> Response:
            return JSONResponse({"access_token": "t" * 20, "token_type": "DPoP", "expires_in": 600})

        @app.get("/v1/parties/{party}/keys")
        async def keys(party: str) -> Response:
            if party not in self.key_lists:
                return Response(status_code=404)
            return Response(self.key_lists[party], media_type="application/jose")

        @app.post("/v1/orders/{exchange}/answer")
        async def answer(exchange: str, request: Request) -> Response:
            if self.answer_status < 300:
                self.delivered.append(await request.json())
            return Response(status_code=self.answer_status)

        return app


@dataclass
class World:
    """Every party's keys, the public data, and the gateway."""

    folder: Path
    deployment: Path
    identities: dict[str, SigningKey]
    keystores: dict[str, Keystore]
    register: Register
    gateway: HostileGateway
    gateway_url: str

    @property
    def agreement(self) -> str:
        return self.register.agreement_digest

    def key_list(
        self, party: str, *, serial: int = 1, signed_by: SigningKey | None = None, **keys: Any
    ) -> str:
        now = int(time.time())
        listed = [
            (use, keys.get(use) or self.keystores[party].public(use)) for use in self.keystores[party].uses
        ]
        return sign_key_list(
            key=signed_by or self.identities[party],
            party=party,
            serial=serial,
            now=now - 60,
            exp=now + DAY,
            keys=listed,
        )

    def public(self, party: str, use: str) -> dict[str, dict[str, str]]:
        key = self.keystores[party].signing(use)
        return {key.kid: key.public}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    now = int(time.time())
    agreement = json.loads(AGREEMENT.read_bytes())
    parties = [*agreement["parties"], "gateway"]
    identities = {party: SigningKey.generate() for party in parties}
    keystores = {
        party: Keystore.create(
            folder / "keys" / party,
            holder=party,
            passphrase=PASSPHRASE,
            uses=GATEWAY_USES if party == "gateway" else ("sign", "encrypt"),
            now=now,
        )
        for party in parties
    }
    digest = agreement_digest(agreement)
    deployment = folder / "deployment"
    (deployment / "signatures").mkdir(parents=True)
    (deployment / "agreement.json").write_bytes(AGREEMENT.read_bytes())
    register = {
        "version": 1,
        "agreement": digest,
        "parties": {
            party: {
                "kind": "gateway" if party == "gateway" else agreement["parties"][party]["kind"],
                "name": party,
                "identity_key": identities[party].public,
            }
            for party in parties
        },
        "ledger": {"origin": "test", "vkey": "test+00000000+AA"},
        "issuer": "http://gateway.test",
    }
    (deployment / "register.json").write_text(json.dumps(register))
    for party in parties:
        # goedwerk stays out: a party that is known, but has not signed.
        if party not in {"gateway", "goedwerk"}:
            signature = sign_agreement(key=identities[party], party=party, digest=digest, now=now - 60)
            (deployment / "signatures" / f"{party}.jws").write_text(signature)
    gateway = HostileGateway()
    with serve(gateway.app()) as url:
        made = World(folder, deployment, identities, keystores, Register.load(deployment), gateway, url)
        gateway.key_lists |= {party: made.key_list(party) for party in parties}
        yield made


@contextmanager
def serve(app: FastAPI) -> Iterator[str]:
    """Run an application on a free port of loopback, on a thread of its own."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, log_level="critical", access_log=False, lifespan="on", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            listener.close()
            raise RuntimeError("the application did not start")
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


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
            exp=ends_at,
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


class Bench:
    """One adapter and its simulator, running; and what a test does with them."""

    def __init__(self, world: World, source: Source, agency_url: str, adapter_url: str) -> None:
        self.world, self.source = world, source
        self.agency_url, self.adapter_url = agency_url, adapter_url
        self.orders = Orders(world)
        self._http = httpx2.Client(timeout=30)

    def close(self) -> None:
        self._http.close()

    def spec(self, **overrides: Any) -> OrderSpec:
        return OrderSpec(self.source, **overrides)

    def send(self, spec_or_order: OrderSpec | str) -> httpx2.Response:
        order = self.orders.make(spec_or_order) if isinstance(spec_or_order, OrderSpec) else spec_or_order
        return self._http.post(f"{self.adapter_url}/v1/orders", json={"order": order})

    def post(self, path: str, **body: Any) -> httpx2.Response:
        return self._http.post(self.adapter_url + path, **body)

    def get(self, path: str) -> httpx2.Response:
        return self._http.get(self.adapter_url + path)

    def cancel(self, spec: OrderSpec, *categories: Category, **forged: Any) -> httpx2.Response:
        cancellation = self.orders.cancellation(spec, *categories, **forged)
        return self.post(f"/v1/orders/{spec.exchange}/cancellation", json={"cancellation": cancellation})

    def behave(self, persona: Persona, mode: str, delay_seconds: float = 0.0) -> None:
        message = {"v_number": persona.v_number, "mode": mode, "delay_seconds": delay_seconds}
        assert self._http.post(f"{self.agency_url}/_sim/behaviour", json=message).status_code == 204

    def attested(self, answer: dict[str, Any]) -> AttestationClaims:
        """Verify what a source answered, as the recipient would."""
        return statements.verify_attestation(
            answer["attestation"],
            self.world.public(self.source.party, "sign"),
            int(time.time()),
            issuer=self.source.party,
            exchange=answer["exchange"],
        )

    def opened(self, answer: dict[str, Any], recipient: str = "askv") -> list[sealing.OpenedDocument]:
        """Open the documents of an answer, checking each against the attestation."""
        claims = self.attested(answer)
        documents = []
        for each in answer.get("sealed", []):
            category = Category(each["category"])
            assert sealing.digest(each["jwe"]) in claims.answers[category].sealed
            documents.append(
                sealing.open_sealed(
                    each["jwe"],
                    self.world.keystores[recipient],
                    exchange=answer["exchange"],
                    category=category,
                )
            )
        return documents


@contextmanager
def running_adapter(
    world: World, source: Source, agency_url: str, state: Path, **settings: Any
) -> Iterator[str]:
    made = AdapterSettings(
        party=source.party,
        gateway_url=world.gateway_url,
        keys_folder=world.folder / "keys" / source.party,
        keys_passphrase=SecretStr(PASSPHRASE),
        deployment_folder=settings.pop("deployment_folder", world.deployment),
        agency_url=agency_url,
        state_path=state,
        delivery_poll_seconds=0.05,
        **settings,
    )
    with serve(source.service.create_app(made)) as url:
        yield url


@pytest.fixture(scope="session", params=SOURCES, ids=lambda source: source.name)
def bench(
    request: pytest.FixtureRequest, world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """One source after the other, each with its adapter and its simulator."""
    source: Source = request.param
    state = tmp_path_factory.mktemp(source.name) / "state.sqlite"
    with (
        serve(source.simulator.create_app()) as agency_url,
        running_adapter(world, source, agency_url, state) as adapter_url,
    ):
        made = Bench(world, source, agency_url, adapter_url)
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def another_adapter(bench: Bench, world: World) -> Callable[..., Any]:
    """Start a second adapter of the same source, with its own state or one that was left behind."""

    @contextmanager
    def start(state: Path, **settings: Any) -> Iterator[Bench]:
        with running_adapter(world, bench.source, bench.agency_url, state, **settings) as url:
            made = Bench(world, bench.source, bench.agency_url, url)
            try:
                yield made
            finally:
                made.close()

    return start


@pytest.fixture
def as_it_was(world: World, bench: Bench) -> Iterator[None]:
    """Put back what a test made of the gateway and of Amina's record."""
    before = replace(world.gateway, key_lists=dict(world.gateway.key_lists))
    yield
    world.gateway.key_lists = before.key_lists
    world.gateway.answer_status = before.answer_status
    bench.behave(BY_NAME["amina"], "ok")
