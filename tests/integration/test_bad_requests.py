"""Dossier requests and consents that read well and are wrong: what they name, and what was signed."""

from __future__ import annotations

import asyncio
import io
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio

from adapters.kit import statements
from adapters.kit.keys import DecryptionKey, SigningKey
from adapters.protocol import ORDER_MAX_SECONDS, Category, ClientIdentifier, Role, Scheme
from adapters.requester import GatewayRefused
from gateway.cli.evidence import signed_on_paper
from gateway.cli.world import IND, PURPOSE, VW, persona, worker_of
from tests.integration.edge import EVIDENCE_MARK, Answer, Edge, check_logs, recorded_logs
from tests.integration.rogue import Stage, complete, staged
from tests.integration.town import BASELINE, PAPERS, v_number

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKED = (*BASELINE, *PAPERS)
STRANGER = "9991234567"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("town")) as running:
        yield running


@pytest.fixture(autouse=True)
def logs() -> Iterator[io.BytesIO]:
    with recorded_logs() as stream:
        yield stream
        check_logs(stream)


def signed(stage: Stage, by: str = VW, key: SigningKey | None = None, **other: Any) -> str:
    """Sign a request about Amina with a party's key, saying something else where it is told to."""
    keys = stage.rogue.keystore(by)
    now = stage.place.clock()
    said: dict[str, Any] = {
        "iss": by,
        "aud": IND,
        "jti": secrets.token_urlsafe(16),
        "now": now,
        "exp": now + ORDER_MAX_SECONDS,
        "purpose": PURPOSE,
        "categories": ASKED,
        "client": persona("amina"),
        "seal_to": keys.decryption().kid,
    }
    return statements.make_request(key=key or keys.signing("sign"), **{**said, **other})


def body(stage: Stage, signed_request: str | None = None, **other: Any) -> dict[str, Any]:
    prepared = stage.prepared().body
    return {**prepared, "signed_request": signed_request or signed(stage), **other}


async def ask(stage: Stage, sent: dict[str, Any], key: str | None = None) -> Answer:
    return await stage.edge.ask(sent, key or secrets.token_urlsafe(16))


async def refused(stage: Stage, sent: dict[str, Any], status: int, code: str) -> Answer:
    """Assert that a request is refused before anything was written or sent, and that a right one is not."""
    complete(await ask(stage, body(stage)))
    before = await stage.written()
    answer = await ask(stage, sent)
    assert (answer.status, answer.code) == (status, code)
    assert await stage.written() == before
    return answer


# --- names that the agreement does not know -----------------------------------------------------------

NAMES: dict[str, tuple[dict[str, Any], str]] = {
    "a category that the agreement does not know": (
        {"categories": ["perspective", "shoe_size"]},
        "unknown_category",
    ),
    "a source that nobody is": ({"source": "nobody-at-all"}, "unknown_source"),
    "a party that is no source": ({"source": "gemeente-amsterdam"}, "unknown_source"),
    "the gateway as a source": ({"source": "gateway"}, "unknown_source"),
    "a category twice": ({"categories": ["perspective", "perspective"]}, "invalid_input"),
    "a number that IND does not use": (
        {"client": {"scheme": "party-number", "value": "VVS-000101"}},
        "unknown_scheme_for_source",
    ),
}


@pytest.mark.parametrize("wrong", NAMES)
async def test_a_name_that_the_agreement_does_not_know_is_refused_before_any_look_up(
    stage: Stage, wrong: str
) -> None:
    change, code = NAMES[wrong]
    known = await refused(stage, body(stage, **change), 400, code)
    # The same for a client whom nobody knows: nothing was looked up.
    stranger = {"client": {"scheme": "v-number", "value": STRANGER}, **change}
    unknown = await refused(stage, body(stage, **stranger), 400, code)
    assert known.json == unknown.json


async def test_an_unknown_purpose_is_refused_by_the_agreement_recorded_and_explained(stage: Stage) -> None:
    complete(await ask(stage, body(stage)))
    purpose = {"purpose": "curiosity_about_people"}
    answers = []
    for client in (persona("amina"), v_number(STRANGER)):
        named = {"client": client.model_dump(mode="json"), **purpose}
        before = await stage.written()
        answer = await ask(stage, body(stage, signed(stage, client=client, **purpose), **named))
        assert (answer.status, answer.code) == (403, "purpose_not_in_agreement")
        after = await stage.written()
        assert after["ledger_details"] == before["ledger_details"] + 1
        assert after["orders sent"] == before["orders sent"]
        answers.append({name: answer.json[name] for name in answer.json if name not in ("id", "receipt")})
    assert answers[0] == answers[1]
    assert answers[0]["paragraph"] == "art. 1.2 (003 §5.1)"


