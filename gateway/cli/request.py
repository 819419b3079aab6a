"""`poort request`: ask a source, look again, collect the answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.present import AS_JSON, AS_PARTY, CLIENT, SANDBOX, WORKER, err, fail, out, print_json, run

if TYPE_CHECKING:
    from adapters.requester import Exchange, OpenedDossier, Requester

app = typer.Typer(no_args_is_help=True, help="Ask a source for parts of a client's dossier.")
SaveTo = Annotated[
    Path | None, typer.Option("--save-to", help="A folder for the opened documents; made if needed.")
]


@app.command(
    epilog="Example: poort request ask --sandbox var/sandbox.json --as vluchtelingenwerk --client amina"
    " --worker vw-jurist-12 --purpose legal_screening --source ind"
    " --category perspective --category partners --category decisions"
)
def ask(
    client: Annotated[str, CLIENT],
    worker: Annotated[str, WORKER],
    purpose: Annotated[str, typer.Option(help="A purpose of the agreement, for example legal_screening.")],
    source: Annotated[str, typer.Option(help="The party that is asked, for example ind.")],
    category: Annotated[list[str], typer.Option(help="What is asked for; repeat it for more.")],
    reason: Annotated[str | None, typer.Option(help="Why now, as one of the agreement's words.")] = None,
    wait: Annotated[int, typer.Option(help="Seconds that the gateway may hold the call.")] = 5,
    patience: Annotated[float, typer.Option(help="Seconds to follow a source that needs longer.")] = 60.0,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Your own key for this request; asked again, it is the same one.")
    ] = None,
    save_to: SaveTo = None,
    sandbox: Annotated[Path | None, SANDBOX] = None,
    as_party: Annotated[str | None, AS_PARTY] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Ask, wait for the answer, verify it and open it."""
    from adapters.protocol import Category
    from gateway.cli.connect import connected, find_client, find_worker, identify

    identity = identify(sandbox, as_party)
    who, acting = find_client(client, sandbox), find_worker(worker, identity.party, sandbox)
    unknown = set(category) - {known.value for known in Category}
    if unknown:
        raise typer.BadParameter(f"no such category: {', '.join(sorted(unknown))}")

    async def work() -> tuple[Exchange, OpenedDossier | None]:
        async with connected(identity) as requester:
            with _progress(as_json) as on_progress:
                exchange = await requester.request_dossier(
                    who,
                    purpose=purpose,
                    source=source,
                    categories=[Category(name) for name in category],
                    worker=acting,
                    reason=reason,
                    wait_seconds=wait,
                    idempotency_key=idempotency_key,
                    patience_seconds=patience,
                    on_progress=on_progress,
                )
            return exchange, await _open(requester, exchange, source)

    _show(*run(work(), as_json=as_json), save_to=save_to, as_json=as_json)


@app.command(epilog="Example: poort request show aBcD… --source ind --sandbox var/sandbox.json --as askv")
def show(
    exchange: Annotated[str, typer.Argument(help="The id that `ask` printed.")],
    source: Annotated[str, typer.Option(help="The party that was asked.")],
    save_to: SaveTo = None,
    sandbox: Annotated[Path | None, SANDBOX] = None,
    as_party: Annotated[str | None, AS_PARTY] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Look at a request again, and open what may be handed over now."""
    from gateway.cli.connect import connected, identify

    identity = identify(sandbox, as_party)

    async def work() -> tuple[Exchange, OpenedDossier | None]:
        async with connected(identity) as requester:
            found = await requester.get(exchange)
            return found, await _open(requester, found, source)

    _show(*run(work(), as_json=as_json), save_to=save_to, as_json=as_json)


@app.command()
def acknowledge(
    exchange: Annotated[str, typer.Argument(help="The id of the request.")],
    worker: Annotated[str, WORKER],
    sandbox: Annotated[Path | None, SANDBOX] = None,
    as_party: Annotated[str | None, AS_PARTY] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Say that the answer arrived whole; the gateway then deletes the sealed bytes."""
    _settle("acknowledge", exchange, worker, sandbox, as_party, as_json)


@app.command()
def cancel(
    exchange: Annotated[str, typer.Argument(help="The id of the request.")],
    worker: Annotated[str, WORKER],
    sandbox: Annotated[Path | None, SANDBOX] = None,
    as_party: Annotated[str | None, AS_PARTY] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Take a request back; the source is told to stop."""
    _settle("cancel", exchange, worker, sandbox, as_party, as_json)


@app.command()
def receipt(
    exchange: Annotated[str, typer.Argument(help="The id of the request.")],
    sandbox: Annotated[Path | None, SANDBOX] = None,
    as_party: Annotated[str | None, AS_PARTY] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Fetch the receipt and prove, with the ledger's public key, that the ledger holds it."""
    from gateway.cli.connect import connected, identify

    identity = identify(sandbox, as_party)

    async def work() -> Any:
        async with connected(identity) as requester:
            return await requester.receipt(exchange)

    proven = run(work(), as_json=as_json)
    if as_json:
        print_json(proven.proof.model_dump())
        return
    out.print(
        f"Entry {proven.receipt.ledger.index} of a ledger of {proven.tree_size}: signature, commitment,"
        " inclusion proof and checkpoint hold."
    )


async def _open(requester: Requester, exchange: Exchange, source: str) -> OpenedDossier | None:
    return await requester.open(exchange, source=source) if exchange.answer is not None else None


def _settle(
    what: str, exchange: str, worker: str, sandbox: Path | None, as_party: str | None, as_json: bool
) -> None:
    from gateway.cli.connect import connected, find_worker, identify

    identity = identify(sandbox, as_party)
    acting = find_worker(worker, identity.party, sandbox)

    async def work() -> Exchange:
        async with connected(identity) as requester:
            if what == "cancel":
                return await requester.cancel(exchange, worker=acting)
            return await requester.acknowledge(exchange, worker=acting)

    settled = run(work(), as_json=as_json)
    _show(settled, None, save_to=None, as_json=as_json)


@contextlib.contextmanager
def _progress(as_json: bool) -> Iterator[Any]:
    if as_json:
        yield None
        return
    with err.status("Asking …") as status:

        def on_progress(state: str, waited: float) -> None:
            status.update(f"The request is {state}; a person at the source may be looking ({waited:.0f} s)")

        yield on_progress


def _show(exchange: Exchange, dossier: OpenedDossier | None, *, save_to: Path | None, as_json: bool) -> None:
    saved = _save(dossier, save_to) if dossier is not None and save_to is not None else []
    if as_json:
        print_json(exchange.model_dump(mode="json") | {"saved": [str(path) for path in saved]})
        return
    from gateway.cli.transcript import print_exchange

    print_exchange(out, exchange, dossier)
    for path in saved:
        out.print(f"  saved {path}")


def _save(dossier: OpenedDossier, folder: Path) -> list[Path]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    saved = []
    for number, document in enumerate(dossier.documents, 1):
        # Only the last part of the source's name, and a number first: no name leads out of the folder
        # or over an earlier file.
        path = folder / f"{number:03d}-{Path(document.name.replace(chr(92), '/')).name or 'document'}"
        try:
            with path.open("xb") as file:
                file.write(document.content)
        except FileExistsError:
            fail(f"{path} is there already. Choose an empty folder.")
        saved.append(path)
    return saved
