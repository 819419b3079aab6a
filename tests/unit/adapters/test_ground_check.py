"""A source reads its own agreement: each fact taken away refuses, and some things no data can allow."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from adapters.kit.agreement_chain import Version
from adapters.kit.ground_check import GroundCheck, KeptConsent
from adapters.kit.keys import SigningKey
from adapters.kit.order_refused import OrderRefused
from adapters.kit.register import Register, RegisteredParty, SignedAgreement
from adapters.protocol import Category, ClientIdentifier, ConsentClaims, OrderClaims, OrderedCategory, Scheme

NOW = 1_800_000_000
CLIENT = ClientIdentifier(scheme=Scheme.V_NUMBER, value="9990000101")
DIGEST = "sha-256:" + "A" * 43
KINDS = {
    "askv": "ngo",
    "vw": "ngo",
    "ind": "ind",
    "avim": "avim",
    "city": "municipality",
    "gateway": "gateway",
}
_KEY = SigningKey.generate().public
JTI = "j" * 22


def an_agreement() -> dict[str, Any]:
    rules = {
        "perspective": {"ground": "baseline"},
        "guidance": {"ground": "baseline"},
        "partners": {"ground": "baseline"},
        "decisions": {"ground": "consent"},
        "flight_narrative": {"ground": "explicit_consent"},
        "medical": {"ground": "explicit_consent"},
        "shelter_location": {"ground": "consent"},
        "identity": {"ground": "statutory", "statute": "vw"},
        "trafficking": {"ground": "explicit_consent", "statute": "vw"},
        "family": {"ground": "consent", "statute": "vw"},
    }
    per_recipient = {kind: dict.fromkeys(("ind", "ngo"), rules) for kind in set(KINDS.values())}
    return {
        "valid_from": NOW - 100,
        "valid_until": NOW + 100,
        "consent": {"max_months": 18},
        "statutes": {"vw": {"citation": "a law", "valid_from": NOW - 9, "valid_until": NOW + 9}},
        "parties": {party: {"kind": kind} for party, kind in KINDS.items()},
        "kinds": {kind: {"receives": True} for kind in KINDS.values()},
        "purposes": {"legal_screening": {"aggregated": False}},
        "categories": {name: {"class": "ordinary", "answered_by": "source"} for name in rules},
        "sources": {
            "ind": {"may_be_asked_without_consent": True},
            "vw": {"may_be_asked_without_consent": True},
        },
        "rules": {"legal_screening": per_recipient},
    }


def a_check(
    agreement: dict[str, Any] | None = None,
    *,
    party: str = "ind",
    signed_by: frozenset[str] = frozenset(KINDS),
    founding_signed: bool = True,
) -> GroundCheck:
    register = Register(
        parties={name: RegisteredParty(name, kind, name, _KEY) for name, kind in KINDS.items()},
        agreement_digest=DIGEST,
        ledger_origin="test",
        ledger_vkey="test",
        issuer="test",
    )
    signed = SignedAgreement(DIGEST, agreement or an_agreement(), signed_by)
    version = Version(signed, None, NOW - 100, NOW + 100, frozenset(), founding_signed, acts={})
    return GroundCheck(party=party, register=register, agreement=version)


def an_order(category: Category, ground: Any, *, recipient: str = "askv", source: str = "ind") -> OrderClaims:
    consent = JTI if "consent" in ground else None
    return OrderClaims(
        iss="gateway",
        aud=source,
        jti="o" * 22,
        exchange="e" * 22,
        iat=NOW,
        exp=NOW + 60,
        agreement=DIGEST,
        purpose="legal_screening",
        recipient=recipient,
        categories=(OrderedCategory(category=category, ground=ground, consent=consent),),
        request="a.b.c~",
        client="a..b.c.d",
    )


def a_consent(
    category: Category, *, recipient: str = "askv", explicit: bool = False
) -> dict[str, ConsentClaims]:
    claims = ConsentClaims(
        iss="vw",
        aud="ind",
        jti=JTI,
        iat=NOW,
        nbf=NOW,
        exp=NOW + 50,
        purpose="legal_screening",
        evidence=DIGEST,
        recipients=(recipient,),
        categories=(category,),
        explicit=(category,) if explicit else (),
        client=CLIENT,
    )
    return {JTI: claims}


def judge(check: GroundCheck, order: OrderClaims, consents: dict[str, ConsentClaims]) -> dict[Category, int]:
    check.agreement_holds(NOW)
    check.recipient_may_receive(order)
    return check.every_category_has_its_ground(order, CLIENT, consents, NOW)


def test_a_category_lapses_when_its_consent_or_statute_ends() -> None:
    by_consent = judge(a_check(), an_order(Category.DECISIONS, "consent"), a_consent(Category.DECISIONS))
    assert by_consent == {Category.DECISIONS: NOW + 50}
    assert judge(a_check(), an_order(Category.IDENTITY, "statutory"), {}) == {Category.IDENTITY: NOW + 9}
    assert judge(a_check(), an_order(Category.PERSPECTIVE, "baseline"), {}) == {}
    # A consent beside a law ends with whichever ends first.
    both, given = an_order(Category.FAMILY, "consent"), a_consent(Category.FAMILY)
    assert judge(a_check(), both, given) == {Category.FAMILY: NOW + 9}
    longer = an_agreement()
    longer["statutes"]["vw"]["valid_until"] = NOW + 90
    assert judge(a_check(longer), both, given) == {Category.FAMILY: NOW + 50}


TAKEN_AWAY: list[Callable[[dict[str, Any]], Any]] = [
    lambda a: a.pop("valid_from"),
    lambda a: a.pop("valid_until"),
    lambda a: a.update(valid_from=NOW + 1),
    lambda a: a.update(valid_until=NOW),
    lambda a: a.update(valid_until=True),
    lambda a: a.pop("parties"),
    lambda a: a["parties"].pop("askv"),
    lambda a: a["parties"]["askv"].update(kind="lawyer"),
    lambda a: a.pop("kinds"),
    lambda a: a["kinds"]["ngo"].update(receives="yes"),
    lambda a: a.pop("purposes"),
    lambda a: a["purposes"]["legal_screening"].update(aggregated=True),
    lambda a: a.pop("categories"),
    lambda a: a["categories"]["decisions"].pop("answered_by"),
    lambda a: a.pop("rules"),
    lambda a: a["rules"].pop("legal_screening"),
    lambda a: a["rules"]["legal_screening"].pop("ngo"),
    lambda a: a["rules"]["legal_screening"]["ngo"].pop("ind"),
    lambda a: a["rules"]["legal_screening"]["ngo"]["ind"].pop("decisions"),
    lambda a: a["rules"]["legal_screening"]["ngo"]["ind"]["decisions"].pop("ground"),
    lambda a: a["rules"]["legal_screening"]["ngo"]["ind"]["decisions"].update(statute="another"),
    lambda a: a.pop("consent"),
    lambda a: a["consent"].update(max_months="18"),
    lambda a: a["consent"].update(max_months=True),
    lambda a: a["consent"].update(max_months=-1),
]


@pytest.mark.parametrize("take_away", TAKEN_AWAY)
def test_each_fact_that_is_taken_away_refuses(take_away: Callable[[dict[str, Any]], Any]) -> None:
    order, consents = an_order(Category.DECISIONS, "consent"), a_consent(Category.DECISIONS)
    assert judge(a_check(), order, consents)
    poorer = deepcopy(an_agreement())
    take_away(poorer)
    with pytest.raises(OrderRefused):
        judge(a_check(poorer), order, consents)


@pytest.mark.parametrize(
    ("recipient", "category", "ground", "code"),
    [
        ("avim", Category.PERSPECTIVE, "baseline", "recipient_never_receives"),
        ("avim", Category.IDENTITY, "statutory", "recipient_never_receives"),
        ("city", Category.PERSPECTIVE, "baseline", "recipient_never_receives"),
        ("city", Category.DECISIONS, "consent", "recipient_never_receives"),
        ("city", Category.FAMILY, "consent", "recipient_never_receives"),
        ("city", Category.TRAFFICKING, "statutory", "recipient_never_receives"),
        ("city", Category.FLIGHT_NARRATIVE, "explicit_consent", "recipient_never_receives"),
        ("ind", Category.SHELTER_LOCATION, "consent", "category_never_shared"),
        ("askv", Category.MEDICAL, "explicit_consent", "category_never_shared"),
        ("askv", Category.PARTNERS, "baseline", "category_never_shared"),
        ("askv", Category.GUIDANCE, "baseline", "category_never_shared"),
        ("askv", Category.FLIGHT_NARRATIVE, "consent", "ground_differs"),
        ("askv", Category.DECISIONS, "baseline", "ground_differs"),
        ("askv", Category.DECISIONS, "statutory", "ground_differs"),
    ],
)
def test_what_no_agreement_can_allow(recipient: str, category: Category, ground: str, code: str) -> None:
    consents = a_consent(category, recipient=recipient, explicit=True)
    with pytest.raises(OrderRefused) as refused:
        judge(a_check(), an_order(category, ground, recipient=recipient), consents)
    assert refused.value.code == f"order_refused_{code}"


def test_an_ngo_says_whether_it_gives_guidance() -> None:
    order = an_order(Category.GUIDANCE, "baseline", source="vw")
    assert judge(a_check(party="vw"), order, {}) == {}


WITHOUT_THE_LAW: list[Callable[[dict[str, Any]], Any]] = [
    lambda a: a.pop("statutes"),
    lambda a: a["statutes"].pop("vw"),
    lambda a: a["statutes"]["vw"].pop("citation"),
    lambda a: a["statutes"]["vw"].update(citation=""),
    lambda a: a["statutes"]["vw"].update(valid_until=NOW),
    lambda a: a["statutes"]["vw"].update(valid_from=NOW + 1),
    lambda a: a["statutes"]["vw"].update(valid_from=False),
]


def test_the_municipality_receives_only_by_a_statute_in_force() -> None:
    by_law = an_order(Category.IDENTITY, "statutory", recipient="city")
    named = an_order(Category.TRAFFICKING, "explicit_consent", recipient="city")
    yes = a_consent(Category.TRAFFICKING, recipient="city", explicit=True)
    assert judge(a_check(), by_law, {})
    assert judge(a_check(), named, yes) == {Category.TRAFFICKING: NOW + 9}
    for change in WITHOUT_THE_LAW:
        without = an_agreement()
        change(without)
        for order, consents in ((by_law, {}), (named, yes)):
            with pytest.raises(OrderRefused):
                judge(a_check(without), order, consents)


@pytest.mark.parametrize(
    ("category", "ground"), [(Category.FAMILY, "consent"), (Category.IDENTITY, "statutory")]
)
def test_a_rule_that_names_a_law_ends_with_it_whoever_asks(category: Category, ground: str) -> None:
    order, consents = an_order(category, ground), a_consent(category)
    assert judge(a_check(), order, consents)
    for change in WITHOUT_THE_LAW:
        without = an_agreement()
        change(without)
        with pytest.raises(OrderRefused) as refused:
            judge(a_check(without), order, consents)
        assert refused.value.code == "order_refused_ground_differs"


def test_an_empty_agreement_allows_nothing() -> None:
    for category in Category:
        for ground in ("baseline", "consent", "explicit_consent", "statutory"):
            with pytest.raises(OrderRefused):
                judge(a_check({"none": 0}), an_order(category, ground), a_consent(category, explicit=True))


def test_whoever_holds_power_over_the_client_gets_no_baseline_without_a_consent() -> None:
    # A gateway and an agency together could otherwise make a list of who has no perspective.
    def order(recipient: str) -> OrderClaims:
        return an_order(Category.GUIDANCE, "baseline", recipient=recipient, source="vw")

    assert judge(a_check(party="vw"), order("askv"), {}) == {}
    with pytest.raises(OrderRefused) as refused:
        judge(a_check(party="vw"), order("ind"), {})
    assert refused.value.code == "order_refused_consent_does_not_cover"
    by_consent = an_order(Category.GUIDANCE, "consent", recipient="ind", source="vw")
    assert judge(a_check(party="vw"), by_consent, a_consent(Category.GUIDANCE, recipient="ind"))


def test_a_consent_holds_for_eighteen_months_at_most() -> None:
    order, consents = an_order(Category.DECISIONS, "consent"), a_consent(Category.DECISIONS)
    assert judge(a_check(), order, consents)
    for_ever = {JTI: consents[JTI].model_copy(update={"exp": NOW + 2 * 366 * 24 * 3600})}
    with pytest.raises(OrderRefused) as refused:
        judge(a_check(), order, for_ever)
    assert refused.value.code == "order_refused_consent_invalid"
    shorter, longer = an_agreement(), an_agreement()
    shorter["consent"]["max_months"], longer["consent"]["max_months"] = 1, 36
    two_months = {JTI: consents[JTI].model_copy(update={"exp": NOW + 60 * 24 * 3600})}
    assert judge(a_check(longer), order, two_months)
    for agreement, given in ((shorter, two_months), (longer, for_ever)):
        with pytest.raises(OrderRefused):
            judge(a_check(agreement), order, given)


def test_baseline_that_was_asked_for_beside_a_consent_falls_with_it() -> None:
    both = an_order(Category.DECISIONS, "consent").model_copy(
        update={
            "categories": (
                OrderedCategory(category=Category.PERSPECTIVE, ground="baseline"),
                OrderedCategory(category=Category.DECISIONS, ground="consent", consent=JTI),
            )
        }
    )
    whole, rest = frozenset({Category.PERSPECTIVE, Category.DECISIONS}), frozenset({Category.PERSPECTIVE})
    freely, reserved = an_agreement(), an_agreement()
    reserved["sources"]["ind"]["may_be_asked_without_consent"] = False
    assert a_check(freely).still_asked(both, rest) == rest
    assert a_check(reserved).still_asked(both, whole) == whole
    assert a_check(reserved).still_asked(both, rest) == frozenset()
    # To a party that is on the case by consent alone, not even a source that is asked freely answers.
    assert a_check(freely).still_asked(both.model_copy(update={"recipient": "ind"}), rest) == frozenset()


# --- a version that came into force later --------------------------------------------------


def permitted(
    check: GroundCheck, order: OrderClaims, *, seconds: int = 60, now: int = NOW
) -> frozenset[Category]:
    return check.permits_too(order, {JTI: KeptConsent(iss="vw", seconds=seconds)}, now)


def test_a_version_holds_within_its_days_and_while_its_founders_hold_to_it() -> None:
    a_check().agreement_holds(NOW)
    for check, at in (
        (a_check(), NOW - 101),
        (a_check(), NOW + 100),
        (a_check(founding_signed=False), NOW),
    ):
        with pytest.raises(OrderRefused) as refused:
            check.agreement_holds(at)
        assert refused.value.code == "order_refused_agreement_not_in_force"


def test_a_later_version_permits_what_its_own_rules_permit() -> None:
    closed, explicit = an_agreement(), an_agreement()
    rules = closed["rules"]["legal_screening"]["ngo"]["ind"]
    rules.pop("decisions")
    explicit["categories"]["decisions"]["class"] = "special"
    order = an_order(Category.DECISIONS, "consent")
    assert permitted(a_check(), order) == {Category.DECISIONS}
    assert permitted(a_check(closed), order) == frozenset()
    assert permitted(a_check(explicit), order) == frozenset(), "it asks a yes that names the category"


def test_a_later_version_may_ask_more_of_a_consent_that_was_verified() -> None:
    order, shorter = an_order(Category.DECISIONS, "consent"), an_agreement()
    shorter["consent"]["max_months"] = 1
    assert permitted(a_check(), order, seconds=40 * 24 * 3600) == {Category.DECISIONS}
    assert permitted(a_check(shorter), order, seconds=40 * 24 * 3600) == frozenset()
    without = frozenset(KINDS) - {"vw"}
    assert permitted(a_check(signed_by=without), order) == frozenset(), "who recorded it has not signed"
    assert a_check().permits_too(order, {}, NOW) == frozenset(), "nothing is known of it"


def test_a_later_version_permits_by_a_statute_no_longer_than_that_holds() -> None:
    order = an_order(Category.IDENTITY, "statutory")
    assert permitted(a_check(), order, now=NOW + 8) == {Category.IDENTITY}
    assert permitted(a_check(), order, now=NOW + 9) == frozenset()
