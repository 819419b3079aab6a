"""Ask whichever engine runs, and hear only a verdict that holds together (promise 2)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import replace
from typing import Final

from gateway.errors import Unavailable
from gateway.policy.port import (
    PolicyEngine,
    PolicyUnavailable,
    Question,
    Refusal,
    RemotePolicy,
    Verdict,
    hold_together,
)

# A decision takes about a millisecond. After this many seconds callers are told to come back.
ANSWER_SECONDS: Final = 2.0
# The agreement may end meanwhile: then facts are looked up for a question that it refuses just the same.
_REMEMBERED_SECONDS: Final = 60
_REMEMBERED: Final = 1024


async def ask_policy(engine: PolicyEngine, question: Question) -> Verdict:
    """Return the engine's verdict on this question; raise Unavailable `policy_unavailable` for all else.

    No answer in time, no verdict, one that contradicts itself or answers another question, any error
    of the engine: nobody may take these for a yes, and the caller may ask again.
    """
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            verdict = await engine.decide(question)
        if not isinstance(verdict, Verdict):
            raise PolicyUnavailable
        hold_together(verdict, question)
    except Exception as error:  # whatever an engine fails with, it has not decided
        # The type only: an engine's words may quote what it was asked.
        raise Unavailable("policy_unavailable", cause=type(error).__name__) from error
    return verdict


class Allowed:
    """Remember for a while what the agreement alone does not refuse, so as not to ask it each time.

    It spares an answer, and never gives one: the question with all facts holds this one, and whoever is
    remembered here is asked about with all facts at once.
    """

    def __init__(self) -> None:
        self._until: OrderedDict[Question, int] = OrderedDict()

    async def refusal(self, engine: PolicyEngine, question: Question) -> Refusal | None:
        """Say what the agreement alone refuses; `question` holds no facts. Raises as `ask_policy` does."""
        timeless = replace(question, now=0)
        if question.now < self._until.get(timeless, 0) <= question.now + _REMEMBERED_SECONDS:
            return None
        refusal = (await ask_policy(engine, question)).refusal
        if refusal is None:
            self._until[timeless] = question.now + _REMEMBERED_SECONDS
            self._until.move_to_end(timeless)
            while len(self._until) > _REMEMBERED:
                self._until.popitem(last=False)
        return refusal


async def check_policy(engine: PolicyEngine | None, agreement: str) -> None:
    """Return if the engine can decide under this version now; raise Unavailable `policy_unavailable`.

    One in this process can by whatever it holds; one outside it is asked.
    """
    if engine is None:  # at start-up, and in a process that was composed without one
        raise Unavailable("policy_unavailable")
    if not isinstance(engine, RemotePolicy):
        return
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await engine.check(agreement)
    except Exception as error:
        raise Unavailable("policy_unavailable", cause=type(error).__name__) from error
