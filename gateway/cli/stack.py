"""Start the real processes on loopback, know when they are ready, and stop every one of them.

Each process gets an environment made for it: its own keys, its own copy of the deployment, and
nothing of the caller's but what a program needs to run.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn
from urllib.parse import urlsplit

# Two busy cores may need this long to import seven web processes at once.
START_SECONDS = 90.0
# What a process gets to finish what it is doing before it is killed.
STOP_SECONDS = 5.0
_POLL_SECONDS = 0.1
_LOG_LINES_SHOWN = 15
# What a Python process needs of ours; every key and setting comes from `Process.environment`.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "SYSTEMROOT")


class StackFailed(Exception):
    """A process of the stack died or never became ready; the message holds its last log lines."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process to run, `poort <arguments>` if not another program; ready when `ready_url` answers 200."""

    name: str
    arguments: tuple[str, ...]
    ready_url: str
    environment: Mapping[str, str] = field(repr=False)
    program: tuple[str, ...] = (sys.executable, "-m", "gateway.cli")


class Stack:
    """The running processes, in order of starting."""

    def __init__(self, processes: Sequence[Process], logs: Path) -> None:
        self._processes = tuple(processes)
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, on_ready: Callable[[str, float], None]) -> None:
        """Start all at once and return when each is ready; raise StackFailed, with none left running.

        `on_ready` is told each process's name and the seconds it took.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        try:
            for process in self._processes:
                self._running[process.name] = self._spawn(process)
            waiting = list(self._processes)
            while waiting:
                for process in list(waiting):
                    self._refuse_dead(process)
                    if _is_ready(process.ready_url):
                        waiting.remove(process)
                        on_ready(process.name, time.monotonic() - began)
                if waiting and time.monotonic() - began > START_SECONDS:
                    raise StackFailed(self._report(waiting[0], f"is not ready after {START_SECONDS:.0f} s"))
                time.sleep(_POLL_SECONDS)
        except BaseException:
            self.stop()
            raise

    def watch(self) -> None:
        """Raise StackFailed when a process has died that was not killed here; return while all run."""
        for process in self._processes:
            if process.name in self._running:
                self._refuse_dead(process)

    def kill(self, name: str) -> int:
        """End one process as `kill -9` does; return its exit status, by which it shows."""
        child = self._running.pop(name)
        child.kill()
        return child.wait()

    def stop(self) -> None:
        """End every process that was started here: asked first, killed after STOP_SECONDS."""
        running = list(self._running.values())
        self._running.clear()
        for child in running:
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for child in running:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def log(self, name: str) -> Path:
        """Say where a process writes."""
        return self._logs / f"{name}.log"

    def _spawn(self, process: Process) -> subprocess.Popen[bytes]:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        with self.log(process.name).open("wb") as log:
            # A session of its own: Ctrl-C in the terminal reaches us, and we stop it in our order.
            return subprocess.Popen(  # noqa: S603  # a program that the composing command chose
                [*process.program, *process.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment | dict(process.environment),
                start_new_session=True,
            )

    def _refuse_dead(self, process: Process) -> None:
        code = self._running[process.name].poll()
        if code is not None:
            raise StackFailed(self._report(process, f"ended with exit code {code}"))

    def _report(self, process: Process, what: str) -> str:
        log = self.log(process.name)
        tail = log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:]
        lines = "\n".join(f"    {line}" for line in tail) or "    (it wrote nothing)"
        return f"{process.name} {what}. The end of {log}:\n{lines}"


@contextmanager
def running(
    processes: Sequence[Process], logs: Path, on_ready: Callable[[str, float], None]
) -> Iterator[Stack]:
    """Run the stack for the length of a `with`; it ends with it, also on SIGTERM and Ctrl-C."""

    def leave(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    stack = Stack(processes, logs)
    try:
        stack.start(on_ready)
        yield stack
    finally:
        stack.stop()
        signal.signal(signal.SIGTERM, before)


def free_ports(count: int, *, first: int | None = None) -> list[int]:
    """Choose loopback ports that nobody listens on now; `first` fixes the first of them."""
    holders = [socket.socket() for _ in range(count)]
    try:
        for position, holder in enumerate(holders):
            try:
                holder.bind(("127.0.0.1", first if position == 0 and first is not None else 0))
            except OSError as taken:
                raise StackFailed(f"Port {first} is in use. Choose another with --port.") from taken
        return [holder.getsockname()[1] for holder in holders]
    finally:
        for holder in holders:
            holder.close()


def _is_ready(url: str) -> bool:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=2)
    try:
        connection.request("GET", address.path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
