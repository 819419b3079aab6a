"""Ask an OPA server beside the gateway: the same question, the same strict reading as of the compiled policy.

    Question ──POST /v1/data/dossier/decision?provenance=true──▶ OPA ──▶ result + revision of its bundle

OPA states in every answer by which bundle it decided, read in the same transaction. An answer by other
policies than ours, or by a bundle without the version asked about, is none, like whatever else is no answer.
The one file that knows the client library.
"""

from __future__ import annotations

import ipaddress
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from opa_client import AsyncOpaClient

from adapters.kit.certificates import connecting
from adapters.kit.strict_json import StrictJsonError, loads
from gateway.policy.bundle import BUNDLE, PolicyBundle
from gateway.policy.port import BundleDiffers, PolicyUnavailable, Question, Verdict
from gateway.policy.rego import document, verdict

# A decision takes milliseconds. `gateway.policy.asking` gives up after two seconds, whatever the engine.
TIMEOUT_SECONDS: Final = 1.5
_ANSWER_BYTES = 1024 * 1024
_CHUNK_BYTES = 64 * 1024
# `decision_id` comes with decision logs. A `warning` (OPA read no input) or anything unknown is no answer.
_MEMBERS = frozenset({"result", "provenance", "decision_id"})
# Asked to see whether OPA answers at all: about nobody, under an agreement that there is not.
_NOBODY = Question(
    now=0,
    agreement="sha-256:" + "A" * 43,
    founding_signed=False,
    requester="nobody",
    requester_status="unknown",
    requester_signed=False,
    source="nobody",
    source_status="unknown",
    source_signed=False,
    purpose="readiness",
    categories=("nothing",),
    role=None,
    on_case=False,
    case_basis=None,
    worker_on_case=False,
)


# No verdict: what nothing is known of has no clause to cite.
_REFUSED: Final[Mapping[str, object]] = {
    "refusal": {"code": "agreement_not_in_force", "paragraph": ""},
    "ask_source": False,
    "decisions": {
        "nothing": {
            "outcome": "withheld",
            "ground": None,
            "reason": "no_rule",
            "rule": None,
            "paragraph": "",
            "next_step": None,
            "consent": None,
            "valid_until": None,
        }
    },
    "obligations": {"retention_days": 0, "redistribute": False, "notify_client": False},
    "valid_until": 0,
}


class OpaMisconfigured(Exception):
    """The settings do not name an OPA that may be asked."""


