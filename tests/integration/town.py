"""The whole stack in one process, on real sockets, so that a test can reach into the gateway's parts.

`tests/e2e` runs the same as separate processes; here a test may hand the gateway another clock, a
policy engine that does not answer, or look at its tables.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
import uvicorn
from fastapi import FastAPI
from pydantic_core import to_jsonable_python

from adapters.kit.session import Response
from adapters.protocol import Category, ClientIdentifier, Role, Scheme, Worker
from adapters.requester import Exchange
from adapters.requester.exchange import PreparedRequest
from adapters.settings import AdapterSettings
from gateway import parties
from gateway.app import create_app
from gateway.cli.cast import PARTIES, SOURCES
from gateway.cli.evidence import signed_on_paper
from gateway.cli.processes import choose_addresses
from gateway.cli.provision import GATEWAY, Deployment, provision
from gateway.cli.serve import server_options
from gateway.cli.world import IND, PURPOSE, VW, World, inhabited, worker_of
from gateway.dispatch import Dispatcher
from gateway.ledger.proofs import ledger_size
from gateway.services import Services
from gateway.settings import Settings
from tests import grounds

PAPERS = (Category.DECISIONS, Category.DOSSIER_DOCUMENTS)
BASELINE = (Category.PERSPECTIVE, Category.PARTNERS)


class MovableClock:
    """The machine's clock and whatever a test adds to it, in seconds: one for the whole town."""

    def __init__(self) -> None:
        self.ahead_seconds = 0

    def __call__(self) -> int:
        return int(time.time()) + self.ahead_seconds


@dataclass(slots=True)
class Town:
    """A running stack: its parties (`world`), the gateway's parts, and its clock."""

    deployment: Deployment
    world: World
    gateway: FastAPI
    clock: MovableClock

    @property
    def services(self) -> Services:
        """The parts of the running gateway."""
        services: Services = self.gateway.state.services
        return services

    def replace_services(self, services: Services) -> None:
        """Let the running gateway use other parts from the next call on."""
        self.gateway.state.services = services

    async def open_case(self, client: ClientIdentifier, by: str = VW) -> str:
        """Open and confirm a case on the client's mandate."""
        desk, other = worker_of(by, Role.DESK), second_worker(by)
        opened = await self.world.requesters[by].open_case(
            client,
            opened_by=desk,
            casemanager=worker_of(by, Role.CASEMANAGER).id,
            workers=list(dict.fromkeys([worker_of(by, Role.CASEWORKER), desk, other])),
            mandate=signed_on_paper(desk.id, "ti"),
        )
        await self.world.requesters[by].confirm_case(str(opened["id"]), worker=other)
        return str(opened["id"])

    async def consent(
        self,
        client: ClientIdentifier,
        categories: tuple[Category, ...] = PAPERS,
        *,
        explicit: tuple[Category, ...] = (),
        source: str = IND,
        purpose: str = PURPOSE,
        recipients: tuple[str, ...] = (VW,),
        valid_until: int | None = None,
        interpreter: str | None = None,
    ) -> str:
        """Record and confirm a consent by VluchtelingenWerk; `valid_until` in Unix seconds."""
        desk = worker_of(VW, Role.DESK)
        recorded = await self.world.vluchtelingenwerk.record_consent(
            client,
            purpose=purpose,
            sources=[source],
            recipients=recipients,
            categories=categories,
            explicit=explicit,
            evidence=signed_on_paper(desk.id, "ti", interpreter=interpreter),
            worker=desk,
            valid_until=valid_until,
        )
        await self.world.vluchtelingenwerk.confirm_consent(
            str(recorded["id"]), worker=worker_of(VW, Role.DESK, 1)
        )
        return str(recorded["id"])

    async def ask(
        self,
        client: ClientIdentifier,
        categories: tuple[Category, ...] = (*BASELINE, *PAPERS),
        *,
        by: str = VW,
        source: str = IND,
        purpose: str = PURPOSE,
        **more: Any,
    ) -> Exchange:
        """Ask through the public API as a party's caseworker; nothing is opened."""
        return await self.world.requesters[by].request_dossier(
            client,
            purpose=purpose,
            source=source,
            categories=categories,
            worker=worker_of(by, Role.CASEWORKER),
            **more,
        )

    async def invite(self, case: str, client: ClientIdentifier, partner: str) -> str:
        """Let VluchtelingenWerk invite a party, and that party accept; return its case."""
        manager = worker_of(VW, Role.CASEMANAGER)
        invited = await self.world.vluchtelingenwerk.invite_partner(case, partner, worker=manager)
        joined = await self.world.requesters[partner].accept_invitation(
            str(invited["invitation"]),
            client,
            worker=worker_of(partner, Role.CASEMANAGER),
            casemanager=worker_of(partner, Role.CASEMANAGER).id,
            workers=[worker_of(partner, Role.CASEWORKER)],
        )
        return str(joined["id"])

    def prepare(
        self,
        client: ClientIdentifier,
        categories: tuple[Category, ...] = (*BASELINE, *PAPERS),
        *,
        by: str = VW,
        source: str = IND,
        purpose: str = PURPOSE,
        worker: Worker | None = None,
    ) -> PreparedRequest:
        """Sign a request as a party's caseworker, to be sent as often as a test likes."""
        return self.world.requesters[by].prepare(
            client,
            purpose=purpose,
            source=source,
            categories=categories,
            worker=worker or worker_of(by, Role.CASEWORKER),
        )

    async def call(
        self, party: str, method: str, path: str, body: Mapping[str, Any] | None = None, **headers: str
    ) -> Response:
        """Make one call as a party, in its own session; workers in the body may be `Worker`s."""
        plain = None if body is None else to_jsonable_python(dict(body))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.world.requesters[party]._session.request(method, path, plain, named)

    async def set_status(self, party: str, status: str) -> None:
        """Suspend a party or make it active again, as an operator would."""
        vault, now = self.services.vault, self.clock()
        await self.services.store.write(lambda tx: parties.set_status(tx, vault, party, status, now=now))

    async def dispatch(self, *, after_seconds: int = 60) -> None:
        """Do now what the dispatcher does by itself after some time: send again, end what is over."""
        before, self.clock.ahead_seconds = self.clock.ahead_seconds, after_seconds
        try:
            dispatcher = Dispatcher(self.services)
            await dispatcher.send_due()
            await dispatcher.end_expired()
            for _ in range(8):  # it sends a few at a time
                await dispatcher.send_due()
        finally:
            self.clock.ahead_seconds = before

    async def ledger_size(self) -> int:
        """Count the entries of the ledger."""
        return await self.services.store.read(ledger_size)

    async def behave(self, source: str, **behaviour: Any) -> None:
        """Tell a simulated agency how to behave towards one client."""
        url = self.deployment.addresses.simulators[source] + "/_sim/behaviour"
        async with aiohttp.ClientSession() as http, http.post(url, json=behaviour) as answer:
            assert answer.status == 204, await answer.text()


