"""The main job as a story of nine steps, through the public HTTP API alone.

`poort demo` tells it, `tests/e2e/test_main_job.py` asserts it: one list of steps serves both. A step
returns the facts it found, or raises: StepFailed, or an error of the requester's library.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass

from adapters.protocol import Category, ClientIdentifier, Role, Scheme
from adapters.requester import GatewayRefused
from gateway.cli.evidence import signed_on_paper
from gateway.cli.facts import Asked, Denied, Facts, StepFailed
from gateway.cli.taken_over import step_taken_over
from gateway.cli.world import IND, PURPOSE, VW, World, persona, worker_of

BASELINE = (Category.PERSPECTIVE, Category.PARTNERS)
PAPERS = (Category.DECISIONS, Category.DOSSIER_DOCUMENTS)
EVERYTHING = (*BASELINE, *PAPERS)
# Ten digits that no agency and no case knows.
NOBODY = ClientIdentifier(scheme=Scheme.V_NUMBER, value="9990004242")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it shows, and how to do it."""

    number: int
    title: str
    about: str
    run: Callable[[World], Awaitable[Facts]]


async def open_a_case(world: World) -> Facts:
    """Open a case for VluchtelingenWerk on the client's mandate; bring in Goedwerk."""
    facts, vw = Facts(), world.vluchtelingenwerk
    desk, second = worker_of(VW, Role.DESK), worker_of(VW, Role.DESK, 1)
    manager = worker_of(VW, Role.CASEMANAGER)

    before = await world.ask(facts, VW, world.amina, BASELINE, remark="before there is a case")
    facts.check(before.exchange.state == "nothing_to_share", "without a case there is nothing to share")

    case = await _case(world, world.amina)
    facts.check(case["state"] == "pending", f"{desk.id} opened the case; it waits for a second worker")
    pending = await world.ask(facts, VW, world.amina, BASELINE, remark="while the mandate is unconfirmed")
    facts.check(pending.exchange.state == "nothing_to_share", "an unconfirmed case involves nobody")
    await _refused(
        facts, VW, "the same worker confirms", vw.confirm_case(str(case["id"]), worker=desk), "same_worker"
    )
    confirmed = await vw.confirm_case(str(case["id"]), worker=second)
    facts.check(confirmed["state"] == "active", f"{second.id} confirmed the mandate; the case is active")

    invitation = await vw.invite_partner(str(case["id"]), "goedwerk", worker=manager)
    joined = await world.requesters["goedwerk"].accept_invitation(
        str(invitation["invitation"]),
        world.amina,
        worker=worker_of("goedwerk", Role.CASEMANAGER),
        casemanager=worker_of("goedwerk", Role.CASEMANAGER).id,
        workers=[worker_of("goedwerk", Role.CASEWORKER)],
    )
    facts.check(joined["state"] == "active", f"Goedwerk joined on the invitation of {manager.id}")
    facts.values |= {"case": case["id"], "state": confirmed["state"]}
    return facts


async def ask_without_consent(world: World) -> Facts:
    """Ask IND for four categories while there is no consent."""
    facts = Facts()
    asked = await world.ask(facts, VW, world.amina, EVERYTHING)
    _expect_baseline_only(facts, asked)
    facts.check(
        asked.dossier is not None and asked.dossier.partners == ("goedwerk", VW),
        "the parties on the case are named, and nobody else",
    )
    withheld = {one.category: one for one in asked.exchange.decisions if one.outcome == "withheld"}
    facts.check(
        set(withheld) == set(PAPERS) and all(one.next_step and one.paragraph for one in withheld.values()),
        "for each of the others: why not, by which paragraph, and what would help",
    )
    return facts


async def record_consent(world: World) -> Facts:
    """Record the client's consent at the desk; a second worker confirms it."""
    facts, vw = Facts(), world.vluchtelingenwerk
    desk, second = worker_of(VW, Role.DESK), worker_of(VW, Role.DESK, 1)
    recorded = await _consent(world, world.amina)
    world.consent = str(recorded["id"])
    facts.check(recorded["state"] == "pending", f"{desk.id} recorded it, signed with VluchtelingenWerk's key")
    await _refused(
        facts,
        VW,
        "the same worker confirms",
        vw.confirm_consent(world.consent, worker=desk),
        "same_worker",
    )
    confirmed = await vw.confirm_consent(world.consent, worker=second)
    facts.check(confirmed["state"] == "active", f"{second.id} confirmed it; from now on it counts")
    facts.values |= {"consent": world.consent, "state": confirmed["state"]}
    return facts


