"""A gateway that sees client certificates, in its two shapes, and parties that connect with theirs.

    nginx      nginx by compose/nginx.conf ends TLS and sends the certificate along, from 127.0.0.2
    uvicorn    the gateway's own process ends TLS

All on loopback, with the options that `poort serve` gives uvicorn.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn

from adapters.kit import jose
from adapters.kit.certificates import connecting
from adapters.kit.register import sign_key_list
from gateway import parties
from gateway.cli.authority import Authority, Issued
from gateway.cli.serve import server_options
from gateway.cli.stack import free_ports
from gateway.http.app_factory import build_app
from gateway.http.tls import listening
from gateway.services import Services
from tests.integration.oauth.conftest import LIST_SECONDS, Answer, Gate, SetClock, compose, prepare, router

ROOT = Path(__file__).resolve().parents[3]
CONFIGURATION = ROOT / "compose" / "nginx.conf"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
NOT_HERE = "DID NOT RUN: there is no nginx here (apt-get install nginx-light)"
# Another address of this machine than the one that tests call from: the proxy is known by it.
HOP = "127.0.0.2"
VW, IND = "vluchtelingenwerk", "ind"


@dataclass
class Party:
    """A party at the gateway over a connection of its own, with one certificate or none."""

    gate: Gate
    name: str
    issued: Issued | None
    tls: ssl.SSLContext

    async def ask_token(self, *, party: str | None = None, proof: str = "") -> Answer:
        """Ask for a token by the party's assertion, without a DPoP proof if none is given."""
        return await self.gate.ask_token(self.gate.assertion(party or self.name), proof=proof)

    async def token(self) -> str:
        """Get a token that is bound to this connection's certificate."""
        answer = await self.ask_token()
        assert (answer.status, answer.json.get("token_type")) == (200, "Bearer"), answer.text
        return str(answer.json["access_token"])

    async def call(self, token: str, *, scheme: str = "Bearer", **headers: str) -> Answer:
        """Call with a token and no proof but what `headers` add."""
        sent = {"Authorization": f"{scheme} {token}", **headers}
        return await self.gate.send("GET", "/v1/probes/1", headers=sent)


@dataclass
class Place:
    """A running gateway, the authority of the certificates, and where they are."""

    gate: Gate
    folder: Path
    authority: Authority
    inside: str  # the gateway's own address, behind whatever ends TLS
    open: AsyncExitStack
    serials: dict[str, int] = field(default_factory=dict)

    async def party(
        self, name: str, issued: Issued | None, *, local: str | None = None, url: str | None = None
    ) -> Party:
        """Connect as a party; `local` is the address to call from, `url` another way in than the front."""
        tls = ssl.create_default_context(cafile=self.folder / "ca.pem")
        if issued is not None:
            tls.load_cert_chain(*issued.write(self.folder / "clients" / issued.thumbprint))
        connector = aiohttp.TCPConnector(ssl=tls, local_addr=(local, 0) if local else None)
        http = await self.open.enter_async_context(aiohttp.ClientSession(connector=connector))
        gate = replace(self.gate, http=http)
        if url is not None:
            gate = _Aside(**vars(gate), url=url)
        return Party(gate, name, issued, tls)

    def list_certificates(self, party: str, *issued: Issued, lasting: int = LIST_SECONDS) -> None:
        """Let a party publish a new key list with these certificates, good for `lasting` seconds."""
        serial = self.serials[party] = self.serials.get(party, 1) + 1
        now = self.gate.clock.now
        signed = sign_key_list(
            key=self.gate.identities[party],
            party=party,
            serial=serial,
            now=now,
            exp=now + LIST_SECONDS,
            keys=[("sign", self.gate.keys[party].public)],
            tls=[each.thumbprint for each in issued],
        )
        if lasting != LIST_SECONDS:
            claims: dict[str, Any] = jose.unverified_payload(signed)
            entries = [
                {**each, "exp": now + lasting} if each["use"] == "tls" else each for each in claims["keys"]
            ]
            signed = jose.sign({**claims, "keys": entries}, self.gate.identities[party], "key-list+jwt")
        (self.gate.folder / "key-lists" / f"{party}.jws").write_text(signed)


@dataclass
class _Aside(Gate):
    """A gate that is called at another address than the one its tokens are for."""

    url: str = ""

    async def send(self, method: str, path: str, *, headers: Any = None, data: Any = None) -> Answer:
        async with self.http.request(method, self.url + path, headers=headers, data=data) as answer:
            return Answer(answer.status, answer.headers, await answer.text())


