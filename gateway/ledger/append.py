"""Grow the ledger inside a transaction: entries, tiles, head, in the order that a crash may interrupt.

All of it is one transaction, so a crash leaves the old ledger or the new one. The checkpoint is
signed before COMMIT and shown after it: a head that was signed and never stored is seen by nobody,
hence two heads that contradict each other cannot both become known.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Select, bindparam, func, insert, select, update

from gateway.ledger import LedgerDoesNotVerify
from gateway.ledger.checkpoint import LedgerSigner, LogKey
from gateway.ledger.merkle import EMPTY_ROOT, HASH_BYTES, Frontier, frontier, leaf_hash
from gateway.ledger.tiles import TILE_HEIGHT, TILE_WIDTH, node_reader, stored_tile, width
from gateway.storage.tables import ledger_details, ledger_entries, ledger_head, ledger_tiles

_HEAD = select(ledger_head.c.size, ledger_head.c.checkpoint).where(ledger_head.c.id == 1)
# SQLite has the lock already and ignores the clause; PostgreSQL waits here for the other gateways.
_LOCKED_HEAD = _HEAD.with_for_update()
_ADD_ENTRY = insert(ledger_entries)
_ADD_TILE = insert(ledger_tiles)
_WIDEN_TILE = update(ledger_tiles).where(
    ledger_tiles.c.level == bindparam("at_level"), ledger_tiles.c.number == bindparam("at_number")
)
_MOVE_HEAD = update(ledger_head).where(
    ledger_head.c.id == 1,
    ledger_head.c.size == bindparam("old_size"),
    ledger_head.c.checkpoint == bindparam("old_note"),
)


class Edge:
    """The right edge of the tree in memory: all that appending needs, a few tiles at most."""

    def __init__(self, note: str, tree: Frontier, partial: dict[int, bytearray]) -> None:
        self.note = note
        self.tree = tree
        self._partial = partial  # tile level → hashes of its rightmost tile, if that is not full

    @classmethod
    def load(cls, conn: Connection, key: LogKey) -> Edge:
        """Read the edge and prove that it is what the stored checkpoint says.

        Raise LedgerDoesNotVerify if signature, size or root differ.
        """
        size, note = _head(conn)
        checkpoint = key.open_checkpoint(note)
        if checkpoint.size != size:
            raise LedgerDoesNotVerify("The ledger's head and its signed checkpoint differ in size.")
        tree = frontier(node_reader(lambda level, number: stored_tile(conn, level, number)), size)
        if tree.root() != checkpoint.root:
            raise LedgerDoesNotVerify("The stored tree is not the one that the checkpoint was signed for.")
        return cls(note, tree, dict(_partial_tiles(conn, size)))

    def extend(self, leaves: Sequence[bytes]) -> tuple[dict[tuple[int, int], bytes], set[tuple[int, int]]]:
        """Add leaf hashes; return the tiles that changed, and which of those are new."""
        changed: dict[tuple[int, int], bytes] = {}
        new: set[tuple[int, int]] = set()
        for leaf in leaves:
            for level, index, node in self.tree.append(leaf):
                tile_level, between = divmod(level, TILE_HEIGHT)
                if between:
                    continue
                place = tile_level, index // TILE_WIDTH
                hashes = self._partial.setdefault(tile_level, bytearray())
                if not hashes:
                    new.add(place)
                hashes += node
                changed[place] = b""
                if len(hashes) == TILE_WIDTH * HASH_BYTES:
                    changed[place] = bytes(self._partial.pop(tile_level))
        for level, number in [place for place, hashes in changed.items() if not hashes]:
            changed[level, number] = bytes(self._partial[level])
        return changed, new


class Appender:
    """Give out places and write the leaves of one transaction. Used by one thread, under the head's lock."""

    def __init__(self, signer: LedgerSigner) -> None:
        self._signer = signer
        self._edge: Edge | None = None

    def begin(self, conn: Connection) -> int:
        """Lock the head until the caller's transaction ends, and return the index of the next leaf.

        Before anything else of that transaction: whatever is compared or written after it happens
        in one order, over all gateways (SQLite's BEGIN IMMEDIATE has locked already). What is kept
        in memory is used only while it is what the database says.
        """
        size, note = _head(conn, _LOCKED_HEAD)
        if self._edge is None or self._edge.tree.size != size or self._edge.note != note:
            self._edge = Edge.load(conn, self._signer.key)
        return size

    def flush(self, conn: Connection, entries: Sequence[bytes]) -> None:
        """Write the entries, their tiles and one signed head. Durable when the caller commits.

        After an error, or a COMMIT whose outcome is unknown, the caller MUST call `forget`.
        """
        edge = self._edge
        if edge is None:
            raise RuntimeError("flush comes after begin")
        first, old_note = edge.tree.size, edge.note
        rows = [{"index": first + at, "entry": entry} for at, entry in enumerate(entries)]
        conn.execute(_ADD_ENTRY, rows)
        changed, new = edge.extend([leaf_hash(entry) for entry in entries])
        for (level, number), hashes in changed.items():
            _write_tile(conn, level, number, hashes, new=(level, number) in new)
        edge.note = self._signer.sign(edge.tree.size, edge.tree.root())
        # Compare-and-swap: whatever else wrote this database, two heads never follow the same one.
        moved = conn.execute(
            _MOVE_HEAD,
            {"old_size": first, "old_note": old_note, "size": edge.tree.size, "checkpoint": edge.note},
        )
        if moved.rowcount != 1:
            raise LedgerDoesNotVerify("The ledger's head moved while entries were being added.")

    def forget(self) -> None:
        """Let the database say where the ledger ends, next time."""
        self._edge = None


