"""Follow the agreement from version to version, and believe none of them on the word of who brought it.

    anchor (own deployment folder) ──▶ version ──▶ version ──▶ …      each names the one that it `supersedes`

A version takes the place of another when the founding sets of both signed it, by the identity keys of our own
register, before the instant from which it says to hold. So nobody who only carries agreements, the gateway
least of all, can bring one about; nothing has to be deployed anew for a version that the parties did sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from adapters.kit.register import (
    Register,
    RegisterError,
    SignedAgreement,
    agreement_digest,
    verify_signature,
    verify_withdrawal,
)
from adapters.kit.strict_json import StrictJsonError, loads

_MAX_AGREEMENT_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Package:
    """An agreement as it is brought, with signatures and withdrawals by party. Nothing of it is verified."""

    agreement: Mapping[str, object] = field(repr=False)
    signatures: Mapping[str, str] = field(repr=False)
    withdrawals: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Act:
    """What one party did about one version: signed it, and perhaps took that back. Both were verified."""

    signature: str = field(repr=False)
    signed_at: int  # Unix seconds, by the signer's clock
    withdrawal: str | None = field(default=None, repr=False)
    withdrawn_at: int | None = None  # the latest; kept when the party signed again after it

    @property
    def stands(self) -> bool:
        """Tell whether the signature was not taken back; in the same second, the withdrawal counts."""
        return self.withdrawn_at is None or self.signed_at > self.withdrawn_at

    def stood_at(self, instant: int) -> bool:
        """Tell whether the version was signed before an instant, and not taken back before it either."""
        if self.withdrawn_at is not None and self.withdrawn_at >= instant:
            # Whoever took it back no earlier had signed until then, however often it signed and left since.
            return True
        return self.stands and self.signed_at < instant


@dataclass(frozen=True, slots=True)
class Version:
    """An agreement with the signatures under it that were verified."""

    signed: SignedAgreement
    supersedes: str | None
    valid_from: int  # Unix seconds
    valid_until: int  # the end excluded
    founding: frozenset[str]
    founding_signed: bool  # all of them, and none took it back
    acts: Mapping[str, Act] = field(repr=False)

    @property
    def digest(self) -> str:
        """Return the name of the version, `sha-256:…`."""
        return self.signed.digest

    @property
    def package(self) -> Package:
        """Return what proves this version anew, to be kept or carried on."""
        return Package(
            self.signed.data,
            {party: act.signature for party, act in self.acts.items()},
            {party: act.withdrawal for party, act in self.acts.items() if act.withdrawal is not None},
        )


def read_package(unverified: Mapping[str, object]) -> Package:
    """Take an answer of `GET /v1/agreements/{digest}` apart; raise RegisterError `agreement_invalid`."""
    agreement = unverified.get("agreement")
    if not isinstance(agreement, dict):
        raise RegisterError("agreement_invalid")
    return Package(agreement, _texts(unverified.get("signatures")), _texts(unverified.get("withdrawals")))


def read_version(package: Package, register: Register, now: int) -> Version:
    """Return the version with its verified signatures, whoever of the founding set may be missing.

    A signature of a party that our register does not know counts for nothing, since nothing can be given to
    or believed of that party here; any other that does not verify refuses the whole: someone put it there.
    """
    digest = agreement_digest(package.agreement)
    acts: dict[str, Act] = {}
    for party, signature in package.signatures.items():
        if party not in register.parties:
            continue
        act = Act(signature, verify_signature(signature, party, digest, register, now))
        withdrawal = package.withdrawals.get(party)
        if withdrawal is not None:
            withdrawn_at = verify_withdrawal(withdrawal, party, digest, register, now)
            act = replace(act, withdrawal=withdrawal, withdrawn_at=withdrawn_at)
        acts[party] = act
    return _version(digest, package.agreement, acts)


def first_version(package: Package, register: Register, now: int) -> Version:
    """Return the version that the register names and its founding set signed; raise RegisterError.

    Founders may have left it since. Validity in time is the reader's to check.
    """
    if agreement_digest(package.agreement) != register.agreement_digest:
        raise RegisterError("agreement_invalid")
    version = read_version(package, register, now)
    if not version.founding or not version.founding <= version.acts.keys():
        raise RegisterError("agreement_not_signed")
    return version


def verify_agreement(
    agreement: Mapping[str, object], signatures: Mapping[str, str], register: Register, now: int
) -> SignedAgreement:
    """Return the agreement of a deployment folder as its parties signed it; raise RegisterError."""
    return _deployed(agreement, signatures, register, now).signed


def anchor(folder: Path, register: Register, now: int) -> Version:
    """Read the agreement of a deployment folder, from which every later version follows.

    It is the one that the register names, signed by its founding set; raises RegisterError.
    """
    try:
        agreement = loads((folder / "agreement.json").read_bytes(), max_bytes=_MAX_AGREEMENT_BYTES)
        signatures = {
            path.stem: path.read_text(encoding="ascii").strip()
            for path in sorted((folder / "signatures").glob("*.jws"))
        }
    except (OSError, StrictJsonError, UnicodeDecodeError):
        raise RegisterError("agreement_invalid") from None
    if not isinstance(agreement, dict):
        raise RegisterError("agreement_invalid")
    return _deployed(agreement, signatures, register, now)


def missing(version: Version, predecessor: Version) -> frozenset[str]:
    """Return which founders, of either version, have not signed `version` in time.

    Who took its signature under the predecessor back by then has no say in what follows it. Were that all
    of them, then all must sign: nobody makes itself the successor of an agreement that was left by everyone.

    A founder of the predecessor that took back what it signed here, before this began, ends this version: it
    does not come about again when that founder leaves the predecessor too. So whoever saw it complete and
    whoever did not go on with the same version.
    """
    begins = version.valid_from
    left = frozenset(party for party, act in predecessor.acts.items() if not act.stood_at(begins))
    ended = frozenset(
        party
        for party, act in version.acts.items()
        if act.withdrawn_at is not None and not act.stood_at(begins)
    )
    remaining = predecessor.founding - left
    bound = version.founding | (remaining or predecessor.founding) | (predecessor.founding & ended)
    return frozenset(
        party for party in bound if party not in version.acts or not version.acts[party].stood_at(begins)
    )


class Chain:
    """The versions that followed from the anchor. Nothing of it waits: one thread at a time."""

    def __init__(self, anchor: Version, register: Register) -> None:
        self._first = anchor.digest
        self._register = register
        self._held = {anchor.digest: anchor}
        self._next: dict[str, str] = {}  # of a version that came about: the one that supersedes it

    def admit(self, package: Package, now: int, *, complete: bool = True) -> Version:
        """Take in a version, or what was done since about one that is known; return it as it stands now.

        What a party did is never undone by bringing an older state of it. Raises RegisterError:
        `agreement_invalid`, `agreement_not_signed` (a signature does not verify, or founders are missing),
        `not_a_successor` (of no version known here), `agreement_forked` (another has that place).

        `complete=False` holds a version for which founders have yet to sign; it is not in force before.
        """
        version = read_version(package, self._register, now)
        known = self._held.get(version.digest)
        if known is not None:
            version = _version(version.digest, known.signed.data, _onward(known.acts, version.acts))
        if version.digest == self._first:
            self._held[version.digest] = version
            return version
        predecessor = self._held.get(version.supersedes or "")
        if predecessor is None or version.valid_from <= predecessor.valid_from:
            raise RegisterError("not_a_successor")
        came_about = not missing(version, predecessor)
        if came_about and self._next.get(predecessor.digest, version.digest) != version.digest:
            raise RegisterError("agreement_forked")
        if not came_about and complete and known is None:
            raise RegisterError("agreement_not_signed")
        self._held[version.digest] = version
        if came_about:
            self._next[predecessor.digest] = version.digest
        elif self._next.get(predecessor.digest) == version.digest:
            # A founder took its signature back before the instant: then the version never was in force.
            del self._next[predecessor.digest]
        return version

    def follower(self, of: object) -> str | None:
        """Return the digest of the version that has the place after another, as far as is known."""
        return self._next.get(of) if isinstance(of, str) else None

    @property
    def anchor(self) -> Version:
        """Return the version from which all others follow, as it stands now."""
        return self._held[self._first]

    def version(self, digest: str) -> Version | None:
        """Return a version that is held, as it stands now."""
        return self._held.get(digest)

    def in_force(self, at: int) -> Version:
        """Return the version whose turn it is at an instant; before all others, the anchor.

        Whether it may be used is another question: founders may have left it, its days may have ended.
        """
        found = self.anchor
        while (digest := self._next.get(found.digest)) is not None and self._held[digest].valid_from <= at:
            found = self._held[digest]
        return found


def _deployed(
    agreement: Mapping[str, object], signatures: Mapping[str, str], register: Register, now: int
) -> Version:
    version = first_version(Package(agreement, signatures, {}), register, now)
    for party in signatures:
        register.party(party)  # in our own folder, a stranger's signature is a mistake
    return version


def _version(digest: str, agreement: Mapping[str, object], acts: Mapping[str, Act]) -> Version:
    founding = agreement.get("founding_set")
    valid_from, valid_until = agreement.get("valid_from"), agreement.get("valid_until")
    supersedes = agreement.get("supersedes")
    if not isinstance(founding, list) or not all(isinstance(party, str) for party in founding):
        raise RegisterError("agreement_invalid")
    if type(valid_from) is not int or type(valid_until) is not int or not isinstance(supersedes, str | None):
        raise RegisterError("agreement_invalid")
    signed_by = frozenset(party for party, act in acts.items() if act.stands)
    return Version(
        SignedAgreement(digest, agreement, signed_by),
        supersedes,
        valid_from,
        valid_until,
        frozenset(founding),
        bool(founding) and frozenset(founding) <= signed_by,
        acts,
    )


def _onward(known: Mapping[str, Act], brought: Mapping[str, Act]) -> dict[str, Act]:
    """Return what was done by every party: what is brought moves it on, and never back."""
    acts = dict(known)
    for party, act in brought.items():
        before = acts.get(party)
        acts[party] = act if before is None else _taken_back(_renewed(_taken_back(before, act), act), act)
    return acts


def _taken_back(act: Act, by: Act) -> Act:
    if by.withdrawn_at is None or not act.stands or by.withdrawn_at < act.signed_at:
        return act
    return replace(act, withdrawal=by.withdrawal, withdrawn_at=by.withdrawn_at)


def _renewed(act: Act, by: Act) -> Act:
    # Only after a withdrawal: otherwise the signature that was in time could be covered by one that is not.
    if act.withdrawn_at is None or act.stands or by.signed_at <= act.withdrawn_at:
        return act
    return replace(act, signature=by.signature, signed_at=by.signed_at)


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise RegisterError("agreement_invalid")
    return value
