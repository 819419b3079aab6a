"""A version of the agreement comes about by its parties' acts alone, each recorded; nothing less will do."""

from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from adapters.protocol import Role, Worker
from gateway import agreement_records as records
from gateway import agreement_signing
from gateway.agreement_state import state_of
from gateway.errors import GatewayError
from gateway.policy.port import PolicyUnavailable, RemotePolicy
from tests.integration.agreeing import (
    ADMIN,
    BEGINS_IN_SECONDS,
    DPO,
    DPO_2,
    FOUNDERS,
    Agreeing,
    digest_of,
)
from tests.integration.gate import VW

DAY = 24 * 3600


async def refused(code: str, act: Awaitable[Any]) -> GatewayError:
    with pytest.raises(GatewayError) as refusal:
        await act
    assert refusal.value.code == code
    return refusal.value


def missing(refusal: GatewayError) -> str:
    """Return what `agreement_not_ready` says is missing, in one text."""
    return " ".join(str(each) for each in refusal.extra["missing"])  # type: ignore[attr-defined]


# --- the whole way ---------------------------------------------------------------------------


async def test_a_version_goes_from_proposal_to_force_by_the_acts_of_its_parties(agreeing: Agreeing) -> None:
    document = agreeing.document()
    proposed = await agreeing.proposes(document)
    digest = proposed.row.digest
    assert (proposed.state, digest) == ("proposed", digest_of(document))
    assert (await agreeing.approves(digest)).state == "approved"
    for count, party in enumerate(FOUNDERS, start=1):
        signed = await agreeing.signs(digest, party)
        assert (signed.state, len(signed.signed), len(signed.needed)) == ("signed", count, 4)
    scheduled = await agreeing.activates(digest)
    assert scheduled.state == "scheduled"
    assert await agreeing.stage(agreeing.anchor) == "in_force"
    agreeing.gate.passes(BEGINS_IN_SECONDS)
    await agreeing.gate.services.agreements.keep_up(agreeing.gate.services)
    assert await agreeing.stage(digest) == "in_force"
    assert await agreeing.stage(agreeing.anchor) == "superseded"
    assert agreeing.gate.services.agreement.digest == digest
    assert await agreeing.gate.reads(records.head) == records.Head(digest, None, None)


async def test_every_act_is_an_entry_that_says_who_and_what_and_how_far(agreeing: Agreeing) -> None:
    digest = await agreeing.has_in_force()
    entries = await agreeing.entries()
    assert [entry["kind"] for entry in entries] == [
        "agreement_proposed",
        "agreement_approved",
        *["agreement_signed"] * 4,
        "agreement_scheduled",
        "agreement_changed",
    ]
    assert {entry["agreement"] for entry in entries[:-1]} == {digest}
    assert [(entry["party"], entry["worker"]) for entry in entries[:2]] == [(VW, DPO.id), (VW, DPO_2.id)]
    assert [(entry["party"], entry["signed"], entry["needed"]) for entry in entries[2:6]] == [
        (party, count, 4) for count, party in enumerate(FOUNDERS, start=1)
    ]
    begins = (await agreeing.state(digest)).row.valid_from
    assert entries[-2]["from_at"] == entries[-1]["from_at"] == begins
    assert (entries[-1]["from"], entries[-1]["to"]) == (agreeing.anchor, digest)


async def test_an_act_that_was_done_is_not_done_again(agreeing: Agreeing) -> None:
    document = agreeing.document()
    digest = (await agreeing.proposes(document)).row.digest
    assert (await agreeing.proposes(document, party="askv", worker=ADMIN)).row.proposed_by_party == VW
    await agreeing.approves(digest)
    assert (await agreeing.approves(digest)).state == "approved"
    for party in FOUNDERS:
        await agreeing.signs(digest, party)
    agreeing.gate.passes(1)
    assert (await agreeing.signs(digest, VW)).state == "signed"
    await agreeing.activates(digest)
    assert (await agreeing.activates(digest, party="ind")).state == "scheduled"
    await agreeing.withdraws(digest, "dtv")
    assert (await agreeing.withdraws(digest, "dtv")).state == "signed"
    kinds = [entry["kind"] for entry in await agreeing.entries()]
    assert (len(kinds), len(set(kinds))) == (8, 5)


