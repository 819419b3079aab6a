"""Promises 6 and 9: an order carries what the source must verify and find, and nothing beside it.

That forged orders are refused is `tests/contract/test_adapters_refuse.py`, on every adapter.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from adapters.kit import jose, sdjwt
from adapters.kit.sealing import SealingError, open_client, open_sealed
from adapters.kit.statements import verify_consent_statement, verify_order, verify_request
from adapters.kit.strict_json import decode_base64url
from adapters.protocol import SD_PADDING, Category, Role
from gateway import exchange_records
from gateway.cli.cast import PARTIES
from gateway.cli.evidence import signed_on_paper
from gateway.cli.world import IND, VW, worker_of
from tests.integration.promises import marks
from tests.integration.promises.conftest import Watched
from tests.integration.promises.people import newcomer, what_left
from tests.integration.town import Town, v_number

pytestmark = pytest.mark.asyncio(loop_scope="session")

ORDERED = {"perspective", "application_status", "decisions"}
WITHHELD = {"identity", "dossier_documents", "flight_narrative"}
INTERPRETER = "tolk.wielewaal.3"


@dataclass(frozen=True, slots=True)
class Sent:
    """An order as it was sent, taken apart down to the last disclosure."""

    number: str
    exchange: str
    order: str
    payload: dict[str, Any]
    statements: tuple[str, ...]  # the request, then the consents: JWT and disclosures
    named: dict[str, str]  # what was sealed to the source: disclosures that name the client

    def parts(self) -> list[str]:
        """Return every text that anyone on the way, or at the source, could read."""
        texts = [json.dumps(jose.unverified_payload(self.order), ensure_ascii=False)]
        for statement in self.statements:
            jwt, disclosed = sdjwt.split(statement)
            texts += [part.decode() for part in map(decode_base64url, jwt.split(".")[:2])]
            texts += [decode_base64url(one).decode() for one in disclosed]
        return [*texts, decode_base64url(self.order.split(".")[0]).decode()]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sent(watched: Watched) -> Sent:
    """Ask for six categories, of which three may be asked, on a consent for more and for others too."""
    place = watched.town
    person = newcomer()
    client = v_number(person.v_number)
    case = await place.open_case(client)
    await place.invite(case, client, "goedwerk")
    await place.consent(
        client,
        (Category.APPLICATION_STATUS, Category.DECISIONS, Category.PROCEDURE_HISTORY, Category.MEASURES),
        recipients=(VW, "askv"),
        interpreter=INTERPRETER,
    )
    asked = tuple(Category(name) for name in sorted(ORDERED | WITHHELD))
    exchange = await place.ask(client, (Category.PARTNERS, *asked))
    assert what_left(exchange).categories == ORDERED | {"partners"}
    stored = await place.services.store.read(lambda conn: exchange_records.present(conn, exchange.id))
    order = str(stored.order_jws)
    payload: dict[str, Any] = jose.unverified_payload(order)
    named = open_client(payload["client"], place.deployment[IND].keystore()).disclosures
    return Sent(
        person.v_number,
        exchange.id,
        order,
        payload,
        (payload["request"], *payload["consents"]),
        dict(named),
    )


async def test_an_order_names_the_ordered_categories_and_no_other(sent: Sent) -> None:
    assert {one["category"] for one in sent.payload["categories"]} == ORDERED
    for statement in sent.statements:
        disclosed = [(one.name, one.value) for one in sdjwt.unverified_disclosures(statement)]
        named = {value for name, value in disclosed if name == "categories"}
        assert named == ORDERED - ({"perspective"} if statement != sent.payload["request"] else set())
    readable = "\n".join(sent.parts())
    for name in WITHHELD | {"partners", "procedure_history", "measures"}:
        assert name not in readable


async def test_an_order_names_no_other_recipient_and_no_worker(sent: Sent) -> None:
    readable = "\n".join(sent.parts())
    assert f'"{VW}"' in readable  # the control: a party that belongs there is found
    workers = [worker.id for party in PARTIES for worker in party.workers]
    for name in ("askv", "goedwerk", INTERPRETER, "caseworker", *workers):
        assert name not in readable
    assert "address" not in readable
    assert "note" not in readable


async def test_an_order_says_only_what_the_protocol_lists(sent: Sent) -> None:
    assert set(sent.payload) == {
        *("iss", "aud", "jti", "exchange", "iat", "exp", "agreement", "purpose", "recipient"),
        *("categories", "request", "consents", "client"),
    }
    plain = set(jose.unverified_payload(sdjwt.split(sent.statements[0])[0]))
    assert plain == {"iss", "aud", "jti", "iat", "exp", "purpose", "seal_to", "categories", "_sd", "_sd_alg"}


async def test_the_identifier_is_sealed_to_the_source_and_nowhere_else(sent: Sent, place: Town) -> None:
    # The control: for the source it is there, once for the request and once for each consent.
    assert len(sent.named) == len(sent.statements) == 2
    for disclosure in sent.named.values():
        assert json.loads(decode_base64url(disclosure))[1:] == [
            "client",
            {"scheme": "v-number", "value": sent.number},
        ]
    assert marks.found([sent.number], "\n".join(sent.named.values()).encode()) == {sent.number}
    assert marks.found([sent.number], sent.order.encode()) == set()
    assert sent.number not in "\n".join(sent.parts())
    for holder in {"gateway", *place.deployment.holders} - {IND}:
        with pytest.raises(SealingError):
            open_client(sent.payload["client"], _keys(place, holder))


async def test_how_much_was_withheld_does_not_show(sent: Sent) -> None:
    for statement in sent.statements:
        payload = jose.unverified_payload(sdjwt.split(statement)[0])
        for name in ("categories", "recipients", "explicit", "_sd"):
            if name in payload:
                listed: Any = payload[name]
                assert listed, f"{name}: an empty list would say that nothing was withheld"
                assert len(listed) % SD_PADDING == 0


async def test_the_source_can_verify_all_of_it_against_its_own_copy(sent: Sent, place: Town) -> None:
    """With the keys of the parties' own key lists, not with anything that the gateway says."""
    now, vw = place.clock(), place.deployment[VW].keystore()
    gateway = place.deployment["gateway"].keystore()
    own_register = place.services.register
    order = verify_order(sent.order, {gateway.signing("order").kid: gateway.public("order")}, now)
    assert (order.recipient, order.agreement) == (VW, own_register.agreement_digest)
    keys = {vw.signing("sign").kid: vw.public("sign")}
    request = verify_request(order.request, keys, now, issuer=VW, audience=IND)
    assert (request.client, request.seal_to) == (None, vw.decryption().kid)
    consent = verify_consent_statement(order.consents[0], keys, now, issuer=VW, audience=IND)
    assert (consent.client, consent.recipients) == (None, (VW,))
    assert {one.consent for one in order.categories} == {None, consent.jti}


