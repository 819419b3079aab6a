"""Keep the versions of the agreement that a party knows, learn new ones, and name those that judge an order.

What was learnt is kept durably and verified anew at every start; nothing in it was ever believed on the
gateway's word, which can keep a version or a withdrawal from us, and make neither up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from adapters.kit import strict_json
from adapters.kit.agreement_chain import Act, Chain, Package, Version, read_package
from adapters.kit.claims import is_named_digest
from adapters.kit.jose import LEEWAY_SECONDS
from adapters.kit.order_refused import AgreementUnavailable, OrderRefused
from adapters.kit.register import RegisterError, agreement_digest
from adapters.kit.session import Response, SessionError
from adapters.protocol import MAX_ANSWER_BYTES

if TYPE_CHECKING:
    from adapters.protocol import OrderClaims

# DESIGN §7: as a key that changes, a signature that is taken back reaches everyone within this time.
POLL_SECONDS: Final = 60
# For all that it takes to learn one version: an order waits for it.
LEARN_SECONDS: Final = 10.0
# Versions between the newest that we know and the one to learn. Whoever can write down agreements can write
# down any number of them; parties that change theirs every month are here after years.
MAX_UNKNOWN: Final = 32

Fetch = Callable[[str], Awaitable[Mapping[str, object]]]
_IN_FORCE: Final = "in-force"

_log = structlog.get_logger("poort.adapter")


class Gateway(Protocol):
    """What a book needs of `GatewaySession`."""

    async def request(self, method: str, path: str) -> Response: ...


class Keeper(Protocol):
    """Where a book keeps what proves each version: `OrderStore`, durably."""

    async def keep_agreement(self, digest: str, package: str, *, unless_kept: bool = False) -> None: ...
    async def agreements(self) -> list[tuple[str, str]]: ...


def from_gateway(gateway: Gateway) -> Fetch:
    """Return what brings `/v1/agreements/{name}`, unverified; raises SessionError for any other answer."""

    async def fetch(name: str) -> Mapping[str, object]:
        answer = await gateway.request("GET", f"/v1/agreements/{name}")
        if answer.status != 200 or not isinstance(answer.body, dict):
            raise SessionError("answer_malformed", status=answer.status)
        return answer.body

    return fetch


class AgreementBook:
    """The chain of one party, kept in its store. Safe for concurrent tasks of one event loop."""

    def __init__(
        self,
        chain: Chain,
        store: Keeper,
        fetch: Fetch,
        clock: Callable[[], int],
        *,
        learn_seconds: float = LEARN_SECONDS,
    ) -> None:
        """`fetch` brings a version by digest, or the state of affairs by the name `in-force`."""
        self._chain = chain
        self._store = store
        self._fetch = fetch
        self._clock = clock
        self._learn_seconds = learn_seconds
        self._learning = asyncio.Lock()
        self._kept: dict[str, Mapping[str, Act]] = {}

    async def load(self) -> None:
        """Take up what was learnt before, each version verified anew; what no longer verifies stays out."""
        # First of all, so that what is learnt about the anchor comes before what follows from it.
        anchor = self._chain.anchor
        await self._store.keep_agreement(anchor.digest, _text(anchor.package), unless_kept=True)
        for digest, text in await self._store.agreements():
            try:
                kept = strict_json.loads(text.encode(), max_bytes=MAX_ANSWER_BYTES)
                self._chain.admit(read_package(kept if isinstance(kept, dict) else {}), self._clock())
            except (RegisterError, strict_json.StrictJsonError) as refused:
                _log.warning("agreement_not_loaded", agreement=digest, code=refused.code)

    async def cited(self, digest: str, at: int) -> Version:
        """Return the version that is cited as the one in force at an instant.

        Where that is not what is known here, the gateway is asked first: a version may be new, or a founder
        have left one before its instant. Raises OrderRefused `other_agreement` when the cited version was not
        in force then, AgreementUnavailable when nobody can tell yet.
        """
        for doubted in (digest, self._chain.in_force(at).digest):
            try:
                return self._stood(digest, at)
            except OrderRefused:
                await self._learn_for(doubted)
        return self._stood(digest, at)

    async def judging(self, order: OrderClaims) -> tuple[Version, ...]:
        """Return the version that an order cites and, if that is another, the one in force now, as the last.

        Raises as `cited` does, for the instant at which the order says it was made.
        """
        await self.cited(order.agreement, order.iat)
        return self.standing(order)

    def standing(self, order: OrderClaims) -> tuple[Version, ...]:
        """Return what `judging` does, by what is known already.

        The order says when it was made: so it is held against what holds now as well, and dating it back
        to the days of another version gains nothing.
        """
        cited = self._stood(order.agreement, order.iat)
        # The gateway's clock may be ahead of ours.
        now = self._chain.in_force(max(self._clock(), order.iat))
        return (cited,) if now.digest == cited.digest else (cited, now)

    async def refresh(self) -> None:
        """Ask once what is in force and what comes next, and what was signed or taken back since.

        Nothing that cannot be learnt stops the rest; it is logged, and what is known stays as it is.
        """
        known = self._chain.in_force(self._clock()).digest
        try:
            async with asyncio.timeout(self._learn_seconds):
                state = await self._fetch(_IN_FORCE)
            named = [state.get("in_force"), state.get("next")]
        except (SessionError, TimeoutError) as failure:
            _log.warning("agreements_not_refreshed", cause=str(failure) or "timeout")
            named = []
        for digest in dict.fromkeys((known, *(one for one in named if isinstance(one, str)))):
            try:
                await self._learn(digest)
            except (RegisterError, SessionError, TimeoutError) as failure:
                _log.warning("agreement_not_learnt", agreement=digest, cause=str(failure) or "timeout")

    async def run(self, poll_seconds: float = POLL_SECONDS) -> None:
        """Refresh again and again, until cancelled."""
        while True:
            try:
                await self.refresh()
            except Exception as failure:  # whatever it is, the next round must come
                _log.error("agreements_failed", error=type(failure).__name__)
            await asyncio.sleep(poll_seconds)

    def _stood(self, digest: str, at: int) -> Version:
        around = (at - LEEWAY_SECONDS, at, at + LEEWAY_SECONDS)
        for version in map(self._chain.in_force, around):
            if version.digest == digest:
                return version
        raise OrderRefused("other_agreement")

    async def _learn_for(self, digest: str) -> None:
        try:
            await self._learn(digest)
        except RegisterError as refused:
            raise OrderRefused("other_agreement", cause=refused.code) from refused
        except SessionError as failure:
            if failure.status == 404:
                raise OrderRefused("other_agreement", cause="not served") from failure
            raise AgreementUnavailable(failure.code) from failure
        except TimeoutError as failure:
            raise AgreementUnavailable("timeout") from failure

    async def _learn(self, digest: str) -> None:
        """Bring one version up to date, and before it those that lead to it from one that is known."""
        async with asyncio.timeout(self._learn_seconds), self._learning:
            brought: list[Package] = []
            wanted: object = digest
            while True:
                if not isinstance(wanted, str) or not is_named_digest(wanted) or len(brought) > MAX_UNKNOWN:
                    raise RegisterError("not_a_successor")
                package = read_package(await self._fetch(wanted))
                if agreement_digest(package.agreement) != wanted:
                    raise RegisterError("agreement_invalid")
                brought.append(package)
                # The known one too is fetched: whoever left it since has no say in what follows it.
                if self._chain.version(wanted) is not None:
                    break
                wanted = package.agreement.get("supersedes")
            for package in reversed(brought):
                await self._free_the_place_of(package)
                await self._admit(package)

    async def _free_the_place_of(self, package: Package) -> None:
        """Ask anew about the version whose place this one takes: a founder may have left it in time."""
        rival = self._chain.follower(package.agreement.get("supersedes"))
        if rival is None or rival == agreement_digest(package.agreement):
            return
        renewed = read_package(await self._fetch(rival))
        if agreement_digest(renewed.agreement) == rival:
            await self._admit(renewed)

    async def _admit(self, package: Package) -> None:
        try:
            version = self._chain.admit(package, self._clock())
        except RegisterError as refused:
            if refused.code == "agreement_forked":
                # The founders signed two successors of one version, and someone brings us the second.
                _log.error(
                    "attack_agreement_forked",
                    agreement=agreement_digest(package.agreement),
                    supersedes=package.agreement.get("supersedes"),
                )
            raise
        # Most refreshes bring what is known; said only once it is on disk.
        if self._kept.get(version.digest) != version.acts:
            await self._store.keep_agreement(version.digest, _text(version.package))
            self._kept[version.digest] = version.acts


def _text(package: Package) -> str:
    return json.dumps(
        {
            "agreement": package.agreement,
            "signatures": dict(package.signatures),
            "withdrawals": dict(package.withdrawals),
        },
        ensure_ascii=False,
        allow_nan=False,
    )
