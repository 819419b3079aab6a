"""Make an adapter's process of its parts: the desk behind three endpoints, the deliverer beside it.

    POST /v1/orders                          200 Answer · 202 OrderAccepted · problem
    POST /v1/orders/{exchange}/cancellation  200 {"dropped": […]} · problem
    GET  /livez, /readyz

Who calls is proven by what the body carries: every message is signed, and is verified by the desk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Final, Protocol, TypeVar, cast

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import SecretStr, ValidationError

from adapters.kit import strict_json
from adapters.kit.agency import Agency
from adapters.kit.agreement_book import AgreementBook, from_gateway
from adapters.kit.agreement_chain import Chain, anchor
from adapters.kit.answering import Attestor
from adapters.kit.certificates import connecting
from adapters.kit.delivery import Deliverer
from adapters.kit.key_directory import KeyDirectory
from adapters.kit.keys import Keystore
from adapters.kit.order_check import OrderCheck
from adapters.kit.order_desk import OrderDesk
from adapters.kit.problems import BodyRefused, ContainedRoute, install_problems
from adapters.kit.register import Register
from adapters.kit.session import GatewaySession
from adapters.kit.store import OrderStore
from adapters.protocol import Answer, CancellationMessage, OrderMessage, Wire

# One compact JWS of at most 64 KiB, and the JSON around it.
MAX_BODY_BYTES: Final = 66_560
_Message = TypeVar("_Message", bound=Wire)


class Settings(Protocol):
    """What the kit reads of `adapters.settings.AdapterSettings`."""

    @property
    def party(self) -> str: ...
    @property
    def gateway_url(self) -> str: ...
    @property
    def gateway_addresses(self) -> str: ...
    @property
    def keys_folder(self) -> Path: ...
    @property
    def keys_passphrase(self) -> SecretStr: ...
    @property
    def deployment_folder(self) -> Path: ...
    @property
    def state_path(self) -> Path: ...
    @property
    def gateway_ca_file(self) -> Path | None: ...
    @property
    def gateway_certificate_file(self) -> Path | None: ...
    @property
    def gateway_key_file(self) -> Path | None: ...
    @property
    def delivery_poll_seconds(self) -> float: ...


def create_adapter(
    settings: Settings, agency: Agency, *, clock: Callable[[], int] = lambda: int(time.time())
) -> FastAPI:
    """Return the application of one source. Everything is loaded at start-up: what is missing stops it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as open_parts:
            app.state.desk, deliverer, book = _assemble(settings, agency, clock, open_parts)
            await book.load()
            beside = [asyncio.create_task(deliverer.run()), asyncio.create_task(book.run())]
            try:
                yield
            finally:
                for task in beside:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task

    app = FastAPI(title=f"Adapter of {settings.party}", docs_url=None, redoc_url=None, lifespan=lifespan)
    install_problems(app)
    app.include_router(_router())
    return app


def _assemble(
    settings: Settings, agency: Agency, clock: Callable[[], int], open_parts: AsyncExitStack
) -> tuple[OrderDesk, Deliverer, AgreementBook]:
    register = Register.load(settings.deployment_folder)
    keystore = Keystore.load(settings.keys_folder, settings.keys_passphrase.get_secret_value())
    gateway = GatewaySession(
        settings.gateway_url,
        settings.party,
        keystore.signing("sign"),
        clock,
        connecting(settings.gateway_ca_file, settings.gateway_certificate_file, settings.gateway_key_file),
        issuer=register.issuer,
        addresses=settings.gateway_addresses.split(),
        by_certificate=settings.gateway_certificate_file is not None,
    )
    store = OrderStore(settings.state_path)
    open_parts.callback(store.close)
    open_parts.push_async_callback(gateway.close)
    open_parts.push_async_callback(agency.close)
    chain = Chain(anchor(settings.deployment_folder, register, clock()), register)
    book = AgreementBook(chain, store, from_gateway(gateway), clock)
    check = OrderCheck(
        party=settings.party,
        schemes=agency.schemes,
        register=register,
        book=book,
        keystore=keystore,
        directory=KeyDirectory(register, gateway.fetch_key_list, clock, newest_serial=store.newest_serial),
        clock=clock,
    )
    desk = OrderDesk(
        check=check,
        store=store,
        agency=agency,
        attestor=Attestor(settings.party, keystore.signing("sign")),
        clock=clock,
    )
    deliverer = Deliverer(
        desk=desk, store=store, gateway=gateway, clock=clock, poll_seconds=settings.delivery_poll_seconds
    )
    return desk, deliverer, book


def _desk(request: Request) -> OrderDesk:
    return cast("OrderDesk", request.app.state.desk)


def _router() -> APIRouter:
    router = APIRouter(route_class=ContainedRoute)

    @router.post("/v1/orders")
    async def receive(request: Request, desk: Annotated[OrderDesk, Depends(_desk)]) -> Response:
        message = await _read(request, OrderMessage)
        answered = await desk.receive(message.order)
        return _json(answered, status=200 if isinstance(answered, Answer) else 202)

    @router.post("/v1/orders/{exchange}/cancellation")
    async def cancel(exchange: str, request: Request, desk: Annotated[OrderDesk, Depends(_desk)]) -> Response:
        message = await _read(request, CancellationMessage)
        dropped = await desk.cancel(exchange, message.cancellation)
        return JSONResponse({"dropped": [category.value for category in dropped]})

    @router.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz")
    async def readyz(desk: Annotated[OrderDesk, Depends(_desk)]) -> dict[str, str]:
        await desk.ready()
        return {"status": "ok"}

    return router


def _json(message: Wire, *, status: int) -> Response:
    return Response(message.model_dump_json(exclude_none=True), status, media_type="application/json")


async def _read(request: Request, form: type[_Message]) -> _Message:
    """Read a body of one strict form, never more than the limit; raise BodyRefused."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise BodyRefused("body_too_large")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BodyRefused("unsupported_media_type")
    try:
        return form.model_validate(strict_json.loads(bytes(content), max_bytes=MAX_BODY_BYTES))
    except strict_json.StrictJsonError as refused:
        raise BodyRefused(refused.code) from None
    except ValidationError:
        raise BodyRefused("invalid_input") from None
