"""The main job as a story of ten steps, through the public HTTP API alone; with two gateways, of eleven.

`poort demo` tells it, `tests/e2e/test_main_job.py` asserts it: one list of steps serves both. A step
returns the facts it found, or raises: StepFailed, or an error of the requester's library.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from gateway.cli.audit import verify_the_ledger
from gateway.cli.facts import Facts
from gateway.cli.story_agreement import change_the_agreement
from gateway.cli.story_client import (
    ask_with_consent,
    ask_without_consent,
    open_a_case,
    record_consent,
    withdraw,
)
from gateway.cli.story_killed import lose_a_gateway
from gateway.cli.story_others import ask_as_a_stranger, ask_beyond_the_agreement
from gateway.cli.taken_over import speak_through_a_stolen_gateway
from gateway.cli.world import World


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it shows, and how to do it."""

    number: int
    title: str
    about: str
    run: Callable[[World], Awaitable[Facts]]


STEPS: tuple[Step, ...] = (
    Step(
        1,
        "A case, by the client's act",
        "Amina comes to VluchtelingenWerk and signs a mandate. One worker opens the case, another confirms"
        " it. Until then VluchtelingenWerk gets nothing.",
        open_a_case,
    ),
    Step(
        2,
        "Three facts, no more",
        "VluchtelingenWerk's system asks IND for four things. There is no consent yet.",
        ask_without_consent,
    ),
    Step(
        3,
        "Consent, by two",
        "At the desk Amina allows IND to pass decisions and documents to VluchtelingenWerk, for the legal"
        " screening, for six months.",
        record_consent,
    ),
    Step(4, "The dossier, sealed and proven", "The same request again.", ask_with_consent),
    Step(
        5,
        "Withdrawn",
        "Amina changes her mind. So does Chaltu, while a person at IND is still working on her dossier.",
        withdraw,
    ),
    Step(
        6,
        "One face for no",
        "ASKV is not on Amina's case. It asks about her, and about a number that nobody knows.",
        ask_as_a_stranger,
    ),
    Step(
        7,
        "The agreement says no",
        "The aliens police (AVIM) asks for supervision; the municipality asks for the baseline.",
        ask_beyond_the_agreement,
    ),
    Step(
        8,
        "A gateway that was taken over",
        "Someone holds the gateway's own signing key, and tries to make IND speak.",
        speak_through_a_stolen_gateway,
    ),
    Step(
        9,
        "The agreement, and one change of it",
        "The parties want IND to pass on contact details for the legal screening, with consent, and family"
        " no more. That takes a new version, which they sign.",
        change_the_agreement,
    ),
    Step(
        10,
        "The proof outlives trust",
        "An auditor gets a file and a public key: no network, no gateway.",
        verify_the_ledger,
    ),
)


def steps(gateways: int) -> tuple[Step, ...]:
    """Return the story; where there are two gateways, one of them dies before the auditor comes."""
    if gateways == 1:
        return STEPS
    *before, audit = STEPS
    killed = Step(
        audit.number,
        "A gateway dies",
        "VluchtelingenWerk asks about Chaltu again. While it waits, the gateway that it asked is killed.",
        lose_a_gateway,
    )
    return (*before, killed, replace(audit, number=audit.number + 1))
