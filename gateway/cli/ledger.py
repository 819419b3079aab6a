"""`poort ledger`: write the ledger to a file, and check such a file without any network."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text

from gateway.cli.acting import Acting, AsParty, Sandbox
from gateway.cli.layout import print_as_is, print_hanging
from gateway.cli.present import AsJson, err, out, print_json, read_json_file

if TYPE_CHECKING:
    from adapters.requester import Requester
    from adapters.requester.ledger_copy import LedgerCopy

app = typer.Typer(no_args_is_help=True, help="The ledger: copy it, and check a copy offline.")


@app.command(epilog="Example: poort ledger export ledger.json --sandbox var/sandbox.json --as askv")
def export(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where to write it; an existing file is not replaced.")
    ],
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Copy the ledger from the gateway into a file. Any party may; nothing in it is personal."""
    if file.exists():
        raise typer.BadParameter(f"{file} is there already; name another file")
    acting = Acting(sandbox, as_party, as_json)

    async def work(requester: Requester) -> LedgerCopy:
        with err.status("Copying the ledger …") as status:
            return await requester.copy_ledger(
                lambda here, size: status.update(f"Copying the ledger … {here} of {size} entries")
            )

    copy, vkey = acting.run(work), acting.identity.register.ledger_vkey
    file.write_text(json.dumps(copy.bundle(), indent=1) + "\n", encoding="utf-8")
    if as_json:
        print_json({"file": str(file), "entries": len(copy.entries), "vkey": vkey})
    else:
        print_as_is(out, f"Wrote {len(copy.entries)} entries to {escape(str(file))}. Check it with:")
        command = shlex.join(["poort", "ledger", "verify", str(file), "--vkey", vkey])
        print_as_is(out, Text(f"  {command}"))


@app.command(
    short_help="Check such a file, without network or gateway.",
    epilog="Example: poort ledger verify ledger.json --register var/deployment/askv/register.json"
    " --earlier kept-last-month.txt",
)
def verify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A ledger file, as `poort ledger export` writes it.")
    ],
    vkey: Annotated[
        str | None, typer.Option(help="The ledger's public key, as `export` prints it; or give --register.")
    ] = None,
    register: Annotated[
        Path | None, typer.Option(help="Your own party register, which names the ledger's key.")
    ] = None,
    earlier: Annotated[
        list[Path] | None,
        typer.Option(
            help="A checkpoint that you kept, as `request receipt` does: nothing before it may have changed."
            " Repeat it for more."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the whole ledger from a file and a public key; no network, no gateway."""
    from gateway.ledger import LedgerDoesNotVerify
    from gateway.ledger.verify import verify_file

    key = vkey if vkey is not None else _vkey_of(register)
    try:
        report = verify_file(file, key, earlier=[path.read_text(encoding="utf-8") for path in earlier or []])
    except LedgerDoesNotVerify as refused:
        if as_json:
            print_json({"verified": False, "reason": str(refused)})
        else:
            print_hanging(err, "[bold red]does not verify[/]  ", escape(str(refused)))
            print_hanging(
                err,
                "  next step: ",
                "keep the file and the key, and show both to the data-protection officer.",
            )
        raise typer.Exit(1) from None
    except OSError as unreadable:
        raise typer.BadParameter(f"{unreadable.filename} cannot be read") from None
    if as_json:
        size, origin = report.checkpoint.size, report.checkpoint.origin
        print_json({"verified": True, "origin": origin, "entries": size, "earlier": list(report.earlier)})
        return
    print_as_is(
        out,
        f"[bold green]verified[/]  {report.checkpoint.size} entries of {escape(report.checkpoint.origin)}",
    )
    for size in report.earlier:
        print_as_is(out, f"  continues the checkpoint of {size} entries that you kept")


def _vkey_of(register: Path | None) -> str:
    if register is None:
        raise typer.BadParameter("give --vkey or --register")
    content: Any = read_json_file(register)
    try:
        return str(content["ledger"]["vkey"])
    except (KeyError, TypeError):
        raise typer.BadParameter(f"{register} is not a party register") from None
