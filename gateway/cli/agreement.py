"""`poort agreement`: check a draft, read a version, see what a new one changes, and bring it into force."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from gateway.cli import agreement_acts as acts
from gateway.cli.acting import Acting, AsParty, Sandbox
from gateway.cli.agreement_read import Lang, checked_file, fetched, find, in_force, print_faults
from gateway.cli.agreement_told import print_difference, print_list, print_version
from gateway.cli.layout import print_as_is
from gateway.cli.present import AsJson, err, fail, out, print_json

app = typer.Typer(
    no_args_is_help=True,
    help="The agreement: check, read, compare, sign, bring into force.\n\n"
    "`check`, `render` and `diff` need nothing but files; the others ask the gateway, as a party. A version"
    " is named by its digest, which `check` prints of a draft too.",
)
_THE_DRAFT = "policies/agreement/agreement.json"
_AS_VW = "--sandbox var/sandbox.json --as vluchtelingenwerk"
_AS_ASKV = "--sandbox var/sandbox.json --as askv"
_FILE_OR_DIGEST = "a JSON file, or the digest of one that the gateway knows"
_Form = Literal["html", "md", "json"]
_FORMS: Mapping[str, _Form] = {".html": "html", ".htm": "html", ".json": "json"}


@app.command(
    short_help="Say whether a draft holds, and what is wrong with it.",
    epilog=f"Example: poort agreement check {_THE_DRAFT}",
)
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The draft, a JSON file.")],
    lang: Lang = "nl",
    as_json: AsJson = False,
) -> None:
    """Say whether a draft can be an agreement: every fault on a line, its place and what is wrong there.

    Exit code 1 where there is one. What may be an oversight is told as well, and is no fault. The digest is
    what parties sign: whoever checks the same draft sees the same one.
    """
    from gateway.agreement_document.words import day
    from gateway.terms_check import warnings

    version = checked_file(file, lang, as_json=as_json)
    oversights = warnings(version.terms)
    if as_json:
        named = {"version": version.terms.version, "digest": version.digest}
        print_json({"valid": True, **named, "faults": [], "warnings": [asdict(one) for one in oversights]})
        return
    dutch = lang == "nl"
    holds = "in orde, versie" if dutch else "holds, version"
    print_as_is(out, f"{escape(file.name)}: {holds} {escape(version.terms.version)}")
    print_as_is(out, f"{'vingerafdruk' if dutch else 'digest'}: {version.digest}")
    since, until = (day(at, lang) for at in (version.terms.valid_from, version.terms.valid_until))
    print_as_is(out, f"geldig: van {since} tot {until}" if dutch else f"valid: from {since} until {until}")
    if oversights:
        print_as_is(out, "\nLet op, dit is geen fout:" if dutch else "\nNote, this is no fault:")
        print_faults(oversights, lang)


@app.command(
    short_help="Write a version as a text to read.",
    epilog=f"Example: poort agreement render {_THE_DRAFT} --out agreement.html",
)
def render(
    named: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE|DIGEST", help=f"The version: {_FILE_OR_DIGEST}. Not given: the one in force."
        ),
    ] = None,
    form: Annotated[
        _Form | None,
        typer.Option(
            "--format",
            help="One HTML page, Markdown, or the document itself, to begin a draft from. Not given: what the"
            " name of --out says.",
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="The file to write; what is there is replaced.")
    ] = None,
    lang: Lang = "nl",
    sandbox: Sandbox = None,
    as_party: AsParty = None,
) -> None:
    """Write a version as a text to read: the articles that decisions cite, and every rule in tables.

    The page is one file, without script or anything from elsewhere; print it, mail it, put it on a website.
    `#art-2-1` after its address leads to article 2.1. Of a version from the gateway it says who signed, by
    signatures that are verified here.
    """
    from gateway.agreement_document import text

    acting = Acting(sandbox, as_party, as_json=False)
    version = in_force(acting, lang) if named is None else find(named, acting, lang)
    chosen = form or _FORMS.get(to.suffix if to is not None else "", "md")
    if chosen == "json":
        written = json.dumps(version.document, ensure_ascii=False, indent=1) + "\n"
    else:
        written = text.render(
            version.terms,
            version.digest,
            form=chosen,
            language=lang,
            signed_by=version.signed_by,
            state=version.state,
        )
    if to is None:
        typer.echo(written, nl=False)
        return
    if named is not None and to.exists() and Path(named).exists() and to.samefile(named):
        raise typer.BadParameter(f"{to} is the version itself; name another file")
    try:
        to.write_text(written, encoding="utf-8")
    except OSError:
        fail(f"{to} cannot be written.")
    print_as_is(err, escape(f"Written to {to}."))


@app.command(
    short_help="Say what a new version permits and forbids.",
    epilog=f"Example: poort agreement diff {_THE_DRAFT} draft.json --lang en",
)
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help=f"The version before: {_FILE_OR_DIGEST}.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The new version: likewise.")],
    lang: Lang = "nl",
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Say in sentences what a new version newly permits, no longer permits, and says otherwise.

    Not by comparing texts: both versions are asked, through the policy that decides in earnest, who gets what
    from whom for which purpose, in every role and with every degree of consent. It takes a few seconds.
    """
    acting = Acting(sandbox, as_party, as_json)
    before, after = (find(named, acting, lang) for named in (old, new))
    print_difference(before, after, lang, as_json=as_json)


