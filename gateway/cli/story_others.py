"""Steps 6 and 7: who is not on the case, and who never receives."""

from __future__ import annotations

import json
from collections.abc import Awaitable

from adapters.protocol import Category, ClientIdentifier, Role, Scheme
from gateway.cli.facts import Facts
from gateway.cli.world import EVERYTHING, IND, PURPOSE, World, expect_refusal, worker_of

# Ten digits that no agency and no case knows.
NOBODY = ClientIdentifier(scheme=Scheme.V_NUMBER, value="9990004242")


async def ask_as_a_stranger(world: World) -> Facts:
    """Ask as ASKV, which is not on the case, about Amina and about nobody."""
    facts, askv = world.take_notes(), world.requesters["askv"]
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
    facts.check(
        answers[0].status == answers[1].status
        and answers[0].headers.get("Content-Length") == answers[1].headers.get("Content-Length"),
        "about a client of the chain and about nobody: the same status, the same length",
    )
    sizes = [{name: len(str(body.pop(name))) for name in ("id", "receipt")} for body in (known, unknown)]
    # Written again in the order in which they came, so that the order of members counts too.
    facts.check(
        sizes[0] == sizes[1] and json.dumps(known) == json.dumps(unknown),
        "random id and receipt apart, the two answers are the same, byte for byte",
    )
    facts.values |= {"known": known, "unknown": unknown, "lengths": sizes}
    return facts


async def ask_beyond_the_agreement(world: World) -> Facts:
    """Ask what the agreement alone refuses."""
    facts = world.take_notes()
    attempts = (
        ("avim", "asks for supervision", "supervision", "purpose_not_in_agreement"),
        ("gemeente-amsterdam", "asks for the baseline", PURPOSE, "party_never_receives"),
    )
    for party, what, purpose, code in attempts:
        denied = await expect_refusal(facts, party, what, _ask(world, party, world.amina, purpose), code)
        facts.check(
            denied.status == 403 and bool(denied.paragraph), "the refusal names its article of the agreement"
        )
        again = await expect_refusal(Facts(), party, what, _ask(world, party, NOBODY, purpose), code)
        facts.check(again == denied, "about a number that nobody knows it reads the same")
    return facts


def _ask(world: World, party: str, client: ClientIdentifier, purpose: str) -> Awaitable[object]:
    return world.requesters[party].request_dossier(
        client,
        purpose=purpose,
        source=IND,
        categories=(Category.PERSPECTIVE,),
        worker=worker_of(party, Role.CASEWORKER),
    )
