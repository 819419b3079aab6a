"""A founder that leaves and comes back does not make sources and gateways go on with two versions."""

import pytest

from adapters.kit.agreement_chain import Chain, first_version
from adapters.kit.keys import SigningKey
from gateway import agreement_records as records
from gateway.cli.provision import Deployment
from tests.integration.agreeing import BEGINS_IN_SECONDS, FOUNDERS, Agreeing, identities
from tests.integration.gate import VW, Gate
from tests.integration.test_agreement_versions import missing, refused


@pytest.fixture(scope="module")
def keys(deployment: Deployment) -> dict[str, SigningKey]:
    return identities(deployment)


@pytest.fixture
def agreeing(gate: Gate, keys: dict[str, SigningKey]) -> Agreeing:
    return Agreeing(gate, keys)


async def test_a_founder_that_takes_its_signature_back_before_the_instant_ends_that_version(
    agreeing: Agreeing,
) -> None:
    digest = await agreeing.has_scheduled()
    agreeing.gate.passes(1)
    await agreeing.withdraws(digest, "ind")
    agreeing.gate.passes(1)
    await refused("state_conflict", agreeing.signs(digest, "ind"))
    # Nor by leaving the version before, so that it would not be asked for what follows.
    assert await in_force_for_a_source(agreeing, digest) == agreeing.anchor
    await agreeing.withdraws(agreeing.anchor, "ind")
    assert await in_force_for_a_source(agreeing, digest) == agreeing.anchor
    assert "ind" in missing(await refused("agreement_not_ready", agreeing.activates(digest)))


async def in_force_for_a_source(agreeing: Agreeing, digest: str) -> str:
    """Name the version that begins for a source that saw this one complete, and reads both anew."""
    register, at = agreeing.gate.services.register, agreeing.gate.now + BEGINS_IN_SECONDS
    anchor, package = [
        await agreeing.gate.reads(lambda conn, name=name: records.package(conn, name))
        for name in (agreeing.anchor, digest)
    ]
    assert anchor is not None
    assert package is not None
    chain = Chain(first_version(anchor, register, at), register)
    chain.admit(package, at, complete=False)
    return chain.in_force(at).digest


async def test_a_founder_that_comes_back_to_the_version_in_force_is_asked_for_the_next_too(
    agreeing: Agreeing,
) -> None:
    await agreeing.withdraws(agreeing.anchor, "dtv")
    digest = await agreeing.has_signed("dtv", founding_set=[VW, "askv", "ind"])
    agreeing.gate.passes(1)
    # It has no part in this one: taking back what it signed here would end it.
    await refused("state_conflict", agreeing.signs(digest, "dtv"))
    await agreeing.signs(agreeing.anchor, "dtv")
    assert "dtv" in missing(await refused("agreement_not_ready", agreeing.activates(digest)))
    assert (await agreeing.signs(digest, "dtv")).signed == set(FOUNDERS)
    assert (await agreeing.activates(digest)).state == "scheduled"


async def test_a_founder_does_not_come_back_while_what_follows_is_scheduled_without_it(
    agreeing: Agreeing,
) -> None:
    await agreeing.withdraws(agreeing.anchor, "dtv")
    digest = await agreeing.has_signed("dtv", founding_set=[VW, "askv", "ind"])
    await agreeing.activates(digest)
    agreeing.gate.passes(1)
    await refused("state_conflict", agreeing.signs(agreeing.anchor, "dtv"))
    assert await agreeing.stage(digest) == "scheduled"
    # With it, it does: nothing of what follows depends on that.
    await agreeing.withdraws(agreeing.anchor, "ind")
    agreeing.gate.passes(1)
    await agreeing.signs(agreeing.anchor, "ind")
    assert await agreeing.stage(digest) == "scheduled"
