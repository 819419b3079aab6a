"""How the demonstration tells a step that does not hold."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from adapters.requester import GatewayRefused
from gateway.cli import demo
from gateway.cli.facts import Facts, StepFailed
from gateway.cli.served import calls_answered
from gateway.cli.stack import StackFailed
from gateway.cli.story import STEPS, Step, steps


def test_the_story_has_ten_steps_in_order() -> None:
    assert [step.number for step in STEPS] == list(range(1, 11))
    assert steps(1) == STEPS


def test_with_two_gateways_one_dies_before_the_auditor_comes() -> None:
    story = steps(2)
    assert [step.number for step in story] == list(range(1, 12))
    assert story[:9] == STEPS[:9]
    assert [step.title for step in story[9:]] == ["A gateway dies", STEPS[-1].title]


def test_calls_of_parties_are_counted_also_in_the_log_of_a_gateway_that_was_killed(
    tmp_path: Path,
) -> None:
    call = {"event": "request", "method": "GET", "route": "/v1/parties/{id}/keys", "status": 200}
    lines = [
        json.dumps(call | {"party": "ind"}),
        json.dumps(call | {"party": None, "route": "/readyz"}),
        json.dumps({"event": "source.circuit", "party": "ind"}),
        "7",
        json.dumps(call | {"party": "ind"})[:30],
    ]
    (tmp_path / "gateway.log").write_text("\n".join(lines))
    assert calls_answered(tmp_path / "gateway.log") == {"GET /v1/parties/{id}/keys": 1}


@pytest.mark.parametrize(
    "failure",
    [
        StepFailed("the baseline came"),
        GatewayRefused(403, {"title": "The baseline came.", "code": "not_found"}),
    ],
)
async def test_a_failed_step_is_named_with_what_failed(failure: Exception) -> None:
    async def hold(_: Any) -> Facts:
        facts = Facts()
        facts.check(True, "it holds")
        return facts

    async def fail(_: Any) -> Facts:
        raise failure

    told: list[dict[str, Any]] = []
    world: Any = None
    assert await demo._one(Step(2, "Held", "", hold), world, told, _all_run, as_json=True) is None
    failed = await demo._one(Step(3, "Consent, by two", "", fail), world, told, _all_run, as_json=True)
    assert failed is not None
    assert failed.startswith("step 3, Consent, by two: ")
    assert "baseline came" in failed
    assert [one["step"] for one in told] == [2]


async def test_a_process_that_dies_ends_the_step_at_once_and_is_named() -> None:
    async def wait_for_ever(_: Any) -> Facts:
        await asyncio.Event().wait()
        raise AssertionError

    def died() -> None:
        raise StackFailed("ind-adapter ended")

    world: Any = None
    failed = await demo._one(Step(2, "Held", "", wait_for_ever), world, [], died, as_json=True)
    assert failed == "step 2, Held: ind-adapter ended"


def _all_run() -> None:
    """Say that no process has died."""


def test_a_check_that_does_not_hold_fails_its_step() -> None:
    with pytest.raises(StepFailed, match="nobody spoke"):
        Facts().check(False, "nobody spoke")
