"""A version comes into force at its instant, on every gateway, and what is no version does not.

Asked here is the spine itself, about a client whose case the caller is not on: that is decided, recorded, and
names the version that it was decided by. `test_agreement_reload.py` does so over HTTP, with the sources.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from adapters.kit.register import agreement_digest, sign_agreement
from adapters.protocol import Worker
from gateway import exchange
from gateway.agreements import Agreements
from gateway.app import compose
from gateway.cli.cast import PARTIES
from gateway.cli.provision import Deployment
from gateway.errors import GatewayError
from gateway.http import health
from gateway.policy.port import PolicyBuildRefused, Question, Verdict, VersionedEngine
from gateway.policy.wasm import WasmEngine
from gateway.services import Services
from gateway.stages import Delivery, Exchange, SubmittedRequest
from gateway.storage.agreement_tables import agreement_signatures, agreement_versions
from gateway.storage.tables import gateway_state, ledger_details
from tests.integration.agreeing import BEGINS_IN_SECONDS, Agreeing
from tests.integration.gate import JURIST, VW, Gate, v_number


async def ask(
    parts: Services, *, by: str = VW, purpose: str = "legal_screening", source: str = "ind"
) -> Exchange:
    """Ask about a client whose case the caller is not on."""
    request = SubmittedRequest(
        party=by,
        client=v_number(),
        purpose=purpose,
        source=source,
        categories=("perspective",),
        worker=Worker(id=JURIST.id, role=JURIST.role),
        signed_request="",
        jti=secrets.token_urlsafe(16),
        signed_at=parts.clock(),
        expires_at=parts.clock() + 3600,
        idempotency_key=secrets.token_hex(32),
        fingerprint=secrets.token_hex(32),
    )
    asked = await exchange.ask(parts, request)
    assert not isinstance(asked, Delivery)
    return asked


async def decided_by(parts: Services) -> str:
    """Name the version by which a request is decided now, which nothing refuses."""
    asked = await ask(parts)
    assert asked.state == "nothing_to_share", asked.failure
    return asked.agreement_digest


async def refusal(parts: Services, **asked: str) -> str | None:
    return (await ask(parts, **asked)).failure


async def kinds(gate: Gate) -> list[str]:
    found = select(ledger_details.c.kind).order_by(ledger_details.c.index)
    return list(await gate.reads(lambda conn: conn.execute(found).scalars().all()))


async def touch(gate: Gate, statement: Any) -> None:
    """Change the database behind the gateway's back."""
    await gate.services.store.write(lambda tx: tx.conn.execute(statement).rowcount)


@asynccontextmanager
async def another_gateway(
    gate: Gate, *, folder: Path | None = None, clock: Callable[[], int] | None = None
) -> AsyncIterator[Services]:
    """Start another gateway on the same database: beside this one on PostgreSQL, instead of it on SQLite."""
    settings = gate.services.settings
    if settings.database_url.startswith("sqlite"):
        gate.services.store.close()
    if folder is not None:
        settings = settings.model_copy(update={"deployment_folder": folder})
    started = await asyncio.to_thread(compose, settings, clock=clock or gate.services.clock)
    first, gate.services = gate.services, started
    try:
        await started.agreements.begin(started)
        yield started
    finally:
        gate.services = first
        await started.sources.close()
        started.store.close()


# --- the instant -----------------------------------------------------------------------------


async def test_until_its_instant_the_old_version_decides_and_from_it_on_the_new_one(
    agreeing: Agreeing,
) -> None:
    gate, parts = agreeing.gate, agreeing.gate.services
    assert await decided_by(parts) == agreeing.anchor
    digest = await agreeing.has_scheduled()
    gate.passes(BEGINS_IN_SECONDS - 1)
    assert await decided_by(parts) == agreeing.anchor
    gate.passes(1)
    assert await decided_by(parts) == digest
    assert (await kinds(gate))[-3:] == ["nothing_to_share", "agreement_changed", "nothing_to_share"]
    assert (await agreeing.entries())[-2]["from_at"] == gate.now
    assert await decided_by(parts) == digest
    assert (await kinds(gate)).count("agreement_changed") == 1


