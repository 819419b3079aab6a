"""Steps 1 to 5: a client's case, her consent, her dossier, and her change of mind."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import replace

from adapters.protocol import ClientIdentifier, Role
from gateway.cli.cast import introduce
from gateway.cli.evidence import signed_on_paper
from gateway.cli.facts import Asked, Facts
from gateway.cli.world import (
    BASELINE,
    EVERYTHING,
    IND,
    PAPERS,
    PURPOSE,
    VW,
    World,
    expect_baseline_only,
    expect_refusal,
    persona,
    worker_of,
)


async def open_a_case(world: World) -> Facts:
    """Open a case for VluchtelingenWerk on the client's mandate; bring in Goedwerk."""
    facts, vw = world.take_notes(), world.vluchtelingenwerk
    desk, second = worker_of(VW, Role.DESK), worker_of(VW, Role.DESK, 1)
    manager, asking = worker_of(VW, Role.CASEMANAGER), worker_of(VW, Role.CASEWORKER)

    before = await world.ask(facts, VW, world.amina, BASELINE, remark="before there is a case")
    facts.check(before.exchange.state == "nothing_to_share", "without a case there is nothing to share")

    case = await _case(world, world.amina)
    facts.check(
        case["state"] == "pending",
        f"{introduce(desk.id, desk.role)}, opened the case for {introduce(asking.id, asking.role)};"
        " it waits for a second worker",
    )
    pending = await world.ask(facts, VW, world.amina, BASELINE, remark="while the mandate is unconfirmed")
    facts.check(pending.exchange.state == "nothing_to_share", "an unconfirmed case involves nobody")
    await expect_refusal(
        facts,
        VW,
        f"{desk.id} confirms it too",
        world.desk.confirm_case(str(case["id"]), worker=desk),
        "same_worker",
    )
    confirmed = await world.desk.confirm_case(str(case["id"]), worker=second)
    facts.check(
        confirmed["state"] == "active",
        f"{introduce(second.id, second.role)}, confirmed the mandate; the case is active",
    )

    invitation = await vw.invite_partner(str(case["id"]), "goedwerk", worker=manager)
    joined = await world.requesters["goedwerk"].accept_invitation(
        str(invitation["invitation"]),
        world.amina,
        worker=worker_of("goedwerk", Role.CASEMANAGER),
        casemanager=worker_of("goedwerk", Role.CASEMANAGER).id,
        workers=[worker_of("goedwerk", Role.CASEWORKER)],
    )
    facts.check(
        joined["state"] == "active",
        f"Goedwerk joined on the invitation of {introduce(manager.id, manager.role)}",
    )
    facts.values |= {"case": case["id"], "state": confirmed["state"]}
    return facts


async def ask_without_consent(world: World) -> Facts:
    """Ask IND for four categories while there is no consent."""
    facts = world.take_notes()
    asked = await world.ask(facts, VW, world.amina, EVERYTHING)
    expect_baseline_only(facts, asked)
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
    facts = world.take_notes()
    desk, second = worker_of(VW, Role.DESK), worker_of(VW, Role.DESK, 1)
    recorded = await _consent(world, world.amina)
    world.consent = str(recorded["id"])
    facts.check(
        recorded["state"] == "pending",
        f"{introduce(desk.id, desk.role)}, recorded it, signed with VluchtelingenWerk's key",
    )
    await expect_refusal(
        facts,
        VW,
        f"{desk.id} confirms it too",
        world.desk.confirm_consent(world.consent, worker=desk),
        "same_worker",
    )
    confirmed = await world.desk.confirm_consent(world.consent, worker=second)
    facts.check(confirmed["state"] == "active", f"{second.id} confirmed it; from now on it counts")
    facts.values |= {"consent": world.consent, "state": confirmed["state"]}
    return facts


async def ask_with_consent(world: World) -> Facts:
    """Ask the same again: now the papers come, sealed, and everything is proven."""
    facts, vw = world.take_notes(), world.vluchtelingenwerk
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
    facts = world.take_notes()
    desk = worker_of(VW, Role.DESK)
    withdrawn = await world.desk.withdraw_consent(world.consent, worker=desk)
    facts.check(
        withdrawn["state"] == "withdrawn", f"Amina withdrew; ledger entry {withdrawn.get('ledger_index')}"
    )
    again = await world.ask(facts, VW, world.amina, EVERYTHING, remark="after the withdrawal")
    expect_baseline_only(facts, again)

    await _withdraw_under_way(world, facts, persona("chaltu"))
    facts.values |= {"withdrawn": world.consent}
    return facts


async def _withdraw_under_way(world: World, facts: Facts, client: ClientIdentifier) -> None:
    vw, asking = world.vluchtelingenwerk, worker_of(VW, Role.CASEWORKER)
    case = await _case(world, client)
    await world.desk.confirm_case(str(case["id"]), worker=worker_of(VW, Role.DESK, 1))
    consent = await _consent(world, client)
    await world.desk.confirm_consent(str(consent["id"]), worker=worker_of(VW, Role.DESK, 1))

    began = time.monotonic()
    prepared = vw.prepare(client, purpose=PURPOSE, source=IND, categories=EVERYTHING, worker=asking)
    under_way = await vw.send(prepared, wait_seconds=0)
    seconds = time.monotonic() - began
    asked = Asked(
        VW, asking, IND, PURPOSE, tuple(map(str, EVERYTHING)), seconds, under_way, None, "about Chaltu"
    )
    facts.tell(asked)
    facts.check(under_way.state == "forwarded", "the request is at IND, where a person works on it")
    await world.desk.withdraw_consent(str(consent["id"]), worker=worker_of(VW, Role.DESK))
    facts.check(
        await _cancelled_at_ind(world, under_way.id),
        "Chaltu withdrew; a cancellation that names both categories reached IND's adapter",
    )
    world.waiting("Waiting for the person at IND, who takes some seconds")
    exchange = await vw.follow(under_way.id, patience_seconds=60)
    dossier = await vw.open(exchange, source=IND) if exchange.answer is not None else None
    seconds = time.monotonic() - began
    late = replace(asked, exchange=exchange, dossier=dossier, seconds=seconds, later=True)
    facts.tell(late)
    expect_baseline_only(facts, late)
    await world.prove(VW, exchange.id)


async def _case(world: World, client: ClientIdentifier) -> dict[str, object]:
    desk = worker_of(VW, Role.DESK)
    return dict(
        await world.desk.open_case(
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
        await world.desk.record_consent(
            client,
            purpose=PURPOSE,
            sources=[IND],
            recipients=[VW],
            categories=PAPERS,
            evidence=signed_on_paper(desk.id, "ti", interpreter="tolk-4471"),
            worker=desk,
        )
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
