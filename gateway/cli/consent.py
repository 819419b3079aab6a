"""`poort consent`: record, confirm and withdraw what a client allowed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.case import _as_worker, _do
from gateway.cli.present import AS_JSON, AS_PARTY, CLIENT, SANDBOX, WORKER, read_json_file

app = typer.Typer(no_args_is_help=True, help="Consents: what a client allowed, to whom, until when.")
Consent = Annotated[str, typer.Argument(help="The id of the consent, as your party knows it.")]


@app.command(
    epilog="Example: poort consent record --sandbox var/sandbox.json --as vluchtelingenwerk --client amina"
    " --worker vw-balie-01 --purpose legal_screening --source ind --recipient vluchtelingenwerk"
    " --category decisions --category dossier_documents"
)
def record(
    client: Annotated[str, CLIENT],
    worker: Annotated[str, WORKER],
    purpose: Annotated[str, typer.Option(help="What it is for, one purpose of the agreement.")],
    source: Annotated[list[str], typer.Option(help="A party that may be asked; repeat it.")],
    recipient: Annotated[list[str], typer.Option(help="A party that may receive; repeat it.")],
    category: Annotated[list[str], typer.Option(help="What may be passed on; repeat it.")],
    explicit: Annotated[
        list[str] | None, typer.Option(help="A special category that got its own explicit yes; repeat it.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Until when (UTC); six months if not given.")
    ] = None,
    evidence: Annotated[
        Path | None, typer.Option(help="A JSON file of how it was given; signed on paper if not given.")
    ] = None,
    language: Annotated[str, typer.Option(help="The language of the notice that was read.")] = "en",
    sandbox: Annotated[Path | None, SANDBOX] = None,
    as_party: Annotated[str | None, AS_PARTY] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Record a consent, signed with your party's key. It counts once a second worker confirms it."""
    from adapters.protocol import Category
    from gateway.cli.connect import find_client, find_worker, identify
    from gateway.cli.evidence import signed_on_paper

    acting = find_worker(worker, identify(sandbox, as_party).party, sandbox)
    who = find_client(client, sandbox)
    unknown = {*category, *(explicit or [])} - {known.value for known in Category}
    if unknown:
        raise typer.BadParameter(f"no such category: {', '.join(sorted(unknown))}")
    given: Any = signed_on_paper(acting.id, language) if evidence is None else read_json_file(evidence)
    _do(
        lambda requester: requester.record_consent(
            who,
            purpose=purpose,
            sources=source,
            recipients=recipient,
            categories=[Category(name) for name in category],
            explicit=[Category(name) for name in explicit or []],
            evidence=given,
            valid_until=None if until is None else int(until.replace(tzinfo=UTC).timestamp()),
            worker=acting,
        ),
        sandbox,
        as_party,
        as_json,
    )


@app.command()
def confirm(
    consent: Consent,
    worker: Annotated[str, WORKER],
    sandbox: Annotated[Path | None, SANDBOX] = None,
    as_party: Annotated[str | None, AS_PARTY] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Confirm a consent as the second worker."""
    _as_worker(
        worker, sandbox, as_party, as_json, lambda r, acting: r.confirm_consent(consent, worker=acting)
    )


@app.command()
def withdraw(
    consent: Consent,
    worker: Annotated[str, WORKER],
    sandbox: Annotated[Path | None, SANDBOX] = None,
    as_party: Annotated[str | None, AS_PARTY] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Withdraw at once; also from under requests that are under way."""
    _as_worker(
        worker, sandbox, as_party, as_json, lambda r, acting: r.withdraw_consent(consent, worker=acting)
    )


@app.command("list")
def list_consents(
    client: Annotated[str, CLIENT],
    worker: Annotated[str, WORKER],
    sandbox: Annotated[Path | None, SANDBOX] = None,
    as_party: Annotated[str | None, AS_PARTY] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """List a client's consents that your party recorded."""
    from gateway.cli.connect import find_client

    who = find_client(client, sandbox)
    _as_worker(worker, sandbox, as_party, as_json, lambda r, acting: r.search_consents(who, worker=acting))


@app.command()
def receipt(
    consent: Consent,
    sandbox: Annotated[Path | None, SANDBOX] = None,
    as_party: Annotated[str | None, AS_PARTY] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Fetch the receipt that the client takes home."""
    _do(lambda requester: requester.consent_receipt(consent), sandbox, as_party, as_json)