class Late:
    """The real engine; while it decides, time passes."""

    def __init__(self, engine: VersionedEngine, gate: Gate, seconds: int) -> None:
        self._engine, self._gate, self._seconds = engine, gate, seconds
        self.asked: list[str] = []

    async def decide(self, question: Question) -> Verdict:
        verdict = await self._engine.decide(question)
        self.asked.append(question.agreement)
        self._gate.passes(self._seconds)
        self._seconds = 0
        return verdict


async def test_what_is_decided_before_the_instant_is_not_recorded_after_it(agreeing: Agreeing) -> None:
    gate = agreeing.gate
    digest = await agreeing.has_scheduled()
    gate.passes(BEGINS_IN_SECONDS - 1)
    assert await decided_by(gate.services) == agreeing.anchor  # what the agreement alone says is known now
    late = Late(gate.services.engine, gate, 1)  # type: ignore[arg-type]
    assert await decided_by(replace(gate.services, engine=late)) == digest
    assert late.asked[0] == agreeing.anchor
    assert late.asked[-1] == digest
    assert (await kinds(gate))[-2:] == ["agreement_changed", "nothing_to_share"]


async def test_a_refusal_by_the_agreement_alone_names_the_version_of_its_instant(agreeing: Agreeing) -> None:
    gate, rules = agreeing.gate, agreeing.document()["rules"]
    closed = {purpose: table for purpose, table in rules.items() if purpose != "legal_screening"}
    second = await agreeing.has_scheduled(rules=closed)
    gate.passes(BEGINS_IN_SECONDS - 1)
    assert await refusal(gate.services) is None
    refused = await ask(replace(gate.services, engine=Late(gate.services.engine, gate, 1)))  # type: ignore[arg-type]
    assert (refused.failure, refused.agreement_digest) == ("no_rule_in_agreement", second)
    # And what the one refuses a moment before its end, the next one opens.
    third = await agreeing.has_scheduled(version="2026.3", rules=rules)
    gate.passes(BEGINS_IN_SECONDS - 1)
    assert await refusal(gate.services) == "no_rule_in_agreement"
    opened = await ask(replace(gate.services, engine=Late(gate.services.engine, gate, 1)))  # type: ignore[arg-type]
    assert (opened.failure, opened.agreement_digest) == (None, third)


async def test_many_requests_at_the_instant_are_decided_and_one_entry_says_that_it_came(
    agreeing: Agreeing,
) -> None:
    gate, parts = agreeing.gate, agreeing.gate.services
    digest = await agreeing.has_scheduled()
    gate.passes(BEGINS_IN_SECONDS)
    assert await asyncio.gather(*(decided_by(parts) for _ in range(12))) == [digest] * 12
    assert (await kinds(gate)).count("agreement_changed") == 1


async def test_nobody_has_to_ask_for_a_version_to_come_into_force(agreeing: Agreeing) -> None:
    gate, parts = agreeing.gate, agreeing.gate.services
    digest = await agreeing.has_scheduled()
    gate.passes(BEGINS_IN_SECONDS)
    following = asyncio.create_task(parts.agreements.run(parts))
    try:
        async with asyncio.timeout(10):
            while (await kinds(gate))[-1] != "agreement_changed":  # noqa: ASYNC110 - the ledger has no event
                await asyncio.sleep(0.02)
    finally:
        following.cancel()
    assert await agreeing.stage(digest) == "in_force"


# --- several gateways, and restarts ----------------------------------------------------------


@pytest.fixture
def on_postgresql(gate: Gate) -> Gate:
    if gate.services.settings.database_url.startswith("sqlite"):
        pytest.skip("one gateway has a file to itself")
    return gate


async def test_of_two_gateways_one_writes_the_change_and_both_decide_by_it(
    agreeing: Agreeing, on_postgresql: Gate
) -> None:
    gate, first = on_postgresql, on_postgresql.services
    async with another_gateway(gate) as second:
        digest = await agreeing.has_scheduled()
        assert [await decided_by(parts) for parts in (first, second)] == [agreeing.anchor] * 2
        gate.passes(BEGINS_IN_SECONDS)
        asked = (decided_by(parts) for parts in (first, second) * 6)
        assert await asyncio.gather(*asked) == [digest] * 12
        assert (await kinds(gate)).count("agreement_changed") == 1
        assert first.agreement.digest == second.agreement.digest == digest


