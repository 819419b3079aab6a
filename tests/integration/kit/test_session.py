"""The session against a server on loopback that checks every proof as RFC 7523 and RFC 9449 ask."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from joserfc import jws
from joserfc.jwk import ECKey

from adapters.kit import jose
from adapters.kit.keys import SigningKey, thumbprint
from adapters.kit.session import GatewaySession, Response, SessionError

PARTY = "ind"
KEY = SigningKey.generate()


class Gateway:
    """Just enough of a gateway, strict about what a session must send."""

    def __init__(self) -> None:
        self.now = 1_800_000_000
        self.base_url = ""
        self.tokens: dict[str, str] = {}  # token → thumbprint of the key it is bound to
        self.signed_in = 0
        self.seen_jti: set[str] = set()
        self.requests: list[web.Request] = []
        self.token_type = "DPoP"
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = self.echo

    def clock(self) -> int:
        return self.now

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert set(form) == {"grant_type", "client_assertion_type", "client_assertion"}
        assert form["grant_type"] == "client_credentials"
        assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        assert "Authorization" not in request.headers
        claims = jose.verify(str(form["client_assertion"]), {KEY.kid: KEY.public}, "JWT")
        jose.check_times(claims, self.now)
        assert set(claims) == {"iss", "sub", "aud", "jti", "iat", "exp"}
        assert claims["iss"] == claims["sub"] == PARTY
        assert claims["aud"] == self.base_url
        assert int(str(claims["exp"])) - int(str(claims["iat"])) <= 60
        self.once(str(claims["jti"]))
        proof_key = self.proof(request, token=None)
        self.signed_in += 1
        token = f"token-{self.signed_in}"
        self.tokens[token] = proof_key
        return web.json_response({"access_token": token, "token_type": self.token_type, "expires_in": 300})

    def proof(self, request: web.Request, token: str | None) -> str:
        (text,) = request.headers.getall("DPoP")
        header = json.loads(base64.urlsafe_b64decode(text.split(".")[0] + "=="))
        assert set(header) == {"typ", "alg", "jwk"}
        assert (header["typ"], header["alg"]) == ("dpop+jwt", "ES256")
        assert set(header["jwk"]) == {"kty", "crv", "x", "y"}
        payload = jws.deserialize_compact(text, ECKey.import_key(header["jwk"]), algorithms=["ES256"]).payload
        claims = json.loads(payload)
        expected = {
            "htm": request.method,
            "htu": self.base_url + request.path,
            "iat": self.now,
            "jti": claims["jti"],
        }
        if token is not None:
            digest = hashlib.sha256(token.encode()).digest()
            expected["ath"] = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        assert claims == expected
        self.once(claims["jti"])
        return thumbprint(header["jwk"])

    def once(self, jti: str) -> None:
        assert len(jti) == 22
        assert jti not in self.seen_jti
        self.seen_jti.add(jti)

    async def call(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        scheme, _, token = request.headers["Authorization"].partition(" ")
        assert scheme == "DPoP"
        if token not in self.tokens:
            self.proof(request, token)
            return problem(401, "token_invalid")
        assert self.proof(request, token) == self.tokens[token]
        return await self.answer(request)

    async def echo(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        return web.json_response({"path": request.path_qs, "method": request.method, "body": body})


def problem(status: int, code: str) -> web.Response:
    return web.json_response({"code": code}, status=status, content_type="application/problem+json")


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    made = Gateway()
    app = web.Application()
    app.router.add_post("/oauth/token", made.token)
    app.router.add_route("*", "/{path:.*}", made.call)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.base_url = f"http://{host}:{port}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def session(gateway: Gateway) -> AsyncIterator[GatewaySession]:
    async with GatewaySession(gateway.base_url, PARTY, KEY, gateway.clock, timeout_seconds=5) as made:
        yield made


async def code_of(attempt: Awaitable[object]) -> str:
    with pytest.raises(SessionError) as caught:
        await attempt
    return caught.value.code


async def test_a_call_is_signed_in_and_proven(gateway: Gateway, session: GatewaySession) -> None:
    answer = await session.request(
        "POST", "/v1/cases?wait=1", json={"é": 1}, headers={"Idempotency-Key": "k"}
    )
    assert answer.status == 200
    assert answer.body == {"path": "/v1/cases?wait=1", "method": "POST", "body": {"é": 1}}
    assert answer.headers["content-type"].startswith("application/json")
    sent = gateway.requests[0]
    assert sent.headers["Idempotency-Key"] == "k"
    assert sent.headers["Content-Type"] == "application/json"
    assert sent.headers["Accept-Encoding"] == "identity"


async def test_one_token_serves_many_calls_and_is_renewed_before_its_end(
    gateway: Gateway, session: GatewaySession
) -> None:
    await asyncio.gather(*(session.request("GET", "/v1/x") for _ in range(10)))
    gateway.now += 279
    await session.request("GET", "/v1/x")
    assert gateway.signed_in == 1
    gateway.now += 1
    await session.request("GET", "/v1/x")
    assert gateway.signed_in == 2


async def test_a_token_that_the_gateway_forgot_is_replaced_once(
    gateway: Gateway, session: GatewaySession
) -> None:
    await session.request("GET", "/v1/x")
    gateway.tokens.clear()
    answers = await asyncio.gather(*(session.request("POST", "/v1/x", json={"n": n}) for n in range(5)))
    assert [answer.status for answer in answers] == [200] * 5
    assert gateway.signed_in == 2


async def test_a_refusal_is_an_answer_and_is_not_repeated(gateway: Gateway, session: GatewaySession) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return problem(401, "proof_invalid")

    gateway.answer = refuse
    answer = await session.request("GET", "/v1/x")
    assert (answer.status, answer.code) == (401, "proof_invalid")
    assert len(gateway.requests) == 1

    async def always(_: web.Request) -> web.Response:
        return problem(401, "token_invalid")

    gateway.answer = always
    assert (await session.request("GET", "/v1/x")).code == "token_invalid"
    assert len(gateway.requests) == 3  # once more with a new token, then no more


async def test_a_refused_sign_in_is_told_apart(gateway: Gateway) -> None:
    other = GatewaySession(gateway.base_url, "dtv", SigningKey.generate(), gateway.clock)
    try:
        assert await code_of(other.request("GET", "/v1/x")) == "token_refused"
    finally:
        await other.close()


async def test_a_token_that_is_not_bound_to_our_key_is_refused(
    gateway: Gateway, session: GatewaySession
) -> None:
    gateway.token_type = "Bearer"
    assert await code_of(session.request("GET", "/v1/x")) == "answer_malformed"
    gateway.token_type = "DPoP"
    assert (await session.request("GET", "/v1/x")).status == 200


def answering(**answer: Any) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(**answer)

    return handler


async def test_a_redirect_is_not_followed(gateway: Gateway, session: GatewaySession) -> None:
    gateway.answer = answering(status=307, headers={"Location": gateway.base_url + "/elsewhere"})
    assert (await session.request("POST", "/v1/x", json={})).status == 307
    assert [request.path for request in gateway.requests] == ["/v1/x"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff"])
async def test_json_that_two_parsers_read_differently_is_refused(
    gateway: Gateway, session: GatewaySession, body: bytes
) -> None:
    assert (await session.request("GET", "/v1/x")).status == 200
    gateway.answer = answering(body=body, content_type="application/json")
    assert await code_of(session.request("GET", "/v1/x")) == "answer_malformed"


async def test_other_content_is_handed_on_as_bytes(gateway: Gateway, session: GatewaySession) -> None:
    gateway.answer = answering(body=b"\xff\x00", content_type="application/octet-stream")
    assert (await session.request("GET", "/v1/x")).body == b"\xff\x00"
    gateway.answer = answering(status=204)
    assert (await session.request("POST", "/v1/x", json={})).body == b""
    # Nothing is unpacked: a small answer must not become a large one.
    packed = gzip.compress(b"x" * 100_000)
    gateway.answer = answering(body=packed, headers={"Content-Encoding": "gzip"})
    assert (await session.request("GET", "/v1/x")).body == packed


async def test_an_answer_without_end_is_cut_off(gateway: Gateway) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse()
        await stream.prepare(request)
        try:
            while True:
                await stream.write(b"x" * 65_536)
        except (ConnectionError, asyncio.CancelledError):
            return stream

    async with GatewaySession(
        gateway.base_url, PARTY, KEY, gateway.clock, max_answer_bytes=1_000_000
    ) as session:
        assert (await session.request("GET", "/v1/x")).status == 200
        gateway.answer = endless
        assert await code_of(session.request("GET", "/v1/x")) == "answer_too_large"


async def test_a_slow_gateway_is_given_up(gateway: Gateway, session: GatewaySession) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.5)
        return await gateway.echo(request)

    gateway.answer = slow
    assert await code_of(session.request("GET", "/v1/x", timeout_seconds=0.1)) == "gateway_timeout"
    assert (await session.request("GET", "/v1/x", timeout_seconds=5)).status == 200


async def test_a_gateway_that_is_not_there_is_told_apart(gateway: Gateway) -> None:
    async with GatewaySession("http://127.0.0.1:1", PARTY, KEY, gateway.clock) as session:
        assert await code_of(session.request("GET", "/v1/x")) == "gateway_unreachable"


async def test_no_proxy_of_the_environment_is_used(
    gateway: Gateway, session: GatewaySession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert (await session.request("GET", "/v1/x")).status == 200


@pytest.mark.parametrize(
    "answer",
    [
        {"body": b"a.b.c\n", "content_type": "application/jose"},
        {"body": b'{"key_list": "a.b.c"}', "content_type": "application/json"},
    ],
)
async def test_a_key_list_is_fetched_as_text(
    gateway: Gateway, session: GatewaySession, answer: dict[str, Any]
) -> None:
    gateway.answer = answering(**answer)
    assert await session.fetch_key_list("ind") == "a.b.c"
    assert gateway.requests[0].path == "/v1/parties/ind/keys"
    gateway.answer = answering(status=404)
    assert await code_of(session.fetch_key_list("ind")) == "answer_malformed"


def test_an_answer_shows_no_content_in_a_log() -> None:
    assert "1234567890" not in repr(Response(200, {}, {"value": "1234567890"}))
