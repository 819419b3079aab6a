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
# By state: who moves a version on, and by which command, without who acts.
_NEXT: Mapping[str, tuple[str, str]] = {
    "proposed": (
        "a second person, data-protection officer at a founding party, approves it",
        "approve {} --worker ID:dpo",
    ),
    "approved": ("each party signs it", "sign {} --worker ID:admin"),
    "signed": ("the others sign it too", "sign {} --worker ID:admin"),
    "complete": ("a founding party lets it come into force", "activate {} --worker ID:admin"),
}


def print_told(told: Told, *, as_json: bool) -> None:
    """Print how far a version is after an act, and what comes next."""
    if as_json:
        print_json(told)
        return
    print_as_is(out, f"[bold]version {escape(_text(told, 'version'))}[/]  {escape(standing(told))}")
    _print_next(told)


def print_version(version: Version) -> None:
    """Print how far a version is; who signed it is what we verified, the rest what the gateway says."""
    from gateway.agreement_document.words import day, listed

    told, terms = version.told or {}, version.terms
    signed = [_name(version, party) for party in terms.parties if party in version.signed_by]
    waits_for = told.get("waits_for")
    absent = [_name(version, str(party)) for party in waits_for] if isinstance(waits_for, list) else []
    rows = [
        ("version", f"{terms.version}, {terms.title.en}"),
        ("digest", version.digest),
        ("state", standing(told)),
        ("valid", f"from {day(terms.valid_from, 'en')} until {day(terms.valid_until, 'en')}"),
        ("supersedes", terms.supersedes or "nothing: it is the first"),
        ("signed by", f"{listed(signed, 'en') or 'nobody'} (verified by our own register)"),
        *([("waits for", listed(absent, "en"))] if absent else []),
        *((name.replace("_", " "), str(told[name])) for name in told if name.endswith("_at") and told[name]),
    ]
    for name, value in rows:
        print_hanging(out, f"[dim]{name:<14}[/]  ", escape(value))
    _print_next(told)


def print_list(versions: Iterable[Told]) -> None:
    """Print one line per version: how it is called, how far it is, from when, and its digest."""
    rows = [("version", "state", "signed", "from", "digest")]
    rows += [
        (
            _text(one, "version"),
            _text(one, "state").replace("_", " "),
            f"{_text(one, 'signed')} of {_text(one, 'needed')}",
            _text(one, "valid_from"),
            _text(one, "digest"),
        )
        for one in versions
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        print_as_is(out, escape(line) if number else f"[dim]{line}[/]")


def standing(told: Told) -> str:
    """Say how far a version is, and how many of the founding parties that it needs have signed."""
    state = _text(told, "state").replace("_", " ")
    if state == "scheduled":
        state = f"scheduled: in force from {_text(told, 'valid_from')}"
    return f"{state}; signed by {_text(told, 'signed')} of {_text(told, 'needed')} founding parties"


def _print_next(told: Told) -> None:
    state = _text(told, "state")
    complete = state in {"approved", "signed"} and not told.get("waits_for")
    if (known := _NEXT.get("complete" if complete else state)) is None:
        return
    who, command = known
    print_as_is(out, f"  next step: {who}")
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
