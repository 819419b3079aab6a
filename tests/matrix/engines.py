"""Both engines, answering a block of questions in one call: OPA's Wasm in this process, and an OPA server.

Test tools: the product's engines (gateway/policy) are asked singly, and share none of this code.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import orjson
import wasmtime

from tests.matrix.agreements import POLICIES, Variant

HARNESS = Path(__file__).with_name("harness.rego")
RESULT, RELEASING, SAID = ENTRYPOINTS = "harness/result", "harness/releasing", "harness/said"
_PAGE_BYTES = 65_536
_START_SECONDS = 60.0


class EngineFailed(Exception):
    """An engine stopped, or said what is no answer to a block."""


class Batch(Protocol):
    """An engine with the harness in it."""

    name: str

    def ask(self, entrypoint: str, asked: bytes) -> Any:
        """Return what the entrypoint makes of the input; raise EngineFailed."""
        ...

    def close(self) -> None: ...


def data_of(variants: Sequence[Variant]) -> bytes:
    """Return the policy's data: every version that the engines hold."""
    held = {variant.digest: variant.document for variant in variants if variant.held}
    return orjson.dumps({"agreements": held})


def sources(policies: Path = POLICIES) -> list[Path]:
    """Return the policy's own files, and the harness."""
    own = sorted(path for path in policies.glob("*.rego") if not path.name.endswith("_test.rego"))
    return [*own, HARNESS]


def compiled(opa: Path, files: Sequence[Path], folder: Path) -> bytes:
    """Return these files as OPA compiles them; raise EngineFailed with its words where it refuses."""
    bundle = folder / "harness.tar.gz"
    command = [str(opa), "build", "--target", "wasm", "--output", str(bundle)]
    command += [f"--entrypoint={each}" for each in ENTRYPOINTS]
    built = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise EngineFailed(built.stderr or built.stdout)
    with tarfile.open(bundle) as archive:
        module = archive.extractfile("/policy.wasm")
        assert module is not None
        return module.read()


class WasmBatch:
    """OPA's module on wasmtime. Its heap starts anew at every block."""

    name = "wasm"

    def __init__(self, module: bytes, data: bytes) -> None:
        """Load `module` with `data`. It is never stopped: Rego has no loop that does not end."""
        engine = wasmtime.Engine()
        loaded = wasmtime.Module(engine, module)
        self._store = wasmtime.Store(engine)
        wanted = next(each.type for each in loaded.imports if each.name == "memory")
        assert isinstance(wanted, wasmtime.MemoryType)
        self._memory = wasmtime.Memory(self._store, wanted)
        linker = wasmtime.Linker(engine)
        linker.define(self._store, "env", "memory", self._memory)
        for each in loaded.imports:
            if isinstance(each.type, wasmtime.FuncType):
                linker.define(
                    self._store, each.module, each.name or "", wasmtime.Func(self._store, each.type, _stop)
                )
        exports = linker.instantiate(self._store, loaded).exports(self._store)

        def function(name: str) -> Callable[..., int]:
            called = exports[name]
            assert isinstance(called, wasmtime.Func)
            return lambda *arguments: called(self._store, *arguments) or 0

        self._eval, self._heap = function("opa_eval"), function("opa_heap_ptr_get")
        self._entrypoints = orjson.loads(self._text(function("opa_json_dump")(function("entrypoints")())))
        text = function("opa_malloc")(len(data))
        self._write(text, data)
        self._data = function("opa_json_parse")(text, len(data))
        self._base = self._heap()

    def ask(self, entrypoint: str, asked: bytes) -> Any:
        try:
            self._write(self._base, asked)
            end = self._base + len(asked)
            found = self._eval(0, self._entrypoints[entrypoint], self._data, self._base, len(asked), end, 0)
            results = orjson.loads(self._text(found))
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            raise EngineFailed(str(error)) from error
        return results[0]["result"] if results else None

    def close(self) -> None:
        """Leave it to the collector."""

    def _write(self, address: int, content: bytes) -> None:
        lacking = address + len(content) - self._memory.data_len(self._store)
        if lacking > 0:
            self._memory.grow(self._store, -(-lacking // _PAGE_BYTES))
        self._memory.write(self._store, content, address)

    def _text(self, address: int) -> bytes:
        top = max(self._heap(), address) + 1
        found = self._memory.read(self._store, address, min(top, self._memory.data_len(self._store)))
        return bytes(found).partition(b"\0")[0]


class OpaBatch:
    """A real OPA server on loopback with the same files, on one processor: the rest is the other workers'."""

    name = "opa"

    def __init__(self, opa: Path, files: Sequence[Path], data: bytes, folder: Path) -> None:
        """Start it and wait until it answers; `folder` becomes its own."""
        served = folder / "served"
        served.mkdir(parents=True)
        for file in files:
            shutil.copy(file, served)
        (served / "data.json").write_bytes(data)
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            self._port = int(chosen.getsockname()[1])
        command = [str(opa), "run", "--server", f"--addr=127.0.0.1:{self._port}", "--skip-version-check"]
        command += ["--optimize-store-for-read-speed", "--log-level=error", "."]
        self._log = folder / "log"
        with self._log.open("wb") as log:
            limits = {"GOMAXPROCS": "1", "GOGC": "400"}
            self._process = subprocess.Popen(
                command, cwd=served, stdout=log, stderr=log, env={**os.environ, **limits}
            )
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_START_SECONDS * 5)
        self._wait()

    def ask(self, entrypoint: str, asked: bytes) -> Any:
        body = b'{"input":' + asked + b"}"
        try:
            self._connection.request(
                "POST", f"/v1/data/{entrypoint}", body, {"Content-Type": "application/json"}
            )
            response = self._connection.getresponse()
            answered = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise EngineFailed(f"{error}; {self._log.read_text()[-500:]}") from error
        if response.status != 200:
            raise EngineFailed(answered.decode(errors="replace")[:500])
        return orjson.loads(answered).get("result")

    def cpu_seconds(self) -> float:
        """Return what the server has taken so far; 0 where the system does not tell."""
        try:
            taken = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(taken[11]) + int(taken[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.wait(10)

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self._process.kill()
                    raise EngineFailed(self._log.read_text()) from None
                time.sleep(0.05)


def batch_input(document: Mapping[str, Any]) -> bytes:
    """Return the input of an engine."""
    return orjson.dumps(document)


def _stop(*_: int) -> int:
    raise wasmtime.WasmtimeError("the policy stopped")
