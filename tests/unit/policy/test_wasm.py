"""The engine runs the module that was built and no other, within bounds, and answers or says it cannot."""

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from adapters.kit.register import SignedAgreement, agreement_digest
from gateway.policy.port import PolicyBuildRefused, PolicyUnavailable, Question, Verdict
from gateway.policy.wasm import WasmEngine, verified_module

POLICIES = Path(__file__).resolve().parents[3] / "policies"
DATA: dict[str, Any] = json.loads((POLICIES / "agreement" / "agreement.json").read_bytes())
AGREEMENT = SignedAgreement(agreement_digest(DATA), DATA, frozenset(DATA["parties"]))
QUESTION = Question(
    now=DATA["valid_from"],
    agreement=AGREEMENT.digest,
    founding_signed=True,
    requester="vluchtelingenwerk",
    requester_status="active",
    requester_signed=True,
    source="ind",
    source_status="active",
    source_signed=True,
    purpose="legal_screening",
    categories=("perspective", "decisions"),
    role="caseworker",
    on_case=True,
    case_basis="mandate",
    worker_on_case=True,
)
HELD = {AGREEMENT.digest: AGREEMENT.data}


@pytest.fixture(scope="module")
def engine() -> WasmEngine:
    return WasmEngine.load(POLICIES / "build", POLICIES, AGREEMENT)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the policies with their module, to be tampered with."""
    shutil.copytree(POLICIES, tmp_path / "policies")
    return tmp_path / "policies"


async def test_decides_what_the_agreement_says(engine: WasmEngine) -> None:
    answer = await engine.decide(QUESTION)
    assert [decision.category for decision in answer.permitted] == ["perspective"]
    assert answer.decisions[1].reason == "no_consent"
    assert answer == engine.answer(QUESTION)


def test_one_question_leaves_nothing_for_the_next(engine: WasmEngine) -> None:
    refused = replace(QUESTION, requester="avim", categories=("decisions",))
    alone = [engine.answer(QUESTION), engine.answer(refused)]
    assert [engine.answer(asked) for asked in (QUESTION, refused) * 50] == alone * 50


def test_threads_that_share_an_engine_get_their_own_answers(engine: WasmEngine) -> None:
    asked = [
        replace(QUESTION, requester=party) for party in ("vluchtelingenwerk", "avim", "askv", "goedwerk")
    ]
    right = [engine.answer(one) for one in asked]
    answers: list[list[Verdict]] = [[] for _ in asked]

    def ask(number: int) -> None:
        answers[number] = [engine.answer(asked[number]) for _ in range(50)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[verdict] * 50 for verdict in right]


def test_a_question_larger_than_the_memory_so_far_is_answered(engine: WasmEngine) -> None:
    many = tuple(f"c{number:063d}" for number in range(1_500))
    answer = engine.answer(replace(QUESTION, categories=("perspective", *many)))
    assert [decision.category for decision in answer.permitted] == ["perspective"]
    assert len(answer.decisions) == 1_501


# --- several versions -----------------------------------------------------------------------

LATER: dict[str, Any] = {**DATA, "rules": {}}
LATER_DIGEST = agreement_digest(LATER)


def test_each_question_is_decided_by_the_version_that_it_names() -> None:
    engine = WasmEngine.load(POLICIES / "build", POLICIES, AGREEMENT)
    later = replace(QUESTION, agreement=LATER_DIGEST)
    with pytest.raises(PolicyUnavailable):
        engine.answer(later)
    before = engine.answer(QUESTION)
    engine.hold({**HELD, LATER_DIGEST: LATER})
    refusal = engine.answer(later).refusal
    assert refusal is not None
    assert refusal.code == "no_rule_in_agreement"
    assert engine.answer(QUESTION) == before
    engine.hold({LATER_DIGEST: LATER})
    engine.hold({LATER_DIGEST: LATER})
    assert engine.answer(later).refusal == refusal
    with pytest.raises(PolicyUnavailable):
        engine.answer(QUESTION)


def test_a_version_that_cannot_be_decided_by_leaves_the_others_held() -> None:
    engine = WasmEngine.load(POLICIES / "build", POLICIES, AGREEMENT)
    before = engine.answer(QUESTION)
    endless: Any = {"id": "\ud800" * 9, "valid_from": float("nan")}
    with pytest.raises(PolicyBuildRefused):
        engine.hold({LATER_DIGEST: endless})
    assert engine.answer(QUESTION) == before
    empty: dict[str, Any] = {}
    engine.hold({**HELD, LATER_DIGEST: empty})
    with pytest.raises(PolicyUnavailable):  # it refuses without a paragraph, which is no verdict
        engine.answer(replace(QUESTION, agreement=LATER_DIGEST))


def test_an_engine_that_holds_nothing_decides_nothing() -> None:
    engine = WasmEngine.load(POLICIES / "build", POLICIES, AGREEMENT)
    assert engine.answer(QUESTION).permitted
    engine.hold({})
    with pytest.raises(PolicyUnavailable):
        engine.answer(QUESTION)


def test_versions_change_while_questions_are_answered() -> None:
    engine = WasmEngine.load(POLICIES / "build", POLICIES, AGREEMENT)
    right, answers = engine.answer(QUESTION), []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answers.append(engine.answer(QUESTION))

    asking = threading.Thread(target=ask)
    asking.start()
    for held in ({**HELD, LATER_DIGEST: LATER}, HELD) * 5:
        engine.hold(held)
    stop.set()
    asking.join()
    assert answers == [right] * len(answers)


# --- the module that was built, and no other ------------------------------------------------


@pytest.mark.parametrize("name", ["dossier.rego", "consent.rego"])
def test_refuses_to_start_when_a_source_changed(copied: Path, name: str) -> None:
    verified_module(copied / "build", copied)
    (copied / name).write_text((copied / name).read_text() + "\n# harmless\n")
    with pytest.raises(PolicyBuildRefused):
        verified_module(copied / "build", copied)


def test_refuses_to_start_when_a_source_was_added_or_is_gone(copied: Path) -> None:
    verified_module(copied / "build", copied)
    (copied / "more_test.rego").write_text("package more_test\n")
    verified_module(copied / "build", copied)
    (copied / "more.rego").write_text("package more\n")
    with pytest.raises(PolicyBuildRefused):
        verified_module(copied / "build", copied)
    (copied / "more.rego").unlink()
    (copied / "involvement.rego").unlink()
    with pytest.raises(PolicyBuildRefused):
        verified_module(copied / "build", copied)


def test_refuses_to_start_when_the_module_is_another(copied: Path) -> None:
    module = copied / "build" / "policy.wasm"
    module.write_bytes(module.read_bytes() + b"\0")
    with pytest.raises(PolicyBuildRefused):
        WasmEngine.load(copied / "build", copied, AGREEMENT)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"entrypoint":"dossier/allow"}', b'{"a":1,"a":2}'])
def test_refuses_to_start_on_another_description(copied: Path, content: bytes) -> None:
    (copied / "build" / "build.json").write_bytes(content)
    with pytest.raises(PolicyBuildRefused):
        verified_module(copied / "build", copied)


def test_refuses_to_start_without_a_module(tmp_path: Path) -> None:
    with pytest.raises(PolicyBuildRefused):
        verified_module(tmp_path, POLICIES)


# A module with OPA's interface and nothing behind it; each test fills in one part.
SHELL = r"""
(module
  (import "env" "memory" (memory 2))
  (import "env" "opa_abort" (func $abort (param i32)))
  (global (export "opa_wasm_abi_version") i32 (i32.const 1))
  (global (export "opa_wasm_abi_minor_version") i32 (i32.const {minor}))
  (data (i32.const 0) "{builtins}\00")
  (data (i32.const 256) "{entrypoints}\00")
  (data (i32.const 512) "{result}\00")
  (func (export "builtins") (result i32) (i32.const 0))
  (func (export "entrypoints") (result i32) (i32.const 256))
  (func (export "opa_json_dump") (param i32) (result i32) (local.get 0))
  (func (export "opa_json_parse") (param i32 i32) (result i32) (i32.const 8))
  (func (export "opa_malloc") (param i32) (result i32) (i32.const 2048))
  (func (export "opa_heap_ptr_get") (result i32) (i32.const 1024))
  (func (export "opa_eval") (param i32 i32 i32 i32 i32 i32 i32) (result i32) {evaluation} (i32.const 512))
)
"""


def shell(**parts: object) -> bytes:
    usual: dict[str, object] = {
        "minor": 3,
        "builtins": "{}",
        "entrypoints": '{"dossier/decision":0}',
        "result": "[]",
        "evaluation": "",
    }
    text = SHELL
    for name, part in {**usual, **parts}.items():
        text = text.replace(
            f"{{{name}}}", str(part).replace('"', r"\22") if name != "evaluation" else str(part)
        )
    return bytes(wasmtime.wat2wasm(text))


def test_a_module_without_host_functions_and_with_the_entrypoint_starts() -> None:
    WasmEngine(shell(), HELD)


@pytest.mark.parametrize(
    "part",
    [
        {"builtins": '{"http.send":0}'},
        {"builtins": ""},
        {"entrypoints": '{"dossier/allow":0}'},
        {"entrypoints": '{"dossier/decision":0,"dossier/allow":1}'},
        {"minor": 2},
    ],
)
def test_a_module_that_needs_the_host_or_answers_another_question_does_not_start(
    part: dict[str, Any],
) -> None:
    with pytest.raises(PolicyBuildRefused):
        WasmEngine(shell(**part), HELD)


@pytest.mark.parametrize("module", [b"", b"\0asm\1\0\0\0", b"not a module"])
def test_what_is_no_policy_does_not_start(module: bytes) -> None:
    with pytest.raises(PolicyBuildRefused):
        WasmEngine(module, HELD)


@pytest.mark.parametrize(
    "part",
    [
        {"result": "[]"},
        {"result": "[{}]"},
        {"result": '[{"result":{}},{"result":{}}]'},
        {"result": '[{"result":true}]'},
        {"result": "{"},
        {"evaluation": "(loop $again (br $again))"},
        {"evaluation": "unreachable"},
        {"evaluation": "(call $abort (i32.const 0))"},
        # 4 GB more: the limit makes it fail, and the module gives up.
        {"evaluation": "(if (i32.eq (memory.grow (i32.const 60000)) (i32.const -1)) (then unreachable))"},
    ],
)
def test_an_evaluation_that_gives_no_answer_is_said_to_be_none(part: dict[str, Any]) -> None:
    engine = WasmEngine(shell(**part), HELD)
    for _ in range(2):
        with pytest.raises(PolicyUnavailable):
            engine.answer(QUESTION)
