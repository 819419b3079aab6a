"""`poort serve`: run one process of the stack; its settings come from its environment."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Run one process: the gateway, an adapter, a simulated agency.")
NAMES = ("ind", "dtv", "vvs")
Name = Annotated[str, typer.Argument(help="ind, dtv or vvs")]


@app.command()
def gateway() -> None:
    """Run the gateway; settings in POORT_…"""
    from gateway.app import create_app
    from gateway.settings import Settings

    settings = Settings()
    _serve(create_app(settings), settings.host, settings.port)


@app.command()
def adapter(name: Name) -> None:
    """Run the adapter of one source; settings in POORT_ADAPTER_…"""
    from importlib import import_module

    from adapters.settings import AdapterSettings

    settings = AdapterSettings()
    service = import_module(f"adapters.{_known(name)}.service")
    _serve(service.create_app(settings), settings.host, settings.port)


@app.command()
def simulator(name: Name) -> None:
    """Run the simulated system of one agency; port in POORT_SIMULATOR_PORT."""
    from importlib import import_module

    module = import_module(f"adapters.{_known(name)}.simulator")
    port = os.environ.get("POORT_SIMULATOR_PORT", "")
    if not port.isdigit():
        raise typer.BadParameter("set POORT_SIMULATOR_PORT to the port to listen on")
    _serve(module.create_app(), "127.0.0.1", int(port))


def _known(name: str) -> str:
    if name not in NAMES:
        raise typer.BadParameter(f"one of {', '.join(NAMES)}")
    return name


def _serve(app_to_serve: Any, host: str, port: int) -> None:
    import uvicorn

    # The access log would hold paths with ids; the gateway writes its own line per request.
    uvicorn.run(
        app_to_serve,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        loop="uvloop",
        http="httptools",
    )
