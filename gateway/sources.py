"""Speak to the adapters: the only place that sends anything to a source.

Whatever a source sends is unverified here: `gateway.release.verify_answer` checks what it signed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

import aiohttp
from pydantic import ValidationError

from adapters.kit.problems import PROBLEMS
from adapters.kit.strict_json import StrictJsonError, loads
from adapters.protocol import MAX_ANSWER_BYTES, Answer
from gateway.errors import SourceTrouble

_RETRY_AFTER_SECONDS = 5
_CHUNK_BYTES = 64 * 1024
_MAX_PROBLEM_BYTES = 64 * 1024


class Sources:
    """One persistent session per source; no redirects, no proxies from the environment."""

    def __init__(
        self, urls: Mapping[str, str], *, timeout_seconds: float, tls: ssl.SSLContext | None = None
    ) -> None:
        """`tls` says who vouches for the adapters and which certificate is ours."""
        self._urls = dict(urls)
        self._tls = tls
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, connect=min(2.0, timeout_seconds))
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    def knows(self, source: str) -> bool:
        """Say whether an adapter of this source is connected."""
        return source in self._urls

    async def send_order(self, source: str, order: str) -> Answer | None:
        """Send an order; return the answer, or None when a person at the source will look.

        Idempotent at the source by exchange. Raises SourceTrouble: `source_unavailable` when it may
        be sent again, `source_refused_order` and `source_answer_invalid` when it may not.
        """
        status, body = await self._post(source, "/v1/orders", {"order": order})
        if status == 202:
            return None
        try:
            return Answer.model_validate(body)
        except ValidationError as invalid:
            raise SourceTrouble("source_answer_invalid", cause="answer has the wrong shape") from invalid

    async def send_cancellation(self, source: str, exchange_id: str, cancellation: str) -> None:
        """Tell a source which categories lost their ground; raise SourceTrouble if it may not know yet."""
        path = f"/v1/orders/{exchange_id}/cancellation"
        status, _ = await self._post(source, path, {"cancellation": cancellation})
        if status != 200:
            raise SourceTrouble("source_answer_invalid", cause="a cancellation is not done later")

    async def close(self) -> None:
        """Close every connection."""
        for session in self._sessions.values():
            await session.close()

    async def _post(self, source: str, path: str, message: Mapping[str, str]) -> tuple[int, object]:
        if source not in self._urls:
            raise SourceTrouble("source_unavailable", cause="no adapter connected")
        session = self._sessions.get(source)
        if session is None:
            session = self._sessions[source] = aiohttp.ClientSession(
                timeout=self._timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            async with session.post(
                self._urls[source] + path,
                json=message,
                allow_redirects=False,
                ssl=True if self._tls is None else self._tls,
            ) as response:
                if response.status not in (200, 202):
                    raise await _trouble(source, response)
                return response.status, loads(
                    await _bounded(response, MAX_ANSWER_BYTES), max_bytes=MAX_ANSWER_BYTES
                )
        except (aiohttp.ClientError, TimeoutError, OSError, asyncio.IncompleteReadError) as down:
            raise SourceTrouble(
                "source_unavailable", cause=type(down).__name__, retry_after_seconds=_RETRY_AFTER_SECONDS
            ) from down
        except StrictJsonError as garbage:
            raise SourceTrouble("source_answer_invalid", cause=garbage.code) from garbage


async def _bounded(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Read at most so much, whatever the source announces (promise 4, attack R6)."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            raise SourceTrouble("source_answer_invalid", cause="answer over the limit")
    return bytes(body)


async def _trouble(source: str, response: aiohttp.ClientResponse) -> SourceTrouble:
    """Say what a status means; of the body only the code counts: what stands before an adapter sends HTML."""
    code = await _known_code(response)
    cause = f"{source} answered {response.status} {code}".rstrip()
    if response.status >= 500 or response.status == 429:
        return SourceTrouble("source_unavailable", cause=cause, retry_after_seconds=_RETRY_AFTER_SECONDS)
    return SourceTrouble("source_refused_order" if code else "source_answer_invalid", cause=cause)


async def _known_code(response: aiohttp.ClientResponse) -> str:
    # Only a code of our own adapters goes to the log: any other word might be about a person.
    try:
        body = loads(await _bounded(response, _MAX_PROBLEM_BYTES), max_bytes=_MAX_PROBLEM_BYTES)
    except (SourceTrouble, StrictJsonError):
        return ""
    code = body.get("code") if isinstance(body, dict) else None
    return code if isinstance(code, str) and code in PROBLEMS else ""