class OpaEngine:
    """Implements VersionedEngine and RemotePolicy. Connections persist; nothing is asked twice."""

    def __init__(
        self,
        url: str,
        bundle: PolicyBundle,
        *,
        tls: ssl.SSLContext | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """Prepare to ask the OPA at `url`; raise OpaMisconfigured. Opens no connection yet.

        `bundle`: our policies and the versions to begin with. `tls`: whom we trust and who we are
        (`tls_context`); https only, and plain http to this machine only.
        """
        host, port, secure = _address(url)
        if not secure and tls is not None:
            raise OpaMisconfigured("certificates are set, but POORT_OPA_URL is not https")
        if secure and tls is None:
            tls = tls_context()
        self._client = _Client(host, port, tls=tls, timeout=timeout_seconds)
        self._bundle = bundle

    @property
    def bundle(self) -> PolicyBundle:
        """Return what OPA is to decide by, to be offered to it."""
        return self._bundle

    def hold(self, agreements: Mapping[str, Mapping[str, object]]) -> None:
        """Ask from now on under exactly these versions, digest → document.

        Nothing is sent: OPA fetches the bundle, and until it has, a question under a new version is no answer
        and one under an old version is. Raises PolicyBuildRefused, and holds what it held.
        """
        made = self._bundle.holding(agreements)
        if made.revision != self._bundle.revision:  # else: packed and signed already, for all who fetch it
            self._bundle = made

    async def decide(self, question: Question) -> Verdict:
        """Ask once; raise PolicyUnavailable for all but an answer by our policies and that version."""
        return verdict(await self._result(question, question.agreement), question)

    async def _result(self, question: Question, agreement: str) -> object:
        asked_by = self._bundle  # a version that is dropped meanwhile was held when this was asked
        try:
            body = await self._client.query_rule(
                document(question), "dossier", "decision", {"provenance": "true"}
            )
        except (aiohttp.ClientError, OSError, StrictJsonError, ValueError) as error:  # a timeout: OSError
            # The type alone: the library's words quote what was sent.
            raise PolicyUnavailable(type(error).__name__) from error
        if not isinstance(body, dict) or not body.keys() <= _MEMBERS:
            raise PolicyUnavailable("not an answer of OPA")
        _check_bundle(body.get("provenance"), agreement, asked_by)
        if "result" not in body:  # how OPA says "undefined"
            raise PolicyUnavailable("no result")
        result: object = body["result"]
        return result

    async def check(self, agreement: str) -> None:
        """Return if OPA decides under this version now; else raise PolicyUnavailable (or BundleDiffers)."""
        if await self._result(_NOBODY, agreement) != _REFUSED:
            raise PolicyUnavailable("it does not refuse what nobody may have")

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close_connection()


def _check_bundle(unverified: object, agreement: str, ours: PolicyBundle) -> None:
    bundles = unverified.get("bundles") if isinstance(unverified, dict) else None
    if not bundles:
        raise PolicyUnavailable("OPA has no bundle yet")
    named = bundles.get(BUNDLE) if isinstance(bundles, dict) else None
    revision = named.get("revision") if isinstance(named, dict) else None
    # One bundle, and nothing said beside its revision: a second could add facts beside the agreement.
    if bundles != {BUNDLE: {"revision": revision}} or not isinstance(revision, str):
        raise BundleDiffers("not our bundle, or not ours alone")
    if not ours.decides_as(revision, agreement):
        raise BundleDiffers("other policies, or not this version")


def tls_context(
    ca_file: Path | None = None, certificate_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext:
    """Return how we meet OPA: `ca_file` alone vouches for it (or the system's authorities), a file for us.

    Raises OpaMisconfigured for a certificate without its key, or a file that does not read.
    """
    if (certificate_file is None) != (key_file is None):
        raise OpaMisconfigured("a client certificate needs its key: set both files")
    try:
        return connecting(ca_file, certificate_file, key_file) or ssl.create_default_context()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise OpaMisconfigured("a file of POORT_OPA_… does not read as a certificate or key") from error


class _Client(AsyncOpaClient):  # type: ignore[misc]  # the library ships no types
    """The library's client, with what its constructor cannot be told."""

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None, timeout: float) -> None:
        # retries=0: its hidden ones cost 0.9 s and would ask twice.
        super().__init__(host=host, port=port, ssl=tls is not None, retries=0, timeout=timeout)
        self._tls = tls

    async def query_rule(self, *arguments: Any, **options: Any) -> Any:
        if self._session is None:
            await self._init_session()
        return await super().query_rule(*arguments, **options)

    async def _init_session(self) -> None:
        # Nothing is awaited here, so that two first questions do not make two sessions.
        self._connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
        self._session = aiohttp.ClientSession(
            # Compression at OPA's level 9 costs more than a decision.
            headers={"Accept-Encoding": "identity"},
            connector=self._connector,
            timeout=aiohttp.ClientTimeout(total=self.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=_Answer,
            json_serialize=_ascii,
            trust_env=False,
        )

    def _request(self, method: str, url: str, **options: Any) -> Any:
        # A redirect would carry the question to whoever it names.
        return super()._request(method, url, allow_redirects=False, **options)


class _Answer(aiohttp.ClientResponse):
    """What the library reads with `json()`: bounded, strict, and of status 200 only."""

    async def json(self, **_: Any) -> Any:
        if self.status != 200:
            raise PolicyUnavailable(f"status {self.status}")
        body = bytearray()
        async for chunk in self.content.iter_chunked(_CHUNK_BYTES):
            body += chunk
            if len(body) > _ANSWER_BYTES:
                raise PolicyUnavailable("too long an answer")
        return loads(bytes(body), max_bytes=_ANSWER_BYTES)


def _address(url: str) -> tuple[str, int, bool]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise OpaMisconfigured("POORT_OPA_URL is not an address") from None
    host = parts.hostname
    bare = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not host or port is None or not bare:
        raise OpaMisconfigured("POORT_OPA_URL has the form https://host:port")
    if parts.scheme == "http" and not _is_here(host):
        raise OpaMisconfigured("an OPA on another machine is asked over https only")
    return (f"[{host}]" if ":" in host else host), port, parts.scheme == "https"


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _ascii(content: object) -> str:
    return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
