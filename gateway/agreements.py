"""Know which version of the agreement is in force, and let the next one take its place at its instant.

    deployment folder ──▶ anchor ──▶ version ──▶ version          each names the one that it supersedes
    gateway_state: which of them is in force, which comes next, and when

The row of `gateway_state` says which version counts, for every gateway of the database. What a version says
and who signed it is not believed of the database: it is verified by our own register. One that does not
verify is not loaded: the one in force stays; and where it is the one in force itself, nothing is decided.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import Connection, select, update

from adapters.kit import agreement_chain
from gateway import agreement_records as records
from gateway import parties
from gateway.agreement_held import CLOCKS_DIFFER_SECONDS, HeldVersions, NotLoaded, SignedBy
from gateway.errors import GatewayError, Unavailable
from gateway.storage.tables import gateway_state

if TYPE_CHECKING:
    from adapters.kit.register import Register
    from gateway.agreement import Agreement
    from gateway.agreement_records import VersionRow
    from gateway.clock import Clock
    from gateway.policy.port import VersionedEngine
    from gateway.services import Services
    from gateway.storage.unit_of_work import Transaction

# How often a gateway looks whether another one changed something; and how often right before an instant.
_LOOK_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 0.05

_STATE = select(
    gateway_state.c.agreement_digest,
    gateway_state.c.party_epoch,
    gateway_state.c.next_agreement_digest,
    gateway_state.c.next_agreement_at,
)

_log = structlog.get_logger("gateway.agreements")


@dataclass(frozen=True, slots=True)
class State:
    """What the database says of the agreement: a digest is a name, and proves nothing."""

    digest: str
    epoch: int
    next_digest: str | None = None
    next_at: int | None = None  # Unix seconds


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look found of the agreement, in one snapshot; the next look replaces it as a whole."""

    state: State
    rows: tuple[VersionRow, ...]
    in_force: Agreement  # where the one in force is not loaded: the one before it, and `refused` says so
    signed: SignedBy
    next: Agreement | None  # complete, and verified: it comes into force at `state.next_at`
    refused: Mapping[str, str]  # digest → why this gateway does not load it


