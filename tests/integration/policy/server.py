"""A real OPA server on loopback, certificates for it, and somebody in between who bends its answers."""

import asyncio
import datetime
import ipaddress
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adapters.kit.keys import SigningKey
from gateway.policy.bundle import PolicyBundle, archive_in, opa_arguments, opa_configuration

START_SECONDS = 30.0


@dataclass
class Opa:
    """One running OPA."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def waits_for(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not holds():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/health", timeout=2).close()
        except urllib.error.HTTPError as refused:
            refused.close()
            return False
        except OSError:
            return False
        return True

    def status(self, method: str, path: str, body: bytes | None = None) -> int:
        asked = urllib.request.Request(self.url + path, data=body, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=5) as response:
                return int(response.status)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code


@dataclass(frozen=True)
class Opas:
    """Starts OPA servers; each has a folder of its own."""

    binary: str
    folder: Path
    key: SigningKey

    @contextmanager
    def running(
        self, packed: bytes, *, arguments: tuple[str, ...] = (), until: str = "answers"
    ) -> Iterator[Opa]:
        """Run an OPA that is configured for our key and given this archive.

        `until`: it answers, it refused the bundle, or (with certificates) it listens.
        """
        folder = self.folder / str(time.monotonic_ns())
        folder.mkdir()
        archive_in(folder).parent.mkdir(parents=True)
        archive_in(folder).write_bytes(packed)
        (folder / "opa.json").write_bytes(opa_configuration(self.key, folder))
        with self.started(folder / "opa.json", arguments=arguments, until=until) as opa:
            yield opa

    @contextmanager
    def started(
        self,
        configuration: Path,
        *,
        listen: str = "",
        arguments: tuple[str, ...] = (),
        more: tuple[str, ...] = (),
        until: str = "answers",
    ) -> Iterator[Opa]:
        """Run an OPA with a configuration that is there already, on any free port.

        `arguments` make it listen behind TLS (`tls_arguments`); `more` are any others.
        """
        if not listen:
            with socket.socket() as chosen:
                chosen.bind(("127.0.0.1", 0))
                listen = f"127.0.0.1:{chosen.getsockname()[1]}"
        command = [self.binary, *opa_arguments(configuration, listen), *arguments, *more]
        where = configuration.parent
        with (where / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=where, stdout=log, stderr=log)
        opa = Opa(f"{'https' if arguments else 'http'}://{listen}", where / "log", process)
        ready: dict[str, Callable[[], bool]] = {
            "answers": opa.answers,
            "refuses": lambda: "Bundle load failed" in opa.log.read_text() and not opa.answers(),
            "listens": lambda: _listens(listen),
        }
        try:
            opa.waits_for(ready[until])
            yield opa
        finally:
            opa.stop()

    def sign(self, bundle: PolicyBundle) -> bytes:
        return bundle.signed(self.key, issuer="http://gateway.test", now=int(time.time()))


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


# --- somebody in between ------------------------------------------------------------------

Bend = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


async def straight(_: web.Request, answer: bytes) -> web.StreamResponse:
    return web.Response(body=answer, content_type="application/json")


@dataclass
class Between:
    """Hands every question to the real OPA, and its answer through `bend`."""

    url: str
    bend: Bend = straight
    asked: int = 0


@asynccontextmanager
async def between(opa_url: str) -> AsyncIterator[Between]:
    async with aiohttp.ClientSession() as session:
        made = Between("")

        async def forward(request: web.Request) -> web.StreamResponse:
            made.asked += 1
            async with session.post(opa_url + request.path_qs, data=await request.read()) as answered:
                answer = await answered.read()
            return await made.bend(request, answer)

        app = web.Application()
        app.router.add_post("/{path:.*}", forward)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield made
        finally:
            await runner.cleanup()


async def drip(request: web.Request, answer: bytes) -> web.StreamResponse:
    """Send the right answer, so slowly that nobody waits for its end."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for position in range(len(answer)):
        await response.write(answer[position : position + 1])
        await asyncio.sleep(0.05)
    return response


# --- certificates -------------------------------------------------------------------------


@dataclass(frozen=True)
class Authority:
    """An authority of the test, and what it issues."""

    folder: Path
    name: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, folder: Path, name: str) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, name, key).add_extension(x509.BasicConstraints(True, 0), critical=True)
        made = cls(folder, name, key, builder.sign(key, hashes.SHA256()))
        made.file.write_bytes(made.certificate.public_bytes(serialization.Encoding.PEM))
        return made

    @property
    def file(self) -> Path:
        return self.folder / f"{self.name}.pem"

    def issues(self, name: str, *, address: str | None = None) -> tuple[Path, Path]:
        """Issue a server's certificate for an address, or a client's; return the files of it and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        use = ExtendedKeyUsageOID.SERVER_AUTH if address else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = _builder(name, self.name, key).add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        if address is not None:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        files = self.folder / f"{self.name}-{name}.pem", self.folder / f"{self.name}-{name}-key.pem"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files


def tls_arguments(authority: Authority, address: str = "127.0.0.1") -> tuple[str, ...]:
    """Return what makes an OPA show a certificate and ask for one."""
    certificate, key = authority.issues("opa", address=address)
    return (
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        f"--tls-ca-cert-file={authority.file}",
        "--authentication=tls",
    )


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


def changed(bundle: PolicyBundle, files: Mapping[str, bytes | None]) -> PolicyBundle:
    """Return a bundle of the same revision with other files; None takes one away."""
    merged: dict[str, Any] = {**bundle.files, **files}
    return replace(bundle, files={name: content for name, content in merged.items() if content is not None})
