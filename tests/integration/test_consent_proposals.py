"""What may be recorded as a consent: known to the agreement, signed, and said the same everywhere."""

import dataclasses

import pytest
from sqlalchemy import Connection

from consent.model import AgeGroup, Decision, Method, State, TeachBack, months_later
from gateway import clients, consents
from gateway.errors import Conflict, GatewayError, Refused
from tests.integration.gate import DESK, JURIST, VW, Gate, evidence, own_number, v_number

DAY = 24 * 3600


async def refusal(gate: Gate, party: str = VW, **changes: object) -> str:
    with pytest.raises(GatewayError) as refused:
        await gate.records(party, **changes)
    return refused.value.code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"worker": JURIST}, "role_may_not"),
        ({"purpose": "supervision"}, "purpose_not_in_agreement"),
        ({"categories": ("decisions", "gossip")}, "unknown_category"),
        ({"sources": ("askv-archive",)}, "unknown_source"),
        ({"recipients": (VW, "interpol")}, "unknown_party"),
        ({"recipients": (VW, "avim")}, "party_never_receives"),
        ({"recipients": ("gemeente-amsterdam",)}, "party_never_receives"),
        ({"recipients": ("gateway",)}, "unknown_party"),
        ({"client": own_number("VW-1")}, "unknown_scheme_for_source"),
        ({"sources": ()}, "invalid_input"),
        ({"recipients": ()}, "invalid_input"),
        ({"categories": ()}, "invalid_input"),
        ({"categories": ("decisions", "decisions")}, "invalid_input"),
        ({"purpose": "aggregate_report"}, "no_rule_in_agreement"),
    ],
)
async def test_what_the_agreement_does_not_know_is_refused_before_any_look_up(
    gate: Gate, changes: dict[str, object], code: str
) -> None:
    await gate.has_case()
    assert (await gate.records()).state is State.PENDING
    assert await refusal(gate, unverified_statements=(), **changes) == code


async def test_a_special_category_needs_its_own_yes(gate: Gate) -> None:
    await gate.has_case()
    special = ("decisions", "flight_narrative")
    assert await refusal(gate, categories=special) == "invalid_input"
    assert await refusal(gate, categories=special, explicit=("medical",)) == "invalid_input"
    await gate.has_consent(categories=special, explicit=("flight_narrative",))
    client_id = await gate.client_id()
    found = await gate.reads(
        lambda conn: consents.consent_facts(conn, client_id, "legal_screening", "ind", VW, special),
    )
    assert {fact.category: fact.explicit for fact in found} == {"decisions": False, "flight_narrative": True}


async def test_a_consent_holds_six_months_by_default_and_eighteen_at_most(gate: Gate) -> None:
    await gate.has_case()
    longest = months_later(gate.now, 18)
    assert (await gate.records(valid_until=longest)).consent.valid_until == longest
    assert await refusal(gate, valid_until=longest + 1) == "invalid_input"
    assert await refusal(gate, valid_until=gate.now - 60) in ("invalid_input", "invalid_consent_statement")

    default = months_later(gate.now, 6)
    unsigned = gate.proposal(valid_until=None, unverified_statements=())
    for until, accepted in ((default, True), (default + 1, False)):
        signed = dataclasses.replace(
            unsigned, unverified_statements=(gate.statement(unsigned, "ind", exp=until),)
        )
        if accepted:
            assert (
                await consents.record(gate.services, gate.caller(), signed)
            ).consent.valid_until == default
        else:
            with pytest.raises(GatewayError, match="consent_statement_mismatch"):
                await consents.record(gate.services, gate.caller(), signed)


@pytest.mark.parametrize(
    "lie",
    [
        {"purpose": "legal_guidance"},
        {"recipients": ("askv",)},
        {"recipients": (VW, "askv")},
        {"categories": ["decisions"]},
        {"categories": ["decisions", "dossier_documents", "identity"]},
        {"explicit": ["decisions"]},
        {"evidence": "sha-256:" + "B" * 43},
        {"client": v_number("2801234568")},
        {"client": own_number("VW-1")},
        {"aud": "dtv"},
        {"exp": 1},
    ],
)
async def test_a_statement_that_says_something_else_is_refused(gate: Gate, lie: dict[str, object]) -> None:
    await gate.has_case()
    proposal = gate.proposal()
    assert (await consents.record(gate.services, gate.caller(), proposal)).state is State.PENDING
    if "exp" in lie:
        lie = {"exp": gate.now + 91 * DAY}
    forged = dataclasses.replace(proposal, unverified_statements=(gate.statement(proposal, "ind", **lie),))
    with pytest.raises(GatewayError) as refused:
        await consents.record(gate.services, gate.caller(), forged)
    assert refused.value.code == "consent_statement_mismatch"


async def test_a_statement_of_another_party_is_refused(gate: Gate) -> None:
    await gate.has_case()
    proposal = gate.proposal()
    by_askv = gate.statement(proposal, "ind", party="askv")
    for signed in ((by_askv,), ("nonsense",), (gate.statement(proposal, "ind")[:-9] + "~",)):
        with pytest.raises(GatewayError) as refused:
            await consents.record(
                gate.services,
                gate.caller(),
                dataclasses.replace(proposal, unverified_statements=signed),
            )
        assert refused.value.code == "invalid_consent_statement"