async def test_a_party_that_is_no_founder_signs_for_itself_and_is_not_counted(agreeing: Agreeing) -> None:
    digest = await agreeing.has_in_force()
    before = await agreeing.epoch()
    signed = await agreeing.signs(digest, "goedwerk")
    assert "goedwerk" in signed.signed_by
    assert (signed.state, len(signed.signed), len(signed.needed)) == ("in_force", 4, 4)
    assert await agreeing.epoch() == before + 1


# --- proposing -------------------------------------------------------------------------------


async def test_what_is_no_agreement_is_refused_with_every_fault_and_its_place(agreeing: Agreeing) -> None:
    good = agreeing.document()
    bad = agreeing.document(valid_until=1, operator={"name": "Gemeente", "kind": "municipality"})
    refusal = await refused("agreement_invalid", agreeing.proposes(bad))
    errors: Any = refusal.extra["errors"]
    assert len(errors) == 2
    assert all(set(error) == {"place", "nl", "en"} for error in errors)
    assert await agreeing.entries() == []
    assert (await agreeing.proposes(good)).state == "proposed"


async def test_a_party_of_another_kind_than_the_register_has_is_a_fault(agreeing: Agreeing) -> None:
    document = agreeing.document()
    document["parties"]["goedwerk"] = {**document["parties"]["goedwerk"], "kind": "lawyer"}
    refusal = await refused("agreement_invalid", agreeing.proposes(document))
    assert "register" in str(refusal.extra["errors"])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"supersedes": "sha-256:" + "A" * 43}, "It must say that it supersedes sha-256:"),
        ({"supersedes": None}, "It must say that it supersedes sha-256:"),
        ({"valid_from": 59}, "It must begin at least 60 seconds from now."),
        ({"valid_from": 0}, "It must begin at least 60 seconds from now."),
        ({"valid_from": -DAY}, "It must begin at least 60 seconds from now."),
    ],
)
async def test_a_version_that_could_not_come_into_force_is_not_proposed(
    agreeing: Agreeing, changes: dict[str, Any], why: str
) -> None:
    if "valid_from" in changes:
        changes = {"valid_from": agreeing.gate.now + changes["valid_from"]}
    refusal = await refused("agreement_not_ready", agreeing.proposes(agreeing.document(**changes)))
    assert why in missing(refusal)
    assert await agreeing.entries() == []
    soon = agreeing.document(valid_from=agreeing.gate.now + 60)
    assert (await agreeing.proposes(soon)).state == "proposed"


async def test_while_one_is_scheduled_no_second_one_is_proposed_or_scheduled(agreeing: Agreeing) -> None:
    other = await agreeing.has_signed(version="2026.3")
    first = await agreeing.has_scheduled()
    refusal = await refused("agreement_not_ready", agreeing.has_proposed(version="2026.4"))
    assert f"Another version is scheduled: {first}." in missing(refusal)
    refusal = await refused("agreement_not_ready", agreeing.activates(other))
    assert f"Another version is scheduled: {first}." in missing(refusal)
    assert (await agreeing.gate.reads(records.head)).next_digest == first


@pytest.mark.parametrize("party", ["goedwerk", "gemeente-amsterdam"])
async def test_who_is_no_founder_neither_proposes_nor_approves_nor_activates(
    agreeing: Agreeing, party: str
) -> None:
    await refused("not_for_this_party", agreeing.proposes(party=party))
    digest = await agreeing.has_proposed()
    await refused("not_for_this_party", agreeing.approves(digest, party=party))
    await agreeing.approves(digest)
    for founder in FOUNDERS:
        await agreeing.signs(digest, founder)
    await refused("not_for_this_party", agreeing.activates(digest, party=party))
    assert (await agreeing.activates(digest)).state == "scheduled"


# --- roles, and two people -------------------------------------------------------------------


