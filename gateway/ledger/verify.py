"""Check a ledger from a file and a public key, trusting nobody who could have written either.

    entries ──▶ tree ──▶ root ◀── checkpoint ◀── signature of the ledger's key
                 ├──▶ root at an earlier size ◀── checkpoint that a party kept
                 └──▶ leaf at a place ◀── commitment ◀── receipt that a requester kept

Shares no code with what writes the ledger: it knows no database, no tiles, no gateway.
Every refusal says in a sentence what a data-protection officer can do something with.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from gateway.ledger import LedgerDoesNotVerify
from gateway.ledger.checkpoint import Checkpoint, LogKey
from gateway.ledger.commitment import SALT_BYTES, commit, entry_of
from gateway.ledger.merkle import HASH_BYTES, Frontier, leaf_hash

FORMAT = "dossierpoort-ledger/v1"
# Five million entries; a larger ledger is checked tile by tile, not from one file.
MAX_FILE_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class UnverifiedBundle:
    """What a file says: well-formed, and nothing more."""

    checkpoint: str
    entries: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Report:
    """What was proven: all entries stand under this checkpoint, and it continues the earlier ones."""

    checkpoint: Checkpoint
    earlier: tuple[int, ...]  # sizes of the earlier checkpoints, ascending
    receipts: tuple[int, ...]  # places of the receipts, as given


def verify_file(
    path: Path, vkey: str, *, earlier: Iterable[str] = (), receipts: Iterable[Mapping[str, object]] = ()
) -> Report:
    """Verify a ledger file; see `verify_bundle`. Raise LedgerDoesNotVerify also if it cannot be read."""
    return verify_bundle(read_bundle(path), vkey, earlier=earlier, receipts=receipts)


def verify_bundle(
    unverified_bundle: UnverifiedBundle,
    vkey: str,
    *,
    earlier: Iterable[str] = (),
    receipts: Iterable[Mapping[str, object]] = (),
) -> Report:
    """Recompute the whole tree and return what it proves; raise LedgerDoesNotVerify at the first doubt.

    `vkey` comes from the party register. `earlier` are checkpoints (signed notes) that anyone kept:
    each must be the beginning of this ledger. `receipts` are the payloads of receipts whose
    signatures the caller has verified: each must open the entry that it names.
    """
    key = LogKey.parse(vkey)
    now = key.open_checkpoint(unverified_bundle.checkpoint)
    kept = sorted((key.open_checkpoint(note) for note in earlier), key=lambda checkpoint: checkpoint.size)
    held = len(unverified_bundle.entries)
    if held != now.size:
        raise LedgerDoesNotVerify(
            f"The file holds {held} entries, but its checkpoint was signed for {now.size}."
        )
    if kept and kept[-1].size > held:
        raise LedgerDoesNotVerify(
            f"The file ends after {held} entries, but the ledger has signed that it had {kept[-1].size}:"
            " the end is missing."
        )
    leaves = [leaf_hash(entry) for entry in unverified_bundle.entries]
    roots = _roots(leaves, {checkpoint.size for checkpoint in [now, *kept]})
    if roots[now.size] != now.root:
        raise LedgerDoesNotVerify(
            "The entries are not those that the checkpoint was signed for:"
            " at least one was changed, removed, added or moved."
        )
    for checkpoint in kept:
        if roots[checkpoint.size] != checkpoint.root:
            raise LedgerDoesNotVerify(
                f"The first {checkpoint.size} entries are not those that the ledger signed at that time:"
                " history was rewritten after it was shown."
            )
    places = tuple(_check_receipt(receipt, now, leaves) for receipt in receipts)
    return Report(now, tuple(checkpoint.size for checkpoint in kept), places)


def read_bundle(path: Path) -> UnverifiedBundle:
    """Read a ledger file strictly: these members, each once, one spelling for every value."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise LedgerDoesNotVerify(f"The file is larger than {MAX_FILE_BYTES} bytes.")
        text = path.read_bytes().decode("utf-8")
        content = json.loads(text, object_pairs_hook=_members, parse_constant=_refuse)
    except OSError as unreadable:
        raise LedgerDoesNotVerify("The file cannot be read.") from unreadable
    except (ValueError, RecursionError) as malformed:
        raise LedgerDoesNotVerify("The file is damaged: it is not proper JSON.") from malformed
    if not isinstance(content, dict) or content.keys() != {"format", "checkpoint", "entries"}:
        raise LedgerDoesNotVerify("The file is not a ledger file: it needs format, checkpoint and entries.")
    if content["format"] != FORMAT:
        raise LedgerDoesNotVerify(f"The file is not in the format {FORMAT}.")
    checkpoint, entries = content["checkpoint"], content["entries"]
    if not isinstance(checkpoint, str) or not isinstance(entries, list):
        raise LedgerDoesNotVerify("The file is not a ledger file: a member has the wrong type.")
    return UnverifiedBundle(
        checkpoint, [_decode(entry, f"Entry {at} of the file") for at, entry in enumerate(entries)]
    )


