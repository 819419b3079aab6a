"""A town whose gateways are processes of their own, that may be killed and come back by themselves."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import aiohttp
from fastapi import FastAPI

from gateway.cli.cast import SOURCES
from gateway.cli.processes import choose_addresses
from gateway.cli.provision import Deployment, gateway_environment, provision
from gateway.cli.stack import free_ports
from gateway.cli.world import inhabited
from tests.faults.front import Front, Wire
from tests.integration import town as towns
from tests.integration.town import MovableClock, Town, serving

_ROOT = Path(__file__).parents[2]
_START_SECONDS = 60
_LAUNCHER = (sys.executable, "-m", "tests.faults.launcher")


@dataclass
class Child:
    """A gateway's process, and who starts it again."""

    environment: dict[str, str]
    folder: Path
    url: str
    name: str = "gateway"
    back_after_seconds: list[float] = field(default_factory=list)
    kills: int = 0
    process: subprocess.Popen[bytes] | None = None
    stays_down: bool = False

    @property
    def plan(self) -> Path:
        return self.folder / f"{self.name}-plan.json"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def trace(self) -> Path:
        return self.folder / f"{self.name}-trace.jsonl"

    def traced(self) -> list[str]:
        """Return what was written down since the last time."""
        lines = self.trace.read_text().splitlines()
        self.trace.unlink()
        return lines

    def arm(self, **plan: Any) -> None:
        """Say where it is to end, or what is to be written down."""
        new = self.plan.with_suffix(".new")
        new.write_text(json.dumps(plan))
        new.replace(self.plan)

    def disarm(self) -> None:
        """From now on it only counts."""
        self.plan.unlink(missing_ok=True)

    async def start(self) -> None:
        """Start it, and return when it is ready; from then on it comes back whenever it is killed."""
        began = time.monotonic()
        if not await self.starts():
            raise AssertionError(self.log.read_text()[-3000:])
        self.back_after_seconds.append(time.monotonic() - began)
        self.stays_down = False

    async def starts(self) -> bool:
        """Start it; say whether it became ready, or ended instead."""
        self.disarm()
        self.process = self._run()
        async with aiohttp.ClientSession() as http, asyncio.timeout(_START_SECONDS):
            while not await _ready(http, f"{self.url}/readyz"):
                if self.process.poll() is not None:
                    return False
                await asyncio.sleep(0.01)
        return True

    def _run(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*_LAUNCHER, str(self.plan)],
                env={**os.environ, **self.environment},
                cwd=_ROOT,
                stdout=log,
                stderr=log,
            )

    async def keep_alive(self) -> None:
        """Start it again whenever it was killed, also while it started."""
        while True:
            if self.process is not None and self.process.poll() is not None and not self.stays_down:
                assert self.process.returncode == -signal.SIGKILL, self.log.read_text()[-3000:]
                self.kills += 1
                began = time.monotonic()
                if await self.starts():
                    self.back_after_seconds.append(time.monotonic() - began)
            await asyncio.sleep(0.005)

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()

    def end(self) -> None:
        """End it and do not start it again."""
        self.stays_down = True
        self.kill()
        if self.process is not None:
            self.process.wait(20)


@dataclass
class City:
    """A town, its gateways' processes, and its adapters, which may be restarted too."""

    town: Town
    children: Sequence[Child]
    adapters: AsyncExitStack
    front: Front | None = None  # before the gateways, where there is one
    wires: Mapping[str, Wire] = field(default_factory=dict)  # before the adapters: source → wire

    @property
    def child(self) -> Child:
        """The first gateway."""
        return self.children[0]

    @property
    def database_url(self) -> str:
        return self.child.environment["POORT_DATABASE_URL"]

    @property
    def kills(self) -> int:
        """Count how often a gateway was killed."""
        return sum(child.kills for child in self.children)

    async def restart_adapters(self) -> None:
        """Stop the adapters, and start them anew from what lies on their disks."""
        await self.adapters.aclose()
        await _serve_adapters(self.adapters, self.town)

    async def restart(self) -> None:
        """Stop everything that serves, as a power cut would, and start it anew."""
        for child in self.children:
            child.end()
        await self.adapters.aclose()
        for child in self.children:
            await child.start()
        await _serve_adapters(self.adapters, self.town)

    async def forget(self) -> None:
        """Let all callers forget their tokens and the keys they know: each day begins like the first."""
        for requester in self.town.world.requesters.values():
            requester._session._token = None
            requester._key_directory._lists.clear()
        await self.restart_adapters()


@asynccontextmanager
async def city(
    folder: Path,
    *,
    gateways: int = 1,
    database_url: str = "",
    wired: bool = False,
    **environment: str,
) -> AsyncIterator[City]:
    """Run the stack: the gateways beside us, all others in this process; `environment` is the gateways'.

    Several gateways need a PostgreSQL in `database_url`, and have a `Front` before them, which takes
    turns. `wired`: a front also before a single gateway, and a `Wire` before each adapter.
    """
    clock = MovableClock()
    deployment = provision(folder, choose_addresses(), now=int(time.time()))
    fronted = wired or gateways > 1
    wires = {source.name: Wire(f"http://127.0.0.1:{free_ports(1)[0]}") for source in SOURCES if wired}
    settings = _settings(deployment, database_url, wires) | environment
    children = [_child(settings, folder, number, fronted=fronted) for number in range(gateways)]
    async with AsyncExitStack() as running:
        for child in children:
            running.callback(child.end)
            await child.start()
        for source in SOURCES:
            simulator = import_module(f"adapters.{source.name}.simulator").create_app()
            address = deployment.addresses.simulators[source.name]
            await running.enter_async_context(serving(simulator, address))
        front = await running.enter_async_context(Front([child.url for child in children]))
        if fronted:
            await running.enter_async_context(serving(front.app, deployment.addresses.gateway))
        world = await running.enter_async_context(inhabited(deployment, folder))
        town = Town(deployment, world, FastAPI(title="runs in another process"), clock)
        adapters = await running.enter_async_context(AsyncExitStack())
        await _serve_adapters(adapters, town)
        for source in SOURCES:
            if wire := wires.get(source.name):
                wire.urls = [deployment.addresses.adapters[source.name]]
                await running.enter_async_context(wire)
                await running.enter_async_context(serving(wire.app, wire.address))
        keepers = [asyncio.create_task(child.keep_alive()) for child in children]
        try:
            yield City(town, children, adapters, front if fronted else None, wires)
        finally:
            for child, keeper in zip(children, keepers, strict=True):
                child.stays_down = True
                keeper.cancel()
                with suppress(asyncio.CancelledError):
                    await keeper


def _settings(deployment: Deployment, database_url: str, wires: Mapping[str, Wire]) -> dict[str, str]:
    settings = gateway_environment(deployment, database_url=database_url or None)
    if wires:
        addresses = {source.party: wires[source.name].address for source in SOURCES}
        settings["POORT_SOURCES"] = json.dumps(addresses)
    return settings


def _child(settings: dict[str, str], folder: Path, number: int, *, fronted: bool) -> Child:
    port = str(free_ports(1)[0]) if fronted else settings["POORT_PORT"]
    own = settings | {"POORT_PORT": port}
    return Child(own, folder, f"http://127.0.0.1:{port}", name=f"gateway-{number}")


async def _serve_adapters(running: AsyncExitStack, town: Town) -> None:
    for source in SOURCES:
        adapter = towns._adapter(town.deployment, source.name, source.party, town.clock)
        await running.enter_async_context(serving(adapter, town.deployment.addresses.adapters[source.name]))


async def _ready(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
