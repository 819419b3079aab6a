"""Run what OPA compiled, in this process: a thin binding of OPA's Wasm ABI 1.3 on wasmtime.

The module is the one that `make policy` wrote; start-up refuses it unless its digest and those of its
sources are the ones in build.json. Each version of the agreement has an instance of its own, which gets its
data once; each evaluation starts from the heap as it was then, so that nothing of one question is there for
the next. https://www.openpolicyagent.org/docs/wasm
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import wasmtime
from wasmtime._instance import InstanceExports

from adapters.kit.register import SignedAgreement
from adapters.kit.strict_json import StrictJsonError, loads
from gateway.policy.port import PolicyBuildRefused, PolicyUnavailable, Question, Verdict
from gateway.policy.rego import base_document, document, verdict
from gateway.policy.rego_files import rego_files

ENTRYPOINT = "dossier/decision"
# A Wasm page. The ABI counts memory in these.
_PAGE_BYTES = 65_536
# What an evaluation may take beyond the agreement; the largest question takes about 1 MB.
_EVALUATION_BYTES = 32 * 1024 * 1024
# The agreement in memory takes about ten times its JSON; twice that is not our data.
_MEMORY_PER_DATA_BYTE = 20
# Wasm instructions, counted by wasmtime. The largest question, every category with twenty consents, takes 6 %
# of what one evaluation has; what loops is stopped within a second. Reading the agreement takes 90 per byte.
_FUEL = 500_000_000
_FUEL_PER_DATA_BYTE = 1_000
_RESULT_BYTES = 1024 * 1024
_BUILD_BYTES = 64 * 1024


class WasmEngine:
    """Implements VersionedEngine. One instance per version, each used by one thread at a time."""

    def __init__(self, module: bytes, agreements: Mapping[str, Mapping[str, object]]) -> None:
        """Compile and load `module`; raise PolicyBuildRefused unless it is OPA's, with our entrypoint."""
        config = wasmtime.Config()
        config.consume_fuel = True
        self._engine = wasmtime.Engine(config)
        try:
            self._module = wasmtime.Module(self._engine, module)
        except wasmtime.WasmtimeError as error:
            raise PolicyBuildRefused("the policy is not a Wasm module") from error
        self._held: Mapping[str, _Version] = {}
        self.hold(agreements)

    @classmethod
    def load(cls, build_dir: Path, policies_dir: Path, agreement: SignedAgreement) -> WasmEngine:
        """Load the compiled policy, to decide by one version; raise PolicyBuildRefused on any mismatch."""
        return cls(verified_module(build_dir, policies_dir), {agreement.digest: agreement.data})

    def hold(self, agreements: Mapping[str, Mapping[str, object]]) -> None:
        """Hold exactly these versions, and keep the instances of those that are held already.

        Raises PolicyBuildRefused, and holds what it held, where one does not start. A question under way is
        answered by the instance that it began with.
        """
        held: dict[str, _Version] = {}
        for digest, document_of in agreements.items():
            known = self._held.get(digest)
            try:
                data = _encoded(base_document({digest: document_of}))
            except ValueError as error:
                raise PolicyBuildRefused("an agreement is not JSON") from error
            same = known is not None and known.data == data
            held[digest] = known if known and same else _Version(self._engine, self._module, data)
        self._held = held  # one assignment: whoever asks meanwhile sees the old versions or the new ones

    async def decide(self, question: Question) -> Verdict:
        """Answer inline: an evaluation is far shorter than a change of threads."""
        return self.answer(question)

    def answer(self, question: Question) -> Verdict:
        """Answer without an event loop; raise PolicyUnavailable rather than guess."""
        version = self._held.get(question.agreement)
        if version is None:
            raise PolicyUnavailable
        return verdict(_only_result(version.evaluate(_encoded(document(question)))), question)


class _Version:
    """One version of the agreement and the instance that decides by it."""

    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module, data: bytes) -> None:
        self.data = data
        self._engine, self._module = engine, module
        self._lock = threading.Lock()
        try:
            self._instance: _Instance | None = _Instance(engine, module, data)
        except PolicyUnavailable as error:
            raise PolicyBuildRefused("the policy does not start with this agreement") from error

    def evaluate(self, asked: bytes) -> object:
        """Return the result set for one input; raise PolicyUnavailable."""
        with self._lock:
            try:
                if self._instance is None:
                    self._instance = _Instance(self._engine, self._module, self.data)
                return self._instance.evaluate(asked)
            except PolicyUnavailable:
                # What stopped half-way may have left anything behind: the next question gets a fresh one.
                self._instance = None
                raise


