"""A gateway in a process of its own that ends itself, as `kill -9` would, at a point named in a file.

    python -m tests.faults.launcher FILE

Composed like `poort serve gateway`, from the same settings, with points around its parts. As long as the
file is not there it only counts. The file says {"trace": path}, to write down what was passed, or
{"name": …, "nth": n, "place": "before"|"within"|"after"}; counting begins anew with each file.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from gateway import app
from gateway.cli import serve
from gateway.clock import system_clock
from gateway.logs import configure_logs
from gateway.sources import Sources
from gateway.storage.unit_of_work import Store
from tests.faults.points import Place, PointedEdge, PointedSources, PointedStore, Turns


class Plan:
    """What the file says now."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._written: tuple[int, int] | None = None
        self._plan: dict[str, Any] = {}
        self.turns = Turns(self.strike)

    def look(self) -> None:
        """Read the file if it is another than before; then counting begins anew."""
        try:
            found = self._file.stat()
            written: tuple[int, int] | None = (found.st_mtime_ns, found.st_ino)
        except FileNotFoundError:
            written = None
        if written != self._written:
            self._written = written
            self._plan = json.loads(self._file.read_text()) if written else {}
            self.turns.passed.clear()

    def strike(self, name: str, number: int, place: Place) -> None:
        if trace := self._plan.get("trace"):
            with Path(trace).open("a") as file:
                file.write(json.dumps([name, number, place]) + "\n")
        if [name, number, place] == [self._plan.get(part) for part in ("name", "nth", "place")]:
            os.kill(os.getpid(), signal.SIGKILL)


class Looking(Turns):
    """Looks at the plan before each passage is counted."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.strike)
        self._plan = plan
        plan.turns = self

    def next(self, name: str) -> Any:
        self._plan.look()
        return super().next(name)


def main(file: str) -> None:
    """Serve until the end that the plan has in mind."""
    turns = Looking(Plan(Path(file)))
    configure_logs()
    settings = serve.gateway_settings()
    whole = app.compose(settings, clock=system_clock)
    pointed = replace(
        whole,
        store=cast("Store", PointedStore(whole.store, turns)),
        sources=cast("Sources", PointedSources(whole.sources, turns)),
    )
    serve.listen(PointedEdge(app.application(pointed), turns), settings.host, settings.port, {})


if __name__ == "__main__":
    main(sys.argv[1])
