"""The contract of a source, shown on every adapter before its simulated agency: later, cancelled, kept."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.kit.keys import SigningKey
from adapters.protocol import (
    CategoryAnswer,
    CategoryStatus,
    SourceRefusal,
)
from adapters.simulation.personas import BY_NAME

pytestmark = pytest.mark.usefixtures("as_it_was")

OTHER_KEY = SigningKey.generate()
AMINA = BY_NAME["amina"]
LAPSED = CategoryAnswer(status=CategoryStatus.REFUSED, refusal=SourceRefusal.CONSENT_LAPSED)


def delivered(bench: Any, exchange: str, seconds: float = 8.0) -> dict[str, Any]:
    """Wait until the gateway was brought the answer of this exchange."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for answer in list(bench.world.gateway.delivered):
            if answer["exchange"] == exchange:
                return dict(answer)
        time.sleep(0.02)
    raise AssertionError("nothing was delivered")


def test_an_answer_that_comes_later_is_brought_to_the_gateway(bench: Any) -> None:
    bench.behave(AMINA, "later", delay_seconds=0.2)
    spec = bench.spec()
    order = bench.orders.make(spec)
    accepted = bench.send(order)
    assert accepted.status_code == 202
    assert accepted.json() == {"exchange": spec.exchange, "state": "accepted"}
    answer = delivered(bench, spec.exchange)
    assert set(bench.attested(answer).answers) == {bench.source.baseline, bench.source.ordinary}
    assert bench.opened(answer)
    assert bench.send(order).json() == answer


def test_an_answer_is_brought_again_until_the_gateway_takes_it(bench: Any) -> None:
    bench.world.gateway.answer_status = 503
    bench.behave(AMINA, "later", delay_seconds=0.1)
    spec = bench.spec()
    assert bench.send(spec).status_code == 202
    time.sleep(1.6)
    bench.world.gateway.answer_status = 201
    delivered(bench, spec.exchange)


def test_a_waiting_order_survives_a_restart(
    bench: Any, tmp_path: Path, another_adapter: Callable[..., Any]
) -> None:
    state = tmp_path / "state.sqlite"
    bench.behave(AMINA, "later", delay_seconds=0.5)
    with another_adapter(state) as before:
        spec = before.spec()
        assert before.send(spec).status_code == 202
    with another_adapter(state):
        assert bench.opened(delivered(bench, spec.exchange))


def test_a_cancelled_category_is_not_in_the_answer_that_comes_later(bench: Any) -> None:
    bench.behave(AMINA, "later", delay_seconds=0.5)
    spec = bench.spec()
    assert bench.send(spec).status_code == 202
    cancelled = bench.cancel(spec, bench.source.ordinary)
    assert cancelled.json() == {"dropped": [bench.source.ordinary.value]}
    answer = delivered(bench, spec.exchange)
    claims = bench.attested(answer)
    assert claims.answers[bench.source.ordinary] == LAPSED
    # DT&V may not be asked without a consent (agreement): there the baseline falls with it.
    falls_too = bench.source.name == "dtv"
    assert claims.answers[bench.source.baseline].value == (None if falls_too else "yes")
    assert answer.get("sealed", []) == []


def test_an_agency_that_may_not_be_asked_freely_is_not_asked_once_the_consent_is_gone(bench: Any) -> None:
    spec = bench.spec()
    bench.cancel(spec, bench.source.ordinary)
    bench.behave(AMINA, "down")
    answered = bench.send(spec)
    assert answered.status_code == (200 if bench.source.name == "dtv" else 503)


def test_a_cancellation_may_come_before_its_order(bench: Any) -> None:
    spec = bench.spec()
    assert bench.cancel(spec, bench.source.ordinary).status_code == 200
    answer = bench.send(spec).json()
    assert bench.attested(answer).answers[bench.source.ordinary] == LAPSED
    assert answer.get("sealed", []) == []


def test_when_everything_is_cancelled_the_agency_is_not_asked(bench: Any) -> None:
    spec = bench.spec()
    bench.cancel(spec, bench.source.ordinary, bench.source.baseline)
    bench.behave(AMINA, "down")
    answer = bench.send(spec).json()
    assert [given for given in bench.attested(answer).answers.values() if given != LAPSED] == []


def test_an_answer_that_was_made_but_not_brought_loses_what_is_cancelled(bench: Any) -> None:
    bench.world.gateway.answer_status = 503
    bench.behave(AMINA, "later", delay_seconds=0.1)
    spec = bench.spec()
    assert bench.send(spec).status_code == 202
    time.sleep(1.6)
    assert bench.cancel(spec, bench.source.ordinary).json() == {"dropped": [bench.source.ordinary.value]}
    bench.world.gateway.answer_status = 201
    answer = delivered(bench, spec.exchange)
    assert bench.attested(answer).answers[bench.source.ordinary] == LAPSED
    assert answer.get("sealed", []) == []


def test_what_was_answered_cannot_be_dropped_but_is_not_sent_again(bench: Any) -> None:
    spec = bench.spec()
    order = bench.orders.make(spec)
    assert bench.opened(bench.send(order).json())
    assert bench.cancel(spec, bench.source.ordinary).json() == {"dropped": []}
    again = bench.send(order).json()
    assert bench.attested(again).answers[bench.source.ordinary] == LAPSED
    assert again.get("sealed", []) == []


@pytest.mark.parametrize("forged", ["key", "exchange"])
def test_a_forged_cancellation_drops_nothing(bench: Any, forged: str) -> None:
    forgeries = {"key": {"key": OTHER_KEY}, "exchange": {"exchange": "x" * 22}}
    spec = bench.spec()
    refused = bench.cancel(spec, bench.source.ordinary, **forgeries[forged])
    assert (refused.status_code, refused.json()["code"]) == (403, "order_refused_cancellation_invalid")
    assert bench.opened(bench.send(spec).json())


# --- what stays on disk --------------------------------------------------------------------


def test_no_identifier_and_no_paper_is_on_disk(
    bench: Any, tmp_path: Path, another_adapter: Callable[..., Any]
) -> None:
    with another_adapter(tmp_path / "state" / "state.sqlite") as adapter:
        answer = adapter.send(adapter.spec()).json()
        assert adapter.opened(answer)
        files = list((tmp_path / "state").iterdir())
        assert files
        for path in files:
            content = path.read_bytes()
            assert AMINA.v_number.encode() not in content
            assert AMINA.vvs_number.encode() not in content
            assert b"%PDF" not in content
            assert path.stat().st_mode & 0o077 == 0


def test_an_old_key_list_stays_refused_after_a_restart(
    bench: Any, tmp_path: Path, another_adapter: Callable[..., Any]
) -> None:
    state, world = tmp_path / "state.sqlite", bench.world
    old = world.gateway.key_lists["askv"]
    world.gateway.key_lists["askv"] = world.key_list("askv", serial=2)
    with another_adapter(state) as before:
        assert before.send(before.spec()).status_code == 200
    world.gateway.key_lists["askv"] = old
    with another_adapter(state) as after:
        refused = after.send(after.spec())
    assert (refused.status_code, refused.json()["code"]) == (403, "order_refused_keys_not_verified")
