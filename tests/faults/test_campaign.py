"""The campaign itself: what was done is not done again, and whatever is wrong ends it with a word."""

from __future__ import annotations

from pathlib import Path

from tests.faults.campaign import Campaign, Count
from tests.faults.journal import Journal, Result
from tests.faults.kills import Cell
from tests.faults.kinds import KINDS, Asked

ASKED = Asked(seed=7)
FINE = Result("kills", "write a.b #1 before", [], reached=True, runs=1, seconds=2.0, back_after_seconds=[1.5])
BAD = Result("kills", "write a.b #1 after", ["I1: lost"], reached=True, runs=1, seconds=4.0)


def test_a_campaign_that_was_broken_off_knows_what_it_has_done(tmp_path: Path) -> None:
    first = Journal.open(tmp_path, ASKED)
    first.keep_cells("kills", [FINE.cell, BAD.cell])
    first.keep(FINE)
    again = Journal.open(tmp_path, ASKED)
    assert again.cells == {"kills": [FINE.cell, BAD.cell]}
    assert again.results["kills"] == {FINE.cell: FINE}
    assert not Journal.open(tmp_path, Asked(seed=8)).cells
    assert not Journal.open(tmp_path, Asked(seed=7, on_postgres=True)).cells


def test_the_table_counts_what_was_run_and_what_was_wrong(tmp_path: Path) -> None:
    campaign = Campaign(ASKED, Journal.open(tmp_path, ASKED))
    campaign.counts["kills"] = Count([FINE, BAD], cells=3)
    assert campaign.violations == 1
    assert campaign.table().splitlines()[1].split() == [
        "kills",
        "R1",
        "3",
        "2",
        "2",
        "2",
        "cells",
        "1",
        "4.0",
    ]
    assert campaign.back().startswith("kills: 1 restarts, back after 1.50 s in the middle, 1.50 s at most; 0")


def test_a_cell_is_read_as_it_was_written() -> None:
    cell = Cell("respond POST /v1/dossier-requests", 12, "before")
    assert Cell.read(str(cell)) == cell
    every = {"kills", "random", "storage", "parts", "hostile", "changes", "replays", "two", "database"}
    assert every <= set(KINDS)
