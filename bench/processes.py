"""Run the processes of a benchmark: pinned to a core, with their CPU time, stopped by process id."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 90.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
# The process under measurement has a core of its own; all else, the generator too, shares the others.
MEASURED_CORE = 0


class BenchFailed(Exception):
    """The benchmark cannot go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process to run; ready when GET of `ready_url` answers 200 (or anything, for `any_status`)."""

    name: str
    arguments: tuple[str, ...]
    ready_url: str
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    measured: bool = False
    any_status: bool = False
    folder: Path = ROOT  # whose source it runs


def python(*arguments: str) -> tuple[str, ...]:
    """Name a program of ours, run by our own interpreter."""
    return (sys.executable, *arguments)


class Fleet:
    """The processes of one benchmark. Only what was started here is ever signalled."""

    def __init__(self, logs: Path, *, pin: bool) -> None:
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        cores = sorted(os.sched_getaffinity(0))
        self._pin = pin and len(cores) > 1
        self._others = set(cores) - {MEASURED_CORE}
        logs.mkdir(parents=True, exist_ok=True)

    @property
    def pinned(self) -> bool:
        """Whether the measured process has a core of its own."""
        return self._pin

    def pin_ourselves(self) -> None:
        """Leave the measured core to the measured process."""
        if self._pin:
            os.sched_setaffinity(0, self._others)

    def start(self, *programs: Program) -> None:
        """Start programs at once; return when all are ready, raise BenchFailed otherwise."""
        for program in programs:
            self._spawn(program)
        deadline = time.monotonic() + START_SECONDS
        for program in programs:
            while not _ready(program):
                if self._running[program.name].poll() is not None or time.monotonic() > deadline:
                    tail = (self._logs / f"{program.name}.log").read_text(errors="replace")[-2000:]
                    raise BenchFailed(f"{program.name} does not become ready:\n{tail}")
                time.sleep(0.05)

    def stop(self, *names: str) -> None:
        """End these processes, or all: asked first, killed after five seconds."""
        ending = [self._running.pop(name) for name in (names or tuple(self._running))]
        for child in ending:
            if child.poll() is None:
                child.send_signal(signal.SIGCONT)
                child.terminate()
        for child in ending:
            try:
                child.wait(5.0)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    @property
    def names(self) -> tuple[str, ...]:
        """The programs that run."""
        return tuple(self._running)

    def pid(self, name: str) -> int:
        """Return the process id of a running program."""
        return self._running[name].pid

    def hang(self, name: str) -> None:
        """Let a program answer nothing any more, while its port still takes connections."""
        self._running[name].send_signal(signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """Let a hanging program go on."""
        self._running[name].send_signal(signal.SIGCONT)

    def cpu_seconds(self, name: str) -> float:
        """Return what a program has used of CPU, all its threads, user and system, in seconds."""
        return cpu_seconds(self.pid(name))

    def _spawn(self, program: Program) -> None:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        with (self._logs / f"{program.name}.log").open("wb") as log:
            child = subprocess.Popen(  # noqa: S603  # programs of our own
                program.arguments,
                cwd=program.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment | dict(program.environment),
                start_new_session=True,
            )
        if self._pin:
            os.sched_setaffinity(child.pid, {MEASURED_CORE} if program.measured else self._others)
        self._running[program.name] = child


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, as the kernel accounts for it (proc(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def machine_seconds() -> float:
    """Return the CPU time that all of the machine was busy, everybody's processes included."""
    busy = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(busy) - busy[3] - busy[4]) / _TICKS  # without idle and waiting for the disk


def _ready(program: Program) -> bool:
    address = urlsplit(program.ready_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=2)
    try:
        connection.request("GET", address.path or "/")
        return connection.getresponse().status == 200 or program.any_status
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
