"""A gateway's edge as parties meet it: uvicorn on loopback, a database, keys and key lists on disk."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import pytest
import pytest_asyncio
import uvicorn
from fastapi import APIRouter, Depends
from pydantic import SecretStr
from yarl import URL

from adapters.kit import jose
from adapters.kit.keys import Keystore, SigningKey
from adapters.kit.register import Register, SignedAgreement, sign_key_list
from adapters.protocol import Wire
from gateway import agreement, parties
from gateway.agreement import Agreement
from gateway.agreements import Agreements
from gateway.arrivals import Arrivals
from gateway.cli.provision import AGREEMENT
from gateway.http.app_factory import build_app
from gateway.http.strict_body import StrictRoute
from gateway.ledger.checkpoint import LedgerSigner
from gateway.limits import LEAST_ROOM_BYTES, Room, SourceLimits
from gateway.oauth.resource import Caller, authenticated
from gateway.parties import KeyLists
from gateway.services import Services
from gateway.settings import Settings
from gateway.sources import Sources
from gateway.storage.unit_of_work import Store
from gateway.vault import Vault
from tests.integration.conftest import BOTH

PARTIES = {"vluchtelingenwerk": "ngo", "ind": "ind", "gateway": "gateway"}
LIST_SECONDS = 400 * 24 * 3600
Keys = dict[str, SigningKey]
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class SetClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = int(time.time())

    def __call__(self) -> int:
        return self.now


class Message(Wire):
    purpose: str


router = APIRouter(route_class=StrictRoute)


@router.post("/v1/probes")
async def post_probe(
    body: Message, caller: Annotated[Caller, Depends(authenticated)], of: str = ""
) -> dict[str, str]:
    return {"party": caller.party, "kind": caller.kind, "purpose": body.purpose}


@router.get("/v1/probes/{id}")
async def get_probe(
    id: str, caller: Annotated[Caller, Depends(authenticated)], page: int = 1
) -> dict[str, str]:
    return {"party": caller.party, "kind": caller.kind}


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def problem(self) -> tuple[int, str]:
        return self.status, self.json["code"]


@dataclass
class Gate:
    """The running gateway, the keys of everyone, and how one calls it."""

    issuer: str
    folder: Path
    clock: SetClock
    services: Services
    http: aiohttp.ClientSession
    keys: dict[str, SigningKey]  # party → its key of use `sign`
    identities: dict[str, SigningKey]
    proof_key: SigningKey = field(default_factory=SigningKey.generate)

    @property
    def token_url(self) -> str:
        return f"{self.issuer}/oauth/token"

    # --- what a party makes ---

    def assertion(
        self,
        party: str = "vluchtelingenwerk",
        *,
        key: SigningKey | None = None,
        typ: str = "JWT",
        **override: Any,
    ) -> str:
        claims = {
            "iss": party,
            "sub": party,
            "aud": self.issuer,
            "jti": secrets.token_urlsafe(16),
            "iat": self.clock.now,
            "exp": self.clock.now + 60,
            **override,
        }
        present = {name: value for name, value in claims.items() if value is not None}
        return jose.sign(present, key or self.keys[party], typ)

    def proof(
        self,
        method: str,
        url: str,
        *,
        token: str | None = None,
        key: SigningKey | None = None,
        typ: str = "dpop+jwt",
        **override: Any,
    ) -> str:
        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": url,
            "iat": self.clock.now,
        }
        if token is not None:
            digest = hashlib.sha256(token.encode()).digest()
            claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        claims.update(override)
        present = {name: value for name, value in claims.items() if value is not None}
        return jose.sign_with_embedded_key(present, key or self.proof_key, typ)

    # --- how it calls ---

    async def send(self, method: str, path: str, *, headers: Any = None, data: Any = None) -> Answer:
        url = URL(self.issuer + path, encoded=True)
        async with self.http.request(
            method, url, headers=headers, data=data, allow_redirects=False
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.text())

    async def ask_token(
        self, assertion: str | None = None, *, proof: str | None = None, **form: str
    ) -> Answer:
        fields = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion() if assertion is None else assertion,
            **form,
        }
        proof = self.proof("POST", self.token_url) if proof is None else proof
        return await self.send("POST", "/oauth/token", data=fields, headers={"DPoP": proof} if proof else {})

    async def token(self, party: str = "vluchtelingenwerk") -> str:
        answer = await self.ask_token(self.assertion(party))
        assert answer.status == 200, answer.text
        return str(answer.json["access_token"])

    async def call(
        self,
        token: str,
        *,
        method: str = "GET",
        path: str = "/v1/probes/1",
        proof: str | None = None,
        scheme: str = "DPoP",
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> Answer:
        proof = self.proof(method, self.issuer + path, token=token) if proof is None else proof
        sent = {"Authorization": f"{scheme} {token}", "DPoP": proof, **(headers or {})}
        return await self.send(method, path, headers=sent, data=data)

    # --- what an operator does ---

    def write_key_list(self, party: str, key: SigningKey, *, serial: int = 1, use: str = "sign") -> None:
        signed = sign_key_list(
            key=self.identities[party],
            party=party,
            serial=serial,
            now=self.clock.now,
            exp=self.clock.now + LIST_SECONDS,
            keys=[(use, key.public)],
        )
        (self.folder / "key-lists" / f"{party}.jws").write_text(signed)

    async def set_status(self, party: str, status: str) -> None:
        vault, now = self.services.vault, self.services.clock()
        await self.services.store.write(lambda tx: parties.set_status(tx, vault, party, status, now=now))


def compose(folder: Path, issuer: str, clock: SetClock, **settings: Any) -> Services:
    """Open what the edge needs; it asks no policy and no source."""
    settings.setdefault("database_url", f"sqlite:///{folder / 'gateway.sqlite'}")
    register = Register.load(folder)
    signer = LedgerSigner(register.ledger_origin, b"c" * 32)
    room = Room(LEAST_ROOM_BYTES)
    engine: Any = None  # not asked by the edge; and of the agreement, only whether it is there
    terms = agreement.check(agreement.read(AGREEMENT))
    unsigned = Agreement(SignedAgreement(register.agreement_digest, {}, frozenset()), terms)
    return Services(
        settings=Settings(
            profile="demo",
            issuer=issuer,
            keys_folder=folder / "keys",
            keys_passphrase=SecretStr("of the test"),
            deployment_folder=folder,
            **settings,
        ),
        clock=clock,
        vault=Vault(lookup=b"l" * 32, wrapping=b"w" * 32, retry=b"r" * 32),
        store=Store.open(settings["database_url"], ledger=signer),
        register=register,
        agreements=Agreements(unsigned, register, engine, clock),
        engine=engine,
        keys=Keystore.load(folder / "keys", "of the test"),
        key_lists=KeyLists(folder, register, clock),
        sources=Sources({}, limits=SourceLimits(), room=room),
        arrivals=Arrivals(),
        room=room,
    )


@asynccontextmanager
async def serving(services: Services, listener: socket.socket) -> AsyncIterator[None]:
    await services.store.write(lambda tx: parties.ensure_parties(tx, services.register))
    config = uvicorn.Config(build_app(services, [router]), log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await task
        services.store.close()


def prepare(
    folder: Path, issuer: str, clock: SetClock
) -> tuple[dict[str, SigningKey], dict[str, SigningKey]]:
    """Write register, keystore and key lists, as `make demo` does for a deployment."""
    identities = {party: SigningKey.generate() for party in PARTIES}
    keys = {party: SigningKey.generate() for party in PARTIES}
    register = {
        "version": 1,
        "agreement": "sha-256:" + "a" * 43,
        "parties": {
            party: {"kind": kind, "name": party, "identity_key": identities[party].public}
            for party, kind in PARTIES.items()
        },
        "ledger": {"origin": "log.example/a", "vkey": "log.example/a+00000000+key"},
        "issuer": issuer,
    }
    (folder / "register.json").write_text(json.dumps(register))
    (folder / "key-lists").mkdir()
    (folder / "keys").mkdir(mode=0o700)
    keystore = Keystore.create(
        folder / "keys", holder="gateway", passphrase="of the test", uses=["token"], now=clock.now
    )
    keys["gateway"] = keystore.signing("token")
    return identities, keys


@asynccontextmanager
async def opened_gate(folder: Path, **settings: Any) -> AsyncIterator[Gate]:
    clock = SetClock()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        issuer = f"http://127.0.0.1:{listener.getsockname()[1]}"
        identities, keys = prepare(folder, issuer, clock)
        services = compose(folder, issuer, clock, **settings)
        async with aiohttp.ClientSession() as http, serving(services, listener):
            gate = Gate(issuer, folder, clock, services, http, keys, identities)
            for party in PARTIES:
                gate.write_key_list(party, keys[party], use="token" if party == "gateway" else "sign")
            yield gate


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=BOTH)
async def gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gate]:
    """A gate that a module's tests share: nobody moves its clock or changes its parties."""
    url = (
        {} if request.param == "sqlite" else {"database_url": request.getfixturevalue("postgres").database()}
    )
    async with opened_gate(tmp_path_factory.mktemp("gate"), **url) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def own_gate(tmp_path: Path, database_url: str) -> AsyncIterator[Gate]:
    """A gate of the test's own, to change at will."""
    async with opened_gate(tmp_path, database_url=database_url) as opened:
        yield opened


@pytest.fixture
def open_gate() -> Callable[..., Any]:
    """For tests that need other settings."""
    return opened_gate


@pytest.fixture
def compose_again() -> Callable[..., Services]:
    return compose