@pytest.mark.parametrize("role", list(Role))
async def test_each_act_is_for_its_roles_alone(agreeing: Agreeing, role: Role) -> None:
    worker = Worker(id="wie-dan-ook", role=role)

    async def tried(allowed: set[Role], act: Awaitable[Any]) -> None:
        if role in allowed:
            await act
        else:
            await refused("role_may_not", act)

    await tried({Role.ADMIN, Role.DPO}, agreeing.proposes(worker=worker))
    digest = await agreeing.has_proposed(version="2026.3")
    await tried({Role.DPO}, agreeing.approves(digest, worker=worker))
    if role is not Role.DPO:
        await agreeing.approves(digest)
    for party in FOUNDERS:
        await agreeing.signs(digest, party)
    await tried({Role.ADMIN}, agreeing.signs(digest, "goedwerk", worker=worker))
    await agreeing.signs(digest, "goedwerk")
    await tried({Role.ADMIN, Role.DPO}, agreeing.activates(digest, worker=worker))
    await tried({Role.ADMIN}, agreeing.withdraws(digest, "goedwerk", worker=worker))


async def test_who_proposed_does_not_approve(agreeing: Agreeing) -> None:
    digest = await agreeing.has_proposed()
    await refused("same_worker", agreeing.approves(digest, worker=DPO))
    assert await agreeing.stage(digest) == "proposed"
    assert (await agreeing.approves(digest, worker=DPO_2)).state == "approved"


async def test_in_another_party_a_person_of_that_name_is_another_person(agreeing: Agreeing) -> None:
    digest = await agreeing.has_proposed()
    assert (await agreeing.approves(digest, party="askv", worker=DPO)).state == "approved"
    await refused("state_conflict", agreeing.approves(digest, party="ind", worker=DPO))


async def test_the_database_itself_refuses_one_person_for_two(agreeing: Agreeing) -> None:
    digest = await agreeing.has_proposed()
    by = (VW, DPO.id)
    with pytest.raises(IntegrityError):
        await agreeing.gate.services.store.write(
            lambda tx: records.put_approval(tx, digest, by=by, now=agreeing.gate.now)
        )
    for half in ("approved_by = 'fg-02'", "approved_at = 1", "activated_at = 1"):
        with pytest.raises(IntegrityError):
            await agreeing.gate.services.store.write(
                lambda tx, half=half: tx.conn.execute(
                    text(f"UPDATE agreement_versions SET {half} WHERE digest = '{digest}'")
                )
            )
    assert await agreeing.stage(digest) == "proposed"
    assert (await agreeing.approves(digest)).state == "approved"


# --- signing ---------------------------------------------------------------------------------


async def test_what_was_not_approved_is_not_signed(agreeing: Agreeing) -> None:
    digest = await agreeing.has_proposed()
    refusal = await refused("agreement_not_ready", agreeing.signs(digest, VW))
    assert "has not approved" in missing(refusal)
    await agreeing.approves(digest)
    assert (await agreeing.signs(digest, VW)).state == "signed"


@pytest.mark.parametrize("what", ["another's key", "another digest", "the future", "a withdrawal", "nothing"])
async def test_a_signature_that_is_not_the_partys_own_under_this_version_now_is_refused(
    agreeing: Agreeing, what: str
) -> None:
    digest = await agreeing.has_approved()
    wrong = {
        "another's key": agreeing.signature(digest, VW, by="askv"),
        "another digest": agreeing.signature(agreeing.anchor, VW),
        "the future": agreeing.signature(digest, VW, at=agreeing.gate.now + 600),
        "a withdrawal": agreeing.withdrawal(digest, VW),
        "nothing": "a.b.c",
    }[what]
    before = await agreeing.epoch()
    await refused("agreement_signature_invalid", agreeing.signs(digest, VW, wrong))
    assert await agreeing.epoch() == before
    assert (await agreeing.state(digest)).signed_by == frozenset()
    assert (await agreeing.signs(digest, VW)).signed_by == {VW}


async def test_a_party_signs_for_itself_only(agreeing: Agreeing) -> None:
    digest = await agreeing.has_approved()
    services, caller = agreeing.gate.services, agreeing.gate.caller("askv")
    jws = agreeing.signature(digest, VW)
    await refused("not_for_this_party", agreement_signing.sign(services, caller, digest, VW, jws, ADMIN))
    assert (await agreeing.signs(digest, VW, jws)).signed_by == {VW}


