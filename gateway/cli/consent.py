"""`poort consent`: record, confirm and withdraw what a client allowed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.acting import Acting, AsParty, ByWorker, Categories, Client, Sandbox, read_categories
from gateway.cli.present import AsJson, read_json_file

app = typer.Typer(no_args_is_help=True, help="Consents: what a client allowed, to whom, until when.")
Consent = Annotated[str, typer.Argument(metavar="ID", help="The id of the consent, which `record` printed.")]
_AS_VW = "--sandbox var/sandbox.json --as vluchtelingenwerk"


@app.command(
    short_help="Record what a client allowed.",
    epilog="Example: poort consent record --sandbox var/sandbox.json --as vluchtelingenwerk --client amina"
    " --worker vw-balie-01 --purpose legal_screening --source ind --recipient vluchtelingenwerk"
    " --category decisions --category dossier_documents",
)
def record(
    client: Client,
    worker: ByWorker,
    purpose: Annotated[str, typer.Option(help="What it is for, one purpose of the agreement.")],
    source: Annotated[list[str], typer.Option(help="A party that may be asked; repeat it.")],
    recipient: Annotated[list[str], typer.Option(help="A party that may receive; repeat it.")],
    category: Categories,
    explicit: Annotated[
        list[str] | None, typer.Option(help="A special category that got its own explicit yes; repeat it.")
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="Until when (UTC); six months if not given."
        ),
    ] = None,
    evidence: Annotated[
        Path | None, typer.Option(help="A JSON file of how it was given; signed on paper if not given.")
    ] = None,
    language: Annotated[str, typer.Option(help="The language of the notice that was read.")] = "en",
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Record a consent, signed with your party's key. It counts once a second worker confirms it."""
    from gateway.cli.evidence import signed_on_paper

    acting = Acting(sandbox, as_party, as_json)
    who, by = acting.client(client), acting.worker(worker)
    categories, explicitly = read_categories(category), read_categories(explicit or [])
    given: Any = signed_on_paper(by.id, language) if evidence is None else read_json_file(evidence)
    acting.show(
        lambda requester: requester.record_consent(
            who,
            purpose=purpose,
            sources=source,
            recipients=recipient,
            categories=categories,
            explicit=explicitly,
            evidence=given,
            valid_until=None if until is None else int(until.replace(tzinfo=UTC).timestamp()),
            worker=by,
        )
    )


@app.command(
    short_help="Confirm a consent as the second worker.",
    epilog=f"Example: poort consent confirm ID --worker vw-balie-02 {_AS_VW}",
)
def confirm(
    consent: Consent,
    worker: ByWorker,
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Confirm a consent as the second worker; after a lost answer, do it again."""
    acting = Acting(sandbox, as_party, as_json)
    acting.show_as(worker, lambda requester, by: requester.confirm_consent(consent, worker=by))


@app.command(
    short_help="Withdraw a consent, at once.",
    epilog=f"Example: poort consent withdraw ID --worker vw-balie-01 {_AS_VW}",
)
def withdraw(
    consent: Consent,
    worker: ByWorker,
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Withdraw at once; also from under requests that are under way."""
    acting = Acting(sandbox, as_party, as_json)
    acting.show_as(worker, lambda requester, by: requester.withdraw_consent(consent, worker=by))


@app.command("list", epilog=f"Example: poort consent list --client amina --worker vw-balie-01 {_AS_VW}")
def list_consents(
    client: Client,
    worker: ByWorker,
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """List a client's consents that your party recorded."""
    acting = Acting(sandbox, as_party, as_json)
    who = acting.client(client)
    acting.show_as(worker, lambda requester, by: requester.search_consents(who, worker=by))


@app.command(epilog=f"Example: poort consent receipt ID {_AS_VW}")
def receipt(
    consent: Consent, sandbox: Sandbox = None, as_party: AsParty = None, as_json: AsJson = False
) -> None:
    """Fetch the receipt that the client takes home."""
    Acting(sandbox, as_party, as_json).show(lambda requester: requester.consent_receipt(consent))
