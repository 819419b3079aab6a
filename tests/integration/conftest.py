"""One provisioned deployment for all, and per test a gateway's services on a database of its own."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.kit.keys import Keystore, SigningKey
from gateway.app import compose
from gateway.cli.provision import Addresses, Deployment, provision
from gateway.settings import Settings
from tests import grounds
from tests.integration.agreeing import Agreeing, identities
from tests.integration.gate import VW, Gate
from tests.postgres import Cluster

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def postgres() -> Cluster:
    """The PostgreSQL of this run; each test makes databases of its own in it."""
    return grounds.postgres()


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database; a test that asks for it runs once on either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gateway.sqlite'}"
    running: Cluster = request.getfixturevalue("postgres")
    return running.database()


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    nowhere = dict.fromkeys(("ind", "dtv", "vvs"), "http://127.0.0.1:9")
    addresses = Addresses(gateway="http://127.0.0.1:8400", adapters=nowhere, simulators={})
    return provision(tmp_path_factory.mktemp("deployment"), addresses, now=int(time.time()))


@pytest.fixture(scope="session")
def keystores(deployment: Deployment) -> dict[str, Keystore]:
    return {party: deployment[party].keystore() for party in (VW, "askv", "goedwerk", "dtv")}


@pytest.fixture
async def gate(
    deployment: Deployment, keystores: dict[str, Keystore], database_url: str
) -> AsyncIterator[Gate]:
    clock = [int(time.time())]
    holder = deployment["gateway"]
    settings = Settings(
        profile="demo",
        issuer=deployment.addresses.gateway,
        database_url=database_url,
        keys_folder=holder.keys_folder,
        keys_passphrase=SecretStr(holder.passphrase),
        deployment_folder=holder.deployment_folder,
        sources={},
    )
    services = await asyncio.to_thread(compose, settings, clock=lambda: clock[0])
    await services.agreements.begin(services)
    yield Gate(services, keystores, clock)
    await services.sources.close()
    services.store.close()


@pytest.fixture(scope="session")
def identity_keys(deployment: Deployment) -> dict[str, SigningKey]:
    return identities(deployment)


@pytest.fixture
def agreeing(gate: Gate, identity_keys: dict[str, SigningKey]) -> Agreeing:
    """The parties of `gate`, to bring a version of the agreement about."""
    return Agreeing(gate, identity_keys)