class _Instance:
    """One Wasm instance with the data in its memory. Whatever goes wrong in it is PolicyUnavailable."""

    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module, data: bytes) -> None:
        self._store = wasmtime.Store(engine)
        memory = _EVALUATION_BYTES + _MEMORY_PER_DATA_BYTE * len(data)
        self._store.set_limits(memory_size=memory, instances=1, memories=1, tables=1)
        self._store.set_fuel(_FUEL + _FUEL_PER_DATA_BYTE * len(data))
        try:
            self._start(module, data)
        except (wasmtime.WasmtimeError, wasmtime.Trap, KeyError) as error:
            raise PolicyUnavailable from error

    def _start(self, module: wasmtime.Module, data: bytes) -> None:
        needed = [wanted.type for wanted in module.imports if wanted.name == "memory"]
        if len(needed) != 1 or not isinstance(needed[0], wasmtime.MemoryType):
            raise PolicyUnavailable
        self._memory = wasmtime.Memory(self._store, needed[0])
        linker = wasmtime.Linker(self._store.engine)
        linker.define(self._store, "env", "memory", self._memory)
        for wanted in module.imports:
            if isinstance(wanted.type, wasmtime.FuncType):
                stop = wasmtime.Func(self._store, wanted.type, _stop)
                linker.define(self._store, wanted.module, wanted.name or "", stop)
        exports = linker.instantiate(self._store, module).exports(self._store)
        versions = [exports["opa_wasm_abi_version"], exports["opa_wasm_abi_minor_version"]]
        abi = [found.value(self._store) for found in versions if isinstance(found, wasmtime.Global)]
        if abi[:1] != [1] or abi[1] < 3:
            raise PolicyUnavailable
        self._eval, self._heap = (
            self._function(exports, "opa_eval"),
            self._function(exports, "opa_heap_ptr_get"),
        )
        # No host function decides anything: a policy that asks the host for the time or the network is not
        # ours.
        if self._json_of(exports, self._function(exports, "builtins")()) != {}:
            raise PolicyUnavailable
        entrypoints = self._json_of(exports, self._function(exports, "entrypoints")())
        if not isinstance(entrypoints, dict) or entrypoints.keys() != {ENTRYPOINT}:
            raise PolicyUnavailable
        self._entrypoint = entrypoints[ENTRYPOINT]
        text = self._function(exports, "opa_malloc")(len(data))
        self._write(text, data)
        self._data_address = self._function(exports, "opa_json_parse")(text, len(data))
        if not self._data_address:
            raise PolicyUnavailable
        self._base = self._heap()

    def evaluate(self, asked: bytes) -> object:
        """Return the result set for one input."""
        try:
            self._store.set_fuel(_FUEL)
            self._write(self._base, asked)
            found = self._eval(
                0, self._entrypoint, self._data_address, self._base, len(asked), self._base + len(asked), 0
            )
            return self._read(found)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            raise PolicyUnavailable from error

    def _function(self, exports: InstanceExports, name: str) -> Callable[..., int]:
        function = exports[name]
        if not isinstance(function, wasmtime.Func):
            raise PolicyUnavailable
        store = self._store

        def call(*arguments: int) -> int:
            returned = function(store, *arguments)
            return returned if isinstance(returned, int) else 0

        return call

    def _json_of(self, exports: InstanceExports, value: int) -> object:
        return self._read(self._function(exports, "opa_json_dump")(value))

    def _write(self, address: int, content: bytes) -> None:
        lacking = address + len(content) - self._memory.data_len(self._store)
        if lacking > 0:
            self._memory.grow(self._store, -(-lacking // _PAGE_BYTES))
        self._memory.write(self._store, content, address)

    def _read(self, address: int) -> object:
        """Read the NUL-terminated JSON at an address; it is the last thing that was put on the heap."""
        upper = min(self._memory.data_len(self._store), address + _RESULT_BYTES)
        top = max(self._heap(), address)
        text, end, _ = bytes(self._memory.read(self._store, address, min(upper, top + 1))).partition(b"\0")
        if not end:
            raise PolicyUnavailable
        try:
            return loads(text, max_bytes=_RESULT_BYTES)
        except StrictJsonError as error:
            raise PolicyUnavailable from error


def verified_module(build_dir: Path, policies_dir: Path) -> bytes:
    """Return the compiled module; raise PolicyBuildRefused unless it and every source have their digest."""
    try:
        module = (build_dir / "policy.wasm").read_bytes()
        build = loads((build_dir / "build.json").read_bytes(), max_bytes=_BUILD_BYTES)
    except (OSError, StrictJsonError) as error:
        raise PolicyBuildRefused("the compiled policy is not there: run `make policy`") from error
    if not isinstance(build, dict) or build.get("entrypoint") != ENTRYPOINT:
        raise PolicyBuildRefused("build.json names another entrypoint")
    if build.get("policy_wasm_sha256") != hashlib.sha256(module).hexdigest():
        raise PolicyBuildRefused("policy.wasm is not the module that build.json describes")
    found = {name: hashlib.sha256(text).hexdigest() for name, text in rego_files(policies_dir).items()}
    if not found or build.get("sources") != found:
        raise PolicyBuildRefused("the policies changed after they were compiled: run `make policy`")
    return module


def _encoded(content: Mapping[str, object]) -> bytes:
    # ensure_ascii: what Rego compares with comes from the same encoder, character for character.
    return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


def _only_result(answered: object) -> object:
    # An undefined entrypoint is the empty set: no answer.
    if not isinstance(answered, list) or len(answered) != 1 or not isinstance(answered[0], dict):
        raise PolicyUnavailable
    if answered[0].keys() != {"result"}:
        raise PolicyUnavailable
    return answered[0]["result"]


def _stop(*_: int) -> int:
    # opa_abort, or a builtin that a module without builtins never calls.
    raise wasmtime.WasmtimeError("the policy stopped")
