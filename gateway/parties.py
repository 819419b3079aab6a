"""Know the parties: whose keys hold now, and who is suspended.

The register (who is who) and the key lists (whose keys hold) are public files of the deployment
folder, each list signed by its party. The status of a party is the gateway's own: table `parties`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, bindparam, insert, select, text, update

from adapters.kit.register import KeyList, Register, RegisterError, verify_key_list
from gateway.clock import Clock
from gateway.errors import InputRefused, Unavailable
from gateway.ledger.entry import Kind, record
from gateway.storage.tables import gateway_state, key_list_serials, parties

if TYPE_CHECKING:
    from gateway.ledger.commitment import Json
    from gateway.storage.unit_of_work import Transaction
    from gateway.vault import Vault

# DESIGN §7: a change of keys reaches every process within 60 seconds.
MAX_AGE_SECONDS = 60
_MAX_LIST_BYTES = 65_536

# Built once: to build a statement costs five times what it costs to run it (docs/benchmarks.md).
_STANDING = select(
    gateway_state.c.party_epoch,
    select(parties.c.status).where(parties.c.id == bindparam("party")).scalar_subquery().label("status"),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """A party as the gateway's table has it. `epoch` rises with every change among parties."""

    status: str | None  # active | suspended; None: not in the table
    epoch: int

    @property
    def active(self) -> bool:
        """Only a party that the table calls active may do anything."""
        return self.status == "active"


@dataclass(frozen=True, slots=True)
class _Read:
    compact: str
    verified: KeyList
    file_state: tuple[int, int, int]  # of the file that it was read from
    read_at: int


class KeyLists:
    """Every party's current key list. A list that does not verify, or is older than the last, is refused."""

    def __init__(self, folder: Path, register: Register, clock: Clock) -> None:
        self._folder = folder / "key-lists"
        self._register = register
        self._clock = clock
        self._read: dict[str, _Read] = {}
        self._serials: dict[str, int] = {}

    def verified(self, party: str) -> KeyList:
        """Return a party's verified list, at most 60 seconds after it was verified.

        Raises InputRefused `unknown_party` for who is not in the register, Unavailable
        `internal_error` when a registered party has no list that verifies now.
        """
        return self._current(party).verified

    def compact(self, party: str) -> str:
        """Return the same list as its party signed it. Raises as `verified` does."""
        return self._current(party).compact

    @property
    def serials(self) -> dict[str, int]:
        """Return the highest serial seen of each party."""
        return dict(self._serials)

    def remember(self, serials: Mapping[str, int]) -> None:
        """Refuse from now on what is older than these, too."""
        for party, serial in serials.items():
            self._serials[party] = max(serial, self._serials.get(party, 0))

    def _current(self, party: str) -> _Read:
        # Before any file is touched: a caller may name a party in a path (`../…`).
        if party not in self._register.parties:
            raise InputRefused("unknown_party")
        path = self._folder / f"{party}.jws"
        now = self._clock()
        known = self._read.get(party)
        try:
            if known and self._is_current(known, party, now) and known.file_state == _file_state(path):
                return known
            read = self._verify(party, path, now)
        except (OSError, UnicodeDecodeError, RegisterError) as trouble:
            code = getattr(trouble, "code", type(trouble).__name__)
            raise Unavailable("internal_error", cause=f"key list of {party}: {code}") from trouble
        self._read[party] = read
        return read

    def _is_current(self, known: _Read, party: str, now: int) -> bool:
        fresh = 0 <= now - known.read_at < MAX_AGE_SECONDS
        return fresh and known.verified.serial >= self._serials.get(party, 0)

    def _verify(self, party: str, path: Path, now: int) -> _Read:
        file_state = _file_state(path)  # before reading: a change in between is then seen next time
        unverified = path.read_text("ascii").strip()
        if len(unverified) > _MAX_LIST_BYTES:
            raise RegisterError("key_list_too_large")
        verified = verify_key_list(unverified, party, self._register, now)
        # An old list would bring back a key that the party has withdrawn.
        if verified.serial < self._serials.get(party, 0):
            raise RegisterError("key_list_older_than_known")
        self._serials[party] = verified.serial
        return _Read(unverified, verified, file_state, now)


def kept_serials(conn: Connection) -> dict[str, int]:
    """Read the highest serial that any gateway of this database has seen, of each party."""
    rows = conn.execute(select(key_list_serials.c.party_id, key_list_serials.c.serial))
    return {row.party_id: row.serial for row in rows}


def keep_serials(tx: Transaction, seen: Mapping[str, int]) -> dict[str, int]:
    """Keep what was seen where it is higher; return the highest of each party.

    A restart must not make a gateway believe a list that it, or another one, would have refused.
    """
    for party, serial in sorted(seen.items()):
        tx.conn.execute(
            text(
                "INSERT INTO key_list_serials (party_id, serial) VALUES (:party, :serial)"
                " ON CONFLICT (party_id) DO UPDATE SET serial = excluded.serial"
                " WHERE excluded.serial > key_list_serials.serial"
            ),
            {"party": party, "serial": serial},
        )
    return kept_serials(tx.conn)


def ensure_parties(tx: Transaction, register: Register) -> None:
    """Give every party of the register a row, active at first, and a new database its agreement.

    Leaves the status of parties that have a row. A new party raises the party epoch, so that every permit
    and cached token made before is looked at again.
    """
    known = set(tx.conn.scalars(select(parties.c.id)))
    new = sorted(set(register.parties) - known - {"gateway"})
    if new:
        tx.conn.execute(insert(parties), [{"id": party, "status": "active"} for party in new])
    tx.conn.execute(
        text(
            "INSERT INTO gateway_state (id, party_epoch, agreement_digest) VALUES (1, 1, :digest)"
            " ON CONFLICT DO NOTHING"
        ),
        {"digest": register.agreement_digest},
    )
    if new:
        raise_epoch(tx)


def standing(conn: Connection, party: str) -> Standing:
    """Read a party's status and the epoch, as of this connection's snapshot."""
    row = conn.execute(_STANDING, {"party": party}).one()
    return Standing(row.status, row.party_epoch)


def set_status(tx: Transaction, vault: Vault, party: str, status: str, *, now: int) -> int:
    """Suspend a party or make it active again; nothing recorded after the index returned ignores it."""
    changed = tx.conn.execute(update(parties).where(parties.c.id == party).values(status=status))
    if changed.rowcount != 1:
        raise InputRefused("unknown_party")
    raise_epoch(tx)
    kind = Kind.PARTY_RESTORED if status == "active" else Kind.PARTY_SUSPENDED
    said: dict[str, Json] = {"party": party, "at": now}
    return record(tx, kind=kind, detail=said, key=vault.party_key(party), now=now, party_id=party).index


def raise_epoch(tx: Transaction) -> None:
    """Have every permit and remembered token that was made before looked at again."""
    tx.conn.execute(update(gateway_state).values(party_epoch=gateway_state.c.party_epoch + 1))


def _file_state(path: Path) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino
