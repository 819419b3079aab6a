"""Speak HTTP with an agency's system, bounded in bytes and time, and trust nothing that it says."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from adapters.kit import strict_json
from adapters.kit.agency import AgencyTrouble

# A record with a 5 MB document is 7 MB as base64; one answer to the gateway is at most 32 MiB.
MAX_AGENCY_BYTES = 24 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024


class AgencyWire:
    """One persistent session with one agency system."""

    def __init__(
        self, base_url: str, *, timeout_seconds: float = 10.0, max_bytes: int = MAX_AGENCY_BYTES
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._max_bytes = max_bytes
        self._session: aiohttp.ClientSession | None = None

    async def post_json(self, path: str, body: Mapping[str, object]) -> tuple[int, dict[str, object]]:
        """Post JSON, return the status (below 500) and the object answered.

        Raises AgencyTrouble: `agency_unavailable` when it is down, slow or answers 5xx,
        `agency_answer_invalid` when the answer is too large or not one strict JSON object.
        """
        status, content = await self.post(path, body)
        try:
            answered = strict_json.loads(content, max_bytes=self._max_bytes)
        except strict_json.StrictJsonError as malformed:
            raise AgencyTrouble("agency_answer_invalid", "the answer is not strict JSON") from malformed
        if not isinstance(answered, dict):
            raise AgencyTrouble("agency_answer_invalid", "the answer is not a JSON object")
        return status, answered

    async def post(self, path: str, body: Mapping[str, object]) -> tuple[int, bytes]:
        """Post JSON, return the status (below 500) and at most `max_bytes` of answer.

        An identifier goes in the body, never in `path`: addresses end up in logs.
        """
        session = self._session = self._session or aiohttp.ClientSession(
            timeout=self._timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        )
        try:
            # A redirect would carry the client's number to an address that nobody configured.
            async with session.post(
                self._base_url + path, json=dict(body), allow_redirects=False
            ) as response:
                if response.status >= 500:
                    raise AgencyTrouble("agency_unavailable", f"the system answered {response.status}")
                return response.status, await self._read(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as down:
            raise AgencyTrouble("agency_unavailable", type(down).__name__) from down

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            content += chunk
            if len(content) > self._max_bytes:
                response.close()  # else aiohttp would read the rest to reuse the connection
                raise AgencyTrouble("agency_answer_invalid", "the answer is larger than we read")
        return bytes(content)

    async def close(self) -> None:
        """Close the session; the next post opens another."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
