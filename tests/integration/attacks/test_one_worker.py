"""One person is not two: no spelling of a worker's own pseudonym makes a second one of them."""

from __future__ import annotations

import pytest

from adapters.protocol import Role, Worker
from gateway import cases
from gateway.errors import Refused
from tests.integration.gate import DESK, DESK_2, Gate


async def test_the_same_worker_in_capitals_does_not_confirm_a_mandate(gate: Gate) -> None:
    opened = await gate.opens()
    for spelling in (DESK.id, DESK.id.upper(), DESK.id.title()):
        same = Worker(id=spelling, role=Role.DESK)
        with pytest.raises(Refused, match="same_worker"):
            await cases.confirm_case(gate.services, gate.caller(), opened.case.id, same)
    confirmed = await cases.confirm_case(gate.services, gate.caller(), opened.case.id, DESK_2)
    assert confirmed.case.state == "active"
