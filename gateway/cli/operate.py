"""`poort health` and `poort migrate`: what an orchestrator runs beside the processes themselves."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from adapters.kit.strict_json import StrictJsonError, loads
from gateway.cli.present import fail, out

_SECONDS = 5
_MAX_BYTES = 64 * 1024


def health(
    url: Annotated[str, typer.Argument(metavar="URL", help="The base URL of a gateway or an adapter.")],
    ca_file: Annotated[Path | None, typer.Option(help="Who vouches for its certificate.")] = None,
    certificate_file: Annotated[
        Path | None, typer.Option(help="The certificate to show, where one is asked for.")
    ] = None,
    key_file: Annotated[Path | None, typer.Option(help="The key of that certificate.")] = None,
) -> None:
    """Ask a process whether it can do its work: exit 0 when /readyz answers 200, else 1."""
    from adapters.kit.certificates import connecting

    try:
        status, said = _ask(url, connecting(ca_file, certificate_file, key_file))
    except (OSError, ValueError, http.client.HTTPException) as trouble:
        fail(f"No answer ({type(trouble).__name__}).")
    if status != 200:
        fail(f"Not ready: it answered {status}.")
    out.print("Ready.")
    for line in _troubles(said):
        out.print(line)


def migrate() -> None:
    """Bring the gateway's database up to date and verify the end of its ledger; settings in POORT_…

    A gateway does the same when it starts; run beforehand, several of them start at once without waiting.
    """
    from adapters.kit.keys import Keystore
    from adapters.kit.register import Register
    from gateway.cli.serve import gateway_settings, or_the_reason
    from gateway.ledger.checkpoint import LedgerSigner
    from gateway.storage.unit_of_work import Store

    settings = gateway_settings()
    register = Register.load(settings.deployment_folder)
    keys = Keystore.load(settings.keys_folder, settings.keys_passphrase.get_secret_value())
    signer = LedgerSigner(register.ledger_origin, keys.seed("checkpoint"))
    with or_the_reason():
        Store.open(settings.database_url, ledger=signer).close()
    out.print("The database is up to date; its ledger verifies.")


def _troubles(said: bytes) -> Iterator[str]:
    """Say what a process that is ready has trouble with, elsewhere; an adapter says nothing of the kind."""
    try:
        ready = loads(said, max_bytes=_MAX_BYTES)
    except StrictJsonError:
        return
    if not isinstance(ready, dict):
        return
    sources, cancellations = ready.get("sources"), ready.get("cancellations")
    if isinstance(sources, dict) and (
        away := sorted(f"{s} ({how})" for s, how in sources.items() if how != "closed")
    ):
        yield f"Not asked at the moment: {', '.join(away)}."
    if isinstance(cancellations, dict) and cancellations.get("undelivered"):
        number, seconds = cancellations["undelivered"], cancellations.get("oldest_seconds")
        yield f"Cancellations that no source has confirmed: {number}; the oldest waits for {seconds} seconds."


def _ask(url: str, tls: ssl.SSLContext | None) -> tuple[int, bytes]:
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ValueError("not the base URL of a process")
    connection = (
        http.client.HTTPSConnection(address.hostname, address.port, timeout=_SECONDS, context=tls)
        if address.scheme == "https"
        else http.client.HTTPConnection(address.hostname, address.port, timeout=_SECONDS)
    )
    try:
        connection.request("GET", address.path.rstrip("/") + "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read(_MAX_BYTES)
    finally:
        connection.close()