async def test_an_unknown_client_is_nothing_to_share(stage: Stage) -> None:
    complete(await ask(stage, body(stage)))
    orders = len(stage.rogue.orders)
    client = v_number(STRANGER)
    named = {"client": client.model_dump(mode="json")}
    answer = await ask(stage, body(stage, signed(stage, client=client), **named))
    assert (answer.status, answer.json["state"]) == (200, "nothing_to_share")
    assert answer.json.keys() == {"id", "state", "next_step", "receipt"}
    assert len(stage.rogue.orders) == orders


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"sources": ["nobody-at-all"]}, "unknown_source"),
        ({"recipients": [VW, "nobody-at-all"]}, "unknown_party"),
        ({"categories": [*PAPERS, "shoe_size"]}, "unknown_category"),
        ({"purpose": "curiosity_about_people"}, "purpose_not_in_agreement"),
    ],
)
async def test_a_consent_to_what_the_agreement_does_not_know_is_refused(
    stage: Stage, change: dict[str, Any], code: str
) -> None:
    party, desk = stage.place.world.vluchtelingenwerk, worker_of(VW, Role.DESK)
    right: dict[str, Any] = {
        "purpose": PURPOSE,
        "sources": [IND],
        "recipients": [VW],
        "categories": PAPERS,
        "evidence": signed_on_paper(desk.id, "ti", interpreter=EVIDENCE_MARK),
        "worker": desk,
    }
    recorded = await party.record_consent(persona("amina"), **right)
    assert recorded["state"] == "pending"
    before = await stage.written()
    with pytest.raises(GatewayRefused) as raised:
        await party.record_consent(persona("amina"), **{**right, **change})
    assert raised.value.code == code
    assert raised.value.problem["next_step"]
    assert await stage.written() == before


async def test_an_unknown_party_is_refused_wherever_it_is_named(stage: Stage) -> None:
    assert (await stage.edge.call("GET", "/v1/parties/ind/keys")).status == 200
    answer = await stage.edge.call("GET", "/v1/parties/nobody-at-all/keys")
    assert (answer.status, answer.code) == (404, "not_found")
    case = await stage.place.open_case(persona("lul"))
    manager = worker_of(VW, Role.CASEMANAGER).model_dump(mode="json")
    path = f"/v1/cases/{case}/partners"
    before = await stage.written()
    answer = await stage.edge.post(path, {"party": "nobody-at-all", "worker": manager})
    assert (answer.status, answer.code) == (400, "unknown_party")
    assert await stage.written() == before
    assert (await stage.edge.post(path, {"party": "askv", "worker": manager})).status == 201


# --- a signed request that does not carry the body ----------------------------------------------------


def _consent_statement(stage: Stage) -> str:
    now = stage.place.clock()
    return statements.make_consent_statement(
        key=stage.rogue.key(VW),
        iss=VW,
        aud=IND,
        jti=secrets.token_urlsafe(16),
        now=now,
        nbf=now,
        exp=now + 3600,
        purpose=PURPOSE,
        evidence="sha-256:" + "A" * 43,
        recipients=[VW],
        categories=list(PAPERS),
        explicit=[],
        client=persona("amina"),
    )


def _with_a_disclosure_of_another(stage: Stage) -> str:
    mine, other = signed(stage), signed(stage, client=persona("bilal"))
    return statements.join_client(statements.split_client(mine)[0], statements.split_client(other)[1])


def _altered(stage: Stage) -> str:
    header, payload, rest = signed(stage).split(".", 2)
    return f"{header}.{payload[:-4]}AAAA.{rest}"


def _changed(**other: Any) -> Callable[[Stage], str]:
    return lambda stage: signed(stage, **other)


def _at(seconds: int, **other: int) -> Callable[[Stage], str]:
    def sign(stage: Stage) -> str:
        now = stage.place.clock()
        more = {name: now + value for name, value in other.items()}
        return signed(stage, now=now + seconds, **more)

    return sign


