"""Is this person known here? A party that is not on the case may not find out by provoking a conflict."""

from __future__ import annotations

from gateway.errors import Conflict
from tests.integration.gate import Gate, v_number

KNOWN, UNKNOWN = v_number("2801111111"), v_number("2802222222")


async def _probed(gate: Gate, client: object) -> str:
    """Name the V-number beside a number that the prober gave someone else, as if they were one."""
    try:
        return (await gate.has_case("askv", client=client, own="A-1")).case.state  # type: ignore[arg-type]
    except Conflict as conflict:
        return conflict.code


async def test_a_number_of_ones_own_does_not_probe_the_numbers_of_others(gate: Gate) -> None:
    await gate.has_case(client=KNOWN)  # VluchtelingenWerk's client, of whom ASKV knows nothing
    await gate.has_case("askv", client=v_number("2803333333"), own="A-1")
    known = await _probed(gate, KNOWN)
    assert known == await _probed(gate, UNKNOWN)
