"""The law of consent on its own tables, without gateway, keys or clock."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import IntegrityError

from consent import repository, service
from consent.errors import ConsentError
from consent.model import (
    AgeGroup,
    Consent,
    Decision,
    Event,
    Evidence,
    Method,
    Noted,
    State,
    TeachBack,
    Terms,
    months_later,
)

NOW = int(datetime(2026, 3, 31, 9, tzinfo=UTC).timestamp())
DAY = 24 * 3600
SPECIAL = {"medical", "flight_narrative"}
DIGEST = "sha-256:" + "A" * 43


@pytest.fixture
def conn() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    repository.metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def terms(**changes: object) -> Terms:
    said: dict[str, object] = {
        "purpose": "legal_screening",
        "sources": ("ind",),
        "recipients": ("vluchtelingenwerk",),
        "categories": ("decisions",),
        "explicit": (),
        "valid_from": NOW,
        "valid_until": NOW + 90 * DAY,
    }
    return Terms(**{**said, **changes})  # type: ignore[arg-type]


def consent(**changes: object) -> Consent:
    said: dict[str, object] = {
        "id": "consent-1",
        "client_id": "client-1",
        "recorded_by_party": "vluchtelingenwerk",
        "recorded_by": "desk-01",
        "confirmed_by": None,
        "purpose": "legal_screening",
        "state": State.PENDING,
        "legal_basis": "GDPR 6(1)(f)",
        "minor": False,
        "guardian": False,
        "valid_from": NOW,
        "valid_until": NOW + 90 * DAY,
        "evidence_digest": DIGEST,
        "created_at": NOW,
        "changed_at": NOW,
    }
    return Consent(**{**said, **changes})  # type: ignore[arg-type]


def evidence(**changes: object) -> Evidence:
    said: dict[str, object] = {
        "method": Method.SIGNATURE_ON_PAPER,
        "notice_language": "ti",
        "notice_digest": DIGEST,
        "staff": "desk-01",
        "teach_back": TeachBack.UNDERSTOOD,
        "age_group": AgeGroup.FROM_16,
        "salt": "c2FsdC1vZi10aGlzLXRlc3Q",
    }
    return Evidence(**{**said, **changes})  # type: ignore[arg-type]


def record(conn: Connection, one: Consent, what: Terms | None = None) -> Consent:
    what = what or terms()
    sealed = {f"jti-{one.id}-{source}": (source, b"sealed") for source in what.sources}
    service.record(conn, one, what, content_sealed=b"sealed", statements_sealed=sealed)
    return one


def reload(conn: Connection, one: Consent) -> Consent:
    found = repository.load(conn, one.id, party=one.recorded_by_party)
    assert found is not None
    return found


def living(conn: Connection, category: str = "decisions") -> list[str]:
    found = repository.living_grants(
        conn,
        client_id="client-1",
        purpose="legal_screening",
        source="ind",
        recipient="vluchtelingenwerk",
        category=category,
        limit=4,
    )
    return [row.id for row in found]


# --- terms and evidence --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"purpose": ""}, "nothing_named"),
        ({"sources": ()}, "nothing_named"),
        ({"recipients": ()}, "nothing_named"),
        ({"categories": ()}, "nothing_named"),
        ({"categories": ("decisions", "medical")}, "special_without_explicit"),
        (
            {"categories": ("medical", "flight_narrative"), "explicit": ("medical",)},
            "special_without_explicit",
        ),
        ({"explicit": ("medical",)}, "explicit_not_named"),
        ({"valid_from": NOW + 1}, "not_yet_valid"),
        ({"valid_until": NOW}, "validity_over"),
        ({"valid_until": months_later(NOW, 18) + 1}, "validity_too_long"),
    ],
)
def test_terms_that_nobody_may_be_asked_to_agree_to(changes: dict[str, object], code: str) -> None:
    service.check_terms(terms(), special=SPECIAL, now=NOW)
    with pytest.raises(ConsentError) as refused:
        service.check_terms(terms(**changes), special=SPECIAL, now=NOW)
    assert refused.value.code == code


def test_a_special_category_passes_with_its_own_yes() -> None:
    asked = terms(categories=("decisions", "medical"), explicit=("medical",))
    service.check_terms(asked, special=SPECIAL, now=NOW)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"method": Method.VERBAL_WITH_WITNESS}, "evidence_incomplete"),
        ({"method": Method.VERBAL_WITH_WITNESS, "witness": "desk-01"}, "evidence_incomplete"),
        ({"teach_back": TeachBack.NOT_UNDERSTOOD}, "not_understood"),
        ({"age_group": AgeGroup.UNDER_16}, "guardian_missing"),
    ],
)
def test_evidence_that_shows_no_yes(changes: dict[str, object], code: str) -> None:
    service.check_evidence(evidence(), Decision.GRANTED)
    with pytest.raises(ConsentError) as refused:
        service.check_evidence(evidence(**changes), Decision.GRANTED)
    assert refused.value.code == code


def test_a_child_consents_with_a_legal_representative_and_refuses_alone() -> None:
    child = {"age_group": AgeGroup.UNDER_16}
    service.check_evidence(evidence(**child, method=Method.GUARDIAN_AND_CHILD), Decision.GRANTED)
    service.check_evidence(evidence(**child), Decision.REFUSED)


def test_an_agreement_may_shorten_a_consent_and_not_lengthen_it() -> None:
    service.check_terms(terms(), special=SPECIAL, now=NOW, max_months=6)
    long = terms(valid_until=NOW + 17 * 31 * DAY)
    service.check_terms(long, special=SPECIAL, now=NOW)
    for asked, months in ((long, 6), (terms(valid_until=NOW + 19 * 31 * DAY), 36)):
        with pytest.raises(ConsentError) as refused:
            service.check_terms(asked, special=SPECIAL, now=NOW, max_months=months)
        assert refused.value.code == "validity_too_long"


def test_a_client_who_did_not_understand_may_still_say_no() -> None:
    service.check_evidence(evidence(teach_back=TeachBack.NOT_UNDERSTOOD), Decision.REFUSED)


# --- from pending to the end ---------------------------------------------------------------


def test_a_consent_is_pending_then_active_then_withdrawn(conn: Connection) -> None:
    one = record(conn, consent())
    assert living(conn) == []
    service.confirm(conn, one, worker="desk-02", now=NOW + 60)
    assert living(conn) == ["consent-1"]
    assert reload(conn, one).confirmed_by == "desk-02"
    assert service.withdraw(conn, reload(conn, one), now=NOW + 120) is None
    assert living(conn) == []
    assert reload(conn, one).state is State.WITHDRAWN


def test_nobody_confirms_what_they_recorded(conn: Connection) -> None:
    one = record(conn, consent())
    with pytest.raises(ConsentError, match="same_worker"):
        service.confirm(conn, one, worker="desk-01", now=NOW)
    service.confirm(conn, one, worker="desk-02", now=NOW)


def test_a_consent_that_lapsed_while_it_waited_is_not_confirmed(conn: Connection) -> None:
    one = record(conn, consent())
    with pytest.raises(ConsentError, match="wrong_state"):
        service.confirm(conn, one, worker="desk-02", now=one.valid_until)
    service.confirm(conn, one, worker="desk-02", now=one.valid_until - 1)


def test_who_acts_on_a_state_that_is_gone_changes_nothing(conn: Connection) -> None:
    stale = record(conn, consent())
    service.withdraw(conn, stale, now=NOW)
    with pytest.raises(ConsentError, match="wrong_state"):
        service.confirm(conn, stale, worker="desk-02", now=NOW)
    assert reload(conn, stale).state is State.WITHDRAWN


def test_who_confirmed_may_do_so_again_and_changes_nothing(conn: Connection) -> None:
    one = record(conn, consent())
    assert service.confirm(conn, one, worker="desk-02", now=NOW)
    before = reload(conn, one)
    assert not service.confirm(conn, before, worker="desk-02", now=NOW + 60)
    assert reload(conn, one) == before
    with pytest.raises(ConsentError, match="wrong_state"):
        service.confirm(conn, before, worker="desk-03", now=NOW + 60)
    with pytest.raises(ConsentError, match="wrong_state"):
        service.confirm(conn, before, worker="desk-02", now=before.valid_until)
    service.withdraw(conn, before, now=NOW + 120)
    with pytest.raises(ConsentError, match="wrong_state"):
        service.confirm(conn, reload(conn, one), worker="desk-02", now=NOW + 180)


def test_a_second_withdrawal_is_the_first(conn: Connection) -> None:
    one = record(conn, consent())
    service.withdraw(conn, one, now=NOW)
    first = Noted(Event.WITHDRAWN, NOW, "desk-01", 7)
    repository.append_event(conn, one.id, first)
    assert service.withdraw(conn, reload(conn, one), now=NOW + 60) == first


def test_a_refusal_opens_nothing_and_is_final(conn: Connection) -> None:
    one = record(conn, consent(state=State.REFUSED))
    for act in (
        lambda: service.confirm(conn, one, worker="desk-02", now=NOW),
        lambda: service.withdraw(conn, one, now=NOW),
    ):
        with pytest.raises(ConsentError, match="wrong_state"):
            act()
    assert living(conn) == []


@pytest.mark.parametrize("state", [s for s in State if s not in (State.PENDING, State.REFUSED)])
def test_nothing_is_recorded_as_already_decided(conn: Connection, state: State) -> None:
    with pytest.raises(ConsentError, match="wrong_state"):
        record(conn, consent(state=state, confirmed_by="desk-02"))


def test_each_source_needs_its_statement(conn: Connection) -> None:
    both = terms(sources=("ind", "dtv"))
    with pytest.raises(ConsentError, match="statements_missing"):
        service.record(conn, consent(), both, content_sealed=b"x", statements_sealed={"jti-1": ("ind", b"x")})
    record(conn, consent(), both)


# --- the database's own guard --------------------------------------------------------------


@pytest.mark.parametrize("state", [State.ACTIVE, State.PAUSED, State.EXPIRED, State.REPLACED])
def test_the_database_refuses_a_consent_of_one_login(conn: Connection, state: State) -> None:
    repository.insert_consent(conn, consent(id="two", state=state, confirmed_by="desk-02"), b"x")
    for alone in (None, "desk-01"):
        with pytest.raises(IntegrityError):
            repository.insert_consent(conn, consent(id="one", state=state, confirmed_by=alone), b"x")


def test_the_database_refuses_a_consent_without_a_legal_basis(conn: Connection) -> None:
    with pytest.raises(IntegrityError):
        repository.insert_consent(conn, consent(legal_basis=""), b"x")
    repository.insert_consent(conn, consent(), b"x")


def test_a_withdrawn_consent_needs_no_second_person(conn: Connection) -> None:
    repository.insert_consent(conn, consent(state=State.WITHDRAWN), b"x")


def test_another_party_does_not_find_it(conn: Connection) -> None:
    one = record(conn, consent())
    assert repository.load(conn, one.id, party="vluchtelingenwerk") is not None
    assert repository.load(conn, one.id, party="askv") is None


def test_the_four_that_hold_longest_are_read(conn: Connection) -> None:
    for number in range(6):
        one = record(conn, consent(id=f"c{number}", valid_until=NOW + (number + 1) * DAY))
        service.confirm(conn, one, worker="desk-02", now=NOW)
    assert living(conn) == ["c5", "c4", "c3", "c2"]


def test_a_recipient_is_named_while_the_consent_is_active(conn: Connection) -> None:
    one = record(conn, consent(), terms(recipients=("dtv",)))
    named: Callable[[int], bool] = lambda now: repository.names_recipient(  # noqa: E731
        conn, "client-1", "dtv", now=now
    )
    assert not named(NOW)
    service.confirm(conn, one, worker="desk-02", now=NOW)
    assert named(NOW)
    assert not named(one.valid_until)
    assert not repository.names_recipient(conn, "client-1", "ind", now=NOW)
