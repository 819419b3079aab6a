"""The mathematics of the tree (RFC 6962 §2.1, RFC 9162 §2.1): no storage, no keys, no clock.

A *node* is named by level and index: level 0 holds the leaf hashes, and node (l, i) covers the
leaves [i·2^l, (i+1)·2^l). Only complete nodes are ever stored or read; they never change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from gateway.ledger import LedgerDoesNotVerify

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

# Return the hash of a complete node (level, index); raise LedgerDoesNotVerify where it is missing.
NodeReader = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry. The prefix keeps a node from passing for a leaf (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two neighbours into their parent."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """Grow a tree leaf by leaf, keeping only the roots of its complete parts, largest first."""

    def __init__(self, size: int = 0, parts: Sequence[bytes] = ()) -> None:
        if size.bit_count() != len(parts):
            raise ValueError("a tree has one complete part per bit of its size")
        self.size = size
        self._parts = list(parts)

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf hash; return every node that it completed as (level, index, hash), the leaf first."""
        level, index, node = 0, self.size, leaf
        completed = [(level, index, node)]
        while index & 1:
            node = node_hash(self._parts.pop(), node)
            level, index = level + 1, index >> 1
            completed.append((level, index, node))
        self._parts.append(node)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """Return the root of the leaves so far."""
        if not self._parts:
            return EMPTY_ROOT
        root = self._parts[-1]
        for part in reversed(self._parts[:-1]):
            root = node_hash(part, root)
        return root


def parts(size: int) -> list[tuple[int, int]]:
    """Name the complete nodes that a tree of this size consists of, largest first."""
    found, start = [], 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            found.append((level, start >> level))
            start += 1 << level
    return found


def frontier(read: NodeReader, size: int) -> Frontier:
    """Take up a tree of this size where it was left."""
    return Frontier(size, [read(level, index) for level, index in parts(size)])


def inclusion_proof(read: NodeReader, index: int, size: int) -> list[bytes]:
    """Prove that leaf `index` is in the tree of `size` leaves (RFC 6962 §2.1.1)."""
    if not 0 <= index < size:
        raise ValueError("the leaf is not in a tree of that size")
    return _path(read, index, 0, size)


def consistency_proof(read: NodeReader, first: int, second: int) -> list[bytes]:
    """Prove that the tree of `first` leaves is the beginning of that of `second` (RFC 6962 §2.1.2)."""
    if not 0 < first <= second:
        raise ValueError("a consistency proof goes from a non-empty tree to one at least as large")
    return [] if first == second else _subproof(read, first, 0, second, whole=True)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return only if the leaf stands at `index` under `root` (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        raise LedgerDoesNotVerify(f"There is no place {index} in a ledger of {size} entries.")
    node, last, value = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise LedgerDoesNotVerify("The inclusion proof is longer than the ledger is deep.")
        if node & 1 or node == last:
            value = node_hash(sibling, value)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            value = node_hash(value, sibling)
        node, last = node >> 1, last >> 1
    if last != 0 or value != root:
        raise LedgerDoesNotVerify(f"The entry is not in the ledger at place {index}.")


def verify_consistency(
    first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes
) -> None:
    """Return only if the first tree is the beginning of the second (RFC 9162 §2.1.4.2)."""
    if first == second:
        if proof or first_root != second_root:
            raise LedgerDoesNotVerify(f"Two checkpoints of {first} entries differ: history was rewritten.")
        return
    if not 0 < first < second or not proof:
        raise LedgerDoesNotVerify("The consistency proof does not fit the two sizes.")
    hashes = list(proof) if first & (first - 1) else [first_root, *proof]
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise LedgerDoesNotVerify("The consistency proof is longer than the ledger is deep.")
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    if last != 0 or old != first_root or new != second_root:
        raise LedgerDoesNotVerify(f"The ledger of {first} entries is not the beginning of that of {second}.")


def _split(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)


def _range_root(read: NodeReader, start: int, end: int) -> bytes:
    size = end - start
    if size & (size - 1) == 0:  # a power of two, aligned by construction: a stored node
        level = size.bit_length() - 1
        return read(level, start >> level)
    middle = start + _split(size)
    return node_hash(_range_root(read, start, middle), _range_root(read, middle, end))


def _path(read: NodeReader, index: int, start: int, end: int) -> list[bytes]:
    if end - start == 1:
        return []
    middle = start + _split(end - start)
    if index < middle:
        return [*_path(read, index, start, middle), _range_root(read, middle, end)]
    return [*_path(read, index, middle, end), _range_root(read, start, middle)]


def _subproof(read: NodeReader, first: int, start: int, end: int, *, whole: bool) -> list[bytes]:
    # `whole`: the old tree begins where this part begins, so its verifier knows the old root already.
    if first == end:
        return [] if whole else [_range_root(read, start, end)]
    middle = start + _split(end - start)
    if first <= middle:
        return [*_subproof(read, first, start, middle, whole=whole), _range_root(read, middle, end)]
    return [*_subproof(read, first, middle, end, whole=False), _range_root(read, start, middle)]