def _roots(leaves: Sequence[bytes], sizes: set[int]) -> dict[int, bytes]:
    tree = Frontier()
    roots = {0: tree.root()}
    for leaf in leaves:
        tree.append(leaf)
        if tree.size in sizes:
            roots[tree.size] = tree.root()
    return roots


def _check_receipt(receipt: Mapping[str, object], now: Checkpoint, leaves: Sequence[bytes]) -> int:
    """Return the place of the entry that this receipt opens."""
    named = receipt.get("ledger")
    if not isinstance(named, Mapping):
        raise LedgerDoesNotVerify("A receipt does not name its place in the ledger.")
    index, detail = named.get("index"), named.get("detail")
    if named.get("origin") != now.origin:
        raise LedgerDoesNotVerify("A receipt belongs to another ledger.")
    if not isinstance(index, int) or isinstance(index, bool) or not isinstance(detail, Mapping):
        raise LedgerDoesNotVerify("A receipt does not say what was recorded, or where.")
    if detail.get("exchange", receipt.get("exchange")) != receipt.get("exchange"):
        raise LedgerDoesNotVerify(f"The receipt for place {index} was recorded for another request.")
    salt = _decode(named.get("salt"), "The salt of a receipt")
    claimed_leaf = _decode(named.get("leaf_hash"), "The leaf hash of a receipt")
    if len(salt) != SALT_BYTES or len(claimed_leaf) != HASH_BYTES:
        raise LedgerDoesNotVerify("The salt or the leaf hash of a receipt has the wrong length.")
    if not 0 <= index < len(leaves):
        raise LedgerDoesNotVerify(f"A receipt names place {index}, but this ledger ends after {len(leaves)}.")
    try:
        leaf = leaf_hash(entry_of(commit(salt, detail)))
    except ValueError as unspeakable:
        raise LedgerDoesNotVerify("What a receipt says cannot have been recorded.") from unspeakable
    if leaf != claimed_leaf:
        raise LedgerDoesNotVerify(f"The receipt for place {index} was altered: it contradicts itself.")
    if leaf != leaves[index]:
        raise LedgerDoesNotVerify(f"What the receipt says is not what the ledger holds at place {index}.")
    return index


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is named twice")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _decode(encoded: object, what: str) -> bytes:
    # One spelling per value (RFC 4648 §3.5): else a file could change without any value changing.
    try:
        if not isinstance(encoded, str):
            raise ValueError("not a string")
        raw = base64.b64decode(encoded.encode("ascii") + b"=" * (-len(encoded) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError) as malformed:
        raise LedgerDoesNotVerify(f"{what} is damaged: it is not proper base64url.") from malformed
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != encoded:
        raise LedgerDoesNotVerify(f"{what} is damaged: it is not proper base64url.")
    return raw