async def test_a_gateway_that_heard_nothing_of_a_version_meets_it_at_its_instant(
    agreeing: Agreeing, on_postgresql: Gate
) -> None:
    gate, first = on_postgresql, on_postgresql.services
    async with another_gateway(gate) as second:
        digest = await agreeing.has_scheduled()
        assert second.agreements.version(digest) is not None, "the one that carried it"
        assert first.agreements.version(digest) is None
        gate.passes(BEGINS_IN_SECONDS)
        assert await decided_by(first) == digest
        assert await decided_by(second) == digest


async def test_a_gateway_whose_clock_is_behind_decides_by_what_another_brought_into_force(
    agreeing: Agreeing, on_postgresql: Gate
) -> None:
    gate = on_postgresql
    digest = await agreeing.has_scheduled()
    async with another_gateway(gate, clock=lambda: gate.now - 5) as behind:
        gate.passes(BEGINS_IN_SECONDS - 1)
        assert await decided_by(behind) == agreeing.anchor
        gate.passes(1)
        assert await decided_by(behind) == agreeing.anchor, "by its own clock, as long as nobody changed it"
        first = agreeing.gate.services
        await first.agreements.keep_up(first, anew=True)
    # The gate's own gateway, whose clock is ahead, brings it into force; the other one follows at once.
    await gate.services.agreements.keep_up(gate.services, anew=True)
    async with another_gateway(gate, clock=lambda: gate.now - 5) as behind:
        asked = await ask(behind)
        assert (asked.failure, asked.agreement_digest) == (None, digest)
        assert asked.created_at == gate.now, "as of the first second of the version"


async def test_a_start_between_the_schedule_and_the_instant_misses_nothing(agreeing: Agreeing) -> None:
    digest = await agreeing.has_scheduled()
    async with another_gateway(agreeing.gate) as started:
        assert await decided_by(started) == agreeing.anchor
        agreeing.gate.passes(BEGINS_IN_SECONDS)
        assert await decided_by(started) == digest


async def test_a_start_after_the_instant_brings_the_version_into_force_at_once(agreeing: Agreeing) -> None:
    digest = await agreeing.has_scheduled()
    agreeing.gate.passes(BEGINS_IN_SECONDS + 60)
    async with another_gateway(agreeing.gate) as started:
        assert started.agreement.digest == digest
        assert (await kinds(agreeing.gate))[-1] == "agreement_changed"
        assert await decided_by(started) == digest


async def test_after_a_change_a_start_from_the_first_folder_goes_on_with_the_version_in_force(
    agreeing: Agreeing,
) -> None:
    second = await agreeing.has_in_force()
    third = await agreeing.has_in_force(version="2026.3")
    async with another_gateway(agreeing.gate) as started:
        assert await decided_by(started) == third
        for digest in (agreeing.anchor, second, third):
            assert started.agreements.version(digest) is not None
        assert (await kinds(agreeing.gate)).count("agreement_changed") == 2


def put_another(deployment: Deployment, into: Path, document: Mapping[str, Any], now: int) -> Path:
    """Make a deployment folder with another agreement, signed by all."""
    shutil.copytree(deployment["gateway"].deployment_folder, into)
    digest = agreement_digest(document)
    register = json.loads((into / "register.json").read_text())
    (into / "register.json").write_text(json.dumps(register | {"agreement": digest}))
    (into / "agreement.json").write_text(json.dumps(document))
    for party in PARTIES:
        key = deployment[party.id].keystore().signing("identity")
        signed = sign_agreement(key=key, party=party.id, digest=digest, now=now)
        (into / f"signatures/{party.id}.jws").write_text(signed)
    return into


async def test_another_folder_put_there_by_hand_is_what_counts_from_the_next_start_on(
    agreeing: Agreeing, deployment: Deployment, tmp_path: Path
) -> None:
    document = dict(agreeing.gate.services.agreement.signed.data) | {"version": "by hand"}
    folder = put_another(deployment, tmp_path / "another", document, agreeing.gate.now)
    await agreeing.has_in_force()
    async with another_gateway(agreeing.gate, folder=folder) as started:
        assert await decided_by(started) == agreement_digest(document)
    async with another_gateway(agreeing.gate) as again:
        assert await decided_by(again) == agreeing.anchor, "the first one was put back"


