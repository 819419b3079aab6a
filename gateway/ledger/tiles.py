"""The shape in which the tree is stored and served: C2SP tlog-tiles, 256 hashes wide.

Tile (L, N) holds the nodes of tree level 8·L from 256·N on; what lies between two tile levels is
computed. The rightmost tile of a level is partial and grows; what it holds never changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from sqlalchemy import Connection, bindparam, select

from gateway.ledger import LedgerDoesNotVerify
from gateway.ledger.merkle import HASH_BYTES, NodeReader, node_hash
from gateway.storage.tables import ledger_tiles

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_ENTRY_BYTES = 65_535  # tlog-tiles: an entry's length travels as uint16
_MAX_LEVEL = 63
_NUMBER = re.compile(r"(?:x[0-9]{3}/){0,5}[0-9]{3}")

# Return the hashes of tile (level, number), b"" where there is none.
TileLoader = Callable[[int, int], bytes]

_TILE = select(ledger_tiles.c.hashes).where(
    ledger_tiles.c.level == bindparam("tile_level"), ledger_tiles.c.number == bindparam("tile_number")
)


def stored_tile(conn: Connection, level: int, number: int) -> bytes:
    """Return the hashes of a tile as they stand in the database, b"" where there is none."""
    return bytes(conn.execute(_TILE, {"tile_level": level, "tile_number": number}).scalar() or b"")


def node_reader(load: TileLoader) -> NodeReader:
    """Read complete nodes out of tiles; each tile is loaded once per reader."""
    loaded: dict[tuple[int, int], bytes] = {}

    def read(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TILE_HEIGHT)
        number, offset = divmod(index << height, TILE_WIDTH)
        if (tile_level, number) not in loaded:
            loaded[tile_level, number] = load(tile_level, number)
        end = offset + (1 << height)
        hashes = loaded[tile_level, number][offset * HASH_BYTES : end * HASH_BYTES]
        if len(hashes) != HASH_BYTES << height:
            raise LedgerDoesNotVerify(f"Part of the ledger's tree is missing: tile {tile_level}/{number}.")
        return _fold(hashes)

    return read


def width(level: int, number: int, size: int) -> int:
    """Return how many hashes tile (level, number) has in a tree of `size`: 0 to 256."""
    return max(0, min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - number * TILE_WIDTH))


def parse_path(path: str) -> tuple[int | None, int, int] | None:
    """Read `<L>/<N>[.p/<W>]` into (level, number, width), level None for `entries`; None if it is no tile.

    One spelling per tile: `x001/x234/067` and nothing else for 1 234 067.
    """
    level_text, _, rest = path.partition("/")
    number_text, partial, width_text = rest.partition(".p/")
    if not _NUMBER.fullmatch(number_text) or (number_text.startswith("x000/")):
        return None
    if partial and not (re.fullmatch(r"[1-9][0-9]{0,2}", width_text) and int(width_text) < TILE_WIDTH):
        return None
    if level_text != "entries" and not re.fullmatch(r"0|[1-9][0-9]?", level_text):
        return None
    level = None if level_text == "entries" else int(level_text)
    if level is not None and level > _MAX_LEVEL:
        return None
    number = int(number_text.replace("x", "").replace("/", ""))
    return level, number, int(width_text) if partial else TILE_WIDTH


def encode_entries(entries: Iterable[bytes]) -> bytes:
    """Return an entry bundle: every entry after its length, uint16 big-endian."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def _fold(hashes: bytes) -> bytes:
    nodes = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
    while len(nodes) > 1:
        nodes = [node_hash(nodes[at], nodes[at + 1]) for at in range(0, len(nodes), 2)]
    return nodes[0]