def start(conn: Connection, signer: LedgerSigner) -> None:
    """Give new tables an empty ledger, signed as such; durable when the caller commits."""
    conn.execute(insert(ledger_head).values(id=1, size=0, checkpoint=signer.sign(0, EMPTY_ROOT)))


def check_edge(conn: Connection, key: LogKey) -> None:
    """Return only if the end of the ledger holds together: work that does not grow with its length.

    Checkpoint, tiles and the entries of the last tile must agree, and nothing may stand beyond the
    end. The whole ledger is checked offline, by `gateway.ledger.verify`. The head is locked until the
    caller's transaction ends. Raise LedgerDoesNotVerify.
    """
    _head(conn, _LOCKED_HEAD)  # so that every statement below sees one moment
    size = Edge.load(conn, key).tree.size
    for column in (ledger_entries.c.index, ledger_details.c.index):
        last = conn.execute(select(func.max(column))).scalar()
        if last is not None and last >= size:
            raise LedgerDoesNotVerify("Entries were kept that the ledger's checkpoint does not cover.")
    start = max(0, (size - 1) // TILE_WIDTH * TILE_WIDTH)
    rows = conn.execute(
        select(ledger_entries.c.entry).where(ledger_entries.c.index >= start).order_by(ledger_entries.c.index)
    ).scalars()
    leaves = b"".join(leaf_hash(bytes(entry)) for entry in rows)
    if leaves != stored_tile(conn, 0, start // TILE_WIDTH):
        raise LedgerDoesNotVerify("The last entries of the ledger are not those of its tree.")


def _head(conn: Connection, statement: Select[tuple[int, str]] = _HEAD) -> tuple[int, str]:
    row = conn.execute(statement).first()
    if row is None:
        raise LedgerDoesNotVerify("The database has no ledger head.")
    return row.size, row.checkpoint


def _partial_tiles(conn: Connection, size: int) -> list[tuple[int, bytearray]]:
    found = []
    level = 0
    while size >> TILE_HEIGHT * level:
        number = (size >> TILE_HEIGHT * level) // TILE_WIDTH
        hashes = stored_tile(conn, level, number)
        if len(hashes) != width(level, number, size) * HASH_BYTES:
            raise LedgerDoesNotVerify("The ledger's last tile is not as wide as its checkpoint says.")
        if hashes:
            found.append((level, bytearray(hashes)))
        level += 1
    return found


def _write_tile(conn: Connection, level: int, number: int, hashes: bytes, *, new: bool) -> None:
    if new:
        conn.execute(_ADD_TILE, {"level": level, "number": number, "hashes": hashes})
        return
    conn.execute(_WIDEN_TILE, {"at_level": level, "at_number": number, "hashes": hashes})