async def test_there_is_one_statement_per_source(gate: Gate) -> None:
    await gate.has_case()
    both = gate.proposal(sources=("ind", "dtv"), purpose="case_conference")
    for some in (
        both.unverified_statements[:1],
        (*both.unverified_statements, both.unverified_statements[0]),
        (),
    ):
        with pytest.raises(GatewayError, match="consent_statement_mismatch"):
            await consents.record(
                gate.services, gate.caller(), dataclasses.replace(both, unverified_statements=some)
            )
    recorded = await consents.record(gate.services, gate.caller(), both)

    def statements(conn: Connection, source: str) -> dict[str, str]:
        client = clients.reach_own(conn, gate.services.vault, VW, v_number())
        assert client is not None
        return consents.statements_for(conn, gate.services, client, [recorded.consent.id], source)

    for source, compact in zip(both.sources, both.unverified_statements, strict=True):
        held = await gate.reads(lambda conn, source=source: statements(conn, source))  # type: ignore[misc]
        assert held == {recorded.consent.id: compact}


async def test_a_statement_makes_one_consent(gate: Gate) -> None:
    await gate.has_case()
    proposal = gate.proposal()
    await consents.record(gate.services, gate.caller(), proposal)
    with pytest.raises(Conflict, match="request_replayed"):
        await consents.record(gate.services, gate.caller(), proposal)


async def test_a_source_that_knows_its_own_number_gets_that_number(gate: Gate) -> None:
    """ASKV consents for what VluchtelingenWerk holds: its statement names VluchtelingenWerk's number."""
    await gate.has_case(own="VW-7")
    await gate.has_case("askv", own="A-7")
    await gate.has_case(client=v_number("2805555555"), own="VW-8")
    asked = gate.proposal(
        party="askv",
        client=own_number("A-7"),
        sources=(VW,),
        recipients=("askv",),
        categories=("plan_phase",),
        purpose="case_transfer",
        unverified_statements=(),
    )
    for number, accepted in (("VW-7", True), ("VW-8", False), ("VW-9", False)):
        signed = gate.statement(asked, VW, party="askv", client=own_number(number))
        proposal = dataclasses.replace(asked, unverified_statements=(signed,))
        if accepted:
            recorded = await consents.record(gate.services, gate.caller("askv"), proposal)
            assert recorded.state is State.PENDING
        else:
            with pytest.raises(Refused, match="not_on_case"):
                await consents.record(gate.services, gate.caller("askv"), proposal)


async def test_evidence_must_show_a_yes(gate: Gate) -> None:
    await gate.has_case()
    for faulty in (
        {"method": Method.VERBAL_WITH_WITNESS},
        {"method": Method.VERBAL_WITH_WITNESS, "witness": DESK.id},
        {"teach_back": TeachBack.NOT_UNDERSTOOD},
    ):
        how = evidence(**faulty)
        assert await refusal(gate, evidence=how.evidence(), evidence_digest=how.digest()) == "invalid_input"
    how = evidence(method=Method.VERBAL_WITH_WITNESS, witness="tolk-31")
    assert (await gate.records(evidence=how.evidence(), evidence_digest=how.digest())).state is State.PENDING


async def test_under_sixteen_a_legal_representative_consents(gate: Gate) -> None:
    await gate.has_case()
    alone = evidence(age_group=AgeGroup.UNDER_16)
    assert await refusal(gate, evidence=alone.evidence(), evidence_digest=alone.digest()) == "invalid_input"
    # A child's no needs nobody beside it.
    no = await gate.records(
        decision=Decision.REFUSED, evidence=alone.evidence(), evidence_digest=alone.digest()
    )
    assert no.state is State.REFUSED
    both = evidence(age_group=AgeGroup.UNDER_16, method=Method.GUARDIAN_AND_CHILD)
    given = await gate.has_consent(evidence=both.evidence(), evidence_digest=both.digest())
    assert (given.consent.minor, given.consent.guardian) == (True, True)
    assert given.evidence.age_group is AgeGroup.UNDER_16
    client_id = await gate.client_id()
    (fact,) = await gate.reads(
        lambda conn: consents.consent_facts(conn, client_id, "legal_screening", "ind", VW, ["decisions"])
    )
    assert (fact.minor, fact.guardian) == (True, True)
    of_age = await gate.has_consent()
    assert (of_age.consent.minor, of_age.consent.guardian) == (False, False)


async def test_whom_the_client_depends_on_is_named_only_for_what_is_special_beside_a_law(gate: Gate) -> None:
    await gate.has_case(own="VW-2")
    named: dict[str, object] = {
        "client": own_number("VW-2"),
        "sources": (VW,),
        "recipients": ("gemeente-amsterdam",),
        "categories": ("vulnerability",),
        "explicit": ("vulnerability",),
    }
    assert await refusal(gate, **named) == "party_never_receives"
    gate.comes_under_a_law(valid_until=gate.now)
    assert await refusal(gate, **named) == "party_never_receives"
    gate.comes_under_a_law()
    assert (await gate.records(**named)).state is State.PENDING
    for categories in (("plan_phase",), ("plan_phase", "vulnerability")):
        explicit = tuple(name for name in categories if name == "vulnerability")
        asked = {**named, "categories": categories, "explicit": explicit}
        assert await refusal(gate, **asked) == "party_never_receives"


async def test_an_agreement_may_let_consents_last_less_long(gate: Gate) -> None:
    await gate.has_case()
    longest = months_later(gate.now, 18)
    assert (await gate.records(valid_until=longest)).state is State.PENDING
    agreement = gate.services.agreement
    shorter = agreement.terms.consent.model_copy(update={"max_months": 6})
    terms = agreement.terms.model_copy(update={"consent": shorter})
    gate.comes_under(dataclasses.replace(agreement, terms=terms))
    assert await refusal(gate, valid_until=longest) == "invalid_input"
    assert (await gate.records(valid_until=months_later(gate.now, 6))).state is State.PENDING
