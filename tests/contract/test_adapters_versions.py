"""The contract of a source, shown on every adapter: it follows the agreement's versions, no forged one."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from adapters.protocol import CategoryAnswer, CategoryStatus, SourceRefusal
from adapters.simulation.personas import BY_NAME
from tests.contract.test_adapters_later import delivered

pytestmark = pytest.mark.usefixtures("as_it_was")

HOUR = 3600
AMINA = BY_NAME["amina"]
CLOSED = CategoryAnswer(status=CategoryStatus.REFUSED, refusal=SourceRefusal.CONSENT_LAPSED)


@pytest.fixture
def start(another_adapter: Callable[..., Any], tmp_path: Path) -> Callable[[], Any]:
    """Start an adapter of the source with what it learnt in this test, and nothing else."""
    return lambda: another_adapter(tmp_path / "state.sqlite")


def said(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json().get("code", "")).removeprefix("order_refused_")


def until(adapter: Any, expected: tuple[int, str], **order: Any) -> None:
    """Send orders until the source has heard what the gateway says of the version in force."""
    ends = time.monotonic() + 8
    while (found := said(adapter.send(adapter.spec(**order)))) != expected:
        assert time.monotonic() < ends, found
        time.sleep(0.05)


def without_ordinary(bench: Any, **changes: Any) -> dict[str, Any]:
    """Return a version that closes what the orders of these tests ask for beside the baseline."""
    closed: dict[str, Any] = bench.world.successor(**changes)
    for to in closed["rules"][bench.source.purpose].values():
        for rules in to.values():
            rules.pop(bench.source.ordinary.value, None)
    return closed


def test_an_order_under_a_version_that_came_about_is_answered(bench: Any, start: Callable[[], Any]) -> None:
    later = bench.world.successor()
    with start() as adapter:
        assert adapter.send(adapter.spec()).status_code == 200, "as long as it knows no other"
        digest = bench.world.serve_agreement(later)
        assert bench.opened(adapter.send(adapter.spec(agreement=digest)).json())
        assert said(adapter.send(adapter.spec())) == (403, "other_agreement")
    bench.world.gateway.agreements.clear()
    with start() as again:
        assert again.send(again.spec(agreement=digest)).status_code == 200, "kept, and verified anew"


def test_a_version_of_versions_not_seen_is_learnt_back_to_the_first(
    bench: Any, start: Callable[[], Any]
) -> None:
    between = bench.world.serve_agreement(bench.world.successor())
    newest = bench.world.successor(supersedes=between, valid_from=int(time.time()) - 60, version="newest")
    digest = bench.world.serve_agreement(newest)
    with start() as adapter:
        assert adapter.send(adapter.spec(agreement=digest)).status_code == 200
        assert said(adapter.send(adapter.spec(agreement=between))) == (403, "other_agreement")


def test_an_order_under_a_version_that_did_not_come_about_is_refused(
    bench: Any, start: Callable[[], Any]
) -> None:
    world, later = bench.world, bench.world.successor()
    digest, first = world.serve_agreement(later), world.gateway.agreements[world.agreement]
    whole = world.gateway.agreements[digest]
    signatures = whole["signatures"]
    world.serve_agreement(later, withdrawn={"dtv": later["valid_from"] - 1})
    forged = {
        "a founder missing": whole | {"signatures": {p: s for p, s in signatures.items() if p != "ind"}},
        "signed by nobody": whole | {"signatures": {}},
        "signed by another": whole | {"signatures": signatures | {"ind": signatures["avim"]}},
        "signed for another version": whole | {"signatures": first["signatures"]},
        "left by a founder in time": world.gateway.agreements[digest],
        "changed on the way": whole | {"agreement": later | {"version": "changed"}},
        "another": first,
    }
    with start() as adapter:
        for what, served in forged.items():
            world.gateway.agreements[digest] = served
            assert said(adapter.send(adapter.spec(agreement=digest))) == (403, "other_agreement"), what
        del world.gateway.agreements[digest]
        assert said(adapter.send(adapter.spec(agreement=digest))) == (403, "other_agreement"), "not served"
        assert adapter.send(adapter.spec()).status_code == 200
        world.gateway.agreements[digest] = whole
        assert adapter.send(adapter.spec(agreement=digest)).status_code == 200


def test_a_version_that_only_its_own_founding_set_signed_is_refused(
    bench: Any, start: Callable[[], Any]
) -> None:
    usurped = bench.world.successor(founding_set=["leger-des-heils"])
    others = set(usurped["parties"]) - {"leger-des-heils", "askv", bench.source.party}
    digest = bench.world.serve_agreement(usurped, unsigned=others)
    with start() as adapter:
        assert said(adapter.send(adapter.spec(agreement=digest))) == (403, "other_agreement")
        bench.world.serve_agreement(usurped)
        assert adapter.send(adapter.spec(agreement=digest)).status_code == 200


def test_of_two_successors_a_source_keeps_to_the_first_that_it_saw(
    bench: Any, start: Callable[[], Any]
) -> None:
    one = bench.world.serve_agreement(bench.world.successor())
    other = bench.world.serve_agreement(bench.world.successor(version="another"))
    with start() as adapter:
        assert adapter.send(adapter.spec(agreement=one)).status_code == 200
        assert said(adapter.send(adapter.spec(agreement=other))) == (403, "other_agreement")
    with start() as again:
        assert said(again.send(again.spec(agreement=other))) == (403, "other_agreement")
        assert again.send(again.spec(agreement=one)).status_code == 200


@pytest.mark.parametrize("who", ["source", "recipient"])
def test_nothing_is_given_under_a_version_to_which_source_or_recipient_does_not_hold(
    bench: Any, start: Callable[[], Any], who: str
) -> None:
    party, now = bench.source.party if who == "source" else "askv", int(time.time())
    later = bench.world.successor(founding_set=["leger-des-heils"])
    digest = bench.world.serve_agreement(later, withdrawn={"avim": now - 60})
    bench.world.gateway.agreements["in-force"] = {"in_force": digest, "next": None}
    with start() as adapter:
        assert adapter.send(adapter.spec(agreement=digest)).status_code == 200
    bench.world.serve_agreement(later, withdrawn={party: now - 60})
    with start() as adapter:
        until(adapter, (403, "agreement_not_signed"), agreement=digest)


def test_a_signature_that_is_taken_back_stops_what_rests_on_it(bench: Any, start: Callable[[], Any]) -> None:
    world, now = bench.world, int(time.time())
    anchor = world.gateway.agreements[world.agreement]["agreement"]
    with start() as adapter:
        assert adapter.send(adapter.spec()).status_code == 200
    world.serve_agreement(anchor, withdrawn={"leger-des-heils": now})
    with start() as adapter:
        until(adapter, (403, "agreement_not_signed"))  # it recorded the consent
    world.serve_agreement(anchor, withdrawn={"askv": now})
    with start() as adapter:
        until(adapter, (403, "agreement_not_in_force"))  # a founder
    world.serve_agreement(anchor)
    with start() as adapter:
        # Neither a restart, nor a gateway that serves what was there before, brings a signature back.
        assert said(adapter.send(adapter.spec())) == (403, "agreement_not_in_force")


def test_dating_an_order_back_does_not_open_what_a_later_version_closed(
    bench: Any, start: Callable[[], Any]
) -> None:
    digest = bench.world.serve_agreement(without_ordinary(bench))
    backdated = {"issued_ago_seconds": 2 * HOUR, "lives_seconds": 4 * HOUR}
    with start() as adapter:
        before = adapter.send(adapter.spec(**backdated)).json()
        assert bench.attested(before).answers[bench.source.ordinary].status is CategoryStatus.PROVIDED
        assert said(adapter.send(adapter.spec(agreement=digest))) == (403, "no_rule_in_agreement")
        order = adapter.orders.make(adapter.spec(**backdated))
        after = adapter.send(order).json()
        assert bench.attested(after).answers[bench.source.ordinary] == CLOSED
        assert after.get("sealed", []) == []
        assert adapter.send(order).json() == after


def test_what_a_version_closes_while_the_agency_works_does_not_leave(
    bench: Any, start: Callable[[], Any]
) -> None:
    instant = int(time.time()) + 3
    digest = bench.world.serve_agreement(without_ordinary(bench, valid_from=instant))
    bench.world.gateway.agreements["in-force"]["next"] = digest
    bench.behave(AMINA, "later", delay_seconds=instant + 1 - time.time())
    with start() as adapter:
        spec = adapter.spec()
        assert adapter.send(spec).status_code == 202
        answer = delivered(bench, spec.exchange)
    assert int(time.time()) >= instant
    given = bench.attested(answer).answers
    assert given[bench.source.ordinary] == CLOSED
    # DT&V may not be asked without a consent (agreement): there the baseline falls with it.
    assert given[bench.source.baseline].value == (None if bench.source.name == "dtv" else "yes")
    assert answer.get("sealed", []) == []


def test_an_answer_that_was_made_but_not_brought_loses_what_a_version_closes(
    bench: Any, start: Callable[[], Any]
) -> None:
    instant = int(time.time()) + 3
    digest = bench.world.serve_agreement(without_ordinary(bench, valid_from=instant))
    bench.world.gateway.agreements["in-force"]["next"] = digest
    bench.world.gateway.answer_status = 503
    bench.behave(AMINA, "later", delay_seconds=0.1)
    with start() as adapter:
        spec = adapter.spec()
        assert adapter.send(spec).status_code == 202
        time.sleep(max(0.0, instant + 0.5 - time.time()))
        bench.world.gateway.answer_status = 201
        answer = delivered(bench, spec.exchange)
    assert bench.attested(answer).answers[bench.source.ordinary] == CLOSED
    assert answer.get("sealed", []) == []


NO_PACKAGES = {
    "deep": b'{"agreement": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "huge": b'{"agreement": {"x": "'
    + b"x" * (33 * 1024 * 1024)
    + b'"}, "signatures": {}, "withdrawals": {}}',
    "many parts": b'{"agreement": {"x": [' + b"0," * 50_000 + b"0]}}",
    "said twice": b'{"agreement": {}, "agreement": {}}',
    "no text": b"\x00\xff",
    "empty": b"",
}


def test_an_answer_of_the_gateway_that_is_no_package_decides_nothing(
    bench: Any, start: Callable[[], Any]
) -> None:
    later = bench.world.successor()
    digest = bench.world.serve_agreement(later)
    with start() as adapter:
        for what, content in NO_PACKAGES.items():
            bench.world.gateway.agreements[digest] = content
            answered = said(adapter.send(adapter.spec(agreement=digest)))
            assert answered == (503, "agreement_unavailable"), what
        assert adapter.send(adapter.spec()).status_code == 200
        bench.world.serve_agreement(later)
        assert adapter.send(adapter.spec(agreement=digest)).status_code == 200


def test_a_gateway_that_never_answers_holds_up_no_order_that_needs_no_answer(
    bench: Any, start: Callable[[], Any]
) -> None:
    if bench.source.name != "ind":
        pytest.skip("the same code waits ten seconds; once is enough")
    digest = bench.world.serve_agreement(bench.world.successor())
    bench.world.gateway.agreements |= {digest: None, "in-force": None, bench.world.agreement: None}
    with start() as adapter:
        assert adapter.send(adapter.spec()).status_code == 200
        began = time.monotonic()
        assert said(adapter.send(adapter.spec(agreement=digest))) == (503, "agreement_unavailable")
        assert 8 < time.monotonic() - began < 20
        assert adapter.send(adapter.spec()).status_code == 200
