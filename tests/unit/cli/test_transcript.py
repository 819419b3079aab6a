"""The transcript says of each category what became of it, and to which ones a next step belongs."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from adapters.protocol import Role, Worker
from adapters.requester import Exchange
from gateway.cli.facts import Asked, Denied, Facts, Told
from gateway.cli.transcript import print_exchange, print_told

STEP = "If the client agrees, record a consent for this purpose, source, recipient and category."
JURIST = Worker(id="vw-jurist-12", role=Role.CASEWORKER)


def exchange(**override: Any) -> Exchange:
    """Make an answer with the baseline, and two categories withheld."""
    withheld = {"outcome": "withheld", "reason": "no_consent", "paragraph": "art. 5.2 (000 §2.1)"}
    content = {
        "id": "aBcDeFgHiJkLmNoP",
        "state": "answered",
        "answer": {"baseline": {"perspective": "yes", "partners": ["goedwerk", "ind"]}},
        "decisions": [
            {"category": "perspective", "outcome": "permitted"},
            {"category": "partners", "outcome": "permitted"},
            {"category": "decisions", **withheld, "next_step": STEP},
            {"category": "dossier_documents", **withheld, "next_step": STEP},
        ],
    }
    return Exchange.model_validate({**content, **override})


def asked(**override: Any) -> Asked:
    """Make one request that was told."""
    values = {
        "by": "vluchtelingenwerk",
        "worker": JURIST,
        "source": "dtv",
        "purpose": "legal_screening",
        "categories": ("perspective", "decisions"),
        "seconds": 0.05,
        "exchange": exchange(),
        "dossier": None,
    }
    return Asked(**{**values, **override})


def told(one: Told, width: int = 120) -> list[str]:
    """Print one thing and return its lines."""
    file = io.StringIO()
    print_told(Console(file=file, width=width), one)
    return file.getvalue().splitlines()


def test_each_withheld_category_has_its_own_line_and_the_next_step_names_both() -> None:
    lines = told(asked())
    assert lines[:2] == [
        "   › VluchtelingenWerk (vw-jurist-12, caseworker) asks DT&V for perspective and decisions",
        "     → answered (50 ms)",
    ]
    assert "       ○ decisions          no consent (agreement art. 5.2)" in lines
    assert "       ○ dossier_documents  no consent (agreement art. 5.2)" in lines
    steps = [line for line in lines if "If the client agrees" in line]
    assert [line.strip().startswith("for decisions and dossier_documents: ") for line in steps] == [True]


def test_two_categories_with_different_next_steps_get_one_each() -> None:
    withheld = {"outcome": "withheld", "reason": "no_consent"}
    decisions = [
        {"category": "decisions", **withheld, "next_step": "Record one."},
        {"category": "medical", **withheld, "next_step": "Ask another."},
    ]
    lines = told(asked(exchange=exchange(decisions=decisions)))
    assert [line.strip() for line in lines[-2:]] == [
        "for decisions: Record one.",
        "for medical: Ask another.",
    ]


def test_partners_are_called_by_the_names_that_people_know() -> None:
    assert "       ● partners           Goedwerk, IND" in told(asked())


def test_an_answer_that_came_later_is_not_told_as_a_second_question() -> None:
    lines = told(asked(later=True, remark="about Chaltu", seconds=6.25))
    assert lines[:2] == [
        "   › DT&V has worked on the request of VluchtelingenWerk, about Chaltu",
        "     → answered (6.2 s)",
    ]


def test_a_refusal_names_its_article() -> None:
    denied = Denied("avim", "asks", 403, "party_never_receives", "Nothing.", "art. 4.2 (003 §5.5.5)")
    assert told(denied) == [
        "   › AVIM: asks",
        "     → 403 party_never_receives, agreement art. 4.2",
        "       Nothing.",
    ]


def test_nothing_that_is_printed_to_a_pipe_ends_in_blanks() -> None:
    for width in (60, 80, 120):
        assert [line for line in told(asked(), width) if line != line.rstrip()] == []


def test_an_answer_at_the_command_line_ends_with_its_next_step() -> None:
    file = io.StringIO()
    print_exchange(Console(file=file, width=80), exchange(next_step="Acknowledge it."), None, "ind")
    lines = file.getvalue().splitlines()
    assert lines[0] == "aBcDeFgHiJkLmNoP  answered"
    assert lines[-1] == "  next step: Acknowledge it."


def test_whoever_watches_hears_of_each_fact_as_it_happens() -> None:
    heard: list[Told] = []
    facts = Facts(on_told=heard.append)
    facts.check(True, "first")
    assert heard == ["first"]
    facts.tell(asked())
    assert heard == facts.told