@asynccontextmanager
async def behind_nginx(folder: Path) -> AsyncIterator[Place]:
    """Run gateway and nginx; skip loudly where there is no nginx."""
    if NGINX is None:
        pytest.skip(NOT_HERE)
    (port,) = free_ports(1)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        inside = f"127.0.0.1:{listener.getsockname()[1]}"
        async with _gateway(folder, f"https://127.0.0.1:{port}", listener, {}, client_cert_from=HOP) as place:
            place.inside = f"http://{inside}"
            async with _nginx(folder, port, inside):
                yield place


@asynccontextmanager
async def on_uvicorn(folder: Path) -> AsyncIterator[Place]:
    """Run a gateway that ends TLS itself."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        issuer = f"https://127.0.0.1:{listener.getsockname()[1]}"
        server = folder / "server"
        files = (server / "certificate.pem", server / "key.pem", folder / "ca.pem")
        settings = dict(
            zip(("tls_certificate_file", "tls_key_file", "tls_client_ca_file"), files, strict=True)
        )
        async with _gateway(folder, issuer, listener, settings, **settings) as place:
            yield place


@asynccontextmanager
async def _gateway(
    folder: Path, issuer: str, listener: socket.socket, tls: Mapping[str, Path], **settings: Any
) -> AsyncIterator[Place]:
    authority = Authority(now=int(time.time()))
    (folder / "ca.pem").write_bytes(authority.own.pem)
    authority.issue("server", ["127.0.0.1"]).write(folder / "server")
    clock = SetClock()
    (deployment := folder / "deployment").mkdir()
    identities, keys = prepare(deployment, issuer, clock)
    services = compose(deployment, issuer, clock, **settings)
    options = server_options(listening(*tls.values(), client_required=False) if tls else {})
    async with AsyncExitStack() as running:
        http = await running.enter_async_context(aiohttp.ClientSession())
        gate = Gate(issuer, deployment, clock, services, http, keys, identities)
        gate.write_key_list("gateway", keys["gateway"], use="token")
        for party in (VW, IND):
            gate.write_key_list(party, keys[party])
        await running.enter_async_context(_serving(services, listener, options))
        yield Place(gate, folder, authority, issuer, running)


@asynccontextmanager
async def _serving(
    services: Services, listener: socket.socket, options: dict[str, Any]
) -> AsyncIterator[None]:
    await services.store.write(lambda tx: parties.ensure_parties(tx, services.register))
    app = build_app(services, [router])
    async with serving(uvicorn.Config(app, lifespan="off", log_config=None, **options), listener):
        yield
    services.store.close()


@asynccontextmanager
async def serving(config: uvicorn.Config, listener: socket.socket) -> AsyncIterator[None]:
    """Serve in this event loop, on a socket that is bound already."""
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        if task.done():
            await task
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def _nginx(folder: Path, port: int, inside: str) -> AsyncIterator[None]:
    """Start an nginx of our own by the configuration of compose/, and end it by its process id."""
    text = CONFIGURATION.read_text("utf-8")
    changed = {
        " /tmp/": f" {folder}/",
        "server gateway-1:8400 max_fails=1 fail_timeout=5s;": f"server {inside};",
        "server gateway-2:8400 max_fails=1 fail_timeout=5s;": "",
        "listen 8443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "listen 127.0.0.1:8080;": f"listen 127.0.0.1:{free_ports(1)[0]};",
        "proxy_pass http://gateways;": f"proxy_pass http://gateways; proxy_bind {HOP};",
        "/tls/proxy/": f"{folder}/server/",
        "/tls/ca.pem": f"{folder}/ca.pem",
    }
    for before, after in changed.items():
        assert before in text, f"compose/nginx.conf no longer has {before!r}"
        text = text.replace(before, after)
    (folder / "nginx.conf").write_text(text)
    arguments = ("-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr", "-g", "daemon off;")
    log = (folder / "nginx.log").open("wb")
    process = await asyncio.create_subprocess_exec(str(NGINX), *arguments, stdout=log, stderr=log)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.returncode is None, (folder / "nginx.log").read_text()
            await asyncio.sleep(0.05)
        else:
            pytest.fail("nginx does not listen: " + (folder / "nginx.log").read_text())
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        log.close()


def trusting(place: Place) -> ssl.SSLContext:
    """Return how to connect with no certificate of one's own."""
    tls = connecting(place.folder / "ca.pem")
    assert tls is not None
    return tls
