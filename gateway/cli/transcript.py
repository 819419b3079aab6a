"""Tell what happened so that a person enjoys reading it: who asked what, what came, why not, how long."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from gateway.cli.cast import party_name
from gateway.cli.facts import Asked, Denied

if TYPE_CHECKING:
    from adapters.requester import Exchange, OpenedDossier
    from gateway.cli.facts import Facts
    from gateway.cli.story import Step

_INDENT = 4
_WORDS = {"yes": "yes", "no": "no"}
_STATES = {
    "nothing_to_share": "nothing to share",
    "answered": "answered",
    "refused": "refused",
    "forwarded": "on its way at the source",
    "failed": "failed",
    "collected": "collected",
    "cancelled": "cancelled",
    "expired": "expired",
}


def print_step(console: Console, step: Step) -> None:
    """Print what a step is about, before it runs."""
    console.print()
    console.print(Rule(f"[bold]{step.number}  {step.title}[/]", align="left", style="cyan"))
    console.print(Padding(step.about, (0, 2, 0, 3)), style="italic")


def print_facts(console: Console, facts: Facts, seconds: float) -> None:
    """Print what a step found out, in the order in which it happened."""
    for told in facts.told:
        match told:
            case Asked():
                _print_asked(console, told)
            case Denied():
                _print_denied(console, told)
            case str():
                console.print(Padding(f"[green]✓[/] {escape(told)}", (0, 2, 0, 3)), highlight=False)
    console.print(Padding(f"[dim]{seconds:.1f} s[/]", (0, 2, 0, 3)))


def print_exchange(console: Console, exchange: Exchange, dossier: OpenedDossier | None) -> None:
    """Print the answer to one dossier request."""
    state = _STATES.get(exchange.state, exchange.state)
    console.print(f"{exchange.id}  [bold]{state}[/]", highlight=False)
    if exchange.failure:
        console.print(f"  failure: {exchange.failure}", highlight=False)
    _print_content(console, exchange, dossier)
    if exchange.next_step:
        console.print(f"  next step: {escape(exchange.next_step)}", highlight=False)


def _print_asked(console: Console, asked: Asked) -> None:
    remark = f", {asked.remark}" if asked.remark else ""
    console.print(
        Padding(
            f"[bold]{escape(party_name(asked.by))}[/] asks [bold]{escape(party_name(asked.source))}[/]"
            f" for {asked.purpose}{escape(remark)}: "
            f"[bold]{_STATES.get(asked.exchange.state, asked.exchange.state)}[/]"
            f" [dim]in {asked.seconds * 1000:.0f} ms[/]",
            (0, 2, 0, 3),
        ),
        highlight=False,
    )
    _print_content(console, asked.exchange, asked.dossier)


def _print_content(console: Console, exchange: Exchange, dossier: OpenedDossier | None) -> None:
    if exchange.answer is not None:
        for category, value in exchange.answer.baseline.items():
            shown = ", ".join(map(party_name, value)) if isinstance(value, list) else _WORDS.get(value, value)
            _line(console, "●", "green", str(category), shown)
    documents = Counter(one.category for one in dossier.documents) if dossier else Counter()
    for category, count in documents.items():
        weight = (
            sum(len(one.content) for one in dossier.documents if one.category == category) if dossier else 0
        )
        noun = "document" if count == 1 else "documents"
        _line(
            console,
            "●",
            "green",
            str(category),
            f"{count} {noun}, {weight / 1000:.0f} kB, sealed by the source",
        )
    for decision in exchange.decisions:
        if decision.outcome == "withheld":
            reason = (decision.reason or "").replace("_", " ")
            _line(console, "○", "yellow", str(decision.category), f"{reason}, {decision.paragraph}")
            if decision.next_step:
                _line(console, " ", "dim", "", decision.next_step, style="dim")
        elif exchange.answer is not None and _empty(exchange, dossier, str(decision.category)):
            _line(console, "●", "dim", str(decision.category), _why_empty(dossier, str(decision.category)))


def _empty(exchange: Exchange, dossier: OpenedDossier | None, category: str) -> bool:
    there = {str(name) for name in exchange.answer.baseline} if exchange.answer else set()
    return category not in there | {str(one.category) for one in (dossier.documents if dossier else ())}


def _why_empty(dossier: OpenedDossier | None, category: str) -> str:
    answer = {str(name): one for name, one in dossier.answers.items()}.get(category) if dossier else None
    if answer is None:
        return "not answered"
    refusal = f" ({answer.refusal})" if answer.refusal else ""
    return f"the source says: {answer.status.replace('_', ' ')}{refusal}"


def _print_denied(console: Console, denied: Denied) -> None:
    paragraph = f", {denied.paragraph}" if denied.paragraph else ""
    console.print(
        Padding(
            f"[bold]{escape(party_name(denied.by))}[/]: {escape(denied.what)}: [bold red]{denied.status}[/]"
            f" {denied.code}{escape(paragraph)}",
            (0, 2, 0, 3),
        ),
        highlight=False,
    )
    console.print(Padding(Text(denied.title, style="dim"), (0, 2, 0, 2 * _INDENT)))


def _line(console: Console, mark: str, colour: str, name: str, value: str, *, style: str = "") -> None:
    text = Text.assemble((f"{mark} ", colour), (f"{name:<18} ", "bold" if name else ""), (value, style))
    console.print(Padding(text, (0, 2, 0, 2 * _INDENT)), highlight=False)
