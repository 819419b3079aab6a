"""How the library asks: one signature, one key, one exchange; and what it says when something fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from adapters.kit import statements
from adapters.kit.keys import Keystore
from adapters.kit.session import GatewaySession, Response, SessionError
from adapters.protocol import Category, ClientIdentifier, Role, Scheme, Worker
from adapters.requester import GatewayRefused, GatewayUnreachable, Requester, StillWaiting
from adapters.requester.desk import evidence_digest
from adapters.requester.ledger_copy import copy_ledger

NOW = 1_790_000_000
CLIENT = ClientIdentifier(scheme=Scheme.V_NUMBER, value="9990000101")
WORKER = Worker(id="vw-jurist-12", role=Role.CASEWORKER)
EXCHANGE = "exchange-of-this-test"

Answers = Callable[[int], Response]


class Gateway:
    """Answers what the test says, in order, and keeps what it was sent. The last answer stays."""

    def __init__(self, *answers: Response | SessionError) -> None:
        self._answers = list(answers)
        self.seen: list[tuple[str, str, Any, Mapping[str, str]]] = []

    async def request(
        self,
        method: str,
        path: str,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout_seconds: float | None = None,
    ) -> Response:
        self.seen.append((method, path, json, headers or {}))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, SessionError):
            raise answer
        return answer


def said(state: str, status: int = 200, **headers: str) -> Response:
    return Response(status, headers, {"id": EXCHANGE, "state": state, "receipt": "…"})


def problem(status: int, code: str, **more: object) -> Response:
    body = {"code": code, "title": "It says no.", "detail": "It says no.", "next_step": "Do this."}
    return Response(status, {}, body | more)


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Keystore:
    folder: Path = tmp_path_factory.mktemp("keys") / "vluchtelingenwerk"
    return Keystore.create(
        folder, holder="vluchtelingenwerk", passphrase="of this test", uses=("sign", "encrypt"), now=NOW
    )


def requester(gateway: Gateway, keystore: Keystore) -> Requester:
    unused: Any = None
    session = cast("GatewaySession", gateway)
    return Requester(session, keystore, unused, unused, "vluchtelingenwerk", lambda: NOW)


async def ask(gateway: Gateway, keystore: Keystore, **more: Any) -> Any:
    return await requester(gateway, keystore).request_dossier(
        CLIENT,
        purpose="legal_screening",
        source="ind",
        categories=[Category.PERSPECTIVE, Category.DECISIONS],
        worker=WORKER,
        **more,
    )


async def test_a_request_is_signed_for_its_source_and_names_our_own_encryption_key(
    keystore: Keystore,
) -> None:
    gateway = Gateway(said("answered"))
    await ask(gateway, keystore, wait_seconds=7, idempotency_key="a-key-of-our-own")
    _, path, body, headers = gateway.seen[0]
    assert path == "/v1/dossier-requests"
    assert headers == {"Idempotency-Key": "a-key-of-our-own", "Prefer": "wait=7"}
    key = keystore.signing("sign")
    claims = statements.verify_request(
        body["signed_request"], {key.kid: key.public}, NOW, issuer="vluchtelingenwerk", audience="ind"
    )
    assert claims.client == CLIENT
    assert claims.seal_to == keystore.decryption().kid
    assert {str(category) for category in claims.categories} == set(body["categories"])
    assert body["worker"] == {"id": "vw-jurist-12", "role": "caseworker"}


async def test_a_lost_answer_is_asked_again_as_the_same_exchange(keystore: Keystore) -> None:
    gateway = Gateway(SessionError("gateway_timeout"), said("answered"))
    assert (await ask(gateway, keystore)).state == "answered"
    assert gateway.seen[0] == gateway.seen[1]


async def test_a_gateway_that_stays_away_is_an_error_that_says_how_to_repeat(keystore: Keystore) -> None:
    with pytest.raises(GatewayUnreachable) as unreachable:
        await ask(Gateway(SessionError("gateway_unreachable")), keystore)
    assert "Idempotency-Key" in unreachable.value.next_step


@pytest.mark.parametrize(
    ("status", "said_of_it"),
    [(401, "did not let us sign in"), (503, "its token endpoint answered 503")],
)
async def test_who_cannot_sign_in_learns_whether_it_is_the_key_or_the_gateway(
    keystore: Keystore, status: int, said_of_it: str
) -> None:
    with pytest.raises(GatewayUnreachable) as unreachable:
        await ask(Gateway(SessionError("token_refused", status=status)), keystore)
    assert said_of_it in unreachable.value.message


async def test_a_request_under_way_is_followed_until_it_is_settled(keystore: Keystore) -> None:
    waiting = said("forwarded", 202, **{"Retry-After": "0"})
    gateway, told = Gateway(waiting, waiting, said("answered")), list[str]()
    exchange = await ask(gateway, keystore, on_progress=lambda state, _: told.append(state))
    assert exchange.state == "answered"
    assert told == ["forwarded"]
    assert [method for method, *_ in gateway.seen] == ["POST", "GET", "GET"]


async def test_patience_ends_with_the_id_to_look_it_up_by(keystore: Keystore) -> None:
    with pytest.raises(StillWaiting) as waiting:
        await ask(Gateway(said("forwarded", 202)), keystore, patience_seconds=0.1)
    assert waiting.value.exchange == EXCHANGE
    assert EXCHANGE in waiting.value.next_step


async def test_a_source_that_is_down_is_followed_because_the_order_is_kept(keystore: Keystore) -> None:
    down = problem(503, "source_unavailable", id=EXCHANGE)
    gateway = Gateway(down, said("answered"))
    assert (await ask(gateway, keystore)).state == "answered"
    assert gateway.seen[1][:2] == ("GET", f"/v1/dossier-requests/{EXCHANGE}")


async def test_a_refusal_keeps_code_paragraph_and_next_step(keystore: Keystore) -> None:
    refusing = Gateway(problem(403, "party_never_receives", paragraph="art. 4.3"))
    with pytest.raises(GatewayRefused) as refused:
        await ask(refusing, keystore)
    assert (refused.value.status, refused.value.code) == (403, "party_never_receives")
    assert (refused.value.paragraph, refused.value.next_step) == ("art. 4.3", "Do this.")


async def test_a_refused_field_is_named_in_the_message(keystore: Keystore) -> None:
    errors = [{"pointer": "#/purpose", "code": "wrong_format"}]
    with pytest.raises(GatewayRefused, match="#/purpose: wrong_format"):
        await ask(Gateway(problem(400, "invalid_input", errors=errors)), keystore)


async def test_a_consent_has_one_statement_per_source_bound_to_the_evidence(keystore: Keystore) -> None:
    gateway = Gateway(Response(201, {}, {"id": "consent", "state": "pending"}))
    evidence = {"method": "signature_on_paper", "staff": "vw-balie-01"}
    await requester(gateway, keystore).record_consent(
        CLIENT,
        purpose="legal_screening",
        sources=["ind", "dtv"],
        recipients=["vluchtelingenwerk"],
        categories=[Category.DECISIONS],
        evidence=evidence,
        worker=WORKER,
    )
    body, key = gateway.seen[0][2], keystore.signing("sign")
    claims = [
        statements.verify_consent_statement(compact, {key.kid: key.public}, NOW)
        for compact in body["statements"]
    ]
    assert [one.aud for one in claims] == ["ind", "dtv"]
    assert {one.evidence for one in claims} == {evidence_digest(evidence)}
    assert len({one.jti for one in claims}) == 2
    assert body["valid_until"] == "2027-03-22T14:13:20Z"


async def test_the_ledger_is_copied_tile_by_tile_under_its_checkpoint() -> None:
    entries = [f"entry {number}\n".encode() for number in range(300)]

    async def get(path: str) -> Response:
        if path == "/v1/ledger/checkpoint":
            return Response(200, {}, b"ledger.example\n300\nroot\n\n")
        number, _, width = path.removeprefix("/ledger/tile/entries/").partition(".p/")
        start = int(number) * 256
        part = entries[start : start + int(width or 256)]
        return Response(200, {}, b"".join(len(one).to_bytes(2) + one for one in part))

    copied = await copy_ledger(get)
    assert list(copied.entries) == entries
    assert copied.bundle()["checkpoint"] == "ledger.example\n300\nroot\n\n"
