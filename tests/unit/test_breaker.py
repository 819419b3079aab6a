"""The circuit to one source: when it opens, who finds out, what closes it again. Time is a number here."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal

import pytest

from gateway.breaker import LONGEST_OPEN_SECONDS, Breaker, CircuitOpen, State

Outcome = Literal["answered", "failed", "unknown"]
FAILURES, OPEN_SECONDS = 3, 5.0


class Circuit:
    """A breaker, its clock, and every state that it took."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.seen: list[State] = []
        self.breaker = Breaker(
            failures=FAILURES,
            open_seconds=OPEN_SECONDS,
            clock=lambda: self.now,
            on_change=self.seen.append,
        )

    def send(self, about: Hashable, outcome: Outcome) -> None:
        with self.breaker.attempt(about) as attempt:
            if outcome == "answered":
                attempt.answered()
            elif outcome == "failed":
                attempt.failed()

    def refuses(self) -> float:
        """Assert that nothing is sent now; return for how many seconds."""
        with pytest.raises(CircuitOpen) as refused:
            self.send("any", "answered")
        return refused.value.seconds

    def opened(self) -> Circuit:
        for person in range(FAILURES):
            self.send(person, "failed")
        assert self.breaker.state == "open"
        return self


@pytest.fixture
def circuit() -> Circuit:
    return Circuit()


def test_it_opens_when_calls_about_enough_people_fail_in_a_row(circuit: Circuit) -> None:
    for person in range(FAILURES - 1):
        circuit.send(person, "failed")
        assert circuit.breaker.state == "closed"
    circuit.send("the last", "failed")
    assert circuit.breaker.state == "open"
    assert circuit.refuses() == OPEN_SECONDS
    assert circuit.seen == ["open"]


def test_an_answer_in_between_begins_the_count_anew(circuit: Circuit) -> None:
    for person in range(FAILURES - 1):
        circuit.send(person, "failed")
    circuit.send("a good one", "answered")
    for person in range(FAILURES - 1):
        circuit.send(person, "failed")
    assert circuit.breaker.state == "closed"
    assert circuit.seen == []


def test_one_person_whose_file_cannot_be_answered_from_does_not_cut_off_the_others(circuit: Circuit) -> None:
    for _ in range(10 * FAILURES):
        circuit.send("one person", "failed")
    assert circuit.breaker.state == "closed"


def test_a_call_that_was_cancelled_counts_for_nothing(circuit: Circuit) -> None:
    for person in range(10 * FAILURES):
        circuit.send(person, "unknown")
    assert circuit.breaker.state == "closed"


def test_after_the_delay_one_order_goes_and_the_others_wait_for_it(circuit: Circuit) -> None:
    circuit.opened()
    circuit.now += OPEN_SECONDS - 0.1
    assert circuit.refuses() == pytest.approx(0.1)
    circuit.now += 0.1
    with circuit.breaker.attempt("first") as attempt:
        assert circuit.breaker.state == "half_open"
        circuit.refuses()
        attempt.answered()
    assert circuit.breaker.state == "closed"
    circuit.send("second", "answered")
    assert circuit.seen == ["open", "half_open", "closed"]


def test_each_order_that_fails_to_find_it_back_doubles_the_delay_up_to_a_limit(circuit: Circuit) -> None:
    circuit.opened()
    delays = []
    for person in range(8):
        circuit.now += circuit.refuses()
        circuit.send(f"probe {person}", "failed")
        delays.append(circuit.refuses())
    assert delays[:3] == [2 * OPEN_SECONDS, 4 * OPEN_SECONDS, 8 * OPEN_SECONDS]
    assert delays[-1] == LONGEST_OPEN_SECONDS
    circuit.now += LONGEST_OPEN_SECONDS
    circuit.send("at last", "answered")
    circuit.opened()
    assert circuit.refuses() == OPEN_SECONDS


def test_when_the_one_that_finds_out_is_cancelled_the_next_one_may(circuit: Circuit) -> None:
    circuit.opened()
    circuit.now += OPEN_SECONDS
    with pytest.raises(KeyboardInterrupt), circuit.breaker.attempt("cancelled"):
        raise KeyboardInterrupt
    assert circuit.breaker.state == "open"
    circuit.send("next", "answered")
    assert circuit.breaker.state == "closed"


def test_what_was_sent_before_it_opened_may_close_it_but_not_prolong_it(circuit: Circuit) -> None:
    with circuit.breaker.attempt("slow") as slow:
        with circuit.breaker.attempt("lost") as lost:
            circuit.opened()
            circuit.now += 1
            lost.failed()
        assert circuit.refuses() == OPEN_SECONDS - 1
        slow.answered()
    assert circuit.breaker.state == "closed"


def test_a_circuit_that_could_never_open_is_not_made() -> None:
    for failures, seconds in ((0, 1.0), (1, 0.0)):
        with pytest.raises(ValueError, match="opens"):
            Breaker(failures=failures, open_seconds=seconds, clock=lambda: 0.0)
