"""The parts that a use case may reach, chosen by the composition root (`gateway.app`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from fastapi import Request

from gateway.agreement_readings import Readings
from gateway.policy.asking import Allowed

if TYPE_CHECKING:
    from adapters.kit.keys import Keystore
    from adapters.kit.register import Register
    from gateway.agreement import Agreement
    from gateway.agreements import Agreements
    from gateway.arrivals import Arrivals
    from gateway.clock import Clock
    from gateway.limits import Room
    from gateway.parties import KeyLists
    from gateway.policy.port import PolicyEngine
    from gateway.settings import Settings
    from gateway.sources import Sources
    from gateway.storage.unit_of_work import Store
    from gateway.vault import Vault


@dataclass(frozen=True, slots=True)
class Services:
    """One per process, immutable: whoever needs a part is handed this."""

    settings: Settings
    clock: Clock
    vault: Vault
    store: Store
    register: Register
    agreements: Agreements
    engine: PolicyEngine
    keys: Keystore
    key_lists: KeyLists
    sources: Sources
    arrivals: Arrivals
    room: Room
    allowed: Allowed = field(default_factory=Allowed)
    readings: Readings = field(default_factory=Readings)

    @property
    def agreement(self) -> Agreement:
        """Return the version in force by our clock; a decision stands on the one read with its facts."""
        return self.agreements.in_force


def services(request: Request) -> Services:
    """Return the process's services."""
    return cast("Services", request.app.state.services)


async def provided(request: Request) -> Services:
    """Hand an endpoint the process's services (a FastAPI dependency).

    A coroutine: FastAPI would send a plain function to another thread, and wait for it.
    """
    return services(request)
