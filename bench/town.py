"""The parts that are measured: a real deployment on loopback, with people whose consent is recorded."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.kit.register import Register
from adapters.protocol import Category, ClientIdentifier, Role, Scheme
from adapters.requester import Requester
from bench.agency import v_number
from bench.processes import ROOT, BenchFailed, Fleet, Program, python
from gateway.cli.connect import Identity, connected
from gateway.cli.evidence import signed_on_paper
from gateway.cli.processes import choose_addresses, processes
from gateway.cli.provision import Deployment, gateway_environment, provision
from gateway.cli.stack import free_ports
from gateway.cli.world import VW, worker_of
from gateway.clock import system_clock

GATEWAY, BARE = "gateway", "bare"
STRANGER = "askv"
# What clients allow, per source: purpose, categories.
ALLOWED: Mapping[str, tuple[str, tuple[Category, ...]]] = {
    "ind": ("legal_screening", (Category.DECISIONS,)),
    "dtv": ("future_orientation", (Category.TRAVEL_DOCUMENTS,)),
}
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Settled:
    """People with a case at VluchtelingenWerk: with consent, or without."""

    consenting: tuple[ClientIdentifier, ...]
    silent: tuple[ClientIdentifier, ...]


@dataclass(frozen=True, slots=True)
class Town:
    """Running processes, parties with their libraries, and people."""

    folder: Path
    deployment: Deployment
    database_url: str
    fleet: Fleet
    requesters: Mapping[str, Requester]
    people: Settled
    bare_url: str

    @property
    def gateway_url(self) -> str:
        """The gateway's address, and its issuer."""
        return self.deployment.addresses.gateway

    def gateway(self, *program: str, folder: Path = ROOT) -> Program:
        """Describe the gateway's process: of which source tree, and by which arguments to the interpreter."""
        return Program(
            GATEWAY,
            python(*(program or ("-m", "gateway.cli")), "serve", "gateway"),
            f"{self.gateway_url}/readyz",
            gateway_environment(self.deployment) | {"POORT_DATABASE_URL": self.database_url},
            measured=True,
            folder=folder,
        )

    async def restart_gateway(self, *program: str, folder: Path = ROOT) -> None:
        """Stop the gateway and start it again, perhaps as another program, on the same database."""
        self.fleet.stop(GATEWAY)
        await asyncio.to_thread(self.fleet.start, self.gateway(*program, folder=folder))

    async def quiet(self, *, within_seconds: float = 60.0) -> None:
        """Return when the gateway rests: what an earlier round left behind must not count in the next."""
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline:
            before = self.fleet.cpu_seconds(GATEWAY)
            await asyncio.sleep(0.5)
            if self.fleet.cpu_seconds(GATEWAY) - before <= 0.03:
                return
        raise BenchFailed("the gateway does not come to rest")


@asynccontextmanager
async def inhabited(
    folder: Path, *, clients: int, pin: bool, database_url: str | None = None
) -> AsyncIterator[Town]:
    """Provision, start every process, and record the cases and consents of `clients` people."""
    deployment = provision(folder, choose_addresses(), now=system_clock())
    (bare_port,) = free_ports(1)
    url = database_url or f"sqlite:///{folder / 'gateway.sqlite'}"
    fleet = Fleet(folder / "logs", pin=pin)
    fleet.pin_ourselves()
    silent = max(4, clients // 20)
    async with AsyncExitStack() as ending:
        ending.callback(fleet.stop)
        requesters = {
            name: await ending.enter_async_context(_party(deployment, name)) for name in (VW, STRANGER)
        }
        town = Town(
            folder, deployment, url, fleet, requesters, Settled((), ()), f"http://127.0.0.1:{bare_port}"
        )
        # The gateway first: on PostgreSQL the pass-through makes a table, and the gateway wants no other's.
        await asyncio.to_thread(fleet.start, town.gateway())
        others = [*_sources(deployment, clients + silent), _bare(town, bare_port)]
        await asyncio.to_thread(fleet.start, *others)
        everyone = [
            ClientIdentifier(scheme=Scheme.V_NUMBER, value=v_number(n)) for n in range(clients + silent)
        ]
        people = Settled(tuple(everyone[:clients]), tuple(everyone[clients:]))
        await _settle(town, people)
        yield replace(town, people=people)


@asynccontextmanager
async def _party(deployment: Deployment, name: str) -> AsyncIterator[Requester]:
    holder = deployment[name]
    register = Register.load(holder.deployment_folder)
    identity = Identity(name, deployment.addresses.gateway, holder.keystore(), register)
    async with connected(identity) as requester:
        yield requester


def _sources(deployment: Deployment, people: int) -> list[Program]:
    found = []
    for process in processes(deployment):
        source, _, part = process.name.partition("-")
        if source not in ALLOWED:
            continue
        arguments = python("-m", "gateway.cli", *process.arguments)
        if part == "simulator":
            arguments = python("-m", "bench.agency", source, str(people))
        found.append(Program(process.name, arguments, process.ready_url, process.environment))
    return found


def _bare(town: Town, port: int) -> Program:
    url = f"sqlite:///{town.folder / 'bare.sqlite'}"
    return Program(
        BARE,
        python("-m", "bench.bare"),
        f"{town.bare_url}/readyz",
        {
            "BENCH_PORT": str(port),
            "BENCH_SOURCE_URL": town.deployment.addresses.adapters["ind"],
            "BENCH_DATABASE_URL": url if town.database_url.startswith("sqlite") else town.database_url,
        },
        measured=True,
    )


async def _settle(town: Town, people: Settled) -> None:
    turns = asyncio.Semaphore(_AT_ONCE)

    async def come(client: ClientIdentifier, sources: Sequence[str]) -> None:
        async with turns:
            await _open_case(town.requesters[VW], client)
            for source in sources:
                await _consent(town.requesters[VW], client, source)

    await asyncio.gather(
        *(come(client, tuple(ALLOWED)) for client in people.consenting),
        *(come(client, ()) for client in people.silent),
    )


async def _open_case(requester: Requester, client: ClientIdentifier) -> None:
    desk, second = worker_of(VW, Role.DESK), worker_of(VW, Role.DESK, 1)
    case = await requester.open_case(
        client,
        opened_by=desk,
        casemanager=worker_of(VW, Role.CASEMANAGER).id,
        workers=[worker_of(VW, Role.CASEWORKER), desk, second],
        mandate=signed_on_paper(desk.id, "ti"),
    )
    await requester.confirm_case(str(case["id"]), worker=second)


async def _consent(requester: Requester, client: ClientIdentifier, source: str) -> None:
    desk, second = worker_of(VW, Role.DESK), worker_of(VW, Role.DESK, 1)
    purpose, categories = ALLOWED[source]
    consent = await requester.record_consent(
        client,
        purpose=purpose,
        sources=[source],
        recipients=[VW],
        categories=categories,
        evidence=signed_on_paper(desk.id, "ti"),
        worker=desk,
    )
    await requester.confirm_consent(str(consent["id"]), worker=second)


def database_name(url: str) -> str:
    """Say which database it is, and how it is set."""
    if url.startswith("sqlite"):
        return f"SQLite {sqlite3.sqlite_version}, WAL, synchronous=FULL"
    return "PostgreSQL, synchronous_commit=on"


def commit_of(root: Path = ROOT) -> str:
    """Name the commit that is measured, with a plus where files differ from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)  # noqa: S603, S607
        return done.stdout.strip()

    commit = git("rev-parse", "--short", "HEAD")
    changed = git("status", "--porcelain", "--", "gateway", "adapters", "consent", "policies")
    return f"{commit}{'+' if changed else ''}"
