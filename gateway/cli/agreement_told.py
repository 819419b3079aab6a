"""Tell how far a version of the agreement is, what to do next, and what it changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.markup import escape

from gateway.cli.agreement_read import POLICIES
from gateway.cli.layout import print_as_is, print_hanging
from gateway.cli.present import err, fail, out, print_json

if TYPE_CHECKING:
    from gateway.agreement_document.changes import Field
    from gateway.agreement_document.difference import Change, Difference
    from gateway.cli.agreement_read import Lang, Version

Told = Mapping[str, object]
# What each stage is called, as docs/glossary.md has it; another word is shown as it is.
_STAGES: Mapping[str, tuple[str, str]] = {
    "draft": ("concept", "draft"),
    "proposed": ("voorgesteld", "proposed"),
    "approved": ("goedgekeurd", "approved"),
    "signed": ("ondertekend", "signed"),
    "scheduled": ("ingepland", "scheduled"),
    "in_force": ("in werking", "in force"),
    "stopped": ("stilgelegd", "stopped"),
    "superseded": ("vervangen", "superseded"),
    "lapsed": ("vervallen", "lapsed"),
}
# By state: who moves a version on, in both languages, and by which command, without who acts.
_NEXT: Mapping[str, tuple[str, str, str]] = {
    "proposed": (
        "een tweede persoon, functionaris gegevensbescherming van een oprichtende partij, keurt haar goed",
        "a second person, data-protection officer at a founding party, approves it",
        "approve {} --worker ID:dpo",
    ),
    "approved": ("elke partij ondertekent haar", "each party signs it", "sign {} --worker ID:admin"),
    "signed": ("de anderen ondertekenen haar ook", "the others sign it too", "sign {} --worker ID:admin"),
    "complete": (
        "een oprichtende partij laat haar ingaan",
        "a founding party lets it come into force",
        "activate {} --worker ID:admin",
    ),
    "stopped": (
        "wie haar ondertekening introk, ondertekent opnieuw; tot dan wordt niets uitgewisseld",
        "whoever took its signature back signs it again; nothing is exchanged until then",
        "sign {} --worker ID:admin",
    ),
}
_SHOWN: Mapping[str, tuple[str, str]] = {
    "version": ("versie", "version"),
    "digest": ("vingerafdruk", "digest"),
    "state": ("stand", "state"),
    "valid": ("geldig", "valid"),
    "supersedes": ("vervangt", "supersedes"),
    "signed_by": ("ondertekend", "signed by"),
    "waits_for": ("wacht op", "waits for"),
    "proposed_at": ("voorgesteld", "proposed at"),
    "approved_at": ("goedgekeurd", "approved at"),
    "activated_at": ("ingepland", "activated at"),
    "in_force_at": ("in werking", "in force at"),
    "superseded_at": ("vervangen", "superseded at"),
}


def print_told(told: Told, lang: Lang, *, as_json: bool) -> None:
    """Print how far a version is after an act, and what comes next."""
    if as_json:
        print_json(told)
        return
    version = "versie" if lang == "nl" else "version"
    print_as_is(out, f"[bold]{version} {escape(_text(told, 'version'))}[/]  {escape(standing(told, lang))}")
    _print_next(told, lang)


def print_version(version: Version, lang: Lang) -> None:
    """Print how far a version is; who signed it is what we verified, the rest what the gateway says."""
    from gateway.agreement_document.words import day, listed, word

    told, terms, dutch = version.told or {}, version.terms, lang == "nl"
    signed = [_name(version, party) for party in terms.parties if party in version.signed_by]
    waits_for = told.get("waits_for")
    absent = [_name(version, str(party)) for party in waits_for] if isinstance(waits_for, list) else []
    since, until = (day(at, lang) for at in (terms.valid_from, terms.valid_until))
    first, nobody = (
        ("niets: zij is de eerste", "niemand") if dutch else ("nothing: it is the first", "nobody")
    )
    verified = "gecontroleerd met ons eigen register" if dutch else "verified by our own register"
    rows = [
        ("version", f"{terms.version}, {terms.title.said_in(lang)}"),
        ("digest", version.digest),
        ("state", standing(told, lang)),
        ("valid", f"van {since} tot {until}" if dutch else f"from {since} until {until}"),
        ("supersedes", terms.supersedes or first),
        ("signed_by", f"{listed(signed, lang) or nobody} ({verified})"),
        *([("waits_for", listed(absent, lang))] if absent else []),
        *((name, str(told[name])) for name in told if name.endswith("_at") and told[name]),
    ]
    for name, value in rows:
        print_hanging(out, f"[dim]{word(_SHOWN, name, lang):<14}[/]  ", escape(value))
    _print_next(told, lang)


def print_list(versions: Iterable[Told], lang: Lang) -> None:
    """Print one line per version: how it is called, how far it is, from when, and its digest."""
    of = "van" if lang == "nl" else "of"
    rows = [
        ("versie", "stand", "ondertekend", "vanaf", "vingerafdruk")
        if lang == "nl"
        else ("version", "state", "signed", "from", "digest")
    ]
    rows += [
        (
            _text(one, "version"),
            _stage(one, lang),
            f"{_text(one, 'signed')} {of} {_text(one, 'needed')}",
            _text(one, "valid_from"),
            _text(one, "digest"),
        )
        for one in versions
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        print_as_is(out, escape(line) if number else f"[dim]{line}[/]")


def standing(told: Told, lang: Lang) -> str:
    """Say how far a version is, and how many of the founding parties that it needs have signed."""
    stage, since = _stage(told, lang), _text(told, "valid_from")
    signed, needed = _text(told, "signed"), _text(told, "needed")
    if told.get("state") == "scheduled":
        stage += f": in werking vanaf {since}" if lang == "nl" else f": in force from {since}"
    if lang == "nl":
        return f"{stage}; ondertekend door {signed} van {needed} oprichtende partijen"
    return f"{stage}; signed by {signed} of {needed} founding parties"


def _stage(told: Told, lang: Lang) -> str:
    from gateway.agreement_document.words import word

    return word(_STAGES, _text(told, "state"), lang)


def _print_next(told: Told, lang: Lang) -> None:
    state = _text(told, "state")
    complete = state in {"approved", "signed"} and not told.get("waits_for")
    if (known := _NEXT.get("complete" if complete else state)) is None:
        return
    dutch, english, command = known
    print_as_is(out, f"  volgende stap: {dutch}" if lang == "nl" else f"  next step: {english}")
    print_as_is(out, escape(f"    poort agreement {command.format(_text(told, 'digest'))}"))


def _name(version: Version, party: str) -> str:
    return version.terms.parties[party].name if party in version.terms.parties else party


def _text(told: Told, name: str) -> str:
    return str(told.get(name, "—"))


# --- what a version changes ------------------------------------------------------------------


def print_difference(old: Version, new: Version, lang: Lang, *, as_json: bool) -> None:
    """Print what changes, in sentences under three headings; or as one JSON document."""
    found = _compare(old, new, lang)
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


def _compare(old: Version, new: Version, lang: Lang) -> Difference:
    """Ask both versions about everything, by the compiled policy that lies beside this program."""
    from gateway.agreement_document.difference import Side, difference
    from gateway.policy.port import PolicyBuildRefused, PolicyUnavailable

    try:
        with err.status("Beide versies worden bevraagd …" if lang == "nl" else "Asking both versions …"):
            return difference(Side.of(old.document, POLICIES), Side.of(new.document, POLICIES))
    except (PolicyBuildRefused, PolicyUnavailable) as refused:
        fail(f"The policy beside this program cannot answer: {refused}.")


def _print_part(heading: str, changes: Sequence[Change | Field], lang: Lang) -> None:
    if not changes:
        return
    print_as_is(out, f"\n[bold]{heading}[/]")
    for one in changes:
        print_hanging(out, "  • ", escape(one.said_in(lang)))
