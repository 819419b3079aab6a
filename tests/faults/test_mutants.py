"""A few seeded bugs are caught on every run; `make mutants` seeds all of them."""

from __future__ import annotations

import pytest

from tests.faults.mutants import MUTANTS, SHORT, copied, hunt

pytestmark = [pytest.mark.processes, pytest.mark.slow]


def test_every_seeded_bug_still_fits_the_code_that_it_spoils() -> None:
    assert len(MUTANTS) >= 10
    for mutant in MUTANTS:
        with copied() as root:
            mutant.apply(root)


def test_a_seeded_bug_is_caught_and_the_code_without_it_is_not() -> None:
    chosen = [mutant for mutant in MUTANTS if mutant.name in SHORT]
    assert len(chosen) == len(SHORT)
    for outcome in hunt(chosen):
        expected = 0 if outcome.name.startswith("no bug") else 1
        assert outcome.code == expected, f"{outcome.name}: {outcome.last_words}"