async def ask_with_consent(world: World) -> Facts:
    """Ask the same again: now the papers come, sealed, and everything is proven."""
    facts, vw = Facts(), world.vluchtelingenwerk
    asked = await world.ask(facts, VW, world.amina, EVERYTHING)
    documents = asked.dossier.documents if asked.dossier else ()
    facts.check({one.category for one in documents} == set(PAPERS), "decisions and documents came")
    facts.check(
        all(one.content.startswith(b"%PDF-") and len(one.content) > 100_000 for one in documents),
        "each is a PDF file of some hundred kilobytes, sealed by IND, opened with VluchtelingenWerk's key",
    )
    facts.check(asked.dossier is not None, "IND's attestation covers every one of them, and nothing else")
    proven = await world.prove(VW, asked.exchange.id)
    world.kept_checkpoint = proven.proof.checkpoint
    facts.check(
        proven.receipt.ledger.detail.get("exchange") == asked.exchange.id,
        f"the receipt opens entry {proven.receipt.ledger.index}, and the ledger of {proven.tree_size}"
        " entries is proven to hold it",
    )
    closed = await vw.acknowledge(asked.exchange.id, worker=worker_of(VW, Role.CASEWORKER))
    facts.check(closed.state == "collected", "acknowledged: the gateway deleted the sealed bytes")
    facts.values |= {"documents": len(documents), "ledger_index": proven.receipt.ledger.index}
    return facts


async def withdraw(world: World) -> Facts:
    """Withdraw: for the next request, and under one that is on its way at IND."""
    facts, vw = Facts(), world.vluchtelingenwerk
    desk = worker_of(VW, Role.DESK)
    withdrawn = await vw.withdraw_consent(world.consent, worker=desk)
    facts.check(
        withdrawn["state"] == "withdrawn", f"Amina withdrew; ledger entry {withdrawn.get('ledger_index')}"
    )
    again = await world.ask(facts, VW, world.amina, EVERYTHING, remark="after the withdrawal")
    _expect_baseline_only(facts, again)

    chaltu = persona("chaltu")
    case = await _case(world, chaltu)
    await vw.confirm_case(str(case["id"]), worker=worker_of(VW, Role.DESK, 1))
    consent = await _consent(world, chaltu)
    await vw.confirm_consent(str(consent["id"]), worker=worker_of(VW, Role.DESK, 1))
    prepared = vw.prepare(
        chaltu,
        purpose=PURPOSE,
        source=IND,
        categories=EVERYTHING,
        worker=worker_of(VW, Role.CASEWORKER),
    )
    began = time.monotonic()
    under_way = await vw.send(prepared, wait_seconds=0)
    facts.check(under_way.state == "forwarded", "Chaltu's request is at IND, where a person works on it")
    await vw.withdraw_consent(str(consent["id"]), worker=desk)
    facts.check(
        await _cancelled_at_ind(world, under_way.id),
        "Chaltu withdrew; a cancellation that names both categories reached IND's adapter",
    )
    exchange = await vw.follow(under_way.id, patience_seconds=60)
    dossier = await vw.open(exchange, source=IND) if exchange.answer is not None else None
    late = Asked(VW, IND, PURPOSE, time.monotonic() - began, exchange, dossier, "Chaltu, withdrawn meanwhile")
    facts.told.append(late)
    _expect_baseline_only(facts, late)
    await world.prove(VW, exchange.id)
    facts.values |= {"withdrawn": world.consent, "under_way": exchange.id}
    return facts


async def ask_as_a_stranger(world: World) -> Facts:
    """Ask as ASKV, which is not on the case, about Amina and about nobody."""
    facts, askv = Facts(), world.requesters["askv"]
    answers = []
    for client in (world.amina, NOBODY):
        prepared = askv.prepare(
            client,
            purpose=PURPOSE,
            source=IND,
            categories=EVERYTHING,
            worker=worker_of("askv", Role.CASEWORKER),
        )
        answers.append(await askv.send_for_response(prepared))
    known, unknown = (dict(one.body) if isinstance(one.body, dict) else {} for one in answers)
    facts.check(known.get("state") == "nothing_to_share", "ASKV is told: nothing to share")
    facts.check(answers[0].status == answers[1].status, "a client of the chain and nobody: the same status")
    sizes = [{name: len(str(body.pop(name))) for name in ("id", "receipt")} for body in (known, unknown)]
    facts.check(sizes[0] == sizes[1], "random id and receipt apart, of the same lengths,")
    facts.check(known == unknown, "the two answers are the same, byte for byte")
    facts.values |= {"known": known, "unknown": unknown, "lengths": sizes}
    return facts


