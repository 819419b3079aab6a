"""An OPA on another machine: certificates on both sides, and a bundle that it fetches by itself."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from adapters.kit.keys import SigningKey
from adapters.kit.register import SignedAgreement, agreement_digest
from adapters.requester.errors import GatewayRefused
from gateway import app
from gateway.cli.world import VW
from gateway.http.health import SHARED_SECONDS
from gateway.policy.bundle import PolicyBundle, archive_in, opa_configuration
from gateway.policy.opa import OpaEngine
from gateway.policy.port import BundleDiffers, PolicyUnavailable, RemotePolicy
from tests import grounds
from tests.contract.test_policy_matrix import POLICIES
from tests.integration.policy.server import Authority, Opa, Opas, tls_arguments
from tests.integration.policy.test_opa_engine import ASKED, engine_at
from tests.integration.promises.people import someone, what_left
from tests.integration.town import Town, town

pytestmark = pytest.mark.opa
ISSUER = "http://gateway.test"


# --- certificates on both sides, by the gateway's settings ----------------------------------------


@dataclass(frozen=True)
class Behind:
    """A town, an OPA with its bundle behind TLS, and who may issue certificates."""

    place: Town
    opa: Opa
    ours: Authority
    theirs: Authority

    @asynccontextmanager
    async def asking_as(self, trusted: Authority, issuer: Authority | None) -> AsyncIterator[None]:
        """Let the gateway decide by this OPA, with the certificates that its settings name."""
        whole = self.place.services
        certificate, key = issuer.issues("gateway") if issuer else (None, None)
        settings = whole.settings.model_copy(
            update={
                "opa_url": self.opa.url,
                "opa_ca_file": trusted.file,
                "opa_certificate_file": certificate,
                "opa_key_file": key,
            }
        )
        engine = app._engine(settings, whole.agreement.signed)
        self.place.replace_services(replace(whole, engine=engine))
        try:
            yield
        finally:
            self.place.replace_services(whole)
            assert isinstance(engine, RemotePolicy)
            await engine.close()


@pytest.fixture
async def behind(tmp_path: Path, opas: Opas) -> AsyncIterator[Behind]:
    ours, theirs = Authority.make(tmp_path, "ours"), Authority.make(tmp_path, "theirs")
    async with town(tmp_path / "town", ground=grounds.PRODUCTION) as place:
        configuration = place.deployment.folder / "opa" / "opa.json"
        with opas.started(configuration, arguments=tls_arguments(ours), until="listens") as opa:
            yield Behind(place, opa, ours, theirs)


async def test_the_gateway_releases_what_an_opa_decides_that_knows_it_by_its_certificate_and_nothing_else(
    behind: Behind,
) -> None:
    place, client = behind.place, someone()
    await place.open_case(client)
    asked = await place.ask(client)
    assert asked.state == "answered"
    path, requester = f"/v1/dossier-requests/{asked.id}", place.world.vluchtelingenwerk
    async with behind.asking_as(behind.ours, behind.ours):
        for _ in range(200):  # it listens before it has read its bundle
            if (await place.call(VW, "GET", path)).status == 200:
                break
        assert what_left(await requester.get(asked.id)).categories == {"perspective", "partners"}
        assert (await place.call(VW, "GET", "/readyz")).status == 200
        assert (await place.ask(client)).state == "answered"
    wrong = {
        "no certificate": (behind.ours, None),
        "a certificate of another authority": (behind.ours, behind.theirs),
        "an OPA of another authority": (behind.theirs, behind.ours),
    }
    for why, (trusted, issuer) in wrong.items():
        async with behind.asking_as(trusted, issuer):
            held = await place.call(VW, "GET", path)
            assert (held.status, held.code) == (503, "policy_unavailable"), why
            await asyncio.sleep(SHARED_SECONDS)  # so long the last look at the parts is good
            ready = await place.call(VW, "GET", "/readyz")
            assert (ready.status, ready.code) == (503, "policy_unavailable"), why
            with pytest.raises(GatewayRefused) as refused:
                await place.ask(client)
            assert refused.value.code == "policy_unavailable", why
    assert what_left(await requester.get(asked.id)).categories == {"perspective", "partners"}


# --- a bundle that OPA fetches ---------------------------------------------------------------------


@dataclass
class BundleServer:
    """Whoever serves the bundle: nobody has to trust it. It counts who came."""

    url: str = ""
    archive: bytes = b""
    served: int = 0


@contextmanager
def serving_bundles(authority: Authority) -> Iterator[BundleServer]:
    """Serve whatever archive is put there, over https."""
    there = BundleServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            self.send_response(200)
            self.send_header("Content-Type", "application/gzip")
            self.send_header("Content-Length", str(len(there.archive)))
            self.end_headers()
            self.wfile.write(there.archive)
            there.served += 1

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*authority.issues("bundles", address="127.0.0.1"))
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who did not trust us hung up
    there.url = f"https://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield there
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def documented(ca_file: Path) -> tuple[str, ...]:
    """Return what docs/policy.md adds to OPA's command line, for this authority."""
    text = (POLICIES.parent / "docs" / "policy.md").read_text("utf-8")
    (line,) = [line.split() for line in text.splitlines() if line.lstrip().startswith("--set ")]
    assert line[1] == "services.gateway.tls.ca_cert=/etc/opa/ca.pem"
    return line[0], line[1].replace("/etc/opa/ca.pem", str(ca_file))


