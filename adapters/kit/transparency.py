"""Check a ledger with its public key alone: RFC 6962 inclusion and consistency, C2SP checkpoints.

    entry ── leaf_hash ──▶ inclusion proof ──▶ root ◀── checkpoint ◀── signature of the ledger's key
                                                 │
    earlier checkpoint ── consistency proof ─────┘

Small on purpose and apart from the gateway's own code: who checks the ledger should not do so with
the code that wrote it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_ED25519 = b"\x01"  # C2SP signed-note: the signature type of a plain Ed25519 key
_MAX_NOTE_BYTES = 16_384
_MAX_SIGNATURES = 64


class TransparencyError(Exception):
    """What was shown does not prove that the ledger holds the entry. `code` is stable."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A ledger's signed statement: at this size, its root was this."""

    origin: str
    size: int
    root: bytes


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry as a leaf, RFC 6962 §2.1."""
    return hashlib.sha256(b"\x00" + entry).digest()


def verify_inclusion(*, leaf: bytes, index: int, size: int, hashes: Sequence[bytes], root: bytes) -> None:
    """Prove that `leaf` stands at `index` in the tree of `size` with `root`, RFC 9162 §2.1.3.2.

    Raises TransparencyError("inclusion_proof_invalid").
    """
    if not 0 <= index < size or any(len(hash_) != 32 for hash_ in (leaf, root, *hashes)):
        raise TransparencyError("inclusion_proof_invalid")
    position, last, node = index, size - 1, leaf
    for sibling in hashes:
        if last == 0:  # more hashes than the tree has levels
            raise TransparencyError("inclusion_proof_invalid")
        if position & 1 or position == last:
            node = _node_hash(sibling, node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            node = _node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    if last != 0 or node != root:
        raise TransparencyError("inclusion_proof_invalid")


def verify_consistency(older: Checkpoint, newer: Checkpoint, hashes: Sequence[bytes]) -> None:
    """Prove that the ledger of `older` is the beginning of that of `newer`, RFC 9162 §2.1.4.2.

    Raises TransparencyError("ledger_forked"): with two signed checkpoints there is no innocent reason.
    """
    first, second = older.size, newer.size
    if any(len(hash_) != 32 for hash_ in (older.root, newer.root, *hashes)):
        raise TransparencyError("ledger_forked")
    if first == second:
        if hashes or older.root != newer.root:
            raise TransparencyError("ledger_forked")
        return
    if not 0 < first < second or not hashes:
        raise TransparencyError("ledger_forked")
    # A tree of a power of two is one node of the later tree, and its root is known already.
    path = list(hashes) if first & (first - 1) else [older.root, *hashes]
    position, last = first - 1, second - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:  # more hashes than the tree has levels
            raise TransparencyError("ledger_forked")
        if position & 1 or position == last:
            old, new = _node_hash(sibling, old), _node_hash(sibling, new)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new = _node_hash(new, sibling)
        position, last = position >> 1, last >> 1
    if last != 0 or old != older.root or new != newer.root:
        raise TransparencyError("ledger_forked")


def verify_checkpoint(unverified_note: str, *, vkey: str, origin: str) -> Checkpoint:
    """Return the checkpoint that the key of `vkey` signed, C2SP signed-note and tlog-checkpoint.

    Signatures of other keys (witnesses) are passed over; one of this key that fails rejects the
    whole note. Raises TransparencyError("checkpoint_invalid").
    """
    name, key_id, key = _parse_vkey(vkey)
    text, separator, signatures = unverified_note.rpartition("\n\n")
    if not separator or len(unverified_note.encode()) > _MAX_NOTE_BYTES or name != origin:
        raise TransparencyError("checkpoint_invalid")
    text += "\n"
    lines = signatures.split("\n")
    if lines.pop() != "" or not 1 <= len(lines) <= _MAX_SIGNATURES:
        raise TransparencyError("checkpoint_invalid")
    ours = [blob for signer, blob in map(_parse_signature, lines) if signer == name and blob[:4] == key_id]
    if not ours:
        raise TransparencyError("checkpoint_invalid")
    for blob in ours:
        try:
            key.verify(blob[4:], text.encode())
        except InvalidSignature as invalid:
            raise TransparencyError("checkpoint_invalid") from invalid
    return _parse_text(text, origin)


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _parse_vkey(vkey: str) -> tuple[str, bytes, Ed25519PublicKey]:
    name, _, rest = vkey.partition("+")
    unverified_id, _, encoded = rest.partition("+")
    material = _decode(encoded)
    key_id = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
    if not name or key_id.hex() != unverified_id or material[:1] != _ED25519 or len(material) != 33:
        raise TransparencyError("checkpoint_invalid")
    return name, key_id, Ed25519PublicKey.from_public_bytes(material[1:])


def _parse_signature(line: str) -> tuple[str, bytes]:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "—" or not name:
        raise TransparencyError("checkpoint_invalid")
    return name, _decode(encoded)


def _parse_text(text: str, origin: str) -> Checkpoint:
    lines = text.split("\n")
    if len(lines) < 4 or lines[0] != origin:
        raise TransparencyError("checkpoint_invalid")
    size, root = lines[1], _decode(lines[2])
    # A leading zero would let two texts state one size.
    if not (size.isascii() and size.isdigit()) or str(int(size)) != size or len(root) != 32:
        raise TransparencyError("checkpoint_invalid")
    return Checkpoint(origin, int(size), root)


def _decode(encoded: str) -> bytes:
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as malformed:
        raise TransparencyError("checkpoint_invalid") from malformed
    if base64.b64encode(decoded).decode() != encoded:
        raise TransparencyError("checkpoint_invalid")
    return decoded
