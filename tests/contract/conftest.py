"""The fixtures of the adapters' contract."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.simulation.personas import BY_NAME
from tests.contract.bench import Bench, running_adapter
from tests.contract.orders import SOURCES, Source
from tests.contract.world import World, inhabited, serve


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with inhabited(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture(scope="session", params=SOURCES, ids=lambda source: source.name)
def bench(
    request: pytest.FixtureRequest, world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """One source after the other, each with its adapter and its simulator."""
    source: Source = request.param
    state = tmp_path_factory.mktemp(source.name) / "state.sqlite"
    with (
        serve(source.simulator.create_app()) as agency_url,
        running_adapter(world, source, agency_url, state) as adapter_url,
    ):
        made = Bench(world, source, agency_url, adapter_url)
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def another_adapter(bench: Bench, world: World) -> Callable[..., Any]:
    """Start a second adapter of the same source, with its own state or one that was left behind."""

    @contextmanager
    def start(state: Path, **settings: Any) -> Iterator[Bench]:
        with running_adapter(world, bench.source, bench.agency_url, state, **settings) as url:
            made = Bench(world, bench.source, bench.agency_url, url)
            try:
                yield made
            finally:
                made.close()

    return start


@pytest.fixture
def as_it_was(world: World, bench: Bench) -> Iterator[None]:
    """Put back what a test made of the gateway and of Amina's record."""
    before = replace(
        world.gateway,
        key_lists=dict(world.gateway.key_lists),
        agreements=dict(world.gateway.agreements),
    )
    yield
    world.gateway.agreements = before.agreements
    world.gateway.key_lists = before.key_lists
    world.gateway.answer_status = before.answer_status
    bench.behave(BY_NAME["amina"], "ok")
