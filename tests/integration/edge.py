"""Call a town's gateway with bytes of the test's choosing, and hold what comes out against planted marks.

A mark is what may appear in no answer and no log: the numbers of people, the words of evidence and
documents, and the beginning of any stack trace.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog

from adapters.kit.session import GatewaySession
from gateway.cli.world import VW
from gateway.logs import configure_logs
from tests import grounds
from tests.integration.town import Town

# Planted by the tests in what people and sources send.
EVIDENCE_MARK = "tolkAbebaW7"
FILE_MARK = "beschikking-Warsame"
TEXT_MARK = "omdatZijnBroerMeekwam"
V_NUMBERS = ("9990000101", "9990000202", "9990000808", "9991234567")
MARKS = (*V_NUMBERS, EVIDENCE_MARK, FILE_MARK, TEXT_MARK)
TRACES = ("Traceback", 'File "', "pydantic", "sqlalchemy", "sqlite3", "site-packages")


@dataclass(frozen=True)
class Answer:
    """An answer of the gateway, as it came."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """The code of a problem document, after looking at the whole of it."""
        return check_problem(self.status, self.headers, self.json)


class Edge(AbstractAsyncContextManager["Edge"]):
    """One party's raw connection: a real token and real proofs, whatever else is wrong."""

    def __init__(self, place: Town, party: str = VW) -> None:
        self.place, self.party = place, party
        self.url = place.deployment.addresses.gateway
        key = place.deployment[party].keystore().signing("sign")
        self._session = GatewaySession(self.url, party, key, place.clock)

    async def __aenter__(self) -> Edge:
        self._http = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._http.close()

    async def token(self) -> str:
        return (await self._session._current_token(None)).text

    def proof(self, method: str, path: str, token: str | None) -> str:
        return self._session._proof(method, self.url + path, token)

    async def post(self, path: str, body: object, **headers: str) -> Answer:
        """Send JSON, or bytes as they are, as the party."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.call("POST", path, data, **headers)

    async def ask(self, body: object, key: str) -> Answer:
        """Post a dossier request under an Idempotency-Key; waits for the source as any caller may."""
        more = {"Idempotency-Key": key, "Prefer": "wait=5"}
        return await self.post("/v1/dossier-requests", body, **more)

    async def call(self, method: str, path: str, data: bytes | None = None, **headers: str) -> Answer:
        token = await self.token()
        sent = {"Authorization": f"DPoP {token}", "DPoP": self.proof(method, path, token)}
        if data is not None:
            sent["Content-Type"] = "application/json"
        return await self.send(method, path, data, {**sent, **headers})

    async def send(
        self, method: str, path: str, data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send exactly this."""
        content = None if data is None else io.BytesIO(data)  # so that aiohttp sends large ones in pieces
        async with self._http.request(
            method, self.url + path, data=content, headers=headers, allow_redirects=False
        ) as answer:
            text = await answer.text()
            assert not [trace for trace in TRACES if trace in text], text
            return Answer(answer.status, answer.headers, text)


def check_problem(status: int, headers: Mapping[str, str], body: Mapping[str, Any]) -> str:
    """Assert that this is a problem document with a next step and without a mark; return its code."""
    assert status >= 400, body
    assert headers["Content-Type"].partition(";")[0] == "application/problem+json"
    assert body["status"] == status
    assert body["type"] == "urn:dossierpoort:error:" + body["code"]
    assert body["title"], body
    assert body["detail"], body
    assert body["next_step"], body
    if status == 503:
        assert int(headers["Retry-After"]) >= 1
    text = json.dumps(body, ensure_ascii=False)
    assert not [mark for mark in (*MARKS, *TRACES) if mark in text], text
    return str(body["code"])


@contextmanager
def recorded_logs() -> Iterator[io.BytesIO]:
    """Send every event of every process of the town to a buffer."""
    before = structlog.get_config()
    stream = io.BytesIO()
    configure_logs(stream)
    yield stream
    structlog.configure(**before)


def check_logs(stream: io.BytesIO) -> str:
    """Assert that what was logged holds no mark and no stack trace; return it, and begin anew."""
    text = stream.getvalue().decode()
    stream.seek(0)
    stream.truncate()
    for line in text.splitlines():
        assert isinstance(json.loads(line), dict), line
        found = [mark for mark in (*MARKS, "Traceback", 'File \\"') if mark in line]
        assert not found, (found, line)
    return text


async def stored_bytes(place: Town) -> bytes:
    """Read the gateway's database: what lies on disk, and every value of every row, whole."""
    return b"\n".join((await grounds.stored(place.services)).values())