async def test_who_is_no_party_of_the_version_does_not_sign_it(agreeing: Agreeing) -> None:
    without = agreeing.document()
    del without["parties"]["goedwerk"]
    without["sources"].pop("goedwerk", None)
    digest = (await agreeing.proposes(without)).row.digest
    await agreeing.approves(digest)
    await refused("not_for_this_party", agreeing.signs(digest, "goedwerk"))
    other = await agreeing.has_approved(version="2026.3")
    assert (await agreeing.signs(other, "goedwerk")).signed_by == {"goedwerk"}


async def test_a_signature_that_was_taken_back_cannot_be_sent_again(agreeing: Agreeing) -> None:
    digest, party = await agreeing.has_approved(), "goedwerk"
    old = agreeing.signature(digest, party)
    assert (await agreeing.signs(digest, party, old)).signed_by == {party}
    taken_back = agreeing.withdrawal(digest, party)
    assert (await agreeing.withdraws(digest, party, taken_back)).signed_by == frozenset()
    await refused("agreement_signature_invalid", agreeing.signs(digest, party, old))
    same_second = agreeing.signature(digest, party)
    await refused("agreement_signature_invalid", agreeing.signs(digest, party, same_second))
    agreeing.gate.passes(1)
    assert (await agreeing.signs(digest, party)).signed_by == {party}
    # Nor does the withdrawal of the first one undo the second.
    await refused("agreement_signature_invalid", agreeing.withdraws(digest, party, taken_back))
    package = await agreeing.gate.reads(lambda conn: records.package(conn, digest))
    assert package is not None
    assert package.withdrawals == {party: taken_back}


async def test_a_founder_that_signed_in_time_and_left_may_come_back(agreeing: Agreeing) -> None:
    digest = await agreeing.has_in_force()
    await agreeing.withdraws(digest, "dtv")
    assert await agreeing.stage(digest) == "stopped"
    agreeing.gate.passes(5)
    assert (await agreeing.signs(digest, "dtv")).state == "in_force"


async def test_a_founders_first_signature_is_from_before_the_version_begins(agreeing: Agreeing) -> None:
    digest = await agreeing.has_approved()
    begins = (await agreeing.state(digest)).row.valid_from
    # A clock may be a few seconds ahead of ours, and no more.
    agreeing.gate.passes(BEGINS_IN_SECONDS - 5)
    late = agreeing.signature(digest, "dtv", at=begins)
    await refused("agreement_signature_invalid", agreeing.signs(digest, "dtv", late))
    other = await agreeing.signs(digest, "goedwerk", agreeing.signature(digest, "goedwerk", at=begins))
    assert other.signed_by == {"goedwerk"}
    in_time = agreeing.signature(digest, "dtv", at=begins - 1)
    assert "dtv" in (await agreeing.signs(digest, "dtv", in_time)).signed_by


async def test_who_founded_the_version_before_signs_the_next_also_when_it_is_not_named_there(
    agreeing: Agreeing,
) -> None:
    document = agreeing.document(founding_set=[VW, "askv", "ind"])
    del document["parties"]["dtv"], document["sources"]["dtv"]
    digest = (await agreeing.proposes(document)).row.digest
    await agreeing.approves(digest)
    for party in (VW, "askv", "ind"):
        await agreeing.signs(digest, party)
    assert "dtv" in missing(await refused("agreement_not_ready", agreeing.activates(digest)))
    await agreeing.signs(digest, "dtv")
    assert (await agreeing.activates(digest)).state == "scheduled"


async def test_a_founder_that_left_signs_what_followed_whenever_it_likes(agreeing: Agreeing) -> None:
    await agreeing.withdraws(agreeing.anchor, "dtv")
    digest = (await agreeing.proposes(agreeing.document(founding_set=[VW, "askv", "ind"]))).row.digest
    await agreeing.approves(digest)
    for party in (VW, "askv", "ind"):
        await agreeing.signs(digest, party)
    await agreeing.activates(digest)
    agreeing.gate.passes(BEGINS_IN_SECONDS + 5)
    await agreeing.gate.services.agreements.keep_up(agreeing.gate.services, anew=True)
    joined = await agreeing.signs(digest, "dtv")
    assert (joined.state, "dtv" in joined.signed_by) == ("in_force", True)


