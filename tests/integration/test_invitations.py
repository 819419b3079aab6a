"""Invitations on a real store: the casemanager asks, the other party names the same client and joins."""

import pytest

from adapters.protocol import Worker
from gateway import cases, invitations
from gateway.errors import GatewayError, InputRefused, Refused
from gateway.invitations import Acceptance
from tests.integration.gate import JURIST, MANAGER, VW, Gate, own_number, v_number


def acceptance(**changes: object) -> Acceptance:
    said = {
        "client": v_number(),
        "own_number": None,
        "casemanager": MANAGER.id,
        "workers": (JURIST,),
        "worker": MANAGER,
    }
    return Acceptance(**{**said, **changes})  # type: ignore[arg-type]


async def invited(gate: Gate, party: str = "askv", by: Worker = MANAGER) -> str:
    case = await gate.has_case()
    invitation = await invitations.invite(gate.services, gate.caller(), case.case.id, by=by, to_party=party)
    return invitation.id


async def test_an_invited_party_joins_with_a_case_of_its_own(gate: Gate) -> None:
    invitation = await invited(gate)
    assert await gate.finds("askv") == 0
    joined = await invitations.accept(
        gate.services, gate.caller("askv"), invitation, acceptance(own_number="A-9")
    )
    assert (joined.case.state, joined.case.basis) == ("active", "invitation")
    assert await gate.finds("askv") == 1
    assert await gate.finds("askv", client=own_number("A-9")) == 1


async def test_a_client_without_v_number_is_named_by_the_inviters_number(gate: Gate) -> None:
    case = await gate.has_case(client=own_number("VW-3"))
    invitation = await invitations.invite(
        gate.services, gate.caller(), case.case.id, by=MANAGER, to_party="askv"
    )
    joined = await invitations.accept(
        gate.services, gate.caller("askv"), invitation.id, acceptance(client=own_number("VW-3"))
    )
    assert joined.case.client_id == case.case.client_id


@pytest.mark.parametrize(
    "fault", ["wrong client", "unknown client", "wrong party", "no such id", "too late", "twice"]
)
async def test_every_acceptance_that_does_not_fit_is_not_found(gate: Gate, fault: str) -> None:
    await gate.has_case("goedwerk", client=v_number("2805555555"))
    invitation = await invited(gate)
    party = "leger-des-heils" if fault == "wrong party" else "askv"
    named = {"wrong client": "2805555555", "unknown client": "2807777777"}.get(fault, "2801234567")
    if fault == "too late":
        gate.passes(invitations.INVITATION_SECONDS)
    if fault == "twice":
        await invitations.accept(gate.services, gate.caller(party), invitation, acceptance())
    with pytest.raises(GatewayError) as refused:
        await invitations.accept(
            gate.services,
            gate.caller(party),
            "A" * 22 if fault == "no such id" else invitation,
            acceptance(client=v_number(named)),
        )
    assert (refused.value.code, refused.value.public) == ("not_found", None)


async def test_an_invitation_ends_with_the_case_it_came_from(gate: Gate) -> None:
    case = await gate.has_case()
    invitation = await invitations.invite(
        gate.services, gate.caller(), case.case.id, by=MANAGER, to_party="askv"
    )
    await cases.leave_case(gate.services, gate.caller(), case.case.id, MANAGER)
    with pytest.raises(Refused, match="not_found"):
        await invitations.accept(gate.services, gate.caller("askv"), invitation.id, acceptance())


@pytest.mark.parametrize("party", ["ind", "dtv", "avim", "gemeente-amsterdam"])
async def test_a_government_party_is_not_invited_without_consent(gate: Gate, party: str) -> None:
    assert await invited(gate, "goedwerk")
    with pytest.raises(Refused) as refused:
        await invited(gate, party)
    assert refused.value.code == "not_for_this_party"


async def test_a_government_party_joins_while_a_consent_names_it(gate: Gate) -> None:
    case = await gate.has_case(own="VW-5")
    await gate.has_consent(
        client=own_number("VW-5"),
        purpose="return_support",
        sources=(VW,),
        recipients=("dtv",),
        categories=("return_obstacles",),
    )
    invitation = await invitations.invite(
        gate.services, gate.caller(), case.case.id, by=MANAGER, to_party="dtv"
    )
    joined = await invitations.accept(gate.services, gate.caller("dtv"), invitation.id, acceptance())
    assert joined.case.state == "active"


async def test_whom_the_client_depends_on_is_invited_under_a_law_in_force_and_by_no_consent(
    gate: Gate,
) -> None:
    city = "gemeente-amsterdam"
    gate.comes_under_a_law(valid_until=gate.now)
    with pytest.raises(Refused, match="not_for_this_party"):
        await invited(gate, city)
    gate.comes_under_a_law()
    joined = await invitations.accept(
        gate.services, gate.caller(city), await invited(gate, city), acceptance()
    )
    assert (joined.case.state, joined.case.basis) == ("active", "invitation")
    # What was invited under the law joins under it or not at all.
    late = await invited(gate, city)
    gate.comes_under_a_law(valid_until=gate.now)
    with pytest.raises(Refused, match="not_for_this_party"):
        await invitations.accept(gate.services, gate.caller(city), late, acceptance())


@pytest.mark.parametrize("party", ["nobody", VW])
async def test_only_another_party_of_the_register_is_invited(gate: Gate, party: str) -> None:
    with pytest.raises(InputRefused) as refused:
        await invited(gate, party)
    assert refused.value.code == "unknown_party"
