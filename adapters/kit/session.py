"""Call the gateway as a party: sign in by a signed assertion, prove the token's key at every call.

RFC 7523 (private_key_jwt), RFC 6749 §4.4 (client credentials), RFC 9449 (DPoP). The proof key is
made for this process and never stored; a token that leaks is of no use without it. A party with a
client certificate may have its tokens bound to that instead (RFC 8705 §3).

A gateway may be found at several addresses (docs/decisions/0008-several-gateway-addresses.md).
"""

from __future__ import annotations

import asyncio
import hashlib
import json as json_text
import secrets
import ssl as tls
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

import aiohttp
from yarl import URL

from adapters.kit import jose
from adapters.kit.keys import SigningKey
from adapters.kit.strict_json import StrictJsonError, encode_base64url, loads
from adapters.protocol import IDLE_CONNECTION_SECONDS, MAX_ANSWER_BYTES

ASSERTION_SECONDS: Final = 60
# Renewed this long before it ends, so that no call starts with a token that dies on the way.
RENEW_BEFORE_SECONDS: Final = 20
# For one address of several to take a connection; where there is no other, the call may wait for it.
CONNECT_SECONDS: Final = 3.0
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class SessionError(Exception):
    """The gateway did not answer as it should. `code`: gateway_unreachable, gateway_timeout,
    answer_too_large, answer_malformed, token_refused. An HTTP error is an answer, not this."""

    def __init__(self, code: str, *, status: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of the gateway. `body` is parsed when it is a JSON object, else the bytes."""

    status: int
    headers: Mapping[str, str]  # names in any case
    body: dict[str, object] | bytes = field(repr=False)

    @property
    def code(self) -> str | None:
        """The stable code of a problem document, None for anything else."""
        code = self.body.get("code") if isinstance(self.body, dict) and self.status >= 400 else None
        return code if isinstance(code, str) else None


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    renew_at: int


class GatewaySession:
    """A persistent, authenticated session of one party with the gateway."""

    def __init__(
        self,
        base_url: str,
        party: str,
        signing_key: SigningKey,
        clock: Callable[[], int],
        ssl: tls.SSLContext | None = None,
        *,
        issuer: str | None = None,
        addresses: Sequence[str] = (),
        by_certificate: bool = False,
        timeout_seconds: float = 30.0,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        """`issuer` is the audience of the assertion, by default the base URL. Opens nothing yet.

        `addresses`: base URLs at which the gateway of `base_url` is found, in the order to try them, if
        not there. Whoever answers at one must be it: name, certificate and proof are those of `base_url`.

        `by_certificate`: the tokens are bound to the client certificate of `ssl`, without DPoP.
        """
        if by_certificate and ssl is None:
            raise ValueError("by_certificate without an ssl context that has a certificate")
        self._scheme = "Bearer" if by_certificate else "DPoP"
        self.base_url = base_url.rstrip("/")
        self._addresses = tuple(one.rstrip("/") for one in addresses) or (self.base_url,)
        if {URL(one).scheme for one in self._addresses} != {URL(self.base_url).scheme}:
            raise ValueError("an address with another scheme than the gateway's")
        self._tried_first = 0
        self.party = party
        self._signing_key = signing_key
        self._clock = clock
        self._ssl = ssl
        self._issuer = issuer or self.base_url
        self._timeout_seconds = timeout_seconds
        self._max_answer_bytes = max_answer_bytes
        self._proof_key = SigningKey.generate()
        self._token: _Token | None = None
        self._token_lock = asyncio.Lock()
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> GatewaySession:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def request(
        self,
        method: str,
        path: str,
        json: object | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout_seconds: float | None = None,
    ) -> Response:
        """Send one call and return its answer, whatever its status; raise SessionError if none comes.

        Not repeated, except once with a new token when the gateway says that it does not know ours
        (nothing happened then), and at another address where no connection can be made (nothing was
        sent). Repeating for other causes is the caller's, by Idempotency-Key; it begins at the next address.
        """
        data = None if json is None else json_text.dumps(json, allow_nan=False).encode()
        token = await self._current_token(None)
        answer = await self._send(method, path, token, data, headers, timeout_seconds)
        # aiohttp, or a proxy, sends a GET again by itself when a connection ends: a look may be repeated.
        sent_twice = method == "GET" and answer.code == "proof_replayed"
        if answer.status == 401 and (sent_twice or answer.code in ("token_invalid", "certificate_invalid")):
            token = await self._current_token(None if sent_twice else token)
            answer = await self._send(method, path, token, data, headers, timeout_seconds)
        return answer

    async def fetch_key_list(self, party: str) -> str:
        """Return a party's key list as served, unverified; see `KeyDirectory`."""
        answer = await self.request("GET", f"/v1/parties/{party}/keys")
        if answer.status != 200:
            raise SessionError("answer_malformed", status=answer.status)
        if isinstance(answer.body, dict):
            listed = answer.body.get("key_list")
            if not isinstance(listed, str):
                raise SessionError("answer_malformed", status=answer.status)
            return listed
        try:
            return answer.body.decode("ascii").strip()
        except UnicodeDecodeError:
            raise SessionError("answer_malformed", status=answer.status) from None

    async def _current_token(self, refused: _Token | None) -> _Token:
        async with self._token_lock:
            known = self._token
            # Another task may have renewed it while this one waited.
            if known is not None and known is not refused and self._clock() < known.renew_at:
                return known
            self._token = await self._new_token()
            return self._token

    async def _new_token(self) -> _Token:
        now = self._clock()
        assertion = jose.sign(
            {
                "iss": self.party,
                "sub": self.party,
                "aud": self._issuer,
                "jti": _nonce(),
                "iat": now,
                "exp": now + ASSERTION_SECONDS,
            },
            self._signing_key,
            "JWT",
        )
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": assertion,
        }
        url = f"{self.base_url}/oauth/token"
        answer = await self._exchange("POST", url, self._proven("POST", url, None), form, None)
        if answer.status != 200:
            raise SessionError("token_refused", status=answer.status)
        body = answer.body if isinstance(answer.body, dict) else {}
        text, lifetime = body.get("access_token"), body.get("expires_in")
        # A server that answers "Bearer" to a proof did not bind the token to our key (RFC 9449 §5).
        if not isinstance(text, str) or type(lifetime) is not int or body.get("token_type") != self._scheme:
            raise SessionError("answer_malformed", status=answer.status)
        return _Token(text, now + lifetime - min(RENEW_BEFORE_SECONDS, lifetime // 2))

    async def _send(
        self,
        method: str,
        path: str,
        token: _Token,
        data: bytes | None,
        headers: Mapping[str, str] | None,
        timeout_seconds: float | None,
    ) -> Response:
        url = self.base_url + path
        sent = dict(headers or {})
        if data is not None:
            sent["Content-Type"] = "application/json"
        sent["Authorization"] = f"{self._scheme} {token.text}"
        sent.update(self._proven(method, url, token.text))
        return await self._exchange(method, url, sent, data, timeout_seconds)

    def _proven(self, method: str, url: str, token: str | None) -> dict[str, str]:
        """Return the header with a fresh proof; none where the certificate of the connection is the proof."""
        return {"DPoP": self._proof(method, url, token)} if self._scheme == "DPoP" else {}

    def _proof(self, method: str, url: str, token: str | None) -> str:
        claims: dict[str, object] = {
            "jti": _nonce(),
            "htm": method,
            "htu": url.partition("#")[0].partition("?")[0],  # RFC 9449 §4.2
            "iat": self._clock(),
        }
        if token is not None:
            claims["ath"] = encode_base64url(hashlib.sha256(token.encode("ascii")).digest())
        return jose.sign_with_embedded_key(claims, self._proof_key, "dpop+jwt")

    async def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: bytes | dict[str, str] | None,
        timeout_seconds: float | None,
    ) -> Response:
        for _ in self._addresses:
            tried = self._tried_first
            try:
                return await self._exchange_at(
                    self._addresses[tried], method, url, headers, data, timeout_seconds
                )
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as failure:
                unconnected = failure
                self._turn_away_from(tried)
            except TimeoutError:
                self._turn_away_from(tried)
                raise SessionError("gateway_timeout") from None
            except aiohttp.ClientError as failure:
                self._turn_away_from(tried)
                raise SessionError("gateway_unreachable") from failure
        raise SessionError("gateway_unreachable") from unconnected

    def _turn_away_from(self, tried: int) -> None:
        # Unless another task has done so already.
        if self._tried_first == tried:
            self._tried_first = (tried + 1) % len(self._addresses)

    async def _exchange_at(
        self,
        address: str,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: bytes | dict[str, str] | None,
        timeout_seconds: float | None,
    ) -> Response:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(keepalive_timeout=IDLE_CONNECTION_SECONDS),
                trust_env=False,  # no proxy, and no netrc, that the settings do not name
                auto_decompress=False,  # a small answer that unpacks to gigabytes
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept-Encoding": "identity"},
            )
        named = URL(self.base_url)
        timeout = aiohttp.ClientTimeout(
            total=timeout_seconds or self._timeout_seconds,
            sock_connect=CONNECT_SECONDS if len(self._addresses) > 1 else None,
        )
        async with self._http.request(
            method,
            URL(address + url.removeprefix(self.base_url), encoded=True),  # the path as the proof has it
            headers={**headers, "Host": named.host_port_subcomponent or ""},
            data=data,
            allow_redirects=False,  # to wherever an answer points, with our token
            timeout=timeout,
            ssl=True if self._ssl is None else self._ssl,
            server_hostname=named.host,
        ) as answer:
            return Response(answer.status, answer.headers, await self._body(answer))

    async def _body(self, answer: aiohttp.ClientResponse) -> dict[str, object] | bytes:
        content = bytearray()
        async for chunk in answer.content.iter_chunked(65_536):
            content += chunk
            if len(content) > self._max_answer_bytes:
                raise SessionError("answer_too_large", status=answer.status)
        if answer.content_type not in ("application/json", "application/problem+json"):
            return bytes(content)
        try:
            body = loads(bytes(content), max_bytes=self._max_answer_bytes)
        except StrictJsonError:
            raise SessionError("answer_malformed", status=answer.status) from None
        if not isinstance(body, dict):
            raise SessionError("answer_malformed", status=answer.status)
        return body


def _nonce() -> str:
    return encode_base64url(secrets.token_bytes(16))
