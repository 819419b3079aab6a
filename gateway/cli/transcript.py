"""Tell what happened so that a person enjoys reading it: who asked what, what came, why not, how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from gateway.cli.cast import party_name
from gateway.cli.facts import Asked, Denied

if TYPE_CHECKING:
    from adapters.protocol import CategoryAnswer
    from adapters.requester import Exchange, OpenedDossier
    from gateway.cli.facts import Facts
    from gateway.cli.story import Step

_INDENT = 4
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
    _paragraph(
        console,
        f"[bold]{_name(asked.by)}[/] asks [bold]{_name(asked.source)}[/] for {', '.join(asked.categories)}"
        f"{escape(remark)}: [bold]{_STATES.get(asked.exchange.state, asked.exchange.state)}[/]"
        f" [dim]({asked.seconds * 1000:.0f} ms)[/]",
    )
    _print_content(console, asked.exchange, asked.dossier)


def _print_denied(console: Console, denied: Denied) -> None:
    paragraph = f", {escape(denied.paragraph)}" if denied.paragraph else ""
    _paragraph(
        console,
        f"[bold]{_name(denied.by)}[/]: {escape(denied.what)}."
        f" [bold red]{denied.status} {denied.code}[/]{paragraph}",
    )
    console.print(Padding(Text(denied.title, style="dim"), (0, 2, 0, 2 * _INDENT)))


def _print_content(console: Console, exchange: Exchange, dossier: OpenedDossier | None) -> None:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    came, answers = set(), {str(name): one for name, one in dossier.answers.items()} if dossier else {}
    if exchange.answer is not None:
        for category, value in exchange.answer.baseline.items():
            came.add(str(category))
            shown = ", ".join(map(party_name, value)) if isinstance(value, list) else value
            table.add_row("[green]●[/]", str(category), escape(shown))
    weights: dict[str, list[int]] = {}
    for document in dossier.documents if dossier else ():
        weights.setdefault(str(document.category), []).append(len(document.content))
    for name, sizes in weights.items():
        came.add(name)
        noun = "document" if len(sizes) == 1 else "documents"
        partly = answers[name].refusal if name in answers else None
        without = f"; parts withheld by it: {partly.replace('_', ' ')}" if partly else ""
        table.add_row(
            "[green]●[/]",
            name,
            f"{len(sizes)} {noun}, {sum(sizes) / 1000:.0f} kB, sealed by the source{without}",
        )
    for decision in exchange.decisions:
        name = str(decision.category)
        if decision.outcome == "permitted" and exchange.answer is not None and name not in came:
            table.add_row("[dim]●[/]", name, _why_empty(answers.get(name)))
    for (reason, paragraph, next_step), names in _withheld(exchange).items():
        why = f"{escape(reason)} [dim]({escape(paragraph)})[/]"
        table.add_row(
            "[yellow]○[/]", "\n".join(names), f"{why}\n[dim]{escape(next_step)}[/]" if next_step else why
        )
    if table.row_count:
        console.print(Padding(table, (0, 2, 0, 2 * _INDENT)), highlight=False)


def _withheld(exchange: Exchange) -> dict[tuple[str, str, str], list[str]]:
    """Put the categories together that are withheld for one and the same reason."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for decision in exchange.decisions:
        if decision.outcome == "withheld":
            reason = (decision.reason or "withheld").replace("_", " ")
            key = (reason, decision.paragraph or "", decision.next_step or "")
            grouped.setdefault(key, []).append(str(decision.category))
    return grouped


def _why_empty(answer: CategoryAnswer | None) -> str:
    if answer is None:
        return "[dim]the source did not answer this[/]"
    refusal = f" ({answer.refusal.replace('_', ' ')})" if answer.refusal else ""
    return f"[dim]the source says: {answer.status.replace('_', ' ')}{refusal}[/]"


def _paragraph(console: Console, markup: str) -> None:
    console.print(Padding(markup, (0, 2, 0, 3)), highlight=False)


def _name(party: str) -> str:
    return escape(party_name(party))
