"""Say how far a version of the agreement is, from what is recorded: computed each time, and stored nowhere.

proposed ─▶ approved ─▶ signed (k of m) ─▶ scheduled ─▶ in_force ─▶ superseded
                └─────────────┴───────▶ lapsed: its time passed without that
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from adapters.kit.agreement_chain import Version, missing
from gateway import agreement_records as records
from gateway.errors import Refused

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.agreement_records import VersionRow

Stage = Literal["proposed", "approved", "signed", "scheduled", "in_force", "superseded", "lapsed"]


@dataclass(frozen=True, slots=True)
class VersionState:
    """A version as anyone may see it: which parties did what, and no worker."""

    row: VersionRow
    state: Stage
    needed: frozenset[str]  # whose signatures it takes to be in force
    signed_by: frozenset[str]  # everyone whose signature stands, founders and others

    @property
    def signed(self) -> frozenset[str]:
        """Return who of those that are needed has signed: k of m."""
        return self.needed & self.signed_by


def state(conn: Connection, digest: str, now: int) -> VersionState:
    """Return how far one version is; raise Refused `not_found`."""
    row = records.row(conn, digest)
    if row is None:
        raise Refused("not_found")
    return _state(conn, row, records.head(conn).in_force, now)


def states(conn: Connection, now: int) -> tuple[VersionState, ...]:
    """Return how far every version is, in the order in which they say to begin."""
    in_force = records.head(conn).in_force
    return tuple(_state(conn, row, in_force, now) for row in records.rows(conn))


def state_of(row: VersionRow, signed_by: frozenset[str], in_force: str, now: int) -> Stage:
    """Say how far a version is, when `in_force` is the one that the gateway goes by."""
    if row.digest == in_force and row.valid_from <= now < row.valid_until and row.founding <= signed_by:
        return "in_force"
    if row.digest != in_force and row.in_force_at is not None:
        return "superseded"
    if row.in_force_at is None and row.activated_at is not None:
        return "scheduled"
    if now >= row.valid_until or (row.in_force_at is None and row.valid_from <= now):
        return "lapsed"
    # Also the one whose turn it is, while a founder has taken its signature back: fewer signed than it needs.
    if signed_by or row.in_force_at is not None:
        return "signed"
    return "proposed" if row.approved_at is None else "approved"


def bound(version: Version, predecessor: Version) -> frozenset[str]:
    """Return whose signatures a version needs that is to follow another."""
    return missing(replace(version, acts={}), predecessor)


def _state(conn: Connection, row: VersionRow, in_force: str, now: int) -> VersionState:
    version = records.as_recorded(conn, row)
    before = None
    # Once it was in force, it stays so by its own founders.
    if row.supersedes is not None and row.in_force_at is None:
        before = records.row(conn, row.supersedes)
    needed = row.founding if before is None else bound(version, records.as_recorded(conn, before))
    signed_by = version.signed.signed_by
    return VersionState(row, state_of(row, signed_by, in_force, now), needed, signed_by)