@app.command(
    "list",
    short_help="List the versions, and how far each is.",
    epilog=f"Example: poort agreement list {_AS_VW}",
)
def list_versions(
    lang: Lang = "nl", sandbox: Sandbox = None, as_party: AsParty = None, as_json: AsJson = False
) -> None:
    """List every version that the gateway knows: how far it is, from when it holds, and its digest."""
    told = Acting(sandbox, as_party, as_json).run(lambda requester: requester.agreements())
    if as_json:
        print_json(told)
        return
    versions = told.get("agreements")
    known = versions if isinstance(versions, list) else []
    print_list([one for one in known if isinstance(one, dict)], lang)


@app.command(
    short_help="Say how far a version is, and who signed it.",
    epilog=f"Example: poort agreement show DIGEST {_AS_VW}",
)
def show(
    digest: Annotated[
        str | None,
        typer.Argument(
            metavar="DIGEST", help="The version, as `list` prints it. Not given: the one in force."
        ),
    ] = None,
    lang: Lang = "nl",
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Say how far a version is, who signed it and who has yet to, from when it holds, and what comes next.

    The signatures are verified here, by your own register; the rest is what the gateway says.
    """
    acting = Acting(sandbox, as_party, as_json)
    version = in_force(acting, lang) if digest is None else fetched(digest, acting, lang)
    if as_json:
        print_json({**(version.told or {}), "verified_signatures": sorted(version.signed_by)})
        return
    print_version(version, lang)


app.command(
    short_help="Put a draft before the other parties.",
    epilog=f"Example: poort agreement propose draft.json --worker vw-fg-01 {_AS_VW}",
)(acts.propose)
app.command(
    short_help="Approve a proposed version, as a second person.",
    epilog=f"Example: poort agreement approve DIGEST --worker askv-fg-4 {_AS_ASKV}",
)(acts.approve)
app.command(
    short_help="Sign an approved version for your party.",
    epilog=f"Example: poort agreement sign DIGEST --worker vw-beheer-02 {_AS_VW}",
)(acts.sign)
app.command(
    short_help="Take your party's signature back.",
    epilog=f"Example: poort agreement withdraw DIGEST --worker vw-beheer-02 {_AS_VW}",
)(acts.withdraw)
app.command(
    short_help="Let a signed version come into force.",
    epilog=f"Example: poort agreement activate DIGEST --worker vw-beheer-02 {_AS_VW}",
)(acts.activate)
