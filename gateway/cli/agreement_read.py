"""Find a version of the agreement by its file, and say faults and differences in a reader's words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from gateway.cli.layout import print_as_is, print_hanging
from gateway.cli.present import err, out, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.agreement_document.changes import Field
    from gateway.agreement_document.difference import Change, Difference
    from gateway.terms import Terms
    from gateway.terms_sentences import Fault

Lang = Annotated[Literal["nl", "en"], typer.Option("--lang", help="Dutch, as the agreement is, or English.")]


@dataclass(frozen=True, slots=True)
class Version:
    """A version whose form holds, and what names it: the digest over its canonical JSON."""

    digest: str
    terms: Terms
    document: Mapping[str, object]


def find(named: str, lang: Lang, *, as_json: bool = False) -> Version:
    """Return the version in a file; say its faults and leave with exit code 1 where it is none."""
    return checked_file(Path(named), lang, as_json=as_json)


def checked_file(file: Path, lang: Lang, *, as_json: bool) -> Version:
    """Return the version in a file; say its faults and leave with exit code 1 where it is none."""
    from adapters.kit.register import agreement_digest
    from gateway.agreement import AgreementInvalid, check, read

    try:
        document = read(file)
        return Version(agreement_digest(document), check(document), document)
    except AgreementInvalid as invalid:
        if as_json:
            faults = [asdict(one) for one in invalid.faults]
            print_json({"valid": False, "file": str(file), "faults": faults, "warnings": []})
            raise typer.Exit(1) from None
        print_faults(invalid.faults, lang)
        print_as_is(err, f"[bold red]{escape(_how_many(file.name, len(invalid.faults), lang))}[/]")
        raise typer.Exit(1) from None


def _how_many(name: str, count: int, lang: Lang) -> str:
    if lang == "nl":
        return f"{name} is zo geen overeenkomst: {count} {'fout' if count == 1 else 'fouten'}."
    return f"{name} is no agreement like this: {count} {'fault' if count == 1 else 'faults'}."


def print_faults(faults: Iterable[Fault], lang: Lang) -> None:
    """Print each on a line of its own, which no width of a terminal breaks: its place, then what is wrong."""
    for one in faults:
        place, sentence = (one.place, one.nl) if lang == "nl" else (one.place_en, one.en)
        print_as_is(out, f"{escape(place)} — {escape(sentence)}")


def print_difference(old: Version, new: Version, lang: Lang, *, as_json: bool) -> None:
    """Print what changes, in sentences under three headings; or as one JSON document."""
    found = compare(old, new, lang)
    if as_json:
        parts = ("permits", "forbids", "otherwise")
        changes = {part: [asdict(one) for one in getattr(found, part)] for part in parts}
        print_json({"old": old.digest, "new": new.digest, **changes})
        return
    dutch = lang == "nl"
    print_as_is(out, f"[bold]{escape(old.terms.version)} → {escape(new.terms.version)}[/]")
    if not found:
        print_as_is(out, "Er verandert niets." if dutch else "Nothing changes.")
    _print_part("Nieuw toegestaan" if dutch else "Newly permitted", found.permits, lang)
    _print_part("Niet meer toegestaan" if dutch else "No longer permitted", found.forbids, lang)
    _print_part("Verder anders" if dutch else "Otherwise different", found.otherwise, lang)


def compare(old: Version, new: Version, lang: Lang) -> Difference:
    """Ask both versions about everything, by the compiled policy that lies beside this program."""
    from gateway.agreement_document.difference import Side, difference
    from gateway.settings import Settings

    policies = Settings.model_fields["policies_folder"].default
    waiting = "Beide versies worden bevraagd …" if lang == "nl" else "Asking both versions …"
    with err.status(waiting):
        return difference(Side.of(old.document, policies), Side.of(new.document, policies))


def _print_part(heading: str, changes: Sequence[Change | Field], lang: Lang) -> None:
    if not changes:
        return
    print_as_is(out, f"\n[bold]{heading}[/]")
    for one in changes:
        print_hanging(out, "  • ", escape(one.said_in(lang)))
