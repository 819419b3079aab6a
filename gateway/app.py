"""The composition root of the gateway: the one place that reads settings and chooses the parts.

Order of making: public deployment data, keys, policy; then the store, which refuses a ledger that
does not verify; then what speaks to others. A process that cannot have a part does not start.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI

from adapters.kit.certificates import connecting
from adapters.kit.keys import Keystore
from adapters.kit.register import Register
from gateway import agreement
from gateway.agreements import Agreements
from gateway.arrivals import Arrivals
from gateway.clock import Clock, system_clock
from gateway.dispatch import Dispatcher
from gateway.errors import Unavailable
from gateway.http import (
    agreement_readings,
    agreements,
    cases,
    consents,
    dossier_requests,
    explanations,
    ledger,
    orders,
    policy_bundle,
    reports,
)
from gateway.http.app_factory import build_app
from gateway.ledger.checkpoint import LedgerSigner
from gateway.limits import Room
from gateway.logs import configure_logs
from gateway.parties import KeyLists
from gateway.policy.bundle import KEY_USE
from gateway.policy.port import RemotePolicy
from gateway.services import Services
from gateway.settings import Settings
from gateway.sources import Sources
from gateway.storage.unit_of_work import Store
from gateway.vault import Vault

if TYPE_CHECKING:
    from fastapi import APIRouter

    from adapters.kit.register import SignedAgreement
    from gateway.policy.port import VersionedEngine

ROUTERS: tuple[APIRouter, ...] = (
    dossier_requests.router,
    explanations.router,
    cases.router,
    consents.router,
    orders.router,
    ledger.router,
    agreements.router,
    reports.router,
    agreement_readings.router,
    policy_bundle.router,
)
_log = structlog.get_logger("gateway")
# Each is looked for before the gateway serves: an exchange must not be half done when one turns out missing.
_SIGNS_WITH = ("order", "receipt", "token")


def create_app(settings: Settings, *, clock: Clock = system_clock) -> FastAPI:
    """Make the gateway's application; its parts are opened when it starts and closed when it ends."""
    configure_logs()
    return application(compose(settings, clock=clock))


def application(services: Services) -> FastAPI:
    """Make the application of parts that are open already; it closes them when it ends."""
    return build_app(services, ROUTERS, lifespan=lambda _: _lifespan(services))


def compose(settings: Settings, *, clock: Clock) -> Services:
    """Open every part. Raises rather than start with one missing, unverified or out of step."""
    register = Register.load(settings.deployment_folder)
    anchor = agreement.load(settings.deployment_folder, register, clock())
    keys = Keystore.load(settings.keys_folder, settings.keys_passphrase.get_secret_value())
    for use in _SIGNS_WITH:
        keys.signing(use)
    if settings.policy_engine == "opa":
        keys.signing(KEY_USE)  # it fetches its bundle here
    engine = _engine(settings, anchor.signed)
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
        agreements=Agreements(anchor, register, engine, clock),
        engine=engine,
        keys=keys,
        key_lists=KeyLists(settings.deployment_folder, register, clock),
        sources=Sources(
            settings.sources,
            limits=settings.source_limits,
            room=room,
            tls=connecting(
                settings.source_ca_file, settings.source_certificate_file, settings.source_key_file
            ),
        ),
        arrivals=Arrivals(),
        room=room,
    )


def _engine(settings: Settings, anchor: SignedAgreement) -> VersionedEngine:
    # Each is imported only where it is used: one brings a compiler, the other a second HTTP stack.
    if settings.policy_engine == "wasm":
        from gateway.policy.wasm import WasmEngine

        return WasmEngine.load(settings.policies_folder / "build", settings.policies_folder, anchor)
    from gateway.policy.bundle import bundle_of
    from gateway.policy.opa import OpaEngine, tls_context

    files = (settings.opa_ca_file, settings.opa_certificate_file, settings.opa_key_file)
    return OpaEngine(
        settings.opa_url,
        bundle_of(settings.policies_folder, {anchor.digest: anchor.data}),
        tls=tls_context(*files) if any(files) else None,
    )


@asynccontextmanager
async def _lifespan(services: Services) -> AsyncIterator[None]:
    dispatcher, following = Dispatcher(services), None
    try:
        await services.agreements.begin(services)
        _require_answers(services)
        following = asyncio.create_task(services.agreements.run(services))
        await dispatcher.keep_serials()
        dispatcher.start()
        yield
    finally:
        await dispatcher.stop()
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        await services.sources.close()
        if isinstance(services.engine, RemotePolicy):
            await services.engine.close()
        services.store.close()


def _require_answers(services: Services) -> None:
    """Raise Unavailable, in production, while a legal question of the agreement in force has no answer."""
    unanswered = services.agreement.unanswered
    if services.settings.profile == "production" and unanswered:
        # Whoever reads why it does not start reads which; the names are the agreement's, and public.
        cause = f"the agreement in force has open questions without an answer: {', '.join(unanswered)}"
        _log.error("not_started", reason=cause)
        raise Unavailable("policy_unavailable", cause=cause)
