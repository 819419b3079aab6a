"""The tree against published vectors, and against a naive one written from the RFC's definition."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger import LedgerDoesNotVerify, merkle

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "rfc6962.json").read_text())
LEAVES = [bytes.fromhex(leaf) for leaf in VECTORS["leaves"]]
ROOTS = [bytes.fromhex(root) for root in VECTORS["roots"]]

sizes = st.integers(1, 300)


def entries(size: int) -> list[bytes]:
    return [b"entry %d" % at for at in range(size)]


def naive_root(part: list[bytes]) -> bytes:
    """RFC 6962 §2.1, word for word."""
    if not part:
        return hashlib.sha256(b"").digest()
    if len(part) == 1:
        return hashlib.sha256(b"\x00" + part[0]).digest()
    k = 1
    while k * 2 < len(part):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(part[:k]) + naive_root(part[k:])).digest()


def naive_path(index: int, part: list[bytes]) -> list[bytes]:
    """RFC 6962 §2.1.1, word for word."""
    if len(part) == 1:
        return []
    k = 1
    while k * 2 < len(part):
        k *= 2
    if index < k:
        return [*naive_path(index, part[:k]), naive_root(part[k:])]
    return [*naive_path(index - k, part[k:]), naive_root(part[:k])]


def naive_subproof(m: int, part: list[bytes], whole: bool) -> list[bytes]:
    """RFC 6962 §2.1.2, word for word."""
    if m == len(part):
        return [] if whole else [naive_root(part)]
    k = 1
    while k * 2 < len(part):
        k *= 2
    if m <= k:
        return [*naive_subproof(m, part[:k], whole), naive_root(part[k:])]
    return [*naive_subproof(m - k, part[k:], False), naive_root(part[:k])]


def reader(leaves: list[bytes]) -> merkle.NodeReader:
    """Read complete nodes of a tree; one that is not complete is a fault of the caller."""

    def read(level: int, index: int) -> bytes:
        covered = leaves[index << level : (index + 1) << level]
        assert len(covered) == 1 << level, "an incomplete node was read"
        return naive_root(covered)

    return read


def grown(leaves: list[bytes]) -> merkle.Frontier:
    tree = merkle.Frontier()
    for leaf in leaves:
        tree.append(merkle.leaf_hash(leaf))
    return tree


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_published_vectors(size: int) -> None:
    assert grown(LEAVES[:size]).root() == ROOTS[size] == naive_root(LEAVES[:size])


@pytest.mark.parametrize("vector", VECTORS["inclusion"])
def test_inclusion_proofs_are_those_of_the_published_vectors(vector: dict) -> None:
    proof = merkle.inclusion_proof(reader(LEAVES), vector["index"], vector["size"])
    assert [node.hex() for node in proof] == vector["proof"]
    leaf = merkle.leaf_hash(LEAVES[vector["index"]])
    merkle.verify_inclusion(leaf, vector["index"], vector["size"], proof, ROOTS[vector["size"]])


@pytest.mark.parametrize("vector", VECTORS["consistency"])
def test_consistency_proofs_are_those_of_the_published_vectors(vector: dict) -> None:
    first, second = vector["first"], vector["second"]
    proof = merkle.consistency_proof(reader(LEAVES), first, second)
    assert [node.hex() for node in proof] == vector["proof"]
    merkle.verify_consistency(first, second, proof, ROOTS[first], ROOTS[second])


@given(size=sizes, data=st.data())
def test_proofs_are_those_of_the_definition_and_verify(size: int, data: st.DataObject) -> None:
    leaves = entries(size)
    read, root = reader(leaves), naive_root(leaves)
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    path = merkle.inclusion_proof(read, index, size)
    assert path == naive_path(index, leaves)
    merkle.verify_inclusion(merkle.leaf_hash(leaves[index]), index, size, path, root)
    proof = merkle.consistency_proof(read, first, size)
    assert proof == naive_subproof(first, leaves, True)
    merkle.verify_consistency(first, size, proof, naive_root(leaves[:first]), root)


@given(size=sizes)
def test_a_tree_taken_up_where_it_was_left_grows_the_same(size: int) -> None:
    leaves = entries(size + 3)
    resumed = merkle.frontier(reader(leaves[:size]), size)
    assert resumed.root() == naive_root(leaves[:size])
    for leaf in leaves[size:]:
        resumed.append(merkle.leaf_hash(leaf))
    assert resumed.root() == grown(leaves).root() == naive_root(leaves)


@given(size=st.integers(2, 64), data=st.data())
def test_an_inclusion_proof_with_anything_changed_is_refused(size: int, data: st.DataObject) -> None:
    leaves = entries(size)
    root, index = naive_root(leaves), data.draw(st.integers(0, size - 1))
    leaf, path = merkle.leaf_hash(leaves[index]), merkle.inclusion_proof(reader(leaves), index, size)
    merkle.verify_inclusion(leaf, index, size, path, root)
    at = data.draw(st.integers(0, len(path) - 1))
    flipped = bytes([path[at][0] ^ 1]) + path[at][1:]
    other = data.draw(st.integers(0, size + 3).filter(lambda place: place != index))
    changed = [
        (leaf, index, size, [*path[:at], flipped, *path[at + 1 :]], root),
        (leaf, index, size, path[:at] + path[at + 1 :], root),
        (leaf, index, size, [*path, root], root),
        (leaf, other, size, path, root),
        (merkle.leaf_hash(b"other"), index, size, path, root),
        (leaf, index, size, path, merkle.EMPTY_ROOT),
        (leaf, index, 0, path, root),
    ]
    for arguments in changed:
        with pytest.raises(LedgerDoesNotVerify):
            merkle.verify_inclusion(*arguments)


@given(size=st.integers(2, 64), data=st.data())
def test_a_consistency_proof_with_anything_changed_is_refused(size: int, data: st.DataObject) -> None:
    leaves = entries(size)
    first = data.draw(st.integers(1, size - 1))
    old, new = naive_root(leaves[:first]), naive_root(leaves)
    proof = merkle.consistency_proof(reader(leaves), first, size)
    merkle.verify_consistency(first, size, proof, old, new)
    at = data.draw(st.integers(0, len(proof) - 1))
    flipped = bytes([proof[at][0] ^ 1]) + proof[at][1:]
    rewritten = naive_root([b"other", *leaves[1:first]])
    changed = [
        (first, size, [*proof[:at], flipped, *proof[at + 1 :]], old, new),
        (first, size, proof[:at] + proof[at + 1 :], old, new),
        (first, size, [*proof, new], old, new),
        (first, size, proof, rewritten, new),
        (first, size, proof, new, old),
        (0, size, proof, merkle.EMPTY_ROOT, new),
        (size, first, proof, old, new),
    ]
    for arguments in changed:
        with pytest.raises(LedgerDoesNotVerify):
            merkle.verify_consistency(*arguments)


def test_two_heads_of_one_size_agree_only_when_equal() -> None:
    merkle.verify_consistency(8, 8, [], ROOTS[8], ROOTS[8])
    with pytest.raises(LedgerDoesNotVerify):
        merkle.verify_consistency(8, 8, [], ROOTS[8], ROOTS[7])


def test_no_proof_is_made_outside_the_tree() -> None:
    assert merkle.inclusion_proof(reader(LEAVES), 7, 8)
    for index, size in [(8, 8), (-1, 8), (0, 0)]:
        with pytest.raises(ValueError):
            merkle.inclusion_proof(reader(LEAVES), index, size)
    for first, second in [(0, 8), (9, 8), (-1, 1)]:
        with pytest.raises(ValueError):
            merkle.consistency_proof(reader(LEAVES), first, second)