async def test_the_gateway_cannot_read_what_the_source_says(place: Town) -> None:
    person = newcomer()
    client, party = v_number(person.v_number), place.world.vluchtelingenwerk
    await place.open_case(client)
    await place.consent(client, (Category.DECISIONS,))
    exchange = await place.ask(client, (Category.DECISIONS,))
    opened = await party.open(exchange, source=IND)
    assert [document.content[:5] for document in opened.documents] == [b"%PDF-"]
    assert exchange.answer is not None
    for holder in {"gateway", *place.deployment.holders} - {VW}:
        with pytest.raises(SealingError):
            open_sealed(exchange.answer.sealed[0].jwe, _keys(place, holder))


async def test_what_the_client_agreed_to_is_bound_by_digest_alone(sent: Sent) -> None:
    consent = jose.unverified_payload(sdjwt.split(sent.statements[1])[0])
    assert str(consent["evidence"]).startswith("sha-256:")
    paper = signed_on_paper(worker_of(VW, Role.DESK).id, "ti", interpreter=INTERPRETER)
    for said in ("signature_on_paper", "understood", str(paper["staff"]), INTERPRETER):
        assert said not in "\n".join(sent.parts())


def _keys(place: Town, holder: str) -> Any:
    return place.deployment[holder].keystore()
