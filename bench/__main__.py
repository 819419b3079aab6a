"""`python -m bench`: measure, prove every answer, and write the table. See `--help`."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from bench import against_bare, durability, generator, overload, scaling, sidecar, slow_source, start, versus
from bench.figures import Figure
from bench.load import connections
from bench.measuring import Measuring
from bench.processes import ROOT, BenchFailed
from bench.proof import Prover
from bench.report import Report
from bench.rounds import Effort
from bench.town import commit_of, database_name, inhabited
from bench.workload import Workload

PARTS: dict[str, Callable[[Measuring], Awaitable[list[Figure]]]] = {
    "P1": against_bare.measure,
    "P2": sidecar.measure,
    "P3": durability.measure,
    "P4": scaling.consents,
    "P5": scaling.rows,
    "P9": slow_source.measure,
    "P10": overload.measure,
    "R1": start.measure,
}


def main() -> int:
    """Run; 0 when all was measured and proven (goals may be missed), 1 when something did not hold."""
    asked = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="dossierpoort-bench-"))
    try:
        uvloop.run(_run(asked, folder))
    except BenchFailed as failed:
        _say(f"The benchmark failed: {failed}")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="under three minutes: shows that it works")
    parser.add_argument("--only", nargs="+", choices=[*PARTS], default=[*PARTS], help="measure only these")
    parser.add_argument("--database-url", help="PostgreSQL instead of a SQLite file of the benchmark's own")
    parser.add_argument("--blocks", type=int, help="blocks of A B B A")
    parser.add_argument("--seconds", type=float, help="seconds per round")
    parser.add_argument("--clients", type=int, help="how many distinct clients")
    parser.add_argument("--other", type=Path, help="only compare with the gateway of this source tree")
    parser.add_argument("--no-pin", action="store_true", help="leave it to the kernel which core runs what")
    parser.add_argument("--seed", type=int, default=1, help="of arrivals and of who is asked about")
    return parser.parse_args()


async def _run(asked: argparse.Namespace, folder: Path) -> None:
    effort = Effort(
        blocks=asked.blocks or (1 if asked.short else 4),
        seconds=asked.seconds or (4.0 if asked.short else 14.0),
        warm_up_seconds=1.0 if asked.short else 3.0,
    )
    clients = asked.clients or (40 if asked.short else 300)
    began = time.monotonic()
    async with (
        inhabited(folder, clients=clients, pin=not asked.no_pin, database_url=asked.database_url) as town,
        connections() as session,
    ):
        chance = random.Random(asked.seed)  # noqa: S311  # a plan that can be repeated, no secret
        workload, prover = Workload(town, chance), Prover(town)
        measuring = Measuring(town, workload, prover, session, effort, chance, _say)
        _say(f"{clients} clients have a case and a consent ({time.monotonic() - began:.0f} s)")
        figures: list[Figure] = []
        try:
            await prover.begin()
            if asked.other is not None:
                figures += await versus.measure(measuring, asked.other.resolve())
            for part in asked.only if asked.other is None else ():
                # Now: a call that is shed or lost may leave an entry, and after it the count is a floor.
                await prover.ledger_holds_all()
                _say(f"{part} …")
                figures += await PARTS[part](measuring)
            await generator.prove(measuring)
            size = await prover.ledger_holds_all()
        finally:
            await workload.close()
            await prover.close()
        report = Report(
            figures=figures,
            rounds=measuring.rounds,
            notes=measuring.notes,
            effort=effort,
            clients=clients,
            commit=commit_of(),
            database=database_name(town.database_url),
            pinned=town.fleet.pinned,
            proven=dict(prover.book.proven),
            ledger_size=size,
            seconds=time.monotonic() - began,
        )
    # A short run shows that it works; its figures are too few to be quoted.
    path = report.write(document=not asked.short and asked.other is None and set(asked.only) == set(PARTS))
    _say(f"{sum(report.proven.values())} answers proven; the ledger of {size} entries verifies")
    sys.stdout.write(report.as_table())
    _say(f"all rounds: {path.relative_to(ROOT)}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