# --- withdrawing -----------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["another's key", "another digest", "the future", "long ago", "a signature"])
async def test_a_withdrawal_that_is_not_the_partys_own_of_this_moment_is_refused(
    agreeing: Agreeing, what: str
) -> None:
    digest = await agreeing.has_signed()
    agreeing.gate.passes(1000)
    wrong = {
        "another's key": agreeing.withdrawal(digest, VW, by="askv"),
        "another digest": agreeing.withdrawal(agreeing.anchor, VW),
        "the future": agreeing.withdrawal(digest, VW, at=agreeing.gate.now + 600),
        "long ago": agreeing.withdrawal(digest, VW, at=agreeing.gate.now - 600),
        "a signature": agreeing.signature(digest, VW),
    }[what]
    await refused("agreement_signature_invalid", agreeing.withdraws(digest, VW, wrong))
    assert VW in (await agreeing.state(digest)).signed_by
    assert VW not in (await agreeing.withdraws(digest, VW)).signed_by


async def test_a_withdrawal_from_before_the_version_began_is_refused_after_it(agreeing: Agreeing) -> None:
    digest = await agreeing.has_in_force()
    agreeing.gate.passes(10)
    begins = (await agreeing.state(digest)).row.valid_from
    early = agreeing.withdrawal(digest, "dtv", at=begins - 1)
    await refused("agreement_signature_invalid", agreeing.withdraws(digest, "dtv", early))
    in_time = agreeing.withdrawal(digest, "dtv", at=begins)
    assert "dtv" not in (await agreeing.withdraws(digest, "dtv", in_time)).signed_by


async def test_who_has_not_signed_has_nothing_to_withdraw(agreeing: Agreeing) -> None:
    digest = await agreeing.has_approved()
    await refused("state_conflict", agreeing.withdraws(digest, VW))


async def test_a_founder_that_leaves_the_version_in_force_stops_it_at_once(agreeing: Agreeing) -> None:
    before = await agreeing.epoch()
    left = await agreeing.withdraws(agreeing.anchor, "dtv")
    assert (left.state, len(left.signed), len(left.needed)) == ("stopped", 3, 4)
    assert await agreeing.epoch() == before + 1
    (entry,) = await agreeing.entries()
    assert (entry["kind"], entry["party"], entry["agreement"]) == (
        "agreement_unsigned",
        "dtv",
        agreeing.anchor,
    )
    agreeing.gate.passes(1)
    back = await agreeing.signs(agreeing.anchor, "dtv")
    assert (back.state, await agreeing.epoch()) == ("in_force", before + 2)


async def test_what_follows_does_not_wait_for_a_founder_that_left(agreeing: Agreeing) -> None:
    await agreeing.withdraws(agreeing.anchor, "dtv")
    document = agreeing.document(founding_set=[VW, "askv", "ind"])
    digest = (await agreeing.proposes(document)).row.digest
    await agreeing.approves(digest)
    for party in (VW, "askv", "ind"):
        signed = await agreeing.signs(digest, party)
    assert (len(signed.signed), len(signed.needed)) == (3, 3)
    assert (await agreeing.activates(digest)).state == "scheduled"


async def test_a_scheduled_version_that_a_founder_leaves_is_scheduled_no_longer(agreeing: Agreeing) -> None:
    digest = await agreeing.has_scheduled()
    assert (await agreeing.withdraws(digest, "ind")).state == "signed"
    assert await agreeing.gate.reads(records.head) == records.Head(agreeing.anchor, None, None)
    assert (await agreeing.entries())[-1]["unscheduled"] == digest
    agreeing.gate.passes(BEGINS_IN_SECONDS)
    await agreeing.gate.services.agreements.keep_up(agreeing.gate.services, anew=True)
    assert await agreeing.stage(agreeing.anchor) == "in_force"
    assert await agreeing.stage(digest) == "lapsed"


