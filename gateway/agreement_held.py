"""Hold the versions of the agreement that were verified, each by our own register, and who signed them.

What lies in the database may have been touched: a document is the one of its digest or none, a signature that
does not verify is no signature, and a version counts only where the founders of the one before it signed too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import Connection

from adapters.kit.agreement_chain import Package, missing, read_version
from adapters.kit.register import RegisterError, agreement_digest, verify_signature, verify_withdrawal
from adapters.kit.strict_json import StrictJsonError
from gateway import agreement_records as records
from gateway.agreement import Agreement, AgreementInvalid, of
from gateway.policy.port import PolicyBuildRefused

if TYPE_CHECKING:
    from adapters.kit.agreement_chain import Version
    from adapters.kit.register import Register
    from gateway.policy.port import VersionedEngine

# docs/decisions/0004: so much may the clocks of two gateways differ.
CLOCKS_DIFFER_SECONDS: Final = 10

_log = structlog.get_logger("gateway.agreements")


class NotLoaded(Exception):
    """A version that this gateway does not decide by. `code` says why, and holds no word of the document."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class SignedBy:
    """Who signed a version and has not taken that back; each signature was verified."""

    founding: bool = False  # every party of its founding set
    parties: frozenset[str] = frozenset()


class HeldVersions:
    """The versions that follow from the anchor, as far as they were asked for. One thread at a time takes in;
    any may read."""

    def __init__(self, anchor: Agreement, register: Register, engine: VersionedEngine) -> None:
        """Start from the version of the deployment folder; `engine` holds it already."""
        self._anchor, self._register, self._engine = anchor.digest, register, engine
        self._held: Mapping[str, Agreement] = {anchor.digest: anchor}
        # Signed by all whose it was to sign, link by link from the anchor. Once true, it stays true.
        self._proven = frozenset({anchor.digest})
        self._asked = frozenset({anchor.digest})
        self._signed: dict[str, tuple[int, SignedBy]] = {}

    def version(self, digest: str) -> Agreement | None:
        """Return a version whose document and line of descent were verified; signed by all, or not."""
        return self._held.get(digest)

    def deciding(self, digest: str) -> Agreement | None:
        """Return a version that may be in force: the founders of all before it brought it about."""
        return self._held.get(digest) if digest in self._proven else None

    def signed_by(self, conn: Connection, digest: str, epoch: int, now: int) -> SignedBy:
        """Say who has signed a version, as of this connection's snapshot, in which the epoch was read.

        Every signature and withdrawal raises the epoch: until then nothing is read or verified again.
        """
        known = self._signed.get(digest)
        if known is not None and known[0] == epoch:
            return known[1]
        signatures, withdrawals = records.signed_statements(conn, digest)
        now += CLOCKS_DIFFER_SECONDS  # a gateway that is ahead of us took them in, and the epoch stays
        stand = frozenset(
            party
            for party, jws in signatures.items()
            if self._verifies(digest, party, jws, withdrawals.get(party), now)
        )
        version = self._held.get(digest)
        founding = frozenset(version.terms.founding_set) if version is not None else frozenset()
        found = SignedBy(bool(founding) and founding <= stand, stand)
        self._signed[digest] = (epoch, found)
        return found

    def take_in(self, conn: Connection, digest: str, now: int) -> Agreement:
        """Verify a version and all before it, back to the anchor; raise NotLoaded."""
        known = self._held.get(digest)
        if known is not None:
            return known
        version = self._verified(conn, digest, now)
        # By its own word, not the row's; a line that never reaches the anchor ends where a row is missing.
        before = self.take_in(conn, version.supersedes or "", now)
        if version.valid_from <= before.valid_from:
            raise NotLoaded("not_a_successor")
        try:
            found = of(version.signed, self._register)
        except AgreementInvalid:
            raise NotLoaded("agreement_invalid") from None
        self._held = {**self._held, digest: found}
        return found

    def prove(self, conn: Connection, digest: str, now: int) -> None:
        """See that a version and all before it were brought about by whose it was; raise NotLoaded."""
        if digest not in self._proven:
            self.complete(conn, digest, now)

    def complete(self, conn: Connection, digest: str, now: int) -> None:
        """See that the founders of a version and of the one before it signed in time; raise NotLoaded.

        "In time" is before the version says to begin: whoever took a signature back later did bring it about.
        """
        version = self._verified(conn, digest, now)
        before = version.supersedes or ""
        self.prove(conn, before, now)
        try:
            lacking = missing(version, self._verified(conn, before, now))
        except KeyError:  # a founder of the earlier one has no signature there any more
            lacking = version.founding
        if lacking:
            raise NotLoaded("agreement_not_signed")
        self._proven = self._proven | {digest}

    def ask_by(self, digests: Iterable[str]) -> dict[str, str]:
        """Have the engine hold these of the versions held, and say which it does not take, and why."""
        wanted = {digest: self._held[digest].signed.data for digest in digests if digest in self._held}
        if wanted.keys() == self._asked:
            return {}
        taken = {digest: data for digest, data in wanted.items() if digest in self._asked}
        refused = {}
        for digest in wanted.keys() - self._asked:
            try:
                self._engine.hold({**taken, digest: wanted[digest]})
                taken[digest] = wanted[digest]
            except PolicyBuildRefused:
                refused[digest] = "policy_build_refused"
        self._engine.hold(taken)
        self._asked = frozenset(taken)
        return refused

    def _verified(self, conn: Connection, digest: str, now: int) -> Version:
        """Read a version as the database has it, without signatures that are none; raise NotLoaded."""
        now += CLOCKS_DIFFER_SECONDS
        try:
            package = records.package(conn, digest)
            if package is None:
                raise NotLoaded("not_a_successor")
            if agreement_digest(package.agreement) != digest:
                raise NotLoaded("agreement_invalid")
            back = package.withdrawals
            signatures = {
                party: jws
                for party, jws in package.signatures.items()
                if self._verifies(digest, party, jws, back.get(party), now) is not None
            }
            withdrawals = {party: jws for party, jws in back.items() if party in signatures}
            return read_version(Package(package.agreement, signatures, withdrawals), self._register, now)
        except (RegisterError, StrictJsonError) as untrue:
            raise NotLoaded(untrue.code) from None

    def _verifies(self, digest: str, party: str, jws: str, withdrawal: str | None, now: int) -> bool | None:
        """Tell whether a signature stands; None where it, or what takes it back, does not verify."""
        if party not in self._register.parties:
            return None  # nothing can be given to it or believed of it here
        try:
            signed_at = verify_signature(jws, party, digest, self._register, now)
            if withdrawal is None:
                return True
            return verify_withdrawal(withdrawal, party, digest, self._register, now) < signed_at
        except RegisterError as untrue:
            _log.error("agreement.signature_not_believed", agreement=digest, party=party, code=untrue.code)
            return None
