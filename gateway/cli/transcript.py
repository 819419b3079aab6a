"""Tell what happened so that a person enjoys reading it: who asked what, what came, why not, how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.rule import Rule

from gateway.cli.cast import introduce, party_name
from gateway.cli.facts import Asked, Denied
from gateway.cli.layout import article, print_hanging

if TYPE_CHECKING:
    from adapters.protocol import CategoryAnswer
    from adapters.requester import Exchange, OpenedDossier
    from gateway.cli.facts import Told
    from gateway.cli.story import Step

_STATES = {
    "nothing_to_share": "nothing to share",
    "forwarded": "on its way",
}
_EVENT, _RESULT = "   [cyan]›[/] ", "     → "
_CAME, _EMPTY, _WITHHELD = "[green]●[/]", "[dim]●[/]", "[yellow]○[/]"


def print_step(console: Console, step: Step) -> None:
    """Print what a step is about, before it runs."""
    console.print()
    console.print(Rule(f"[bold]{step.number}  {step.title}[/]", align="left", style="cyan"))
    print_hanging(console, "   ", step.about, style="italic")


def print_told(console: Console, told: Told) -> None:
    """Print one thing that a step found out."""
    match told:
        case Asked():
            _print_asked(console, told)
        case Denied():
            _print_denied(console, told)
        case str():
            print_hanging(console, "   [green]✓[/] ", escape(told))


def print_seconds(console: Console, seconds: float) -> None:
    """Print how long a step took, at its end."""
    print_hanging(console, "   ", f"[dim]{seconds:.1f} s[/]")


def print_exchange(
    console: Console, exchange: Exchange, dossier: OpenedDossier | None, source: str | None
) -> None:
    """Print the answer to one dossier request; `source` is the party that was asked, if that is known."""
    print_hanging(console, "", f"{escape(exchange.id)}  [bold]{_state(exchange)}[/]")
    if exchange.failure:
        print_hanging(console, "  failure: ", escape(exchange.failure))
    _print_content(console, exchange, dossier, source, indent="  ")
    if exchange.next_step:
        print_hanging(console, "  next step: ", escape(exchange.next_step))


def _print_asked(console: Console, asked: Asked) -> None:
    by, source = _name(asked.by), _name(asked.source)
    remark = f", {escape(asked.remark)}" if asked.remark else ""
    if asked.later:
        print_hanging(
            console, _EVENT, f"[bold]{source}[/] has worked on the request of [bold]{by}[/]{remark}"
        )
    else:
        worker = escape(introduce(asked.worker.id, asked.worker.role))
        print_hanging(
            console,
            _EVENT,
            f"[bold]{by}[/] ({worker}) asks [bold]{source}[/] for {_listed(asked.categories)}{remark}",
        )
    took = f"{asked.seconds:.1f} s" if asked.seconds >= 1 else f"{asked.seconds * 1000:.0f} ms"
    print_hanging(console, _RESULT, f"[bold]{_state(asked.exchange)}[/] [dim]({took})[/]")
    _print_content(console, asked.exchange, asked.dossier, asked.source, indent="       ")


def _print_denied(console: Console, denied: Denied) -> None:
    print_hanging(console, _EVENT, f"[bold]{_name(denied.by)}[/]: {escape(denied.what)}")
    paragraph = f", {escape(article(denied.paragraph))}" if denied.paragraph else ""
    print_hanging(console, _RESULT, f"[bold red]{denied.status} {denied.code}[/]{paragraph}")
    print_hanging(console, "       ", escape(denied.message), style="dim")


def _print_content(
    console: Console, exchange: Exchange, dossier: OpenedDossier | None, source: str | None, *, indent: str
) -> None:
    """Print a line for each category that came or did not, then what would bring the others."""
    lines = _came(exchange, dossier, _name(source) if source else "the source")
    helps: dict[str, list[str]] = {}
    for decision in exchange.decisions:
        if decision.outcome == "withheld":
            name = str(decision.category)
            paragraph = f" [dim]({escape(article(decision.paragraph))})[/]" if decision.paragraph else ""
            lines.append((_WITHHELD, name, f"{_words(decision.reason or 'withheld')}{paragraph}"))
            if decision.next_step:
                helps.setdefault(decision.next_step, []).append(name)
    width = max((len(name) for _, name, _ in lines), default=0)
    for mark, name, text in lines:
        print_hanging(console, f"{indent}{mark} [bold]{name:<{width}}[/]  ", text)
    for next_step, names in helps.items():
        print_hanging(console, f"{indent}  ", f"[dim]for {_listed(names)}: {escape(next_step)}[/]")


def _came(exchange: Exchange, dossier: OpenedDossier | None, source: str) -> list[tuple[str, str, str]]:
    """List what was permitted: its mark, its name, and what came of it."""
    lines: dict[str, tuple[str, str, str]] = {}
    answers = {str(name): one for name, one in dossier.answers.items()} if dossier else {}
    for category, value in exchange.answer.baseline.items() if exchange.answer else ():
        shown = ", ".join(map(party_name, value)) if isinstance(value, list) else value
        lines[category] = (_CAME, str(category), escape(shown))
    weights: dict[str, list[int]] = {}
    for document in dossier.documents if dossier else ():
        weights.setdefault(str(document.category), []).append(len(document.content))
    for name, sizes in weights.items():
        count = f"{len(sizes)} document{'' if len(sizes) == 1 else 's'}"
        partly = answers[name].refusal if name in answers else None
        without = f"; it withheld parts: {_words(partly)}" if partly else ""
        lines[name] = (_CAME, name, f"{count}, {sum(sizes) / 1000:.0f} kB, sealed by {source}{without}")
    for decision in exchange.decisions:
        name = str(decision.category)
        if decision.outcome == "permitted" and exchange.answer is not None and name not in lines:
            lines[name] = (_EMPTY, name, f"[dim]{_why_empty(answers.get(name), source)}[/]")
    return list(lines.values())


def _why_empty(answer: CategoryAnswer | None, source: str) -> str:
    if answer is None:
        return f"{source} did not answer this"
    refusal = f" ({_words(answer.refusal)})" if answer.refusal else ""
    return f"{source} says: {_words(answer.status)}{refusal}"


def _state(exchange: Exchange) -> str:
    return _STATES.get(exchange.state, escape(exchange.state))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)


def _words(code: str) -> str:
    return escape(code.replace("_", " "))


def _name(party: str) -> str:
    return escape(party_name(party))
