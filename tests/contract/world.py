"""Real keys, the real agreement, and a gateway that lies when a test wants it to."""

import asyncio
import json
import secrets
import socket
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from adapters.kit.keys import Keystore, SigningKey
from adapters.kit.register import (
    Register,
    agreement_digest,
    sign_agreement,
    sign_key_list,
    sign_withdrawal,
)

AGREEMENT = Path(__file__).resolve().parents[2] / "policies" / "agreement" / "agreement.json"
PASSPHRASE = "a passphrase of the tests"
DAY = 86_400
GATEWAY_USES = ("order", "receipt", "token")


def fresh() -> str:
    """Return an id that no order had before."""
    return secrets.token_urlsafe(16)


@dataclass
class HostileGateway:
    """Serves tokens and key lists, takes answers; every part of it can be set to lie."""

    key_lists: dict[str, str] = field(default_factory=dict)
    delivered: list[dict[str, Any]] = field(default_factory=list)
    answer_status: int = 201
    # What is served under /v1/agreements/{name}: a document, or bytes that are none; None never comes.
    agreements: dict[str, Any] = field(default_factory=dict)

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

        @app.get("/v1/agreements/{name}")
        async def agreement(name: str) -> Response:
            if name not in self.agreements:
                return Response(status_code=404)
            served = self.agreements[name]
            if served is None:
                await asyncio.sleep(60)
            content = served if isinstance(served, bytes) else json.dumps(served).encode()
            return Response(content, media_type="application/json")

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

    def successor(self, **changes: Any) -> dict[str, Any]:
        """Return a version that took the place of the first an hour ago, unless told otherwise."""
        document = json.loads(AGREEMENT.read_bytes())
        document |= {"version": "later", "supersedes": self.agreement, "valid_from": int(time.time()) - 3600}
        return document | changes

    def serve_agreement(
        self,
        agreement: dict[str, Any],
        *,
        unsigned: Collection[str] = (),
        withdrawn: Mapping[str, int] | None = None,
        under: str | None = None,
    ) -> str:
        """Have the gateway serve a version that all parties signed two hours ago; return its digest."""
        digest, now = agreement_digest(agreement), int(time.time())
        signers = [party for party in agreement["parties"] if party not in {"goedwerk", *unsigned}]
        self.gateway.agreements[under or digest] = {
            "agreement": agreement,
            "signatures": {
                p: sign_agreement(key=self.identities[p], party=p, digest=digest, now=now - 7200)
                for p in signers
            },
            "withdrawals": {
                p: sign_withdrawal(key=self.identities[p], party=p, digest=digest, now=at)
                for p, at in (withdrawn or {}).items()
            },
            "state": {"state": "in_force"},
        }
        return digest

    def public(self, party: str, use: str) -> dict[str, dict[str, str]]:
        key = self.keystores[party].signing(use)
        return {key.kid: key.public}


@contextmanager
def inhabited(folder: Path) -> Iterator[World]:
    """Make everyone's keys and the public data in `folder`, and start the gateway."""
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
        made.serve_agreement(agreement)
        gateway.agreements["in-force"] = {"in_force": digest, "next": None, "next_at": None}
        gateway.key_lists |= {party: made.key_list(party) for party in parties}
        yield made


@contextmanager
def serve(app: FastAPI) -> Iterator[str]:
    """Run an application on a free port of loopback, on a thread of its own."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    # No level and no handlers of uvicorn's: they belong to the whole process, and would outlast this server.
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=2,
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
