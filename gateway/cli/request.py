"""`poort request`: ask a source, look again, collect the answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from gateway.cli.acting import Acting, AsParty, ByWorker, Categories, Client, Sandbox, read_categories
from gateway.cli.layout import print_as_is, print_hanging
from gateway.cli.present import AsJson, err, fail, out, print_json

if TYPE_CHECKING:
    from adapters.requester import Exchange, OpenedDossier, Requester

app = typer.Typer(no_args_is_help=True, help="Ask a source for parts of a client's dossier.")
ExchangeId = Annotated[str, typer.Argument(metavar="ID", help="The id of the request, which `ask` printed.")]
_AS_VW = "--sandbox var/sandbox.json --as vluchtelingenwerk"
# What a desktop needs to open a file with the right program; a source may send other types too.
_SUFFIXES = {
    "application/pdf": ".pdf",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/tiff": ".tif",
    "text/plain": ".txt",
}
SaveTo = Annotated[
    Path | None, typer.Option("--save-to", help="A folder for the opened documents; made if needed.")
]


@app.command(
    epilog="Example: poort request ask --sandbox var/sandbox.json --as vluchtelingenwerk --client amina"
    " --worker vw-jurist-12 --purpose legal_screening --source ind"
    " --category perspective --category partners --category decisions"
)
def ask(
    client: Client,
    worker: ByWorker,
    purpose: Annotated[str, typer.Option(help="A purpose of the agreement, for example legal_screening.")],
    source: Annotated[str, typer.Option(help="The party that is asked, for example ind.")],
    category: Categories,
    reason: Annotated[str | None, typer.Option(help="Why now, as one of the agreement's words.")] = None,
    wait: Annotated[
        int, typer.Option(help="For how many seconds the gateway may hold one call before it answers.")
    ] = 5,
    patience: Annotated[
        float,
        typer.Option(
            help="How many seconds to wait in all. After that the request goes on by itself: see `show`."
        ),
    ] = 60.0,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            help="A random word of yours, at least 8 characters: the same one means the same request."
        ),
    ] = None,
    save_to: SaveTo = None,
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Ask, wait for the answer, verify it and open it."""
    acting = Acting(sandbox, as_party, as_json)
    who, by, categories = acting.client(client), acting.worker(worker), read_categories(category)

    async def work(requester: Requester) -> tuple[Exchange, OpenedDossier | None]:
        with _progress(as_json) as on_progress:
            exchange = await requester.request_dossier(
                who,
                purpose=purpose,
                source=source,
                categories=categories,
                worker=by,
                reason=reason,
                wait_seconds=wait,
                idempotency_key=idempotency_key,
                patience_seconds=patience,
                on_progress=on_progress,
            )
        return exchange, await _open(requester, exchange, source)

    _show(*acting.run(work), source, save_to=save_to, as_json=as_json)


@app.command(
    short_help="Look at a request again, and open what came.",
    epilog=f"Example: poort request show ID --source ind --save-to papers {_AS_VW}",
)
def show(
    exchange: ExchangeId,
    source: Annotated[str, typer.Option(help="The party that was asked.")],
    save_to: SaveTo = None,
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Look at a request again, and open what may be handed over now."""

    async def work(requester: Requester) -> tuple[Exchange, OpenedDossier | None]:
        found = await requester.get(exchange)
        return found, await _open(requester, found, source)

    found = Acting(sandbox, as_party, as_json).run(work)
    _show(*found, source, save_to=save_to, as_json=as_json)


@app.command(
    short_help="Say that the answer arrived whole.",
    epilog=f"Example: poort request acknowledge ID --worker vw-jurist-12 {_AS_VW}",
)
def acknowledge(
    exchange: ExchangeId,
    worker: ByWorker,
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Say that the answer arrived whole; the gateway then deletes the sealed bytes."""
    acting = Acting(sandbox, as_party, as_json)
    by = acting.worker(worker)
    settled = acting.run(lambda requester: requester.acknowledge(exchange, worker=by))
    _show(settled, None, None, save_to=None, as_json=as_json)


@app.command(epilog=f"Example: poort request cancel ID --worker vw-jurist-12 {_AS_VW}")
def cancel(
    exchange: ExchangeId,
    worker: ByWorker,
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Take a request back; the source is told to stop."""
    acting = Acting(sandbox, as_party, as_json)
    by = acting.worker(worker)
    settled = acting.run(lambda requester: requester.cancel(exchange, worker=by))
    _show(settled, None, None, save_to=None, as_json=as_json)


@app.command(
    short_help="Prove by the ledger what was handed over.",
    epilog=f"Example: poort request receipt ID {_AS_VW}",
)
def receipt(
    exchange: ExchangeId, sandbox: Sandbox = None, as_party: AsParty = None, as_json: AsJson = False
) -> None:
    """Fetch the receipt and prove that the ledger holds it.

    By the ledger's public key, and by the checkpoint that your party kept of the last receipt: a ledger that
    was rewritten since is refused.
    """
    proven = Acting(sandbox, as_party, as_json).run(lambda requester: requester.receipt(exchange))
    if as_json:
        print_json(proven.proof.model_dump())
        return
    print_hanging(
        out,
        "",
        f"Entry {proven.receipt.ledger.index} of a ledger of {proven.tree_size}: signature, commitment,"
        " inclusion proof and checkpoint hold; the ledger continues what your party saw of it before.",
    )


async def _open(requester: Requester, exchange: Exchange, source: str) -> OpenedDossier | None:
    return await requester.open(exchange, source=source) if exchange.answer is not None else None


@contextlib.contextmanager
def _progress(as_json: bool) -> Iterator[Any]:
    if as_json:
        yield None
        return
    with err.status("Asking …") as status:

        def on_progress(state: str, waited: float) -> None:
            status.update(f"The request is {state}; a person at the source may be looking ({waited:.0f} s)")

        yield on_progress


def _show(
    exchange: Exchange,
    dossier: OpenedDossier | None,
    source: str | None,
    *,
    save_to: Path | None,
    as_json: bool,
) -> None:
    saved = _save(dossier, save_to) if dossier is not None and save_to is not None else []
    if as_json:
        print_json(exchange.model_dump(mode="json") | {"saved": [str(path) for path in saved]})
        return
    from gateway.cli.transcript import print_exchange

    print_exchange(out, exchange, dossier, source)
    for path in saved:
        print_as_is(out, f"  saved {escape(str(path))}")


def _save(dossier: OpenedDossier, folder: Path) -> list[Path]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    saved = []
    for number, document in enumerate(dossier.documents, 1):
        # Only the last part of the source's name, and a number first: no name leads out of the folder
        # or over an earlier file.
        name = Path(document.name.replace(chr(92), "/")).name or "document"
        suffix = _SUFFIXES.get(document.media_type, "")
        path = folder / f"{number:03d}-{name}{'' if name.lower().endswith(suffix) else suffix}"
        try:
            with path.open("xb") as file:
                file.write(document.content)
        except FileExistsError:
            fail(f"{path} is there already. Choose an empty folder.")
        saved.append(path)
    return saved
