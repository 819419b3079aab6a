"""The whole way with certificates: requester to gateway, gateway to source, source back to the gateway."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
import uvicorn

from adapters.ind import service as ind_service
from adapters.ind import simulator as ind_simulator
from adapters.kit.certificates import connecting
from adapters.kit.register import Register
from adapters.protocol import Category, Role
from adapters.settings import AdapterSettings
from gateway.app import create_app
from gateway.cli.authority import Authority
from gateway.cli.connect import Identity, connected
from gateway.cli.evidence import signed_on_paper
from gateway.cli.operate import health
from gateway.cli.provision import Addresses, Deployment, provision
from gateway.cli.serve import server_options
from gateway.cli.world import IND, PURPOSE, VW, persona, worker_of
from gateway.errors import SourceTrouble
from gateway.http.tls import listening
from gateway.limits import LEAST_ROOM_BYTES, Room, SourceLimits
from gateway.settings import Settings
from gateway.sources import Sources
from tests.integration.mtls.places import serving
from tests.integration.town import second_worker


@dataclass
class Running:
    """The stack, and where its files are."""

    deployment: Deployment
    adapter: str

    def files(self, holder: str) -> tuple[Path, Path, Path]:
        tls = self.deployment.folder / "tls"
        return tls / "ca.pem", tls / holder / "certificate.pem", tls / holder / "key.pem"


@asynccontextmanager
async def _open(folder: Path) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(3)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        gateway, adapter, simulator = (each.getsockname()[1] for each in listeners)
        addresses = Addresses(
            gateway=f"https://127.0.0.1:{gateway}",
            adapters=dict.fromkeys(("ind", "dtv", "vvs"), f"https://127.0.0.1:{adapter}"),
            simulators=dict.fromkeys(("ind", "dtv", "vvs"), f"http://127.0.0.1:{simulator}"),
        )
        here = ["127.0.0.1"]
        deployment = provision(
            folder, addresses, now=int(time.time()), tls={"gateway": here, IND: here, VW: []}
        )
        running = Running(deployment, addresses.adapters["ind"])
        apps = (_gateway(running), _adapter(running), ind_simulator.create_app())
        sees = ("gateway", IND, None)
        for app, holder, listener in zip(apps, sees, listeners, strict=True):
            options = server_options(_listening(running, holder) if holder else {})
            await stack.enter_async_context(
                serving(uvicorn.Config(app, log_config=None, **options), listener)
            )
        yield running


def _listening(running: Running, holder: str) -> dict[str, Any]:
    ca, certificate, key = running.files(holder)
    return listening(certificate, key, ca, client_required=holder == IND)


def _gateway(running: Running) -> Any:
    holder = running.deployment["gateway"]
    ca, certificate, key = running.files("gateway")
    settings = Settings(
        profile="demo",
        issuer=running.deployment.addresses.gateway,
        database_url=f"sqlite:///{running.deployment.folder / 'gateway.sqlite'}",
        keys_folder=holder.keys_folder,
        keys_passphrase=holder.passphrase,
        deployment_folder=holder.deployment_folder,
        tls_certificate_file=certificate,
        tls_key_file=key,
        tls_client_ca_file=ca,
        sources={IND: running.adapter},
        source_ca_file=ca,
        source_certificate_file=certificate,
        source_key_file=key,
    )
    return create_app(settings)


def _adapter(running: Running) -> Any:
    holder = running.deployment[IND]
    ca, certificate, key = running.files(IND)
    settings = AdapterSettings(
        party=IND,
        gateway_url=running.deployment.addresses.gateway,
        keys_folder=holder.keys_folder,
        keys_passphrase=holder.passphrase,
        deployment_folder=holder.deployment_folder,
        agency_url=running.deployment.addresses.simulators["ind"],
        state_path=running.deployment.folder / "ind-adapter.sqlite",
        gateway_ca_file=ca,
        gateway_certificate_file=certificate,
        gateway_key_file=key,
    )
    return ind_service.create_app(settings)


def _identity(running: Running) -> Identity:
    holder = running.deployment[VW]
    return Identity(
        VW,
        running.deployment.addresses.gateway,
        holder.keystore(),
        Register.load(holder.deployment_folder),
        connecting(*running.files(VW)),
        by_certificate=True,
    )


async def test_a_request_goes_all_the_way_by_certificates(tmp_path: Path) -> None:
    async with _open(tmp_path) as running, connected(_identity(running)) as requester:
        amina, desk = persona("amina"), worker_of(VW, Role.DESK)
        opened = await requester.open_case(
            amina,
            opened_by=desk,
            casemanager=worker_of(VW, Role.CASEMANAGER).id,
            workers=[worker_of(VW, Role.CASEWORKER), desk, second_worker(VW)],
            mandate=signed_on_paper(desk.id, "ti"),
        )
        await requester.confirm_case(str(opened["id"]), worker=second_worker(VW))
        exchange = await requester.request_dossier(
            amina,
            purpose=PURPOSE,
            source=IND,
            categories=[Category.PERSPECTIVE],
            worker=worker_of(VW, Role.CASEWORKER),
        )
        assert (exchange.state, exchange.answer is not None) == ("answered", True)


async def test_an_adapter_lets_nobody_in_who_has_no_certificate_of_the_authority(tmp_path: Path) -> None:
    async with _open(tmp_path / "a") as running:
        ca, certificate, key = running.files("gateway")
        foreign = Authority(now=int(time.time())).issue("gateway").write(tmp_path / "foreign")

        async def order(tls: Any) -> str:
            limits, room = SourceLimits(timeout_seconds=5), Room(LEAST_ROOM_BYTES)
            sources = Sources({IND: running.adapter}, limits=limits, room=room, tls=tls)
            try:
                with pytest.raises(SourceTrouble) as refused:
                    await sources.send_order(IND, "not.an.order", AsyncExitStack(), about="nobody")
                return refused.value.code
            finally:
                await sources.close()

        # With the gateway's certificate the adapter reads the order, and says why it refuses it.
        assert await order(connecting(ca, certificate, key)) == "source_refused_order"
        assert await order(connecting(ca)) == "source_unavailable"
        assert await order(connecting(ca, *foreign)) == "source_unavailable"
        # And the gateway speaks to no adapter that its authority does not vouch for.
        assert await order(None) == "source_unavailable"


async def test_health_asks_over_tls_as_over_plain_http(tmp_path: Path) -> None:
    async with _open(tmp_path) as running:
        ca, certificate, key = running.files(IND)
        await asyncio.to_thread(health, running.adapter, ca, certificate, key)
        await asyncio.to_thread(health, running.deployment.addresses.gateway, ca)
        for url, authority in ((running.adapter, ca), (running.adapter, None), ("ftp://127.0.0.1", None)):
            with pytest.raises(typer.Exit) as refused:
                await asyncio.to_thread(health, url, authority)
            assert refused.value.exit_code == 1
