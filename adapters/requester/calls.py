"""Talk to the gateway as one party, and turn whatever goes wrong into an error that says what to do."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict, cast

from pydantic import JsonValue

from adapters.kit.key_directory import KeyDirectory
from adapters.kit.keys import Keystore, SigningKey
from adapters.kit.register import Register
from adapters.kit.session import GatewaySession, Response, SessionError
from adapters.protocol import ClientIdentifier, Worker
from adapters.requester.cited_versions import CitedVersions
from adapters.requester.continuity import KeptCheckpoint
from adapters.requester.errors import GatewayRefused, GatewayUnreachable

Body = dict[str, JsonValue]
# Within which a gateway that was not asked to wait has answered, or does not.
_TIMEOUT_SECONDS = 30.0
_UNREACHED = {
    "token_refused": "The gateway did not let us sign in: it knows another signing key of this party, or"
    " the party is suspended.",
    "answer_too_large": "The gateway's answer is larger than any answer may be.",
    "answer_malformed": "The gateway's answer is not the JSON that was expected.",
}


class Addressed(TypedDict):
    """What every statement of a party to a source begins with."""

    key: SigningKey
    iss: str
    aud: str
    jti: str
    now: int


class Calls:
    """One party at one gateway. Safe to share between tasks; `session` is the caller's to close."""

    def __init__(
        self,
        session: GatewaySession,
        keystore: Keystore,
        register: Register,
        key_directory: KeyDirectory,
        party: str,
        clock: Callable[[], int],
        state_folder: Path | None = None,
    ) -> None:
        """`state_folder`: where the ledger's last verified checkpoint is kept, beyond this process."""
        self._session = session
        self._keystore = keystore
        self._register = register
        self._key_directory = key_directory
        self._clock = clock
        self._kept = KeptCheckpoint(register, state_folder)
        self._cited = CitedVersions(session, register, clock)
        self.party = party
        self._sent: dict[str, str] = {}  # exchange → `jti` of the signed request that made it

    def _addressed(self, source: str) -> Addressed:
        """Begin a statement to a source: by this party's key, now, with an id of its own."""
        key, jti = self._keystore.signing("sign"), secrets.token_urlsafe(16)
        return {"key": key, "iss": self.party, "aud": source, "jti": jti, "now": self._clock()}

    async def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, JsonValue] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        wait_seconds: float = 0,
    ) -> Response:
        """Make one call; raise GatewayRefused for a problem document, GatewayUnreachable for no answer.

        `wait_seconds` is what the gateway was asked to hold the call for.
        """
        try:
            response = await self._session.request(
                method, path, body, headers, timeout_seconds=_TIMEOUT_SECONDS + wait_seconds
            )
        except SessionError as failure:
            raise GatewayUnreachable(_say(failure)) from failure
        if response.status >= 400:
            problem = response.body if isinstance(response.body, dict) else {}
            raise GatewayRefused(response.status, problem)
        return response

    async def _document(self, method: str, path: str, body: Mapping[str, JsonValue] | None = None) -> Body:
        response = await self._call(method, path, body)
        if not isinstance(response.body, dict):
            raise GatewayUnreachable("The gateway's answer has another form than expected.")
        return cast("Body", response.body)


def client_body(client: ClientIdentifier) -> Body:
    """Name a client in a body; identifiers are in no URL."""
    return {"scheme": str(client.scheme), "value": client.value}


def worker_body(worker: Worker) -> Body:
    """Name the worker on whose behalf a call is made."""
    return {"id": worker.id, "role": str(worker.role)}


def instant(at: int) -> str:
    """Write Unix seconds as RFC 3339 UTC, the form of every instant at the edge."""
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def _say(failure: SessionError) -> str:
    if failure.code == "token_refused" and (failure.status or 0) >= 500:
        return f"The gateway cannot sign anyone in now; its token endpoint answered {failure.status}."
    return _UNREACHED.get(failure.code, "The gateway does not answer.")
