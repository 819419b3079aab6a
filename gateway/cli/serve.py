"""`poort serve`: run one process of the stack; its settings come from its environment."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from adapters.settings import AdapterSettings
    from gateway.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Run one process: the gateway, an adapter, a simulated agency.")
NAMES = ("ind", "dtv", "vvs")
# Where containers get what may stand in no environment: one file per setting, named as its variable.
SECRETS = Path("/run/secrets")
Name = Annotated[str, typer.Argument(help="ind, dtv or vvs")]


@app.command()
def gateway() -> None:
    """Run the gateway; settings in POORT_…"""
    with or_the_reason(), _made_to_stay():
        from gateway.app import create_app

        settings = gateway_settings()
        made = create_app(settings)
    listen(made, settings.host, settings.port, _tls(settings, client_required=False))


@app.command()
def adapter(name: Name) -> None:
    """Run the adapter of one source; settings in POORT_ADAPTER_…"""
    with _made_to_stay():
        from adapters.settings import AdapterSettings
        from gateway.logs import configure_logs

        configure_logs()
        settings = AdapterSettings(_secrets_dir=secrets_folder())
        made = import_module(f"adapters.{_known(name)}.service").create_app(settings)
    # Only the gateway has business here, so where certificates are asked for, none means no entry.
    listen(made, settings.host, settings.port, _tls(settings, client_required=True))


@app.command()
def simulator(name: Name) -> None:
    """Run the simulated system of one agency; POORT_SIMULATOR_PORT and, not to stay on loopback, …_HOST."""
    port = os.environ.get("POORT_SIMULATOR_PORT", "")
    if not port.isdigit():
        raise typer.BadParameter("set POORT_SIMULATOR_PORT to the port to listen on")
    with _made_to_stay():
        from gateway.logs import configure_logs

        configure_logs()
        made = import_module(f"adapters.{_known(name)}.simulator").create_app()
    listen(made, os.environ.get("POORT_SIMULATOR_HOST", "127.0.0.1"), int(port), {})


def gateway_settings() -> Settings:
    """Read the gateway's settings from its environment and, in a container, from its secrets."""
    from gateway.settings import Settings

    return Settings(_secrets_dir=secrets_folder())


def secrets_folder() -> Path | None:
    """Return the folder of secrets if there is one."""
    return SECRETS if SECRETS.is_dir() else None


@contextmanager
def or_the_reason() -> Iterator[None]:
    """Where database or ledger may not be used, say why in a sentence and exit with 1."""
    from gateway.cli.present import fail
    from gateway.errors import Unavailable
    from gateway.ledger import LedgerDoesNotVerify

    try:
        yield
    except (Unavailable, LedgerDoesNotVerify) as refused:
        # `cause`: the code alone would send an operator nowhere.
        why = refused.cause if isinstance(refused, Unavailable) else refused.reason
        fail(f"Not started: {(why or str(refused)).rstrip('.')}.")


@contextmanager
def _made_to_stay() -> Iterator[None]:
    """Import and make what lives as long as the process; the garbage collector never looks at it.

    Else it would go through hundreds of thousands of objects, hardly one of them garbage, time and again:
    at start, and as a pause now and then while serving.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _known(name: str) -> str:
    if name not in NAMES:
        raise typer.BadParameter(f"one of {', '.join(NAMES)}")
    return name


def _tls(settings: Settings | AdapterSettings, *, client_required: bool) -> dict[str, Any]:
    from gateway.http.tls import listening

    return listening(
        settings.tls_certificate_file,
        settings.tls_key_file,
        settings.tls_client_ca_file,
        client_required=client_required,
    )


def listen(app_to_serve: Any, host: str, port: int, tls: dict[str, Any]) -> None:
    """Serve an application until a signal ends it; `tls` as `gateway.http.tls` makes it, or empty."""
    import uvicorn

    from gateway.http import accepting

    options = server_options(tls) | {"loop": f"{accepting.__name__}:{accepting.AcceptingLoop.__name__}"}
    # `log_config`: uvicorn's own would put back the handlers that print a library's words (gateway.logs).
    accepting.run(uvicorn.Config(app_to_serve, host=host, port=port, log_config=None, **options))


def server_options(tls: dict[str, Any]) -> dict[str, Any]:
    """Return uvicorn's settings that every process of ours shares; `tls` as `gateway.http.tls` makes it."""
    from gateway.http.protocol import ProblemProtocol

    return {
        # The access log would hold paths with ids; the gateway writes its own line per request.
        "access_log": False,
        "log_level": "warning",
        "server_header": False,
        "date_header": False,
        # Else X-Forwarded-For would replace the peer's address, by which we know the hop that ends TLS.
        "proxy_headers": False,
        "http": ProblemProtocol,
        **tls,
    }