def second_worker(party: str) -> Worker:
    """Find who may confirm what the party's first desk worker took down."""
    cast = next(one for one in PARTIES if one.id == party)
    found = sorted(cast.workers[1:], key=lambda worker: worker.role != Role.DESK.value)
    return Worker(id=found[0].id, role=Role(found[0].role))


def v_number(value: str) -> ClientIdentifier:
    """Name a client by V-number."""
    return ClientIdentifier(scheme=Scheme.V_NUMBER, value=value)


@asynccontextmanager
async def town(
    folder: Path,
    *,
    change: Callable[[Services], Services] | None = None,
    ground: str | None = None,
    **settings: Any,
) -> AsyncIterator[Town]:
    """Run the stack in this event loop; `change` may replace the gateway's parts before it serves.

    `ground`: another than the run was told to stand on (`tests.grounds`). `settings` are the gateway's.
    """
    clock = MovableClock()
    deployment = provision(folder, choose_addresses(), now=int(time.time()))
    async with AsyncExitStack() as running:
        below = await running.enter_async_context(grounds.under(deployment, ground or grounds.chosen()))
        gateway = create_app(_gateway_settings(deployment, **{**below, **settings}), clock=clock)
        if change is not None:
            gateway.state.services = change(gateway.state.services)
        await running.enter_async_context(serving(gateway, deployment.addresses.gateway))
        for source in SOURCES:
            simulator = import_module(f"adapters.{source.name}.simulator").create_app()
            address = deployment.addresses.simulators[source.name]
            await running.enter_async_context(serving(simulator, address))
            adapter = _adapter(deployment, source.name, source.party, clock)
            await running.enter_async_context(serving(adapter, deployment.addresses.adapters[source.name]))
        world = await running.enter_async_context(inhabited(deployment, folder))
        _set_clocks(world, clock)
        yield Town(deployment, world, gateway, clock)


@asynccontextmanager
async def serving(app: FastAPI, address: str) -> AsyncIterator[None]:
    """Serve an application on a loopback port of this process."""
    port = int(address.rpartition(":")[2])
    config = uvicorn.Config(app, host="127.0.0.1", port=port, **server_options({}))
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            if task.done():
                await task
                raise RuntimeError(f"{app.title} did not start")
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """Leave signals to the test runner."""


def _gateway_settings(deployment: Deployment, **more: Any) -> Settings:
    holder, address = deployment[GATEWAY], deployment.addresses.gateway
    return Settings(
        profile="demo",
        issuer=address,
        keys_folder=holder.keys_folder,
        keys_passphrase=holder.passphrase,
        deployment_folder=holder.deployment_folder,
        sources={source.party: deployment.addresses.adapters[source.name] for source in SOURCES}
        | more.pop("sources", {}),
        **more,
    )


def _adapter(deployment: Deployment, name: str, party: str, clock: MovableClock) -> FastAPI:
    """Make an adapter that lives in the town's time."""
    service: Any = import_module(f"adapters.{name}.service")
    made = partial(service.create_adapter, clock=clock)
    with patch.object(service, "create_adapter", made):
        adapter: FastAPI = service.create_app(_adapter_settings(deployment, name, party))
        return adapter


def _set_clocks(world: World, clock: MovableClock) -> None:
    for requester in world.requesters.values():
        for part in (requester, requester._session, requester._key_directory):
            part._clock = clock


def _adapter_settings(deployment: Deployment, name: str, party: str) -> AdapterSettings:
    holder = deployment[party]
    return AdapterSettings(
        party=party,
        gateway_url=deployment.addresses.gateway,
        keys_folder=holder.keys_folder,
        keys_passphrase=holder.passphrase,
        deployment_folder=holder.deployment_folder,
        agency_url=deployment.addresses.simulators[name],
        state_path=deployment.folder / f"{name}-adapter.sqlite",
    )
