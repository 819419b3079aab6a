"""A throw-away PostgreSQL for tests, and which databases a test runs on.

The machine's own binaries make a cluster in a temporary folder, listening on loopback alone, with
every setting that durability needs: the gateway refuses another. A test that says `database_url` in
its arguments runs twice, with a fresh database of either kind.
"""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

USER = "postgres"
NOT_HERE = "DID NOT RUN: no PostgreSQL server binaries here (apt-get install postgresql)"
_READY_SECONDS = 30
# Where a disk's waits cost nothing: the gateway refuses a server that does without them. A memory that is
# not roomy is somebody else's; a cluster and some hundreds of small databases take a few gigabytes.
_MEMORY, _ROOMY_BYTES = Path("/dev/shm"), 4 << 30
# So that what a deleted database wrote ahead is not read again by every look at the files.
_SHORT_LOG = ("max_wal_size=64MB", "min_wal_size=32MB", "wal_recycle=off")


def binaries() -> Path | None:
    """Find the newest installed server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    named = shutil.which("postgres")
    return Path(named).resolve().parent if named else None


@dataclass
class Cluster:
    """A running server of one's own."""

    binaries: Path
    folder: Path
    port: int
    options: tuple[str, ...]
    _server: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = [part for option in self.options for part in ("-c", option)]
        # A server started by root gives up root's rights; it refuses to run with them.
        self._server = subprocess.Popen(
            [self.binaries / "postgres", "-D", self.folder, "-p", str(self.port), *options],
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches us alone, and we stop it when nobody needs it any more
            **_as_owner(),
        )
        end = time.monotonic() + _READY_SECONDS
        while self._run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), check=False):
            if time.monotonic() > end or self._server.poll() is not None:
                raise RuntimeError("the PostgreSQL of the tests did not start")
            time.sleep(0.02)

    def stop(self, *, at_once: bool = False) -> None:
        """Stop the server; `at_once` as a power cut would, as far as a process can."""
        if self._server is not None:
            mode = "immediate" if at_once else "fast"
            self._run("pg_ctl", "stop", "-s", "-w", "-m", mode, "-D", str(self.folder))
            self._server.wait()
            self._server = None

    @property
    def process(self) -> int:
        """The server's process id."""
        assert self._server is not None
        return self._server.pid

    def database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} STRATEGY file_copy")
        return f"postgresql+asyncpg://{USER}@127.0.0.1:{self.port}/{name}"

    def sql(self, statement: str, *, database: str = "postgres") -> str:
        """Run a statement as the superuser; return what it prints."""
        command = [self.binaries / "psql", "-qAtX", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER]
        done = subprocess.run(
            [*command, "-d", database, "-c", statement], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def lies_on_disk(self, url: str) -> bytes:
        """Read a database's files, and the log that every database of the cluster writes ahead."""
        name = url.rpartition("/")[2]
        self.sql("CHECKPOINT")
        number = self.sql(f"SELECT oid FROM pg_database WHERE datname = '{name}'")
        files = [*(self.folder / "base" / number).iterdir(), *(self.folder / "pg_wal").glob("0*")]
        return b"".join(file.read_bytes() for file in files)

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        done = subprocess.run(
            [self.binaries / program, *arguments], check=check, stdout=subprocess.DEVNULL, **_as_owner()
        )
        return done.returncode


@contextmanager
def cluster(*options: str, on_disk: bool = False) -> Iterator[Cluster]:
    """Run a cluster of one's own for the length of a `with` block; skip, loudly, where there is none.

    `options`: the server's, as `name=value`. `on_disk`: not in memory, also where that would be quicker.
    """
    found = binaries()
    if found is None:
        pytest.skip(NOT_HERE)
    folder = Path(tempfile.mkdtemp(prefix="poort-postgres-", dir=None if on_disk else _memory()))
    try:
        if os.getuid() == 0:
            shutil.chown(folder, USER)
        command = [found / "initdb", "--no-sync", "-A", "trust", "-U", USER, "-E", "UTF8", "-D", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **_as_owner())
        sockets = f"unix_socket_directories={folder}"
        always = ("listen_addresses=127.0.0.1", sockets, "max_connections=200", *_SHORT_LOG)
        running = Cluster(found, folder, _free_port(), (*always, *options))
        running.start()
        try:
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _memory() -> Path | None:
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOMY_BYTES
    return _MEMORY if roomy else None


def _as_owner() -> dict[str, Any]:
    return {"user": USER, "group": USER, "extra_groups": [], "cwd": "/"} if os.getuid() == 0 else {}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
