"""Promise 3 in types: only `recheck` makes a permit, only `minimise` a release; nothing else leaves."""

from __future__ import annotations

import ast
import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway import exchange, exchange_recording, release
from gateway.policy.port import CategoryDecision, Obligations, Verdict
from gateway.release import HeldAnswer, Release, ReleasePermit
from gateway.stages import Facts, Footing, Signed

ROOT = Path(__file__).resolve().parents[2]
# What only `gateway/release.py` may say: the proof, and the two constructors.
GUARDED = {"_RECHECKED", "_Recheck", "ReleasePermit", "Release"}


def _parts() -> dict[str, Any]:
    decision = CategoryDecision("decisions", "permitted", "consent", None, "r", "p", None, "c", 2_000_000_000)
    verdict = Verdict(None, True, (decision,), Obligations(1, False, False), 2_000_000_000)
    involvement: Any = type("Involved", (), {"on_case": True, "worker_on_case": True})()
    signed = Signed(founding=True, requester=True, source=True)
    return {
        "exchange_id": "x" * 22,
        "footing": Footing("c", 1, 1, "sha-256:" + "A" * 43),
        "valid_until": 2_000_000_000,
        "facts": Facts(Footing("c", 1, 1, ""), None, involvement, "active", "active", signed, (), (), {}),
        "verdict": verdict,
        "decisions": (decision,),
    }


@pytest.mark.parametrize("proof", [None, object(), release._Recheck(), True])
def test_a_permit_is_made_by_the_second_check_alone(proof: Any) -> None:
    made = ReleasePermit(**_parts(), proof=release._RECHECKED)  # the control: so `recheck` makes one
    assert made.permitted == {"decisions"}
    with pytest.raises(TypeError, match="only recheck"):
        ReleasePermit(**_parts(), proof=proof)


@pytest.mark.parametrize("proof", [None, object(), release._Recheck(), True])
def test_a_release_is_made_from_a_permit_alone(proof: Any) -> None:
    permit = ReleasePermit(**_parts(), proof=release._RECHECKED)
    leaving = release.minimise(HeldAnswer(None, None, ()), permit)
    assert leaving.state == "answered"
    with pytest.raises(TypeError, match="only minimise"):
        Release(permit, {}, (("decisions", "jwe"),), None, proof=proof)


def test_neither_is_made_out_of_another() -> None:
    """`replace` would keep the proof and change what it stands for."""
    permit = ReleasePermit(**_parts(), proof=release._RECHECKED)
    leaving = release.minimise(HeldAnswer(None, None, ()), permit)
    more = (*permit.decisions, replace(permit.decisions[0], category="medical"))
    with pytest.raises((TypeError, ValueError), match="proof"):
        replace(permit, decisions=more)
    with pytest.raises((TypeError, ValueError), match="proof"):
        replace(leaving, sealed=(("medical", "jwe"),))
    for one in (permit, leaving):
        assert not hasattr(one, "proof")


def test_without_a_proof_neither_can_be_written_down() -> None:
    with pytest.raises(TypeError):
        ReleasePermit(**_parts())
    with pytest.raises(TypeError):
        Release(None, {}, (), None)  # type: ignore[call-arg, arg-type]


def test_what_is_handed_over_is_typed_as_a_release() -> None:
    """mypy strict holds every caller to these: a plain answer is not accepted anywhere on the way out."""
    wanted: dict[Any, tuple[str, str]] = {
        release.minimise: ("permit", "ReleasePermit"),
        release.held_answer: ("permit", "ReleasePermit"),
        exchange_recording.record_hand_over: ("leaving", "Release"),
        exchange_recording._hand_over: ("leaving", "Release"),
        exchange._delivery: ("leaving", "Release"),
    }
    for function, (parameter, name) in wanted.items():
        annotation = inspect.signature(function).parameters[parameter].annotation
        assert str(annotation).rpartition(".")[2] == name, function
    assert str(inspect.signature(release.recheck).return_annotation) == "ReleasePermit"
    assert str(inspect.signature(release.minimise).return_annotation) == "Release"


def _makes(path: Path) -> set[str]:
    """Name what a module makes of the guarded types, or takes of their proof."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            found |= {name} & {"ReleasePermit", "Release"}
        if isinstance(node, ast.Attribute | ast.Name):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            found |= {name} & {"_RECHECKED", "_Recheck"}
    return found


def test_no_other_module_makes_one_or_takes_the_proof() -> None:
    modules = [path for path in (ROOT / "gateway").rglob("*.py") if path.name != "release.py"]
    assert len(modules) > 30
    assert _makes(ROOT / "gateway" / "release.py") == GUARDED
    assert {path.name: _makes(path) for path in modules if _makes(path)} == {}
