"""A town whose gateway is a process of its own, that may be killed and comes back by itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import aiohttp
from fastapi import FastAPI

from gateway.cli.cast import SOURCES
from gateway.cli.processes import choose_addresses
from gateway.cli.provision import gateway_environment, provision
from gateway.cli.world import inhabited
from tests.integration import town as towns
from tests.integration.town import MovableClock, Town, serving

_ROOT = Path(__file__).parents[2]
_START_SECONDS = 60
_LAUNCHER = (sys.executable, "-m", "tests.faults.launcher")


@dataclass
class Child:
    """The gateway's process, and who starts it again."""

    environment: dict[str, str]
    folder: Path
    ready_url: str
    back_after_seconds: list[float] = field(default_factory=list)
    kills: int = 0
    process: subprocess.Popen[bytes] | None = None
    stays_down: bool = False

    @property
    def plan(self) -> Path:
        return self.folder / "plan.json"

    @property
    def log(self) -> Path:
        return self.folder / "gateway.log"

    @property
    def trace(self) -> Path:
        return self.folder / "trace.jsonl"

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
        """Start it, and return when it is ready."""
        self.disarm()
        began = time.monotonic()
        self.process = self._run()
        async with aiohttp.ClientSession() as http, asyncio.timeout(_START_SECONDS):
            while not await _ready(http, self.ready_url):
                assert self.process.poll() is None, self.log.read_text()[-3000:]
                await asyncio.sleep(0.01)
        self.back_after_seconds.append(time.monotonic() - began)

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
        """Start it again whenever it was killed."""
        while True:
            if self.process is not None and self.process.poll() is not None and not self.stays_down:
                assert self.process.returncode == -signal.SIGKILL, self.log.read_text()[-3000:]
                self.kills += 1
                await self.start()
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
    """A town, its gateway's process, and its adapters, which may be restarted too."""

    town: Town
    child: Child
    adapters: AsyncExitStack

    async def restart_adapters(self) -> None:
        """Stop the adapters, and start them anew from what lies on their disks."""
        await self.adapters.aclose()
        await _serve_adapters(self.adapters, self.town)


@asynccontextmanager
async def city(folder: Path, **environment: str) -> AsyncIterator[City]:
    """Run the stack: the gateway beside us, all others in this process; `environment` is the gateway's."""
    clock = MovableClock()
    deployment = provision(folder, choose_addresses(), now=int(time.time()))
    settings = {**gateway_environment(deployment), **environment}
    child = Child(settings, folder, f"{deployment.addresses.gateway}/readyz")
    async with AsyncExitStack() as running:
        running.callback(child.end)
        await child.start()
        for source in SOURCES:
            simulator = import_module(f"adapters.{source.name}.simulator").create_app()
            address = deployment.addresses.simulators[source.name]
            await running.enter_async_context(serving(simulator, address))
        world = await running.enter_async_context(inhabited(deployment, folder))
        town = Town(deployment, world, FastAPI(title="runs in another process"), clock)
        adapters = await running.enter_async_context(AsyncExitStack())
        await _serve_adapters(adapters, town)
        keeper = asyncio.create_task(child.keep_alive())
        try:
            yield City(town, child, adapters)
        finally:
            child.stays_down = True
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper


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
