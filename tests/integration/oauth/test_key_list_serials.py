"""A key list older than one seen before brings back a withdrawn key: it is refused, after a restart too."""

from __future__ import annotations

from typing import Any

import pytest

from gateway import parties
from gateway.dispatch import Dispatcher
from gateway.errors import Unavailable
from gateway.parties import KeyLists

pytestmark = pytest.mark.asyncio(loop_scope="module")

VW = "vluchtelingenwerk"


def restarted(gate: Any) -> Any:
    """Return a gate whose gateway knows no key list but what its database says."""
    lists = KeyLists(gate.folder, gate.services.register, gate.clock)
    object.__setattr__(gate.services, "key_lists", lists)
    return gate.services


@pytest.mark.parametrize("serial", [4, 5, 6])
async def test_an_older_list_is_refused_after_a_restart(own_gate: Any, serial: int) -> None:
    services = own_gate.services
    own_gate.write_key_list(VW, own_gate.keys[VW], serial=5)
    assert services.key_lists.verified(VW).serial == 5
    await Dispatcher(services).keep_serials()

    own_gate.write_key_list(VW, own_gate.keys[VW], serial=serial)
    services = restarted(own_gate)
    await Dispatcher(services).keep_serials()
    if serial >= 5:
        assert services.key_lists.verified(VW).serial == serial
        return
    with pytest.raises(Unavailable) as refused:
        services.key_lists.verified(VW)
    assert refused.value.cause == f"key list of {VW}: key_list_older_than_known"


async def test_what_another_gateway_saw_counts_here_though_an_older_one_was_read_a_moment_ago(
    own_gate: Any,
) -> None:
    services = own_gate.services
    own_gate.write_key_list(VW, own_gate.keys[VW], serial=5)
    assert services.key_lists.verified(VW).serial == 5
    await services.store.write(lambda tx: _seen_elsewhere(tx, 6))
    assert services.key_lists.verified(VW).serial == 5
    await Dispatcher(services).keep_serials()
    with pytest.raises(Unavailable):
        services.key_lists.verified(VW)
    own_gate.write_key_list(VW, own_gate.keys[VW], serial=6)
    assert services.key_lists.verified(VW).serial == 6


def _seen_elsewhere(tx: Any, serial: int) -> None:
    parties.keep_serials(tx, {VW: serial})
    # What is kept never falls.
    assert parties.keep_serials(tx, {VW: serial - 1})[VW] == serial
