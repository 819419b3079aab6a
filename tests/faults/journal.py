"""What a campaign has done, one line per cell: whoever breaks it off may go on with the same seed."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.faults.kinds import Asked


@dataclass(frozen=True)
class Result:
    """What came of one cell."""

    kind: str
    cell: str
    wrong: list[str]
    reached: bool
    runs: int
    seconds: float
    broken: str = ""  # why it could not be judged at all; then it is done again the next time
    back_after_seconds: list[float] = field(default_factory=list)


@dataclass
class Journal:
    """The cells that each kind has, and the results so far."""

    file: Path
    cells: dict[str, list[str]] = field(default_factory=dict)
    results: dict[str, dict[str, Result]] = field(default_factory=lambda: defaultdict(dict))

    @classmethod
    def open(cls, folder: Path, asked: Asked) -> Journal:
        """Read what a campaign with the same options left, or begin."""
        where = "postgresql" if asked.on_postgres else "sqlite"
        journal = cls(folder / f"{asked.seed}-{asked.repeats}-{where}.jsonl")
        folder.mkdir(parents=True, exist_ok=True)
        if journal.file.exists():
            for line in journal.file.read_text().splitlines():
                journal._read(json.loads(line))
        return journal

    def _read(self, line: dict[str, object]) -> None:
        if "cells" in line:
            self.cells[str(line["kind"])] = line["cells"]  # type: ignore[assignment]
            return
        result = Result(**line)  # type: ignore[arg-type]
        if not result.broken:
            self.results[result.kind][result.cell] = result

    def keep_cells(self, kind: str, cells: list[str]) -> None:
        """Keep which cells a kind has: a day may pass its points in another order the next time."""
        self.cells[kind] = cells
        self._write({"kind": kind, "cells": cells})

    def keep(self, result: Result) -> None:
        """Keep a result."""
        self.results[result.kind][result.cell] = result
        self._write(asdict(result))

    def _write(self, line: dict[str, object]) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")
