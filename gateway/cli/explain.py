"""`poort policy explain`: why a request was answered as it was, and what a version would say to a question.

The first is the party's own, fetched from its gateway; the second needs no gateway, only a version of the
agreement in a file, and is about nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from gateway.cli.acting import Acting, AsParty, Sandbox
from gateway.cli.agreement_read import POLICIES, Lang, Version, find
from gateway.cli.layout import print_hanging
from gateway.cli.present import AsJson, fail, out, print_json

if TYPE_CHECKING:
    from gateway.explanation import Explanation
    from gateway.policy.hypothetical import Asked, Degree

_CONSENTS: Mapping[str, Degree] = {"none": "none", "given": "consent", "explicit": "explicit_consent"}
_MARKS = {"permitted": "[green]●[/]", "withheld": "[yellow]○[/]"}
# What stands before each line: Dutch, English.
_LABELS = {
    "version": ("versie van de overeenkomst", "version of the agreement"),
    "rule": ("regel", "rule"),
    "legal_basis": ("grondslag", "legal basis"),
    "consent": ("toestemming", "consent"),
    "would_change": ("wat het zou veranderen", "what would change it"),
}


def explain(
    request: Annotated[
        str | None, typer.Option("--request", metavar="ID", help="A dossier request of your party's.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Without --request: the party that is asked.")] = None,
    purpose: Annotated[str | None, typer.Option(help="A purpose of the agreement.")] = None,
    category: Annotated[
        list[str] | None, typer.Option(help="What is asked for; repeat it for more. All, if not given.")
    ] = None,
    role: Annotated[str, typer.Option(help="The role of the worker who asks.")] = "caseworker",
    consent: Annotated[
        Literal["none", "given", "explicit"],
        typer.Option(help="What the client consented to: nothing, this, or this by name."),
    ] = "none",
    agreement: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|DIGEST",
            help="The version to ask; by its digest it is fetched. Else policies/agreement/agreement.json.",
        ),
    ] = None,
    sandbox: Sandbox = None,
    as_party: AsParty = None,
    lang: Lang = "nl",
    as_json: AsJson = False,
) -> None:
    """Explain a decision: rule, ground, article, consent, and what would change it.

    With --request the last decision on a request of yours, as the gateway recorded it. Else what a version
    of the agreement says to a question about nobody, as if all had signed it and the worker were on the case.
    """
    acting = Acting(sandbox, as_party, as_json)
    if request is not None:
        said = acting.run(lambda requester: requester.explain(request))
    else:
        if not (as_party and source and purpose):
            raise typer.BadParameter("give --request, or a question: --as, --source and --purpose")
        version = find(agreement or str(POLICIES / "agreement" / "agreement.json"), acting, lang)
        asked = _question(version, as_party, source, purpose, category, role)
        said = _without_nothing(_asked_of(version, asked, _CONSENTS[consent]).as_document())
    if as_json:
        print_json(said)
        return
    print_explanation(said, lang)


def print_explanation(said: Mapping[str, Any], lang: Lang) -> None:
    """Print an explanation as the API gives it, for a person."""
    from gateway.agreement_document.words import legal_basis

    print_hanging(out, "", escape(said["sentence"][lang]), style="bold")
    if "version" in said["agreement"]:
        version = said["agreement"]["version"]
        print_hanging(out, "", escape(f"{_LABELS['version'][lang == 'en']}: {version}"), style="dim")
    if "decisions" not in said or "refusal" in said:
        _print_article(said, "", lang)
    for one in said.get("decisions", ()):
        title = f"  {escape(one['title'][lang])}" if "title" in one else ""
        print_hanging(out, f"{_MARKS[one['outcome']]} ", f"[bold]{escape(one['category'])}[/]{title}")
        if "refusal" not in said:
            print_hanging(out, "  ", escape(one["sentence"][lang]))
            _print_article(one, "  ", lang)
        for name in ("rule", "legal_basis", "consent"):
            if name in one:
                _print_line(name, legal_basis(one[name], lang), lang)
        ways = [way["sentence"][lang] for way in one["would_change"]]
        if one["outcome"] == "withheld" and not ways:
            ways = [_nothing(lang)]
        for way in ways:
            _print_line("would_change", way, lang)


def _print_article(said: Mapping[str, Any], indent: str, lang: Lang) -> None:
    from gateway.agreement_document.words import cited

    if "paragraph" in said:
        text = f": {said['article'][lang]}" if "article" in said else ""
        print_hanging(out, indent, escape(f"{cited(said['paragraph'], lang)}{text}"), style="dim")


def _print_line(name: str, text: str, lang: Lang) -> None:
    print_hanging(out, f"  {_LABELS[name][lang == 'en']}: ", escape(text))


def _nothing(lang: Lang) -> str:
    from gateway.explaining_words import NOTHING_WOULD

    return NOTHING_WOULD.said_in(lang)


def _question(
    version: Version, party: str, source: str, purpose: str, categories: Collection[str] | None, role: str
) -> Asked:
    """Read a question; whoever names what this version does not have is told what it has."""
    from adapters.protocol import Role
    from gateway.policy.hypothetical import Asked

    terms = version.terms
    asked = tuple(dict.fromkeys(categories or terms.categories))
    rows: tuple[tuple[str, tuple[str, ...], Collection[str]], ...] = (
        ("party", (party, source), terms.parties),
        ("purpose", (purpose,), terms.purposes),
        ("category", asked, terms.categories),
        ("role", (role,), [one.value for one in Role]),
    )
    for what, named, known in rows:
        unknown = [name for name in named if name not in known]
        if unknown:
            raise typer.BadParameter(f"no such {what}: {', '.join(unknown)}; there are {', '.join(known)}")
    return Asked(party, source, purpose, asked, role)


def _asked_of(version: Version, asked: Asked, consent: Degree) -> Explanation:
    """Ask a version, through the policy that decides in earnest, and explain what it says."""
    from gateway.agreement_document.matrix import Side
    from gateway.clock import system_clock
    from gateway.explanation import Decision, compose
    from gateway.policy.hypothetical import question_about_nobody
    from gateway.policy.port import PolicyBuildRefused, PolicyUnavailable

    terms, digest = version.terms, version.digest
    # A draft is asked as it will be once it holds.
    at = max(system_clock(), terms.valid_from)
    try:
        side = Side.of(version.document, POLICIES)

        async def permits(one: Asked, degree: Degree) -> Collection[str]:
            verdict = side.answers(question_about_nobody(digest, one, degree, at))
            return [decision.category for decision in verdict.permitted]

        verdict = side.answers(question_about_nobody(digest, asked, consent, at))
        refusal = verdict.refusal
        # The consent of a question about nobody has no name.
        said = [{**asdict(one), "consent": None} for one in verdict.decisions]
        decision = Decision(
            asked,
            digest,
            at,
            None if refusal is None else refusal.code,
            None if refusal is None else refusal.paragraph,
            said,
        )
        return asyncio.run(compose(decision, terms, terms, permits, in_force=digest))
    except (PolicyBuildRefused, PolicyUnavailable) as refused:
        fail(f"The policy does not answer: {refused or 'no verdict'}.")


def _without_nothing(said: Any) -> Any:
    """Leave out what is not there, as the gateway does."""
    if isinstance(said, dict):
        return {name: _without_nothing(value) for name, value in said.items() if value is not None}
    return [_without_nothing(one) for one in said] if isinstance(said, list) else said
