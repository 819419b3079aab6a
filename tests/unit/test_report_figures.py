"""Nothing below ten can be worked out of any number of reports, by a reader who works it out of others."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.quarters import Quarter
from gateway.report_figures import FIGURES, ON_A_CASE, PURPOSES, in_tens
from tests.unit.counted_worlds import QUARTERS, Bounds, Cell, Reader, World, everything_that_is_so

PEOPLE = 45
cells = st.tuples(st.integers(0, 2), st.sampled_from(FIGURES))
worlds = st.dictionaries(cells, st.frozensets(st.integers(1, PEOPLE), max_size=PEOPLE), max_size=21).map(
    World
)


@settings(deadline=None, max_examples=60)
@given(worlds)
def test_who_puts_all_reports_together_knows_no_cell_and_no_difference_to_within_less_than_ten(
    world: World,
) -> None:
    reader = Reader.of(world.reports())
    assert set(reader.bounds) == set(world.numbers)
    for weights, low, high in everything_that_is_so(world):
        reader.learns(weights, low, high)
    assert reader.tells() == []
    assert all(low <= world.numbers[cell] <= high for cell, (low, high) in reader.bounds.items())


@settings(deadline=None, max_examples=60)
@given(worlds, st.data())
def test_every_other_number_of_the_same_ten_in_every_cell_at_once_gives_the_same_bytes(
    world: World, data: st.DataObject
) -> None:
    # So nothing whatever can be worked out: these are worlds that no reader tells from the one that is.
    other = {cell: data.draw(st.integers(*in_tens(number))) for cell, number in world.numbers.items()}
    changed = world.with_numbers(other)
    assert changed.numbers == other
    assert changed.reports() == world.reports()


def exactly_from_ten(number: int) -> Bounds:
    return (0, 9) if number < 10 else (number, number)


def to_the_nearest_five(number: int) -> Bounds:
    return (0, 9) if number < 10 else (5 * ((number + 2) // 5) - 2, 5 * ((number + 2) // 5) + 2)


@pytest.mark.parametrize(
    ("publish", "told"), [(exactly_from_ten, (3, 3)), (to_the_nearest_five, (1, 9)), (in_tens, None)]
)
def test_a_report_that_only_hides_what_is_below_ten_tells_it_by_a_difference(
    publish: Callable[[int], Bounds], told: Bounds | None
) -> None:
    on_a_case: Cell = (0, ON_A_CASE)
    asked: Cell = (0, PURPOSES[0])
    numbers = {on_a_case: 15, asked: 12}
    reader = Reader({cell: publish(number) for cell, number in numbers.items()})
    # Whoever was asked about is on a case: three are on one and were not asked about.
    reader.learns({on_a_case: 1, asked: -1}, 0, 100_000)
    assert dict(reader.tells()).get(f"{on_a_case} - {asked}") == told


@pytest.mark.parametrize("with_those_who_came", [True, False])
def test_in_tens_too_a_figure_that_is_the_change_of_others_tells_numbers_below_ten(
    with_those_who_came: bool,
) -> None:
    # Nine come each quarter and nobody leaves. Which is why who comes is no figure of ours.
    there = {(at, ON_A_CASE): 9 + 9 * at for at in range(10)}
    came = {(at, "taken_on"): 9 for at in range(1, 10)}
    numbers = there | (came if with_those_who_came else {})
    reader = Reader({cell: in_tens(number) for cell, number in numbers.items()})
    if with_those_who_came:
        for at in range(1, 10):
            before, now, new = (at - 1, ON_A_CASE), (at, ON_A_CASE), (at, "taken_on")
            reader.learns({now: 1, before: -1, new: -1}, -100_000, 0)
    told = dict(reader.tells())
    expected = {str(cell): (9, 9) for cell in came}
    assert {what: told.get(what) for what in expected} == (
        expected if with_those_who_came else dict.fromkeys(expected)
    )
    assert bool(told) == with_those_who_came


def test_a_report_says_of_each_figure_between_which_two_numbers_it_lies_and_nothing_else() -> None:
    world = World({(0, ON_A_CASE): frozenset(range(31)), (0, "legal_guidance"): frozenset(range(9))})
    (report,) = world.reports()
    assert list(json.loads(report)) == ["figures", "quarter", "unit"]
    said = {one.pop("figure"): one for one in json.loads(report)["figures"]}
    nobody = {"at_least": 0, "at_most": 9}
    assert said == {
        **dict.fromkeys(FIGURES, nobody),
        ON_A_CASE: {"at_least": 30, "at_most": 39},
    }


@pytest.mark.parametrize("number", [0, 1, 9])
def test_nobody_and_nine_read_the_same(number: int) -> None:
    assert in_tens(number) == (0, 9)
    assert in_tens(number + 10) == (10, 19)


def test_a_quarter_begins_at_midnight_in_amsterdam() -> None:
    summer, winter = Quarter.read("2026-Q3"), Quarter.read("2026-Q1")
    assert (summer.begins_at, summer.ends_at) == (1_782_856_800, 1_790_805_600)  # 22:00 UTC the day before
    assert winter.begins_at == 1_767_222_000  # 23:00 UTC
    assert summer.ends_at == Quarter.read("2026-Q4").begins_at
    assert Quarter.read("2026-Q4").ends_at == Quarter.read("2027-Q1").begins_at
    for quarter in QUARTERS:
        assert Quarter.read(str(quarter)) == quarter
        assert Quarter.of(quarter.begins_at) == Quarter.of(quarter.ends_at - 1) == quarter
        assert Quarter.of(quarter.ends_at) == quarter.following


@pytest.mark.parametrize("text", ["2026-Q5", "2026-Q0", "2026Q3", "26-Q3", "2026-Q3\n", "", "2026-q3"])
def test_what_is_no_quarter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="written as"):
        Quarter.read(text)
