"""The composition root of the gateway: the one place that reads settings and chooses the parts.

Order of making: public deployment data, keys, policy; then the store, which refuses a ledger that
does not verify; then what speaks to others. A process that cannot have a part does not start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from adapters.kit.certificates import connecting
from adapters.kit.keys import Keystore
from adapters.kit.register import Register
from gateway import agreement, parties
from gateway.arrivals import Arrivals
from gateway.clock import Clock, system_clock
from gateway.dispatch import Dispatcher
from gateway.http import cases, consents, dossier_requests, ledger, orders
from gateway.http.app_factory import build_app
from gateway.ledger.checkpoint import LedgerSigner
from gateway.limits import Room, SourceLimits
from gateway.logs import configure_logs
from gateway.parties import KeyLists
from gateway.policy.asking import refuse_another_bundle
from gateway.policy.bundle import bundle_of
from gateway.policy.port import RemotePolicy
from gateway.policy.wasm import WasmEngine
from gateway.services import Services
from gateway.settings import Settings
from gateway.sources import Sources
from gateway.storage.unit_of_work import Store
from gateway.vault import Vault

if TYPE_CHECKING:
    from fastapi import APIRouter

    from adapters.kit.register import SignedAgreement
    from gateway.policy.port import PolicyEngine

ROUTERS: tuple[APIRouter, ...] = (
    dossier_requests.router,
    cases.router,
    consents.router,
    orders.router,
    ledger.router,
)


def create_app(settings: Settings, *, clock: Clock = system_clock) -> FastAPI:
    """Make the gateway's application; its parts are opened when it starts and closed when it ends."""
    configure_logs()
    services = compose(settings, clock=clock)
    return build_app(
        services,
        ROUTERS,
        lifespan=lambda _: _lifespan(services),
        max_in_flight=settings.max_in_flight,
    )


def compose(settings: Settings, *, clock: Clock) -> Services:
    """Open every part. Raises rather than start with one missing, unverified or out of step."""
    register = Register.load(settings.deployment_folder)
    in_force = agreement.load(settings.deployment_folder, register, clock())
    keys = Keystore.load(settings.keys_folder, settings.keys_passphrase.get_secret_value())
    engine = _engine(settings, in_force.signed)
    room = Room(settings.max_held_bytes)
    return Services(
        settings=settings,
        clock=clock,
        vault=Vault(
            lookup=keys.secret("lookup"), wrapping=keys.secret("wrapping"), retry=keys.secret("retry")
        ),
        store=Store.open(
            settings.database_url, ledger=LedgerSigner(register.ledger_origin, keys.seed("checkpoint"))
        ),
        register=register,
        agreement=in_force,
        engine=engine,
        keys=keys,
        key_lists=KeyLists(settings.deployment_folder, register, clock),
        sources=Sources(
            settings.sources,
            limits=_source_limits(settings),
            room=room,
            tls=connecting(
                settings.source_ca_file, settings.source_certificate_file, settings.source_key_file
            ),
        ),
        arrivals=Arrivals(),
        room=room,
    )


def _source_limits(settings: Settings) -> SourceLimits:
    return SourceLimits(
        timeout_seconds=settings.source_timeout_seconds,
        connect_seconds=settings.source_connect_seconds,
        concurrency=settings.source_concurrency,
        place_wait_seconds=settings.source_place_wait_seconds,
        failures_to_open=settings.source_failures_to_open,
        open_seconds=settings.source_open_seconds,
    )


def _engine(settings: Settings, in_force: SignedAgreement) -> PolicyEngine:
    if settings.policy_engine == "wasm":
        return WasmEngine.load(settings.policies_folder / "build", settings.policies_folder, in_force)
    # Imported only where it is used: the client library brings a second HTTP stack.
    from gateway.policy.opa import OpaEngine, tls_context

    files = (settings.opa_ca_file, settings.opa_certificate_file, settings.opa_key_file)
    return OpaEngine(
        settings.opa_url,
        revision=bundle_of(settings.policies_folder, in_force).revision,
        tls=tls_context(*files) if any(files) else None,
    )


@asynccontextmanager
async def _lifespan(services: Services) -> AsyncIterator[None]:
    dispatcher = Dispatcher(services)
    try:
        await refuse_another_bundle(services.engine)
        await services.store.write(lambda tx: parties.ensure_parties(tx, services.register))
        dispatcher.start()
        yield
    finally:
        await dispatcher.stop()
        await services.sources.close()
        if isinstance(services.engine, RemotePolicy):
            await services.engine.close()
        services.store.close()