async def ask_beyond_the_agreement(world: World) -> Facts:
    """Ask what the agreement alone refuses."""
    facts = Facts()
    attempts = (
        ("avim", "asks for supervision", "supervision", "purpose_not_in_agreement"),
        ("gemeente-amsterdam", "asks for the baseline", PURPOSE, "party_never_receives"),
    )
    for party, what, purpose, code in attempts:
        asking = world.requesters[party].request_dossier(
            world.amina,
            purpose=purpose,
            source=IND,
            categories=(Category.PERSPECTIVE,),
            worker=worker_of(party, Role.CASEWORKER),
        )
        denied = await _refused(facts, party, what, asking, code)
        facts.check(denied.status == 403 and bool(denied.paragraph), "refused before anyone was looked up")
    return facts


async def verify_the_ledger(world: World) -> Facts:
    """Copy the ledger to a file, and verify it with nothing but that file and a public key."""
    from gateway.cli.audit import audit

    return await audit(world)


STEPS: tuple[Step, ...] = (
    Step(
        1,
        "A case, by the client's act",
        "Amina comes to VluchtelingenWerk and signs a mandate. One worker opens the case, another confirms"
        " it. Until then VluchtelingenWerk gets nothing.",
        open_a_case,
    ),
    Step(
        2,
        "Three facts, no more",
        "VluchtelingenWerk's system asks IND for four things. There is no consent yet.",
        ask_without_consent,
    ),
    Step(
        3,
        "Consent, by two",
        "At the desk Amina allows IND to pass decisions and documents to VluchtelingenWerk, for the legal"
        " screening, for six months.",
        record_consent,
    ),
    Step(4, "The dossier, sealed and proven", "The same request again.", ask_with_consent),
    Step(
        5,
        "Withdrawn",
        "Amina changes her mind. So does Chaltu, while a person at IND is still working on her dossier.",
        withdraw,
    ),
    Step(
        6,
        "One face for no",
        "ASKV is not on Amina's case. It asks about her, and about a number that nobody knows.",
        ask_as_a_stranger,
    ),
    Step(
        7,
        "The agreement says no",
        "The aliens police asks for supervision; the municipality asks for the baseline.",
        ask_beyond_the_agreement,
    ),
    Step(
        8,
        "A gateway that was taken over",
        "Someone holds the gateway's own signing key, and tries to make IND speak.",
        step_taken_over,
    ),
    Step(
        9,
        "The proof outlives trust",
        "An auditor gets a file and a public key: no network, no gateway.",
        verify_the_ledger,
    ),
)


async def _case(world: World, client: ClientIdentifier) -> dict[str, object]:
    desk = worker_of(VW, Role.DESK)
    return dict(
        await world.vluchtelingenwerk.open_case(
            client,
            opened_by=desk,
            casemanager=worker_of(VW, Role.CASEMANAGER).id,
            workers=[worker_of(VW, Role.CASEWORKER), desk, worker_of(VW, Role.DESK, 1)],
            mandate=signed_on_paper(desk.id, "ti", interpreter="tolk-4471"),
        )
    )


async def _consent(world: World, client: ClientIdentifier) -> dict[str, object]:
    desk = worker_of(VW, Role.DESK)
    return dict(
        await world.vluchtelingenwerk.record_consent(
            client,
            purpose=PURPOSE,
            sources=[IND],
            recipients=[VW],
            categories=PAPERS,
            evidence=signed_on_paper(desk.id, "ti", interpreter="tolk-4471"),
            worker=desk,
        )
    )


async def _refused(facts: Facts, by: str, what: str, call: Awaitable[object], code: str) -> Denied:
    try:
        await call
    except GatewayRefused as refused:
        if refused.code != code:
            raise StepFailed(f"{by} {what}: refused with {refused.code} instead of {code}") from refused
        denied = Denied.of(by, what, refused)
        facts.told.append(denied)
        return denied
    raise StepFailed(f"{by} {what}: this was allowed, and should have been refused with {code}")


def _expect_baseline_only(facts: Facts, asked: Asked) -> None:
    answer = asked.exchange.answer
    if answer is None:
        raise StepFailed(f"no answer came: the request is {asked.exchange.state}")
    facts.check(
        set(answer.baseline) == set(BASELINE) and not answer.sealed, "the baseline came, and nothing else"
    )


async def _cancelled_at_ind(world: World, exchange: str) -> bool:
    """Look, as IND may, into its adapter's own store, until it holds the cancellation of both papers."""
    store = world.deployment.folder / "ind-adapter.sqlite"
    for _ in range(60):
        with closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT category FROM cancelled WHERE exchange = ?", (exchange,))
            if {category for (category,) in rows} == {str(category) for category in PAPERS}:
                return True
        await asyncio.sleep(0.1)
    return False
