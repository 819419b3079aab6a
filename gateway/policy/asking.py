"""Ask whichever engine runs, and hear only a verdict that holds together (promise 2)."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.errors import Unavailable
from gateway.policy.port import PolicyEngine, PolicyUnavailable, Question, Verdict, hold_together

# A decision takes about a millisecond. After this many seconds callers are told to come back.
ANSWER_SECONDS: Final = 2.0


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