INVALID, MISMATCH = "invalid_signed_request", "signed_request_mismatch"
LUL = persona("lul")
SIGNED: dict[str, tuple[Callable[[Stage], str], str]] = {
    "about another client": (_changed(client=LUL), MISMATCH),
    "about another kind of number": (
        _changed(client=ClientIdentifier(scheme=Scheme.PARTY_NUMBER, value="9990000101")),
        MISMATCH,
    ),
    "for another purpose": (_changed(purpose="legal_guidance"), MISMATCH),
    "for fewer categories": (_changed(categories=ASKED[:-1]), MISMATCH),
    "for more categories": (_changed(categories=(*ASKED, Category.IDENTITY)), MISMATCH),
    "to another source": (_changed(aud="dtv"), MISMATCH),
    "too long ago": (_at(-400, exp=3600), INVALID),
    "in the future": (_at(400, exp=3600), INVALID),
    "and over": (_at(-200, exp=-100), INVALID),
    "for longer than an order lives": (_at(0, exp=ORDER_MAX_SECONDS + 1), INVALID),
    "by another party": (_changed(by="askv"), INVALID),
    "by another party in our name": (lambda s: signed(s, key=s.rogue.key("askv")), INVALID),
    "by a key that nobody lists": (lambda s: signed(s, key=SigningKey.generate()), INVALID),
    "with the key of its identity": (
        lambda s: signed(s, key=s.rogue.keystore(VW).signing("identity")),
        INVALID,
    ),
    "to be sealed to another party": (
        lambda s: signed(s, seal_to=s.rogue.keystore("askv").decryption().kid),
        INVALID,
    ),
    "to be sealed to a key that nobody lists": (_changed(seal_to=DecryptionKey.generate().kid), INVALID),
    "without its client": (lambda s: statements.split_client(signed(s))[0], MISMATCH),
    "with the client of another": (_with_a_disclosure_of_another, INVALID),
    "and altered": (_altered, INVALID),
    "as a consent": (_consent_statement, INVALID),
    "not at all": (lambda _: "e30.e30.e30", INVALID),
}


@pytest.mark.parametrize("wrong", SIGNED)
async def test_refused_when_the_request_was_signed(stage: Stage, wrong: str) -> None:
    make, code = SIGNED[wrong]
    await refused(stage, body(stage, make(stage)), 400, code)


# --- the same again, and not quite the same -------------------------------------------------------------


async def test_without_an_idempotency_key_nothing_starts(stage: Stage) -> None:
    sent = body(stage)
    before = await stage.written()
    answer = await stage.edge.post("/v1/dossier-requests", sent)
    assert (answer.status, answer.code) == (400, "idempotency_key_missing")
    answer = await stage.edge.ask(sent, "short")
    assert (answer.status, answer.code) == (400, "invalid_input")
    assert answer.json["errors"] == [{"pointer": "header:Idempotency-Key", "code": "wrong_length"}]
    assert await stage.written() == before
    complete(await ask(stage, sent))


async def test_a_key_serves_one_body_and_a_signed_request_serves_one_key(stage: Stage) -> None:
    sent, key = body(stage), secrets.token_urlsafe(16)
    first = await ask(stage, sent, key)
    complete(first)
    again = await ask(stage, sent, key)
    complete(again)
    assert again.json["id"] == first.json["id"]

    before = await stage.written()
    for other in (body(stage), {**sent, "reason": "new_application"}):
        answer = await ask(stage, other, key)
        assert (answer.status, answer.code) == (409, "idempotency_key_reused")
    answer = await ask(stage, sent)
    assert (answer.status, answer.code) == (409, "request_replayed")
    assert await stage.written() == before
    # A key is a party's own: another party's same key is another key.
    async with Edge(stage.place, "askv") as askv:
        jurist = worker_of("askv", Role.CASEWORKER).model_dump(mode="json")
        answer = await askv.ask(body(stage, signed(stage, by="askv"), worker=jurist), key)
    assert (answer.status, answer.json["state"]) == (200, "nothing_to_share")


async def test_the_same_call_many_times_at_once_is_one_exchange(stage: Stage) -> None:
    sent, key = body(stage), secrets.token_urlsafe(16)
    before = await stage.written()
    answers = await asyncio.gather(*(ask(stage, sent, key) for _ in range(6)))
    for answer in answers:
        complete(answer)
    assert len({answer.json["id"] for answer in answers}) == 1
    after = await stage.written()
    assert after["exchanges"] == before["exchanges"] + 1