class Agreements:
    """The versions that this gateway can decide by. Read by the event loop, loaded beside it."""

    def __init__(self, anchor: Agreement, register: Register, engine: VersionedEngine, clock: Clock) -> None:
        """Start from the version of the deployment folder; `engine` holds it already."""
        self._anchor, self._register, self._clock = anchor, register, clock
        self._held = HeldVersions(anchor, register, engine)
        self._seen = Seen(State(anchor.digest, 0), (), anchor, SignedBy(), None, {})
        self._looking, self._turning = asyncio.Lock(), asyncio.Lock()

    # --- what is known without a look -------------------------------------------------------------

    @property
    def in_force(self) -> Agreement:
        """Return the version in force, by this gateway's clock and its last look, at most a second old.

        What is decided stands on the version that was read with the other facts, not on this one.
        """
        seen = self._seen
        return seen.next if seen.next is not None and self._is_due(seen) else seen.in_force

    @property
    def seen(self) -> Seen:
        """Return what the last look found."""
        return self._seen

    @property
    def passed_over(self) -> str:
        """Name the scheduled version that is not loaded here, so that nothing waits for it; "" for none."""
        named = self._seen.state.next_digest
        return named if named is not None and named in self._seen.refused else ""

    def version(self, digest: str) -> Agreement | None:
        """Return a version whose document and line of descent were verified; signed by all, or not."""
        return self._held.version(digest)

    def deciding(self, digest: str) -> Agreement | None:
        """Return a version by which may be decided when the database says that it is in force."""
        return self._held.deciding(digest)

    def standing(self, conn: Connection, digest: str, epoch: int) -> SignedBy:
        """Say who has signed a version, as of this connection's snapshot, in which the epoch was read."""
        return self._held.signed_by(conn, digest, epoch, self._clock())

    def moment(self, digest: str, now: int) -> int:
        """Return the moment of a decision under a version: never before it holds, by a slower clock.

        Another gateway, whose clock runs ahead by no more than it may, brought it into force a moment ago.
        """
        found = None if digest == self._anchor.digest else self._held.version(digest)
        ahead = 0 if found is None else found.valid_from - now
        return now + ahead if 0 < ahead <= CLOCKS_DIFFER_SECONDS else now

    # --- looking, and bringing into force ---------------------------------------------------------

    async def begin(self, services: Services) -> None:
        """Make the database know the parties and the version of our folder, and learn what is in force.

        A folder whose version this database never saw, or from which the one in force does not follow, was
        put there by those who run the gateway: its version is in force. Signatures are added where there are
        none, so that a restart brings back none that was withdrawn.
        """
        await services.store.write(lambda tx: self._begin(tx, services))
        await self.look(services)
        await self._turn_if_due(services)

    async def look(self, services: Services) -> None:
        """Read which version is in force and which comes next, and load what is new. Raises Unavailable."""
        async with self._looking:
            await services.store.read(lambda conn: self.load(conn, self._clock()))

    async def keep_up(self, services: Services, *, anew: bool = False) -> None:
        """Bring the next version into force if it is due; `anew`: look first, since something changed.

        Raises Unavailable: the database cannot be written, or what is in force is not loaded here.
        """
        if anew:
            await self.look(services)
            if self._seen.state.digest in self._seen.refused:
                raise Unavailable("policy_unavailable", cause="the agreement in force is not loaded")
        await self._turn_if_due(services)

    def turn(self, tx: Transaction, services: Services) -> None:
        """Put the next version in force, if it is due and this gateway has verified it.

        Under the lock, so that of several gateways one does it. A founder who left it unscheduled it.
        """
        seen = self._seen
        if seen.next is not None and replace(_state(tx.conn), epoch=seen.state.epoch) == seen.state:
            records.turn(tx, services.vault, services.clock())

    async def run(self, services: Services) -> None:
        """Keep up with the clock and with the other gateways, for as long as the process runs."""
        while True:
            try:
                await self.look(services)
                await self._turn_if_due(services)
            except GatewayError as error:
                _log.error("agreement.not_followed", code=error.code)
            except (
                Exception
            ) as error:  # a loop that dies would leave this gateway behind: log the type, go on
                _log.error("agreement.not_followed", error=type(error).__name__)
            close = self._is_due(self._seen, in_seconds=1) and not self._is_due(self._seen)
            await asyncio.sleep(_CLOSE_SECONDS if close else _LOOK_SECONDS)

    async def _turn_if_due(self, services: Services) -> None:
        if not self._is_due(self._seen):
            return
        async with self._turning:  # of many requests at the instant one writes, and the others find it done
            if self._is_due(self._seen):
                await services.store.write(lambda tx: self.turn(tx, services))
                await self.look(services)

    def _is_due(self, seen: Seen, *, in_seconds: int = 0) -> bool:
        next_at = seen.state.next_at
        return seen.next is not None and next_at is not None and next_at - in_seconds <= self._clock()

    # --- the database, verified -------------------------------------------------------------------

    def load(self, conn: Connection, now: int) -> None:
        """Take in what the database has and we have not; a version that does not verify is logged."""
        state, rows, before = _state(conn), records.rows(conn), self._seen
        if (state, rows) == (before.state, before.rows) and not before.refused:
            return
        refused: dict[str, str] = {}

        def tried(digest: str, work: Callable[[Connection, str, int], object]) -> None:
            try:
                if digest not in refused:
                    work(conn, digest, now)
            except NotLoaded as untrue:
                refused[digest] = untrue.code

        tried(state.digest, self._held.take_in)
        tried(state.digest, self._held.prove)
        wanted = {before.in_force.digest, state.digest}
        # The one before it too: what was asked under it just before the instant may still be under way.
        current = self.version(state.digest)
        earlier = self.version(current.supersedes or "") if current is not None else None
        wanted |= {earlier.digest} if earlier is not None else set()
        wanted |= {row.digest for row in rows if _may_come(row, state, now)}
        if state.next_digest is not None:
            wanted.add(state.next_digest)
            tried(state.next_digest, partial(self._may_follow, state))
        for digest in wanted:
            tried(digest, self._held.take_in)
        refused |= self._held.ask_by(wanted - refused.keys())
        for digest in refused.keys() - before.refused.keys():
            _log.error("agreement.not_loaded", agreement=digest, code=refused[digest])
        in_force = (None if state.digest in refused else self.version(state.digest)) or before.in_force
        following = None if state.next_digest in refused else self.version(state.next_digest or "")
        signed = self.standing(conn, in_force.digest, state.epoch)
        self._seen = Seen(state, rows, in_force, signed, following, refused)

    def _may_follow(self, state: State, conn: Connection, digest: str, now: int) -> None:
        """See that the scheduled version follows the one in force, at its own instant; raise NotLoaded."""
        found = self._held.take_in(conn, digest, now)
        if found.supersedes != state.digest or found.valid_from != state.next_at or now >= found.valid_until:
            raise NotLoaded("not_a_successor")
        self._held.complete(conn, digest, now)

    def _begin(self, tx: Transaction, services: Services) -> None:
        parties.ensure_parties(tx, self._register)
        now = services.clock()
        anchor = agreement_chain.anchor(services.settings.deployment_folder, self._register, now)
        seen_before = records.row(tx.conn, anchor.digest) is not None
        records.insert_anchor(tx, anchor.package, self._register, now)
        state = _state(tx.conn)
        if state.digest != anchor.digest and not (seen_before and self._follows(tx.conn, state.digest)):
            only = {
                "agreement_digest": anchor.digest,
                "next_agreement_digest": None,
                "next_agreement_at": None,
            }
            tx.conn.execute(update(gateway_state).values(only))
            parties.raise_epoch(tx)

    def _follows(self, conn: Connection, digest: str) -> bool:
        """Tell whether a version descends from our folder's, or says nothing true about where it is from.

        The rows alone are asked: in doubt the version in force stays, and is not loaded if it is no version.
        """
        before = {row.digest: row.supersedes for row in records.rows(conn)}
        while digest in before:
            digest = before.pop(digest) or ""
            if digest == self._anchor.digest:
                return True
        return digest != ""


def _state(conn: Connection) -> State:
    return State(*conn.execute(_STATE).one())


def _may_come(row: VersionRow, state: State, now: int) -> bool:
    """Tell whether a version was approved and can still come after the one in force."""
    return row.approved_at is not None and row.supersedes == state.digest and row.valid_from > now