async def test_a_touched_row_of_the_scheduled_version_keeps_nobody_from_leaving(agreeing: Agreeing) -> None:
    digest = await agreeing.has_scheduled()
    touched = text(
        "UPDATE agreement_signatures SET jws = 'a.b.c' WHERE digest = :digest AND party_id = 'ind'"
    )
    store = agreeing.gate.services.store
    await store.write(lambda tx: tx.conn.execute(touched, {"digest": digest}).rowcount)
    left = await agreeing.withdraws(agreeing.anchor, "goedwerk")
    assert "goedwerk" not in left.signed_by
    # What cannot be verified is not waited for: the version in force stays.
    assert await agreeing.gate.reads(records.head) == records.Head(agreeing.anchor, None, None)


async def test_a_scheduled_version_stays_so_when_another_party_leaves_it(agreeing: Agreeing) -> None:
    digest = await agreeing.has_signed()
    await agreeing.signs(digest, "goedwerk")
    await agreeing.activates(digest)
    assert (await agreeing.withdraws(digest, "goedwerk")).state == "scheduled"
    assert "unscheduled" not in (await agreeing.entries())[-1]


# --- activating ------------------------------------------------------------------------------


async def test_a_version_with_fewer_signatures_than_founders_is_not_activated(agreeing: Agreeing) -> None:
    digest = await agreeing.has_signed("dtv", "ind")
    refusal = await refused("agreement_not_ready", agreeing.activates(digest))
    assert missing(refusal) == "2 of 4 founding parties have signed; not yet: dtv, ind."
    await agreeing.signs(digest, "dtv")
    await refused("agreement_not_ready", agreeing.activates(digest))
    await agreeing.signs(digest, "ind")
    assert (await agreeing.activates(digest)).state == "scheduled"


async def test_an_unsigned_and_unapproved_version_is_told_all_that_it_lacks(agreeing: Agreeing) -> None:
    digest = await agreeing.has_proposed()
    refusal = await refused("agreement_not_ready", agreeing.activates(digest))
    assert len(refusal.extra["missing"]) == 2  # type: ignore[arg-type]
    assert "0 of 4" in missing(refusal)


async def test_its_own_founding_set_is_not_enough(agreeing: Agreeing) -> None:
    document = agreeing.document(founding_set=[VW])
    digest = (await agreeing.proposes(document)).row.digest
    await agreeing.approves(digest)
    await agreeing.signs(digest, VW)
    refusal = await refused("agreement_not_ready", agreeing.activates(digest))
    assert missing(refusal) == "1 of 4 founding parties have signed; not yet: askv, dtv, ind."
    for party in ("askv", "ind", "dtv"):
        await agreeing.signs(digest, party)
    assert (await agreeing.activates(digest)).state == "scheduled"


async def test_what_begins_too_soon_is_not_activated_any_more(agreeing: Agreeing) -> None:
    digest = await agreeing.has_signed()
    agreeing.gate.passes(BEGINS_IN_SECONDS - 59)
    refusal = await refused("agreement_not_ready", agreeing.activates(digest))
    assert missing(refusal) == "It must begin at least 60 seconds from now."
    agreeing.gate.passes(59)
    await refused("state_conflict", agreeing.activates(digest))
    assert await agreeing.stage(digest) == "lapsed"
    await refused("state_conflict", agreeing.signs(digest, "goedwerk"))


async def test_what_another_version_overtook_goes_no_further(agreeing: Agreeing) -> None:
    stale, waiting = (
        await agreeing.has_signed(version="2026.3"),
        await agreeing.has_proposed(version="2026.4"),
    )
    later = await agreeing.has_signed(version="2026.5", valid_from=agreeing.gate.now + 2 * BEGINS_IN_SECONDS)
    await agreeing.has_in_force()
    for act in (agreeing.activates(stale), agreeing.approves(waiting), agreeing.activates(later)):
        await refused("state_conflict", act)
    assert [await agreeing.stage(one) for one in (stale, waiting, later)] == ["lapsed", "lapsed", "signed"]


