"""Tiles: their names, their widths, and that a tree can be read out of them at every size."""

import pytest

from gateway.ledger import LedgerDoesNotVerify, merkle, tiles
from gateway.ledger.merkle import HASH_BYTES, Frontier, leaf_hash
from gateway.ledger.tiles import TILE_WIDTH


class Tiles:
    """A tree of any size, stored as the standard says, in memory."""

    def __init__(self, size: int) -> None:
        self.tree = Frontier()
        self.stored: dict[tuple[int, int], bytes] = {}
        for at in range(size):
            for level, index, node in self.tree.append(leaf_hash(b"%d" % at)):
                if level % tiles.TILE_HEIGHT == 0:
                    place = level // tiles.TILE_HEIGHT, index // TILE_WIDTH
                    self.stored[place] = self.stored.get(place, b"") + node

    def load(self, level: int, number: int) -> bytes:
        return self.stored.get((level, number), b"")


@pytest.fixture(scope="module")
def large() -> Tiles:
    return Tiles(65_536 + 300)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 65_836])
def test_a_tree_of_every_size_is_read_out_of_the_tiles_of_a_larger_one(large: Tiles, size: int) -> None:
    grown = Frontier()
    for at in range(size):
        grown.append(leaf_hash(b"%d" % at))
    assert merkle.frontier(tiles.node_reader(large.load), size).root() == grown.root()
    for index in {0, size // 2, size - 1}:
        proof = merkle.inclusion_proof(tiles.node_reader(large.load), index, size)
        merkle.verify_inclusion(leaf_hash(b"%d" % index), index, size, proof, grown.root())
    proof = merkle.consistency_proof(tiles.node_reader(large.load), size, large.tree.size)
    merkle.verify_consistency(size, large.tree.size, proof, grown.root(), large.tree.root())


def test_every_tile_is_as_wide_as_the_standard_says(large: Tiles) -> None:
    for (level, number), hashes in large.stored.items():
        assert tiles.width(level, number, large.tree.size) * HASH_BYTES == len(hashes)
    assert tiles.width(0, 257, large.tree.size) == 44
    assert tiles.width(1, 1, large.tree.size) == 1
    assert tiles.width(2, 0, large.tree.size) == 1
    assert tiles.width(3, 0, large.tree.size) == 0
    assert tiles.width(0, 258, large.tree.size) == 0


def test_a_missing_tile_is_noticed_when_it_is_read() -> None:
    whole = Tiles(300)
    assert tiles.node_reader(whole.load)(8, 0)
    del whole.stored[0, 1]
    with pytest.raises(LedgerDoesNotVerify):
        merkle.inclusion_proof(tiles.node_reader(whole.load), 0, 300)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("0/000", (0, 0, 256)),
        ("0/x001/x234/067", (0, 1_234_067, 256)),
        ("1/067.p/8", (1, 67, 8)),
        ("63/999.p/255", (63, 999, 255)),
        ("entries/x001/000.p/1", (None, 1000, 1)),
    ],
)
def test_a_tile_has_one_name(path: str, named: tuple[int | None, int, int]) -> None:
    assert tiles.parse_path(path) == named


@pytest.mark.parametrize(
    "path",
    [
        "",
        "0",
        "0/",
        "0/1",
        "0/0001",
        "0/001/002",
        "0/x001",
        "0/x000/001",
        "64/000",
        "00/000",
        "-1/000",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/01",
        "0/000.p/",
        "entry/000",
        "0/٠٠٠",
        "0/000/",
        "0/000.p/1.p/1",
        "0/000\n",
        "entries/",
        "0/../000",
    ],
)
def test_any_other_name_is_no_tile(path: str) -> None:
    assert tiles.parse_path(path) is None


def test_an_entry_bundle_puts_its_length_before_every_entry() -> None:
    assert tiles.encode_entries([b"a", b"bc" * 200]) == b"\x00\x01a\x01\x90" + b"bc" * 200
