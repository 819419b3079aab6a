"""Say how far a version of the agreement is, from what is recorded: computed each time, and stored nowhere.

proposed ─▶ approved ─▶ signed (k of m) ─▶ scheduled ─▶ in_force ─▶ superseded
                └─────────────┴───────▶ lapsed     └▶ stopped ┘
                                        its time   while a founder has taken its signature back
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from adapters.kit.agreement_chain import Version, missing
from gateway import agreement_records as records
from gateway.errors import Refused

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from adapters.kit.agreement_chain import Act
    from gateway.agreement_records import VersionRow

Stage = Literal["proposed", "approved", "signed", "scheduled", "in_force", "stopped", "superseded", "lapsed"]


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
    before = None if row.supersedes is None else records.row(conn, row.supersedes)
    by_version = {each.digest: records.acts(conn, each.digest) for each in (row, before) if each is not None}
    return _state(row, before, by_version, records.head(conn).in_force, now)


def states(conn: Connection, now: int) -> tuple[VersionState, ...]:
    """Return how far every version is, in the order in which they say to begin; in three queries."""
    in_force, by_version = records.head(conn).in_force, records.acts_of_all(conn)
    rows = {row.digest: row for row in records.rows(conn)}
    return tuple(
        _state(row, rows.get(row.supersedes or ""), by_version, in_force, now) for row in rows.values()
    )


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
    if row.in_force_at is not None and row.valid_from <= now:
        return "stopped"
    # Also the one in force while its first second has not come by the clock of this gateway.
    if signed_by or row.in_force_at is not None:
        return "signed"
    return "proposed" if row.approved_at is None else "approved"


def bound(version: Version, predecessor: Version) -> frozenset[str]:
    """Return whose signatures a version needs that is to follow another."""
    return missing(replace(version, acts={}), predecessor)


def _state(
    row: VersionRow,
    before: VersionRow | None,
    by_version: Mapping[str, Mapping[str, Act]],
    in_force: str,
    now: int,
) -> VersionState:
    def recorded(known: VersionRow) -> Version:
        return records.as_recorded(known, by_version.get(known.digest, {}))

    version = recorded(row)
    # Once it was in force, it stays so by its own founders.
    follows = None if row.in_force_at is not None else before
    needed = row.founding if follows is None else bound(version, recorded(follows))
    signed_by = version.signed.signed_by
    return VersionState(row, state_of(row, signed_by, in_force, now), needed, signed_by)
