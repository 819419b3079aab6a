"""What a party does about a version, at the gateway: propose, approve, sign, take that back, activate.

The party's own keys are used here and nowhere else; the gateway gets signatures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.acting import Acting, AsParty, ByWorker, Sandbox
from gateway.cli.agreement_read import Lang, checked_file, fetched
from gateway.cli.agreement_told import print_difference, print_told
from gateway.cli.layout import print_as_is
from gateway.cli.present import AsJson, err, fail

Digest = Annotated[
    str, typer.Argument(metavar="DIGEST", help="The version, as `check`, `propose` and `list` print it.")
]


def propose(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The draft, a JSON file.")],
    worker: ByWorker,
    lang: Lang = "nl",
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Put a draft before the other parties, as a dpo or admin of a founding party; after `check`.

    It must say in `supersedes` which version it follows: the digest of the one in force. Nobody is bound by
    it until they sign.
    """
    from gateway.terms_check import warnings

    acting = Acting(sandbox, as_party, as_json)
    by = acting.worker(worker)
    version = checked_file(file, lang, as_json=as_json)
    told = acting.run(lambda requester: requester.propose_agreement(version.document, worker=by))
    print_told(told, lang, as_json=as_json)
    oversights = warnings(version.terms)
    if oversights and not as_json:
        count, dutch = len(oversights), lang == "nl"
        said = "opmerkingen die geen fout zijn: zie" if dutch else "remarks that are no faults: see"
        print_as_is(err, f"{count} {said} `poort agreement check`.")


def approve(
    digest: Digest,
    worker: ByWorker,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not show what changes, and do not ask; for programs.")
    ] = False,
    lang: Lang = "nl",
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Approve a proposed version as another person than who proposed it: a dpo of a founding party.

    First it says in words what the version newly permits and no longer permits, and asks.
    """
    acting = Acting(sandbox, as_party, as_json)
    by = acting.worker(worker)
    if not yes:
        if as_json:
            raise typer.BadParameter("--json asks nobody: give --yes too")
        version = fetched(digest, acting, lang)
        if version.terms.supersedes is not None:
            print_difference(fetched(version.terms.supersedes, acting, lang), version, lang, as_json=False)
        named = version.terms.version
        question = f"Versie {named} goedkeuren?" if lang == "nl" else f"Approve version {named}?"
        if not typer.confirm(f"\n{question}", err=True):
            fail("Er is niets goedgekeurd." if lang == "nl" else "Nothing was approved.")
    told = acting.run(lambda requester: requester.approve_agreement(digest, worker=by))
    print_told(told, lang, as_json=as_json)


def sign(
    digest: Digest,
    worker: ByWorker,
    lang: Lang = "nl",
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Sign an approved version for your party, with its own identity key, which never leaves here.

    The version is fetched, and signed only if it is what its digest names and holds by `check`: compare the
    digest with that of the draft that you read.
    """
    acting = Acting(sandbox, as_party, as_json)
    by = acting.worker(worker)
    fetched(digest, acting, lang)
    told = acting.run(lambda requester: requester.sign_agreement(digest, worker=by))
    print_told(told, lang, as_json=as_json)


def withdraw(
    digest: Digest,
    worker: ByWorker,
    lang: Lang = "nl",
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Take your party's signature back: what depends on it stops at once.

    Under the version in force that is every rule between your party and another; where yours is a founding
    party, all of the agreement.
    """
    acting = Acting(sandbox, as_party, as_json)
    by = acting.worker(worker)
    told = acting.run(lambda requester: requester.unsign_agreement(digest, worker=by))
    print_told(told, lang, as_json=as_json)


def activate(
    digest: Digest,
    worker: ByWorker,
    lang: Lang = "nl",
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    as_json: AsJson = False,
) -> None:
    """Let a version that is signed come into force, at the instant that it names itself in `valid_from`.

    Refused with everything that is missing, while founding parties of it or of the version before it have not
    signed.
    """
    acting = Acting(sandbox, as_party, as_json)
    by = acting.worker(worker)
    told = acting.run(lambda requester: requester.activate_agreement(digest, worker=by))
    print_told(told, lang, as_json=as_json)
