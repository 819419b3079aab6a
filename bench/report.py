"""Write what was measured: a table for people (docs/benchmarks.md), rounds for machines (bench/results/)."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.figures import Figure, mean, percentile
from bench.processes import ROOT
from bench.rounds import Effort, Round

DOCUMENT = ROOT / "docs" / "benchmarks.md"
TEMPLATE = ROOT / "bench" / "benchmarks.template.md"
RESULTS = ROOT / "bench" / "results"
# Above this share of one core, somebody else's work is part of what was measured.
_QUIET = 0.1
_LIBRARIES = ("fastapi", "uvicorn", "aiohttp", "sqlalchemy", "joserfc", "cryptography", "wasmtime")


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one run of the benchmark found."""

    figures: Sequence[Figure]
    rounds: Sequence[Round]
    notes: Mapping[str, Any]
    effort: Effort
    clients: int
    commit: str
    database: str
    pinned: bool
    proven: Mapping[str, int]
    ledger_size: int
    seconds: float

    def write(self, *, document: bool) -> Path:
        """Write the results, and the document if asked; return where the results are."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{self.commit.rstrip('+')}.json"
        path.write_text(json.dumps(self.as_json(), separators=(",", ":")) + "\n")
        if document:
            DOCUMENT.write_text(self.as_markdown(), encoding="utf-8")
        return path

    def as_json(self) -> dict[str, Any]:
        """Say it to a machine: every latency of every round."""
        return {
            "commit": self.commit,
            "machine": machine(),
            "database": self.database,
            "clients": self.clients,
            "pinned": self.pinned,
            "figures": [figure.as_json() for figure in self.figures],
            "notes": dict(self.notes),
            "rounds": [one.as_json() for one in self.rounds],
        }

    def as_table(self) -> str:
        """Return the table alone."""
        head = "| | what is compared | measured (95 % CI) | goal | | behind it |\n|---|---|---|---|---|---|\n"
        return head + "".join(f"{_row(figure)}\n" for figure in self.figures)

    def as_markdown(self) -> str:
        """Return the whole document."""
        about = machine()
        lag = 1000 * percentile([one.lag for done in self.rounds for one in done.everything], 0.99)
        return TEMPLATE.read_text(encoding="utf-8").format(
            table=self.as_table(),
            when=datetime.now(UTC).date().isoformat(),
            commit=self.commit,
            cpu=about["cpu"],
            cores=about["cores"],
            kernel=about["kernel"],
            python=about["python"],
            libraries=", ".join(f"{name} {number}" for name, number in about["libraries"].items()),
            database=self.database,
            shared=self._shared(),
            pinned=(
                "The measured process had a core of its own"
                if self.pinned
                else "No process had a core of its own"
            ),
            blocks=self.effort.blocks,
            seconds=self.effort.seconds,
            warm_up=self.effort.warm_up_seconds,
            clients=self.clients,
            answers=sum(self.proven.values()),
            exchanges=self.proven.get("exchange", 0),
            ledger=self.ledger_size,
            generator=self._generator(lag),
            minutes=round(self.seconds / 60),
            missing=self._missing(),
            profile=self._profile(),
        )

    def _shared(self) -> str:
        foreign = mean([one.foreign for one in self.rounds]).value if self.rounds else 0.0
        if foreign < _QUIET:
            return "Nothing else of weight ran on the machine."
        return (
            f"**The machine was shared**: other work took {foreign:.2f} cores on average."
            " Ratios hold up better than milliseconds."
        )

    def _generator(self, lag: float) -> str:
        found = self.notes.get("generator", {})
        late = (
            " It was late on this machine: latencies are upper bounds."
            if "generator_is_late" in self.notes
            else ""
        )
        return (
            f"At {found.get('rate', 0):.0f} calls per second, twice the highest rate, against a server that"
            f" does nothing: p50 {found.get('p50_ms', 0):.1f} ms, p99 {found.get('p99_ms', 0):.1f} ms."
            f" Over all rounds it started 99 % of the calls within {lag:.1f} ms of their moment.{late}"
        )

    def _missing(self) -> str:
        gone = self.notes.get("p2_missing")
        return f"\nP2 was not measured: {gone} could not be had.\n" if gone else ""

    def _profile(self) -> str:
        spent: Mapping[str, float] = self.notes.get("p1_profile", {})
        rows = sorted(spent.items(), key=lambda part: -part[1])
        total = sum(spent.values())
        return "".join(f"| {part} | {used:.2f} ms | {used / total:.0%} |\n" for part, used in rows if used)


def machine() -> dict[str, Any]:
    """Say what it was measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "libraries": {name: version(name) for name in _LIBRARIES},
    }


def _row(figure: Figure) -> str:
    unit = {"×": " ×", "ms": " ms"}.get(figure.unit, "")
    sign = "≤" if figure.at_most else "≥"
    verdict = {"met": "met", "missed": "**missed**", "unsure": "not sure"}[figure.verdict]
    return (
        f"| {figure.id} | {figure.what} | {figure.measured}{unit} | {sign} {figure.goal:g}{unit}"
        f" | {verdict} | {figure.remark} |"
    )