# --- signatures that are taken back ----------------------------------------------------------


async def test_a_founder_that_leaves_stops_everything_at_once(agreeing: Agreeing) -> None:
    parts = agreeing.gate.services
    assert await decided_by(parts) == agreeing.anchor
    await agreeing.withdraws(agreeing.anchor, "askv")
    for asked in ({}, {"by": "goedwerk", "purpose": "return_support"}):
        assert await refusal(parts, **asked) == "agreement_not_in_force"
    agreeing.gate.passes(1)
    await agreeing.signs(agreeing.anchor, "askv")
    assert await decided_by(parts) == agreeing.anchor


async def test_another_party_that_leaves_stops_what_depends_on_it_and_nothing_else(
    agreeing: Agreeing,
) -> None:
    parts, of_goedwerk = (
        agreeing.gate.services,
        {"by": "goedwerk", "purpose": "return_support", "source": "dtv"},
    )
    assert await refusal(parts, **of_goedwerk) is None
    await agreeing.withdraws(agreeing.anchor, "goedwerk")
    assert await refusal(parts, **of_goedwerk) == "agreement_not_signed"
    assert await decided_by(parts) == agreeing.anchor


async def test_a_restart_does_not_bring_back_what_was_taken_back(agreeing: Agreeing) -> None:
    await agreeing.withdraws(agreeing.anchor, "askv")
    async with another_gateway(agreeing.gate) as started:
        assert await refusal(started) == "agreement_not_in_force"


async def test_a_founder_that_leaves_the_scheduled_version_lets_the_old_one_stay(agreeing: Agreeing) -> None:
    digest = await agreeing.has_scheduled()
    await agreeing.withdraws(digest, "dtv")
    agreeing.gate.passes(BEGINS_IN_SECONDS)
    assert await decided_by(agreeing.gate.services) == agreeing.anchor
    assert await agreeing.stage(digest) == "lapsed"


async def test_a_founder_that_comes_back_to_a_version_in_force_brings_it_back(agreeing: Agreeing) -> None:
    digest = await agreeing.has_in_force()
    for _ in ("once", "and once more"):
        agreeing.gate.passes(10)
        await agreeing.withdraws(digest, "ind")
        assert await refusal(agreeing.gate.services) == "agreement_not_in_force"
        agreeing.gate.passes(10)
        await agreeing.signs(digest, "ind")
        assert await decided_by(agreeing.gate.services) == digest
    agreeing.gate.passes(10)
    await agreeing.withdraws(digest, "ind")
    async with another_gateway(agreeing.gate) as started:
        assert await refusal(started) == "agreement_not_in_force", "the version itself stays in its place"
        agreeing.gate.passes(10)
        await agreeing.signs(digest, "ind")
        assert await decided_by(started) == digest


async def test_a_signature_by_a_clock_that_is_ahead_counts_for_a_gateway_that_is_behind(
    agreeing: Agreeing,
) -> None:
    gate = agreeing.gate
    await agreeing.withdraws(agreeing.anchor, "ind")
    gate.passes(5)
    ahead = agreeing.signature(agreeing.anchor, "ind", at=gate.now + 8)
    await agreeing.signs(agreeing.anchor, "ind", ahead)
    async with another_gateway(gate, clock=lambda: gate.now - 5) as behind:
        assert await decided_by(behind) == agreeing.anchor


# --- what is no version ----------------------------------------------------------------------

VERSION, SIGNATURE, STATE = agreement_versions, agreement_signatures, gateway_state


def other_document(digest: str) -> Any:
    """Put another text under a digest that the parties did sign."""
    return update(VERSION).where(VERSION.c.digest == digest).values(document=b'{"version":"2026.2"}')


def other_signature(digest: str) -> Any:
    """Put a founder's signature under another version in the place of the one under this."""
    anchors = (
        select(SIGNATURE.c.jws)
        .where(SIGNATURE.c.digest != digest, SIGNATURE.c.party_id == "ind")
        .scalar_subquery()
    )
    mine = (SIGNATURE.c.digest == digest, SIGNATURE.c.party_id == "ind")
    return update(SIGNATURE).where(*mine).values(jws=anchors)


