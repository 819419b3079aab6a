"""`poort agreement`: check a draft, read a version, see what a new one changes, and bring it into force."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from gateway.cli.agreement_read import Lang, checked_file, find, print_difference, print_faults
from gateway.cli.layout import print_as_is
from gateway.cli.present import AsJson, err, fail, out, print_json

app = typer.Typer(
    no_args_is_help=True,
    help="The agreement: check a draft, read it, compare two versions.",
)
_THE_DRAFT = "policies/agreement/agreement.json"


@app.command(
    short_help="Say whether a draft can be an agreement, and what is wrong with it.",
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
    if oversights:
        print_as_is(out, "\nLet op, dit is geen fout:" if dutch else "\nNote, this is no fault:")
        print_faults(oversights, lang)


@app.command(
    short_help="Write a version as a text to read: the articles, and every rule in tables.",
    epilog=f"Example: poort agreement render {_THE_DRAFT} --out agreement.html",
)
def render(
    named: Annotated[str, typer.Argument(metavar="FILE", help="The version: a JSON file.")],
    form: Annotated[
        Literal["html", "md"] | None,
        typer.Option("--format", help="One HTML page, or Markdown. Not given: what the name of --out says."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="The file to write; what is there is replaced.")
    ] = None,
    lang: Lang = "nl",
) -> None:
    """Write a version as a text to read: the articles that decisions cite, and every rule in tables.

    The page is one file, without script or anything from elsewhere; print it, mail it, put it on a website.
    `#art-2-1` after its address leads to article 2.1.
    """
    from gateway.agreement_document import text

    version = find(named, lang)
    chosen = form or ("html" if to is not None and to.suffix in {".html", ".htm"} else "md")
    written = text.render(version.terms, version.digest, form=chosen, language=lang)
    if to is None:
        typer.echo(written, nl=False)
        return
    if to.exists() and to.samefile(named):
        raise typer.BadParameter(f"{to} is the version itself; name another file")
    try:
        to.write_text(written, encoding="utf-8")
    except OSError:
        fail(f"{to} cannot be written.")
    err.print(f"Written to {to}.", highlight=False, markup=False, soft_wrap=True)


@app.command(
    short_help="Say what a new version permits and forbids that the old one did not.",
    epilog=f"Example: poort agreement diff {_THE_DRAFT} draft.json --lang en",
)
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The version before: a JSON file.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The new version: likewise.")],
    lang: Lang = "nl",
    as_json: AsJson = False,
) -> None:
    """Say in sentences what a new version newly permits, no longer permits, and says otherwise.

    Not by comparing texts: both versions are asked, through the policy that decides in earnest, who gets what
    from whom for which purpose, in every role and with every degree of consent. It takes a few seconds.
    """
    before, after = (find(named, lang, as_json=as_json) for named in (old, new))
    print_difference(before, after, lang, as_json=as_json)
