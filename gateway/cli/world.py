"""Where the story plays: the parties with their libraries, and what earlier steps left behind."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adapters.kit.register import Register
from adapters.protocol import Category, ClientIdentifier, Role, Scheme, Worker
from adapters.requester import GatewayRefused, LedgerReceipt, Requester
from adapters.simulation.personas import BY_NAME
from gateway.cli.cast import PARTIES
from gateway.cli.connect import Identity, connected
from gateway.cli.facts import Asked, Denied, Facts, StepFailed, Told
from gateway.cli.provision import Deployment

VW = "vluchtelingenwerk"
IND = "ind"
PURPOSE = "legal_screening"
BASELINE = (Category.PERSPECTIVE, Category.PARTNERS)
PAPERS = (Category.DECISIONS, Category.DOSSIER_DOCUMENTS)
EVERYTHING = (*BASELINE, *PAPERS)


@dataclass(slots=True)
class World:
    """What the steps share. A step may rely on what the steps before it left here."""

    deployment: Deployment
    folder: Path  # for what the story writes
    requesters: dict[str, Requester]
    desk: Requester  # VluchtelingenWerk's too: another system of it, which may call at another gateway
    gateways: tuple[str, ...] = ()  # their names, the one that VluchtelingenWerk tries first in front
    kill_gateway: Callable[[str], int] | None = None
    consent: str = ""
    receipts: list[LedgerReceipt] = field(default_factory=list)
    kept_checkpoint: str = ""
    on_told: Callable[[Told], None] | None = None
    on_wait: Callable[[str], None] | None = None

    def take_notes(self) -> Facts:
        """Begin the facts of a step; whoever watches hears of each as it happens."""
        return Facts(on_told=self.on_told)

    def waiting(self, sentence: str) -> None:
        """Say to whoever watches what the story waits for."""
        if self.on_wait is not None:
            self.on_wait(sentence)

    @property
    def vluchtelingenwerk(self) -> Requester:
        """The party that most of the story is about."""
        return self.requesters[VW]

    @property
    def amina(self) -> ClientIdentifier:
        """The client that most of the story is about."""
        return persona("amina")

    async def ask(
        self,
        facts: Facts,
        by: str,
        client: ClientIdentifier,
        categories: Iterable[Category],
        *,
        source: str = IND,
        purpose: str = PURPOSE,
        remark: str = "",
    ) -> Asked:
        """Ask as a party's caseworker, open what comes, and tell it."""
        requester, categories, worker = self.requesters[by], tuple(categories), worker_of(by, Role.CASEWORKER)
        began = time.monotonic()
        exchange = await requester.request_dossier(
            client, purpose=purpose, source=source, categories=categories, worker=worker
        )
        dossier = await requester.open(exchange, source=source) if exchange.answer is not None else None
        named, seconds = tuple(map(str, categories)), time.monotonic() - began
        asked = Asked(by, worker, source, purpose, named, seconds, exchange, dossier, remark)
        facts.tell(asked)
        return asked

    async def prove(self, by: str, exchange: str) -> LedgerReceipt:
        """Fetch a receipt, verify it down to the ledger, and keep it for the last step."""
        proven = await self.requesters[by].receipt(exchange)
        self.receipts.append(proven)
        return proven


@asynccontextmanager
async def inhabited(
    deployment: Deployment,
    folder: Path,
    *,
    gateways: tuple[str, ...] = (),
    kill_gateway: Callable[[str], int] | None = None,
) -> AsyncIterator[World]:
    """Connect every party with its own keys and its own copy of the register.

    Where there are several gateways, each party tries another one first; so does VluchtelingenWerk's desk.
    """
    async with AsyncExitStack() as connections:
        requesters = {
            party.id: await connections.enter_async_context(connected(identity(deployment, party.id, number)))
            for number, party in enumerate(PARTIES)
        }
        number_of_desk = 1 + next(number for number, party in enumerate(PARTIES) if party.id == VW)
        desk = await connections.enter_async_context(connected(identity(deployment, VW, number_of_desk)))
        yield World(deployment, folder, requesters, desk, gateways, kill_gateway)


def identity(deployment: Deployment, party: str, caller: int = 0) -> Identity:
    """Take what a party of the deployment is known by; `caller` spreads callers over the gateways."""
    return Identity(
        party,
        deployment.addresses.gateway,
        deployment[party].keystore(),
        Register.load(deployment[party].deployment_folder),
        gateway_addresses=deployment.addresses.gateways_for(caller),
    )


def persona(name: str) -> ClientIdentifier:
    """Name a persona of the sandbox by its V-number."""
    return ClientIdentifier(scheme=Scheme.V_NUMBER, value=BY_NAME[name].v_number)


def worker_of(party: str, role: Role, number: int = 0) -> Worker:
    """Find a worker of a party in this role; `number` tells two of them apart."""
    cast = next(one for one in PARTIES if one.id == party)
    found = [worker for worker in cast.workers if worker.role == role.value]
    return Worker(id=found[number].id, role=role)


def expect_baseline_only(facts: Facts, asked: Asked) -> None:
    """Check that the baseline came and nothing sealed; raise StepFailed."""
    answer = asked.exchange.answer
    if answer is None:
        raise StepFailed(f"no answer came: the request is {asked.exchange.state}")
    facts.check(
        set(answer.baseline) == set(BASELINE) and not answer.sealed, "the baseline came, and nothing else"
    )


async def expect_refusal(facts: Facts, by: str, what: str, call: Awaitable[object], code: str) -> Denied:
    """Make a call that must be refused with this code; tell it, or raise StepFailed."""
    try:
        await call
    except GatewayRefused as refused:
        if refused.code != code:
            raise StepFailed(f"{by} {what}: refused with {refused.code} instead of {code}") from refused
        denied = Denied.of(by, what, refused)
        facts.tell(denied)
        return denied
    raise StepFailed(f"{by} {what}: this was allowed, and should have been refused with {code}")