def no_signature(digest: str) -> Any:
    return delete(SIGNATURE).where(SIGNATURE.c.digest == digest, SIGNATURE.c.party_id == "dtv")


def too_early(_: str) -> Any:
    """Have it come before the instant that its founders signed."""
    return update(STATE).values(next_agreement_at=STATE.c.next_agreement_at - BEGINS_IN_SECONDS // 2)


UNTRUE: dict[str, tuple[Callable[[str], Any], str]] = {
    "another text under its digest": (other_document, "agreement_invalid"),
    "a signature that is of another version": (other_signature, "agreement_not_signed"),
    "a signature that is gone": (no_signature, "agreement_not_signed"),
    "an instant that nobody signed": (too_early, "not_a_successor"),
}


@pytest.mark.parametrize("what", UNTRUE)
async def test_a_scheduled_version_that_was_touched_does_not_come_and_the_old_one_stays(
    agreeing: Agreeing, what: str
) -> None:
    touched, code = UNTRUE[what]
    digest = await agreeing.has_scheduled()
    await touch(agreeing.gate, touched(digest))
    async with another_gateway(agreeing.gate) as started:
        assert started.agreements.seen.refused == {digest: code}
        assert await decided_by(started) == agreeing.anchor
        agreeing.gate.passes(BEGINS_IN_SECONDS + 1)
        assert await decided_by(started) == agreeing.anchor
        assert "agreement_changed" not in await kinds(agreeing.gate)
        ready = await health._look_at(started)
        assert ready.number == 0, "it serves"


async def test_a_signature_that_somebody_wrote_under_the_version_in_force_is_none(
    agreeing: Agreeing,
) -> None:
    of_goedwerk = {"by": "goedwerk", "purpose": "return_support", "source": "dtv"}
    others = select(SIGNATURE.c.jws).where(SIGNATURE.c.party_id == "ind").scalar_subquery()
    mine = update(SIGNATURE).where(SIGNATURE.c.party_id == "goedwerk")
    kept = select(SIGNATURE.c.jws).where(SIGNATURE.c.party_id == "goedwerk")
    own = await agreeing.gate.reads(lambda conn: conn.execute(kept).scalar_one())
    parts, again = agreeing.gate.services, {"jws": own, "withdrawal": None, "withdrawn_at": None}
    for changes in (
        {"jws": others},
        {"jws": "e30.e30.e30"},
        {"withdrawal": "e30.e30.e30", "withdrawn_at": 1},
    ):
        for values, expected in ((again, None), (changes, "agreement_not_signed")):
            await touch(agreeing.gate, mine.values(**values))
            await touch(agreeing.gate, update(STATE).values(party_epoch=STATE.c.party_epoch + 1))
            assert await refusal(parts, **of_goedwerk) == expected
        assert await decided_by(parts) == agreeing.anchor


async def test_nobodys_act_brings_a_version_into_force_that_was_touched(agreeing: Agreeing) -> None:
    digest = await agreeing.has_scheduled()
    await touch(agreeing.gate, other_document(digest))
    async with another_gateway(agreeing.gate) as started:
        agreeing.gate.passes(BEGINS_IN_SECONDS + 1)
        await agreeing.withdraws(agreeing.anchor, "goedwerk")
        assert await decided_by(started) == agreeing.anchor


async def test_a_version_that_was_signed_by_half_is_not_scheduled_by_writing_it_down(
    agreeing: Agreeing,
) -> None:
    parts = agreeing.gate.services
    digest = await agreeing.has_signed("dtv")
    begins = agreeing.gate.now + BEGINS_IN_SECONDS
    await touch(agreeing.gate, update(STATE).values(next_agreement_digest=digest, next_agreement_at=begins))
    agreeing.gate.passes(BEGINS_IN_SECONDS)
    assert await decided_by(parts) == agreeing.anchor
    assert parts.agreements.seen.refused == {digest: "agreement_not_signed"}
    # And where the database calls it in force, nothing is decided by it.
    await touch(agreeing.gate, update(STATE).values(agreement_digest=digest))
    with pytest.raises(GatewayError, match="policy_unavailable"):
        await ask(parts)


async def test_a_version_whose_time_went_by_unscheduled_never_comes(agreeing: Agreeing) -> None:
    digest = await agreeing.has_signed()
    agreeing.gate.passes(BEGINS_IN_SECONDS + 1)
    assert await decided_by(agreeing.gate.services) == agreeing.anchor
    assert await agreeing.stage(digest) == "lapsed"


async def test_a_version_that_ended_while_no_gateway_ran_does_not_come(agreeing: Agreeing) -> None:
    now = agreeing.gate.now
    digest = await agreeing.has_scheduled(valid_until=now + BEGINS_IN_SECONDS + 60)
    agreeing.gate.passes(BEGINS_IN_SECONDS + 61)
    async with another_gateway(agreeing.gate) as started:
        assert await decided_by(started) == agreeing.anchor
        assert started.agreements.seen.refused == {digest: "not_a_successor"}


async def test_a_version_in_force_that_was_touched_is_not_replaced_by_an_older_one(
    agreeing: Agreeing,
) -> None:
    digest = await agreeing.has_in_force()
    whole = select(VERSION.c.document).where(VERSION.c.digest == digest)
    before = await agreeing.gate.reads(lambda conn: conn.execute(whole).scalar_one())
    await touch(agreeing.gate, other_document(digest))
    async with another_gateway(agreeing.gate) as started:
        with pytest.raises(GatewayError, match="policy_unavailable"):
            await ask(started)
        with pytest.raises(GatewayError, match="policy_unavailable"):
            await health._look_at(started)
        mended = update(VERSION).where(VERSION.c.digest == digest).values(document=before)
        await touch(agreeing.gate, mended)
        assert await decided_by(started) == digest


async def test_a_version_in_force_whose_row_is_gone_is_not_replaced_by_an_older_one(
    agreeing: Agreeing,
) -> None:
    digest = await agreeing.has_in_force()
    await touch(agreeing.gate, delete(SIGNATURE).where(SIGNATURE.c.digest == digest))
    await touch(agreeing.gate, delete(VERSION).where(VERSION.c.digest == digest))
    async with another_gateway(agreeing.gate) as started:
        with pytest.raises(GatewayError, match="policy_unavailable"):
            await ask(started)
        assert started.agreements.seen.refused == {digest: "not_a_successor"}


class Choosy:
    """The real engine; it cannot decide by one version."""

    def __init__(self, engine: VersionedEngine, refuses: str) -> None:
        self._engine, self._refuses = engine, refuses

    async def decide(self, question: Question) -> Verdict:
        return await self._engine.decide(question)

    def hold(self, agreements: Mapping[str, Mapping[str, object]]) -> None:
        if self._refuses in agreements:
            raise PolicyBuildRefused
        self._engine.hold(agreements)


async def test_a_version_by_which_the_engine_cannot_decide_does_not_come(agreeing: Agreeing) -> None:
    digest = await agreeing.has_scheduled()
    whole = agreeing.gate.services
    build, policies = whole.settings.policies_folder / "build", whole.settings.policies_folder
    choosy = Choosy(WasmEngine.load(build, policies, whole.agreement.signed), digest)
    agreements = Agreements(whole.agreement, whole.register, choosy, whole.clock)
    parts = replace(whole, engine=choosy, agreements=agreements)
    await agreements.look(parts)
    assert agreements.seen.refused == {digest: "policy_build_refused"}
    agreeing.gate.passes(BEGINS_IN_SECONDS)
    assert await decided_by(parts) == agreeing.anchor
    assert await decided_by(whole) == digest, "by a gateway whose engine can"
    with pytest.raises(GatewayError, match="policy_unavailable"):
        await ask(parts)


async def test_what_is_already_decided_by_is_not_looked_for_again(
    agreeing: Agreeing, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = agreeing.gate.services
    reads: list[str] = []
    verifies = parts.agreements._held._verifies
    monkeypatch.setattr(
        type(parts.agreements._held),
        "_verifies",
        lambda self, digest, party, *rest: reads.append(party) or verifies(digest, party, *rest),
    )
    await decided_by(parts)
    await decided_by(parts)
    assert reads == [], "the signatures of this epoch are known"
    await agreeing.withdraws(agreeing.anchor, "goedwerk")
    await decided_by(parts)
    await decided_by(parts)
    assert len(reads) >= 8
    assert len(set(reads)) == len(reads), "each once"