async def test_in_production_an_open_question_keeps_a_version_from_force(agreeing: Agreeing) -> None:
    gate = agreeing.gate
    digest = await agreeing.has_signed()
    answered = agreeing.document(version="2026.3")
    for question in answered["open_questions"].values():
        question["answer"] = "Beantwoord in de bijlage."
    whole = (await agreeing.proposes(answered)).row.digest
    await agreeing.approves(whole)
    for party in FOUNDERS:
        await agreeing.signs(whole, party)
    settings = gate.services.settings.model_copy(update={"profile": "production"})
    gate.services = replace(gate.services, settings=settings)
    refusal = await refused("agreement_not_ready", agreeing.activates(digest))
    assert len(refusal.extra["missing"]) == len(answered["open_questions"])  # type: ignore[arg-type]
    assert "An open question has no answer: controller" in missing(refusal)
    assert (await agreeing.activates(whole)).state == "scheduled"


class Away(RemotePolicy):
    """An engine that does not have the version that it is asked about."""

    async def decide(self, question: object) -> Any:
        raise PolicyUnavailable

    async def check(self, agreement: str) -> None:
        raise PolicyUnavailable

    async def close(self) -> None:
        pass

    def hold(self, agreements: object) -> None:
        pass


async def test_what_the_policy_engine_cannot_decide_by_is_not_activated(agreeing: Agreeing) -> None:
    digest = await agreeing.has_signed()
    gate, able = agreeing.gate, agreeing.gate.services
    gate.services = replace(able, engine=Away())
    refusal = await refused("agreement_not_ready", agreeing.activates(digest))
    assert missing(refusal) == "The policy engine does not hold this version yet; try again soon."
    gate.services = able
    assert (await agreeing.activates(digest)).state == "scheduled"


async def test_a_version_that_nobody_proposed_is_not_found(agreeing: Agreeing) -> None:
    unknown = "sha-256:" + "A" * 43
    for act in (
        agreeing.approves(unknown),
        agreeing.signs(unknown, VW),
        agreeing.withdraws(unknown, VW),
        agreeing.activates(unknown),
    ):
        await refused("not_found", act)


# --- what is computed, and what is kept --------------------------------------------------------


async def test_a_restart_brings_back_no_signature_that_was_withdrawn(agreeing: Agreeing) -> None:
    gate = agreeing.gate
    await agreeing.withdraws(agreeing.anchor, "dtv")
    await gate.services.agreements.begin(gate.services)
    signed = await gate.reads(lambda conn: records.signed_by(conn, agreeing.anchor))
    assert (VW in signed, "dtv" in signed) == (True, False)


async def test_a_version_turns_once_however_many_gateways_try(agreeing: Agreeing) -> None:
    digest = await agreeing.has_scheduled()
    services = agreeing.gate.services

    def turns(now: int) -> Awaitable[str | None]:
        return services.store.write(lambda tx: records.turn(tx, services.vault, now))

    begins = agreeing.gate.now + BEGINS_IN_SECONDS
    assert await turns(begins - 1) is None
    assert await turns(begins) == digest
    assert await turns(begins) is None
    assert [entry["kind"] for entry in await agreeing.entries()].count("agreement_changed") == 1


async def test_a_version_is_lapsed_once_its_days_are_over(agreeing: Agreeing) -> None:
    row = await agreeing.gate.reads(lambda conn: records.row(conn, agreeing.anchor))
    assert row is not None
    stages = [
        state_of(row, signed, agreeing.anchor, now)
        for signed, now in (
            (row.founding, row.valid_from),
            (row.founding, row.valid_until - 1),
            (row.founding, row.valid_until),
            (row.founding - {VW}, row.valid_from),
            (row.founding, row.valid_from - 1),
        )
    ]
    assert stages == ["in_force", "in_force", "lapsed", "stopped", "signed"]


async def test_one_party_has_four_open_versions_and_no_more(agreeing: Agreeing) -> None:
    for number in range(4):
        await agreeing.proposes(agreeing.document(version=f"2026.2-{number}"))
    fifth = agreeing.document(version="2026.2-4")
    assert "4 versions that your party" in missing(
        await refused("agreement_not_ready", agreeing.proposes(fifth))
    )
    # Another founder is not kept from it, nor is this one when its own have lapsed.
    await agreeing.proposes(fifth, party="askv")
    agreeing.gate.passes(BEGINS_IN_SECONDS)
    await agreeing.proposes(agreeing.document(version="2026.3"))
