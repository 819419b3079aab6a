"""Promise 2: take one thing away from a call that was just answered, and it is refused.

Each removal is a small context: the same call succeeds before it and again after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from adapters.protocol import Role, Worker
from gateway.cli.evidence import signed_on_paper
from gateway.cli.world import IND, PURPOSE, VW, worker_of
from tests.integration.promises.people import newcomer, what_left
from tests.integration.promises.removals import (
    ASKED,
    JURIST,
    MANAGER,
    NAMES,
    Asked,
    Call,
    Removal,
    Saying,
    answered_call,
    fails,
    leaving,
    left_behind,
    sent,
    source_gone,
    suspended,
    unsigned_by,
    with_engine,
    with_field,
    without_key_list,
)
from tests.integration.town import Town, v_number

pytestmark = pytest.mark.asyncio(loop_scope="session")

AFTER_THE_AGREEMENT = 1_924_992_000
REMOVALS: dict[str, tuple[Removal, int, str]] = {
    "the agreement, over": (
        with_engine(lambda engine, _: Asked(engine, now=AFTER_THE_AGREEMENT)),
        403,
        "agreement_not_in_force",
    ),
    "the agreement, replaced elsewhere": (left_behind, 503, "policy_unavailable"),
    "the requester's signature under the agreement": (
        with_engine(lambda engine, _: Asked(engine, requester_signed=False)),
        403,
        "agreement_not_signed",
    ),
    "the source's signature under the agreement": (
        with_engine(lambda engine, _: Asked(engine, source_signed=False)),
        403,
        "agreement_not_signed",
    ),
    "the signature of one of the founding set": (
        unsigned_by("askv"),
        403,
        "agreement_not_in_force",
    ),
    "a purpose of the agreement": (with_field("purpose", "curiosity"), 403, "purpose_not_in_agreement"),
    "a purpose about persons": (with_field("purpose", "aggregate_report"), 403, "no_rule_in_agreement"),
    "the requester's good standing": (suspended(VW), 403, "party_suspended"),
    "the source's good standing": (suspended(IND), 403, "party_suspended"),
    "the requester's key list": (without_key_list(VW), 500, "internal_error"),
    "the source's key list": (without_key_list(IND), 500, "internal_error"),
    "the source": (source_gone, 400, "unknown_source"),
    "an engine that answers": (with_engine(lambda e, _: Saying(fails, e)), 503, "policy_unavailable"),
    "a verdict": (with_engine(lambda e, _: Saying(lambda _: None, e)), 503, "policy_unavailable"),
    "a verdict of the right type": (
        with_engine(lambda e, _: Saying(lambda v: {"decisions": v.decisions}, e)),
        503,
        "policy_unavailable",
    ),
    "the decisions in a verdict": (
        with_engine(lambda e, _: Saying(lambda v: replace(v, decisions=()), e)),
        503,
        "policy_unavailable",
    ),
    "the requester's signature": (
        sent(lambda body: {**body, "signed_request": body["signed_request"][:-9] + "A~"}),
        400,
        "invalid_signed_request",
    ),
    "the signed request": (
        sent(lambda body: {k: v for k, v in body.items() if k != "signed_request"}),
        400,
        "invalid_input",
    ),
    "a category under the signature": (
        sent(lambda body: {**body, "categories": [*body["categories"], "decisions"]}),
        400,
        "signed_request_mismatch",
    ),
    "all categories": (sent(lambda body: {**body, "categories": []}), 400, "invalid_input"),
    "the type of the categories": (
        sent(lambda body: {**body, "categories": "perspective"}),
        400,
        "invalid_input",
    ),
    "a category of the agreement": (
        sent(lambda body: {**body, "categories": ["everything"]}),
        400,
        "unknown_category",
    ),
    "the worker": (
        sent(lambda body: {k: v for k, v in body.items() if k != "worker"}),
        400,
        "invalid_input",
    ),
    "the client": (sent(lambda body: {**body, "client": None}), 400, "invalid_input"),
}


@pytest.mark.parametrize("what", REMOVALS)
async def test_nothing_leaves_without(place: Town, what: str) -> None:
    call = await answered_call(place)
    removal, status, code = REMOVALS[what]
    whole = await call.make()
    assert (whole.status, leaving(whole)) == (200, NAMES)
    async with removal(call):
        refused = await call.make()
    assert (refused.status, refused.code) == (status, code)
    assert leaving(refused) == frozenset()
    assert leaving(await call.make()) == NAMES


async def _no_case(call: Call) -> None:
    await call.place.world.vluchtelingenwerk.leave_case(call.case, worker=MANAGER)


async def _no_worker(call: Call) -> None:
    path = f"/v1/cases/{call.case}/workers/{JURIST.id}/removal"
    await call.place.call(VW, "POST", path, {"worker": MANAGER})


async def _other_role(call: Call) -> None:
    call.worker = Worker(id=JURIST.id, role=Role.MEDICAL)


async def _desk_role(call: Call) -> None:
    call.worker = worker_of(VW, Role.DESK)


async def _no_consent(call: Call) -> None:
    desk = worker_of(VW, Role.DESK)
    await call.place.world.vluchtelingenwerk.withdraw_consent(call.consent, worker=desk)


async def _half_a_consent(call: Call) -> None:
    """One worker recorded it, and no second one has confirmed it."""
    await _no_consent(call)
    desk = worker_of(VW, Role.DESK)
    await call.place.world.vluchtelingenwerk.record_consent(
        call.client,
        purpose=PURPOSE,
        sources=[IND],
        recipients=[VW],
        categories=ASKED[1:],
        evidence=signed_on_paper(desk.id, "ti"),
        worker=desk,
    )


async def _consent_for_another(call: Call) -> None:
    """The consents that stand are for another purpose, and for another recipient."""
    await _no_consent(call)
    await call.place.consent(call.client, ASKED[1:], purpose="legal_guidance")
    await call.place.consent(call.client, ASKED[1:], recipients=("askv",))


@pytest.mark.parametrize(
    ("remove", "state", "left"),
    [
        (_no_case, "nothing_to_share", frozenset()),
        (_no_worker, "nothing_to_share", frozenset()),
        (_other_role, "nothing_to_share", frozenset()),
        (_desk_role, "refused", frozenset()),
        (_no_consent, "answered", frozenset({"perspective"})),
        (_half_a_consent, "answered", frozenset({"perspective"})),
        (_consent_for_another, "answered", frozenset({"perspective"})),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_less_leaves_without(place: Town, remove: Any, state: str, left: frozenset[str]) -> None:
    call = await answered_call(place)
    assert leaving(await call.make()) == NAMES
    await remove(call)
    after = await call.make()
    assert (after.status, cast("Mapping[str, Any]", after.body)["state"]) == (200, state)
    assert leaving(after) == left


async def test_a_case_that_nobody_confirmed_involves_nobody(place: Town) -> None:
    client = v_number(newcomer().v_number)
    desk = worker_of(VW, Role.DESK)
    party = place.world.vluchtelingenwerk
    opened = await party.open_case(
        client,
        opened_by=desk,
        casemanager=MANAGER.id,
        workers=[JURIST],
        mandate=signed_on_paper(desk.id, "ti"),
    )
    assert (await place.ask(client, ASKED)).state == "nothing_to_share"
    await party.confirm_case(str(opened["id"]), worker=worker_of(VW, Role.DESK, 1))
    assert what_left(await place.ask(client, ASKED)).categories == {"perspective"}
