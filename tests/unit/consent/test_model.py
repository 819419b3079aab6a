"""Small laws of consent: states, lines and months."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.model import NEXT, Consent, Event, State, Terms, grants_of, months_later, state_at


def test_an_active_consent_past_its_time_has_expired() -> None:
    active = Consent(
        id="consent-1",
        client_id="client-1",
        recorded_by_party="vluchtelingenwerk",
        recorded_by="desk-01",
        confirmed_by="desk-02",
        purpose="legal_screening",
        state=State.ACTIVE,
        legal_basis="GDPR 6(1)(f)",
        minor=False,
        guardian=False,
        valid_from=1_000,
        valid_until=2_000,
        evidence_digest="sha-256:" + "A" * 43,
        created_at=1_000,
        changed_at=1_000,
    )
    assert state_at(active, active.valid_until - 1) is State.ACTIVE
    assert state_at(active, active.valid_until) is State.EXPIRED
    withdrawn = replace(active, state=State.WITHDRAWN)
    assert state_at(withdrawn, active.valid_until) is State.WITHDRAWN


def test_terms_are_spelled_out_line_by_line() -> None:
    asked = Terms(
        purpose="legal_screening",
        sources=("ind", "dtv"),
        recipients=("a", "b"),
        categories=("x", "y"),
        explicit=("y",),
        valid_from=0,
        valid_until=1,
    )
    lines = grants_of(asked)
    assert len(lines) == 8
    assert {line.category for line in lines if line.explicit} == {"y"}


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        ((2026, 8, 31), 6, (2027, 2, 28)),
        ((2026, 1, 15), 18, (2027, 7, 15)),
        ((2027, 8, 29), 6, (2028, 2, 29)),
        ((2026, 12, 1), 1, (2027, 1, 1)),
    ],
)
def test_months_are_calendar_months(
    start: tuple[int, int, int], months: int, end: tuple[int, int, int]
) -> None:
    begun = int(datetime(*start, 13, 5, tzinfo=UTC).timestamp())
    assert datetime.fromtimestamp(months_later(begun, months), UTC) == datetime(*end, 13, 5, tzinfo=UTC)


@given(st.integers(0, 4_000_000_000), st.integers(0, 30))
def test_more_months_are_never_earlier(at: int, months: int) -> None:
    assert at <= months_later(at, months) <= months_later(at, months + 1)


def test_nothing_leads_out_of_withdrawn_or_refused() -> None:
    assert {state for state, _ in NEXT} & {State.WITHDRAWN, State.REFUSED} == set()


def test_only_granting_leads_to_active() -> None:
    assert {event for (_, event), to in NEXT.items() if to is State.ACTIVE} == {Event.GRANTED}
