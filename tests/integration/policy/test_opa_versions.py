"""A new version of the agreement reaches an OPA that runs, while it answers under the old one."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.kit.register import agreement_digest
from gateway.agreement_versions import _NOT_HELD as NOT_HELD
from gateway.app import application, compose
from gateway.cli.processes import choose_addresses
from gateway.cli.provision import GATEWAY, provision
from gateway.clock import system_clock
from gateway.errors import Conflict, Unavailable
from gateway.policy.asking import check_policy
from gateway.policy.bundle import KEY_USE, PATH, archive_in, bundle_of, opa_configuration
from gateway.policy.opa import OpaEngine
from gateway.policy.port import BundleDiffers, PolicyUnavailable, Verdict
from gateway.policy.wasm import WasmEngine, verified_module
from tests.contract.test_policy_matrix import POLICIES
from tests.integration.agreeing import Agreeing, identities
from tests.integration.gate import Gate
from tests.integration.policy.server import Opa, Opas
from tests.integration.policy.test_opa_engine import ASKED, engine_at
from tests.integration.policy.test_opa_gateway import bundle_from_the_command_line, settings
from tests.integration.town import serving

pytestmark = pytest.mark.opa
PATIENCE_SECONDS = 60.0
AT_ONCE = 2


@dataclass
class Beside:
    """A gateway that offers its bundle, and the OPA beside it that fetches it."""

    engine: OpaEngine
    opa: Opa
    first: Mapping[str, Any]  # the version of the deployment folder

    async def until_it_decides_under(self, digest: str) -> None:
        """Return when the gateway finds that OPA has this version."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return await check_policy(self.engine, digest)
            except Unavailable:
                assert time.monotonic() < deadline, self.opa.log.read_text()
                await asyncio.sleep(0.02)


@asynccontextmanager
async def gateway_beside_an_opa(opas: Opas, folder: Path) -> AsyncIterator[Beside]:
    """Start OPA with nothing to decide by, then the gateway from which it gets that."""
    own = provision(folder / "own", choose_addresses(), now=int(time.time()))
    address = own.addresses.gateway
    key = own[GATEWAY].keystore().signing(KEY_USE)
    (folder / "opa").mkdir()
    told = opa_configuration(key, folder / "opa", gateway=address, poll_seconds=(1, 1))
    (folder / "opa" / "opa.json").write_bytes(told)
    with opas.started(folder / "opa" / "opa.json", until="listens") as opa:
        services = compose(settings(own, folder, opa_url=opa.url), clock=system_clock)
        assert isinstance(services.engine, OpaEngine)
        with pytest.raises(Unavailable):
            await check_policy(services.engine, services.agreement.digest)
        async with serving(application(services), address):
            yield Beside(services.engine, opa, services.agreement.signed.data)


async def test_a_new_version_reaches_opa_while_questions_under_the_old_one_go_on(
    opas: Opas, tmp_path: Path
) -> None:
    async with gateway_beside_an_opa(opas, tmp_path) as beside:
        old, closed = agreement_digest(beside.first), {**beside.first, "rules": {}}
        new = agreement_digest(closed)
        both = {old: beside.first, new: closed}
        wasm = WasmEngine(verified_module(POLICIES / "build", POLICIES), both)
        of_old, of_new = (wasm.answer(replace(ASKED, agreement=each)) for each in (old, new))
        assert of_old.permitted
        assert of_new.refusal is not None
        await beside.until_it_decides_under(old)
        # Two more gateways share this OPA, patient with a busy machine; one is not told of the new version.
        first, patient = bundle_of(POLICIES, {old: beside.first}), {"timeout_seconds": 20}
        async with (
            engine_at(beside.opa.url, first, **patient) as aware,
            engine_at(beside.opa.url, first, **patient) as unaware,
        ):
            answers, done = list[Verdict](), asyncio.Event()

            async def keep_asking(engine: OpaEngine) -> None:
                while not done.is_set():
                    answers.append(await engine.decide(replace(ASKED, agreement=old)))

            askers = [asyncio.create_task(keep_asking(one)) for one in (aware, unaware) * AT_ONCE]
            with pytest.raises(Unavailable):  # it does not hold it, so it asks nothing under it
                await check_policy(beside.engine, new)
            beside.engine.hold(both)
            aware.hold(both)
            await beside.until_it_decides_under(new)
            assert await beside.engine.decide(replace(ASKED, agreement=new)) == of_new
            await asyncio.sleep(1)
            done.set()
            await asyncio.gather(*askers)  # raises what any of them met
            assert answers == [of_old] * len(answers)
            with pytest.raises(PolicyUnavailable):
                await unaware.decide(replace(ASKED, agreement=new))


async def test_an_old_version_leaves_opa_when_the_gateway_holds_it_no_longer(
    opas: Opas, tmp_path: Path
) -> None:
    async with gateway_beside_an_opa(opas, tmp_path) as beside:
        versions = {
            agreement_digest(data): data
            for data in ({**beside.first, "valid_until": 1_950_000_000 + number} for number in range(3))
        }
        digests = [agreement_digest(beside.first), *versions]
        everything = {digests[0]: beside.first, **versions}
        async with engine_at(beside.opa.url, bundle_of(POLICIES, everything)) as knows_all:
            for before, after in pairwise(digests):
                beside.engine.hold({each: everything[each] for each in (before, after)})
                await beside.until_it_decides_under(after)
                await knows_all.check(before)
                beside.engine.hold({after: everything[after]})
                with pytest.raises(PolicyUnavailable):
                    await beside.engine.decide(replace(ASKED, agreement=before))
                assert (await beside.engine.decide(replace(ASKED, agreement=after))).permitted
                assert before.encode() not in beside.engine.bundle.files["data.json"]
            deadline = time.monotonic() + PATIENCE_SECONDS
            for gone in digests[:-1]:
                while not await _has_no_longer(knows_all, gone):
                    assert time.monotonic() < deadline
            await knows_all.check(digests[-1])


async def test_a_version_is_scheduled_once_opa_has_it_and_not_before(opas: Opas, tmp_path: Path) -> None:
    own = provision(tmp_path / "own", choose_addresses(), now=int(time.time()))
    written = bundle_from_the_command_line(own, tmp_path / "opa")
    assert written.returncode == 0, written.stderr
    configuration, now = tmp_path / "opa" / "opa.json", [int(time.time())]
    with opas.started(configuration) as opa:
        services = compose(settings(own, tmp_path, opa_url=opa.url), clock=lambda: now[0])
        engine, first = services.engine, services.agreement.digest
        assert isinstance(engine, OpaEngine)
        async with serving(application(services), own.addresses.gateway):
            agreeing = Agreeing(Gate(services, {}, now), identities(own))
            digest = await agreeing.has_signed()
            with pytest.raises(Conflict) as refused:
                await agreeing.activates(digest)
            assert refused.value.code == "agreement_not_ready"
            assert refused.value.extra["missing"] == [NOT_HELD]
            await engine.check(first)
            # By hand, as docs/policy.md says for an OPA that does not fetch.
            opa.stop()
            async with aiohttp.ClientSession() as http, http.get(own.addresses.gateway + PATH) as offered:
                archive_in(tmp_path / "opa").write_bytes(await offered.read())
            with opas.started(configuration, listen=opa.url.removeprefix("http://")):
                assert (await agreeing.activates(digest)).state == "scheduled"
                await engine.check(first)


async def _has_no_longer(engine: OpaEngine, digest: str) -> bool:
    try:
        await engine.check(digest)
    except BundleDiffers:
        return True
    return False
