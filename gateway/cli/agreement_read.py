"""Find a version of the agreement, in a file or at the gateway, and say its faults in a reader's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer
from rich.markup import escape

from gateway.cli.layout import print_as_is
from gateway.cli.present import err, out, print_json

if TYPE_CHECKING:
    from adapters.requester import FetchedAgreement
    from gateway.cli.acting import Acting
    from gateway.terms import Terms
    from gateway.terms_sentences import Fault

Lang = Annotated[Literal["nl", "en"], typer.Option("--lang", help="Dutch, as the agreement is, or English.")]
# The policy that lies beside this program, compiled: versions are asked by it.
POLICIES = Path(__file__).resolve().parents[2] / "policies"
_DIGEST = "sha-256:"


@dataclass(frozen=True, slots=True)
class Version:
    """A version whose form holds, and how far it is.

    `signed_by`: whose signatures were verified against our own register. `told`: what the gateway says of it;
    empty for a file, which is a draft as far as anyone knows.
    """

    digest: str
    terms: Terms
    document: Mapping[str, object]
    signed_by: frozenset[str] = frozenset()
    told: Mapping[str, object] | None = None

    @property
    def state(self) -> str:
        """Return the word for how far it is."""
        return str((self.told or {}).get("state", "draft"))


def find(named: str, acting: Acting, lang: Lang) -> Version:
    """Return a version by its file, or by its digest from the gateway; leave where it has faults."""
    if named.startswith(_DIGEST):
        return fetched(named, acting, lang)
    return checked_file(Path(named), lang, as_json=acting.as_json)


def checked_file(file: Path, lang: Lang, *, as_json: bool) -> Version:
    """Return the version in a file; say its faults and leave with exit code 1 where it is none."""
    from gateway.agreement import AgreementInvalid, read

    try:
        document = read(file)
    except AgreementInvalid as invalid:
        _leave(file.name, invalid.faults, lang, as_json=as_json)
    return _checked(file.name, document, lang, as_json=as_json)


def fetched(digest: str, acting: Acting, lang: Lang) -> Version:
    """Return a version from the gateway, after its digest and the signatures under it were verified."""
    found: FetchedAgreement = acting.run(lambda requester: requester.agreement(digest))
    version = _checked(digest, found.version.signed.data, lang, as_json=acting.as_json)
    return Version(
        version.digest, version.terms, version.document, found.version.signed.signed_by, found.state
    )


def in_force(acting: Acting, lang: Lang) -> Version:
    """Return the version that is in force at the gateway."""
    told = acting.run(lambda requester: requester.agreement_in_force())
    return fetched(str(told.get("in_force")), acting, lang)


def print_faults(faults: Iterable[Fault], lang: Lang) -> None:
    """Print each on a line of its own, which no width of a terminal breaks: its place, then what is wrong."""
    for one in faults:
        place, sentence = (one.place, one.nl) if lang == "nl" else (one.place_en, one.en)
        print_as_is(out, f"{escape(place)} — {escape(sentence)}")


def _checked(name: str, document: Mapping[str, object], lang: Lang, *, as_json: bool) -> Version:
    from adapters.kit.register import agreement_digest
    from gateway.agreement import AgreementInvalid, check

    try:
        terms = check(document)
    except AgreementInvalid as invalid:
        _leave(name, invalid.faults, lang, as_json=as_json)
    return Version(agreement_digest(document), terms, document)


def _leave(name: str, faults: Sequence[Fault], lang: Lang, *, as_json: bool) -> NoReturn:
    if as_json:
        found = [asdict(one) for one in faults]
        print_json({"valid": False, "file": name, "faults": found, "warnings": []})
    else:
        print_faults(faults, lang)
        print_as_is(err, f"[bold red]{escape(_how_many(name, len(faults), lang))}[/]")
    raise typer.Exit(1)


def _how_many(name: str, count: int, lang: Lang) -> str:
    if lang == "nl":
        return f"{name} is zo geen overeenkomst: {count} {'fout' if count == 1 else 'fouten'}."
    return f"{name} is no agreement like this: {count} {'fault' if count == 1 else 'faults'}."
