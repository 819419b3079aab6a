"""What a receipt rests on: inclusion in the tree, and the ledger's signature under the root."""

from __future__ import annotations

import base64
import hashlib

import pytest

from adapters.kit.transparency import (
    TransparencyError,
    leaf_hash,
    verify_checkpoint,
    verify_inclusion,
)

# The leaves, roots and proofs that Certificate Transparency implementations share (RFC 6962).
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOT_8 = bytes.fromhex("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")
PROOF_0_OF_8 = [
    bytes.fromhex(node)
    for node in (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    )
]
# A log whose key was made from the seed 00..1f, computed apart from this code.
VKEY = "log.example/a+d870bab6+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
SIGNATURE = "2HC6tqBWUPgJZcU/1anf/eFAkivMJR4QU5Wc1u93cbVqs3bNC3Uyw6l46H3EsHI3VlSflTpaJ34LFGRMvVv8wceRnQM="
NOTE = f"log.example/a\n8\n{base64.b64encode(ROOT_8).decode()}\n\n— log.example/a {SIGNATURE}\n"


def _root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + _root(leaves[:split]) + _root(leaves[split:])).digest()


def _proof(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < split:
        return [*_proof(index, leaves[:split]), _root(leaves[split:])]
    return [*_proof(index - split, leaves[split:]), _root(leaves[:split])]


def test_the_published_proof_holds() -> None:
    verify_inclusion(leaf=leaf_hash(LEAVES[0]), index=0, size=8, hashes=PROOF_0_OF_8, root=ROOT_8)


def test_every_leaf_of_every_small_tree_is_proven_and_no_other_place_is() -> None:
    for size in range(1, 18):
        leaves = [bytes([number]) for number in range(size)]
        root = _root(leaves)
        for index in range(size):
            hashes = _proof(index, leaves)
            leaf = leaf_hash(leaves[index])
            verify_inclusion(leaf=leaf, index=index, size=size, hashes=hashes, root=root)
            for wrong in range(-1, size + 1):
                if wrong != index:
                    with pytest.raises(TransparencyError):
                        verify_inclusion(leaf=leaf, index=wrong, size=size, hashes=hashes, root=root)


@pytest.mark.parametrize(
    "change",
    [
        {"leaf": leaf_hash(b"other")},
        {"root": bytes(32)},
        {"size": 9},
        {"hashes": PROOF_0_OF_8[:2]},
        {"hashes": [*PROOF_0_OF_8, bytes(32)]},
        {"hashes": [PROOF_0_OF_8[0], PROOF_0_OF_8[2], PROOF_0_OF_8[1]]},
        {"hashes": [b"short", *PROOF_0_OF_8[1:]]},
        {"hashes": []},
    ],
)
def test_a_changed_proof_proves_nothing(change: dict[str, object]) -> None:
    proof: dict[str, object] = {
        "leaf": leaf_hash(LEAVES[0]),
        "index": 0,
        "size": 8,
        "hashes": PROOF_0_OF_8,
        "root": ROOT_8,
    }
    verify_inclusion(**proof)  # type: ignore[arg-type]
    with pytest.raises(TransparencyError, match="inclusion_proof_invalid"):
        verify_inclusion(**{**proof, **change})  # type: ignore[arg-type]


def test_a_signed_checkpoint_gives_its_size_and_root() -> None:
    checkpoint = verify_checkpoint(NOTE, vkey=VKEY, origin="log.example/a")
    assert (checkpoint.size, checkpoint.root) == (8, ROOT_8)


def test_the_signature_of_a_witness_beside_the_ledgers_own_is_passed_over() -> None:
    witness = base64.b64encode(bytes(76)).decode()
    verify_checkpoint(f"{NOTE}— witness.example/w1 {witness}\n", vkey=VKEY, origin="log.example/a")


@pytest.mark.parametrize(
    "unverified_note",
    [
        "",
        "\n\n",
        NOTE.replace("\n8\n", "\n9\n"),
        NOTE.replace("\n8\n", "\n08\n"),
        NOTE.replace("log.example/a\n8", "log.example/b\n8"),
        NOTE.replace("— log.example/a", "— log.example/b"),
        NOTE.replace("— ", "- "),
        NOTE.rstrip("\n"),
        NOTE.partition("\n\n")[0] + "\n\n",
        NOTE.replace(SIGNATURE, base64.b64encode(bytes(68)).decode()),
        NOTE.replace(SIGNATURE, SIGNATURE[:-4] + "AAA="),
        NOTE + NOTE,
    ],
)
def test_a_changed_checkpoint_is_refused(unverified_note: str) -> None:
    with pytest.raises(TransparencyError, match="checkpoint_invalid"):
        verify_checkpoint(unverified_note, vkey=VKEY, origin="log.example/a")


def test_a_checkpoint_of_another_ledger_is_refused_though_its_signature_holds() -> None:
    with pytest.raises(TransparencyError, match="checkpoint_invalid"):
        verify_checkpoint(NOTE, vkey=VKEY, origin="log.example/b")