@contextmanager
def fetching(
    opas: Opas,
    bundles: BundleServer,
    trusted: Authority,
    folder: Path,
    *,
    first: bytes = b"",
    until: str = "answers",
) -> Iterator[Opa]:
    """Run an OPA that fetches its bundle as the document says, and begins with what lies there."""
    archive_in(folder).parent.mkdir(parents=True)
    if first:
        archive_in(folder).write_bytes(first)
    told = opa_configuration(opas.key, folder, gateway=bundles.url, poll_seconds=(1, 1))
    (folder / "opa.json").write_bytes(told)
    with opas.started(folder / "opa.json", more=documented(trusted.file), until=until) as opa:
        yield opa


async def hears(engine: OpaEngine, under: str = ASKED.agreement) -> str:
    """Say what an engine hears from OPA now, under a version."""
    try:
        permitted = (await engine.decide(replace(ASKED, agreement=under))).permitted
        await engine.check(under)
    except BundleDiffers:
        return "another bundle"
    except PolicyUnavailable:
        return "nothing"
    return "a decision" if permitted else "a refusal"


async def test_a_fetched_bundle_counts_by_its_signature_and_by_what_its_revision_lists(
    opas: Opas, bundle: PolicyBundle, agreement: SignedAgreement, tmp_path: Path
) -> None:
    data = {**agreement.data, "valid_until": int(str(agreement.data["valid_until"])) + 1}
    old, new = agreement.digest, agreement_digest(data)
    both = bundle.holding({old: agreement.data, new: data})
    ours = Authority.make(tmp_path, "ours")
    with serving_bundles(ours) as bundles:
        bundles.archive = opas.sign(bundle)
        with fetching(opas, bundles, ours, tmp_path / "opa") as opa:
            async with engine_at(opa.url, both) as engine:

                async def until_heard(of_old: str, of_new: str) -> None:
                    for _ in range(2000):
                        if (await hears(engine, old), await hears(engine, new)) == (of_old, of_new):
                            return
                    raise AssertionError(opa.log.read_text())

                await until_heard("a decision", "another bundle")
                # Another key's signature: OPA keeps what it has.
                bundles.archive = both.signed(SigningKey.generate(), issuer=ISSUER, now=1)
                opa.waits_for(lambda: "Bundle load failed" in opa.log.read_text())
                assert (await hears(engine, old), await hears(engine, new)) == (
                    "a decision",
                    "another bundle",
                )
                bundles.archive = opas.sign(both)
                await until_heard("a decision", "a decision")
                # One of ours from before, by whoever serves it: what it lacks is not decided.
                bundles.archive = opas.sign(bundle)
                await until_heard("a decision", "another bundle")
                bundles.archive = opas.sign(bundle.holding({new: data}))
                await until_heard("another bundle", "a decision")
        assert bundles.served >= 5


async def test_an_opa_that_cannot_fetch_goes_on_with_the_bundle_that_it_has(
    opas: Opas, bundle: PolicyBundle, agreement: SignedAgreement, tmp_path: Path
) -> None:
    data = {**agreement.data, "valid_until": int(str(agreement.data["valid_until"])) + 1}
    both = bundle.holding({agreement.digest: agreement.data, agreement_digest(data): data})
    ours, folder = Authority.make(tmp_path, "ours"), tmp_path / "opa"
    with serving_bundles(ours) as bundles:
        bundles.archive = opas.sign(both)
        with fetching(opas, bundles, ours, folder, first=opas.sign(bundle)) as opa:
            async with engine_at(opa.url, both) as engine:
                while await hears(engine, agreement_digest(data)) != "a decision":
                    opa.waits_for(opa.answers)
    # Nobody serves now. It kept what it fetched,
    with opas.started(folder / "opa.json", more=documented(ours.file)) as opa:
        async with engine_at(opa.url, both) as engine:
            assert await hears(engine) == await hears(engine, agreement_digest(data)) == "a decision"
    # and reads that by its signature, like what it fetches.
    archive_in(folder).write_bytes(both.signed(SigningKey.generate(), issuer=ISSUER, now=1))
    with opas.started(folder / "opa.json", more=documented(ours.file), until="refuses") as opa:
        async with engine_at(opa.url, both) as engine:
            assert await hears(engine) == "nothing"


async def test_an_opa_whose_first_bundle_is_not_ours_answers_nothing(
    opas: Opas, bundle: PolicyBundle, tmp_path: Path
) -> None:
    ours, theirs = Authority.make(tmp_path, "ours"), Authority.make(tmp_path, "theirs")
    with serving_bundles(ours) as bundles:
        bundles.archive = opas.sign(bundle)
        with fetching(opas, bundles, ours, tmp_path / "right") as opa:
            async with engine_at(opa.url, bundle) as engine:
                assert await hears(engine) == "a decision"
        bundles.archive = bundle.signed(SigningKey.generate(), issuer=ISSUER, now=1)
        with fetching(opas, bundles, ours, tmp_path / "forged", until="refuses") as opa:
            async with engine_at(opa.url, bundle) as engine:
                assert await hears(engine) == "nothing"
        bundles.archive, before = opas.sign(bundle), bundles.served
        with fetching(opas, bundles, theirs, tmp_path / "unknown", until="refuses") as opa:
            async with engine_at(opa.url, bundle) as engine:
                assert await hears(engine) == "nothing"
        assert bundles.served == before  # it did not even ask a server that it does not know
