"""Show what the ledger holds: head, proofs, tiles. Reads only; nothing here needs a key.

Everything asked of one connection is of one moment, so a proof fits the checkpoint read beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from gateway.errors import InputRefused, Refused
from gateway.ledger import LedgerDoesNotVerify, merkle, tiles
from gateway.ledger.merkle import HASH_BYTES, NodeReader
from gateway.storage.tables import ledger_entries, ledger_head


@dataclass(frozen=True, slots=True)
class Inclusion:
    """That an entry is in the ledger of this size: RFC 6962 §2.1.1, hashes from the leaf upwards."""

    leaf_index: int
    tree_size: int
    leaf_hash: bytes
    hashes: list[bytes]


def latest_checkpoint(conn: Connection) -> str:
    """Return the signed note of the newest committed head."""
    return str(conn.execute(select(ledger_head.c.checkpoint).where(ledger_head.c.id == 1)).scalar_one())


def ledger_size(conn: Connection) -> int:
    """Return how many entries the newest committed head covers."""
    return int(conn.execute(select(ledger_head.c.size).where(ledger_head.c.id == 1)).scalar_one())


def inclusion(conn: Connection, leaf_index: int, tree_size: int | None = None) -> Inclusion:
    """Prove that an entry is in the ledger, as it is now or as it was at `tree_size`.

    Raise Refused(not_found) for a size not reached yet, InputRefused for a place outside the tree.
    """
    size = ledger_size(conn)
    tree_size = size if tree_size is None else tree_size
    if tree_size > size:
        raise Refused("not_found", "The ledger has not reached that size.")
    if not 0 <= leaf_index < tree_size:
        raise InputRefused("invalid_input", "leafIndex is smaller than treeSize, and neither is negative.")
    read = _nodes(conn)
    hashes = merkle.inclusion_proof(read, leaf_index, tree_size)
    return Inclusion(leaf_index, tree_size, read(0, leaf_index), hashes)


def consistency(conn: Connection, first_size: int, second_size: int) -> list[bytes]:
    """Prove that the ledger at `first_size` is the beginning of that at `second_size` (RFC 6962 §2.1.2).

    Raise Refused(not_found) for a size not reached yet, InputRefused for sizes in the wrong order.
    """
    if not 0 < first_size <= second_size:
        raise InputRefused("invalid_input", "firstSize is at least 1 and at most secondSize.")
    if second_size > ledger_size(conn):
        raise Refused("not_found", "The ledger has not reached that size.")
    return merkle.consistency_proof(_nodes(conn), first_size, second_size)


def tile(conn: Connection, level: int, number: int, width: int) -> bytes:
    """Return the first `width` hashes of a tile; raise Refused(not_found) where it has fewer."""
    hashes = tiles.stored_tile(conn, level, number)[: width * HASH_BYTES]
    if len(hashes) != width * HASH_BYTES:
        raise Refused("not_found", "The ledger has no such tile.")
    return hashes


def entry_bundle(conn: Connection, number: int, width: int) -> bytes:
    """Return the first `width` entries of bundle `number`; raise Refused(not_found) if it has fewer."""
    first = number * tiles.TILE_WIDTH
    if first + width > ledger_size(conn):
        raise Refused("not_found", "The ledger has no such entries.")
    index = ledger_entries.c.index
    chosen = select(ledger_entries.c.entry).where(index >= first, index < first + width).order_by(index)
    entries = [bytes(entry) for entry in conn.execute(chosen).scalars()]
    if len(entries) != width:
        raise LedgerDoesNotVerify("Entries that the checkpoint covers are gone.")
    return tiles.encode_entries(entries)


def _nodes(conn: Connection) -> NodeReader:
    return tiles.node_reader(lambda level, number: tiles.stored_tile(conn, level, number))
