"""An auditor with a file and a public key: what holds is proven, and anything else is refused."""

import base64
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger import LedgerDoesNotVerify
from gateway.ledger.checkpoint import LedgerSigner
from gateway.ledger.commitment import commit, entry_of
from gateway.ledger.merkle import Frontier, leaf_hash
from gateway.ledger.verify import FORMAT, read_bundle, verify_file

SIGNER = LedgerSigner("log.example/a", bytes(range(32)))
SIZE, EARLIER = 5, 3


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def detail(at: int) -> dict[str, Any]:
    return {"kind": "handed_over", "exchange": f"exchange-{at}", "categories": ["decisions"]}


def salt(at: int) -> bytes:
    return bytes([at]) * 32


ENTRIES = [entry_of(commit(salt(at), detail(at))) for at in range(SIZE)]


def checkpoint(entries: list[bytes], signer: LedgerSigner = SIGNER) -> str:
    tree = Frontier()
    for entry in entries:
        tree.append(leaf_hash(entry))
    return signer.sign(tree.size, tree.root())


def receipt(at: int = 2, **override: Any) -> dict[str, Any]:
    ledger = {
        "origin": SIGNER.origin,
        "index": at,
        "leaf_hash": b64(leaf_hash(ENTRIES[at])),
        "salt": b64(salt(at)),
        "detail": detail(at),
    }
    return {"exchange": f"exchange-{at}", "ledger": {**ledger, **override}}


def written(path: Path, entries: list[bytes] = ENTRIES, **override: Any) -> Path:
    content = {"format": FORMAT, "checkpoint": checkpoint(entries), "entries": [b64(e) for e in entries]}
    path.write_text(json.dumps({**content, **override}, separators=(",", ":"), ensure_ascii=False))
    return path


def refused(path: Path, **arguments: Any) -> str:
    with pytest.raises(LedgerDoesNotVerify) as refusal:
        verify_file(path, SIGNER.vkey, earlier=[checkpoint(ENTRIES[:EARLIER])], **arguments)
    return refusal.value.reason


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path / "ledger.json")


def test_a_whole_ledger_with_an_earlier_checkpoint_and_receipts_verifies(path: Path) -> None:
    earlier = [checkpoint(ENTRIES[:EARLIER]), checkpoint(ENTRIES), checkpoint([])]
    report = verify_file(path, SIGNER.vkey, earlier=earlier, receipts=[receipt(at) for at in range(SIZE)])
    assert (report.checkpoint.size, report.earlier, report.receipts) == (5, (0, 3, 5), (0, 1, 2, 3, 4))


def test_an_empty_ledger_verifies(tmp_path: Path) -> None:
    assert verify_file(written(tmp_path / "empty.json", []), SIGNER.vkey).checkpoint.size == 0


def test_every_flipped_bit_of_the_file_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for at, bit in itertools.product(range(len(whole)), range(8)):
        changed = bytearray(whole)
        changed[at] ^= 1 << bit
        path.write_bytes(changed)
        refused(path)


def test_every_truncation_of_the_file_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refused(path)


def test_every_removed_repeated_or_swapped_entry_is_noticed(path: Path) -> None:
    kept = checkpoint(ENTRIES)
    for at in range(SIZE):
        written(path, [*ENTRIES[:at], *ENTRIES[at + 1 :]], checkpoint=kept)
        assert "holds 4 entries" in refused(path)
        written(path, [*ENTRIES[:at], ENTRIES[at], *ENTRIES[at:]], checkpoint=kept)
        assert "holds 6 entries" in refused(path)
        written(path, [*ENTRIES[:at], b"another", *ENTRIES[at + 1 :]], checkpoint=kept)
        assert "changed, removed, added or moved" in refused(path)
    for order in itertools.permutations(range(SIZE)):
        if list(order) != sorted(order):
            written(path, [ENTRIES[at] for at in order], checkpoint=kept)
            assert "changed, removed, added or moved" in refused(path)


def test_a_gateway_that_rewrites_history_and_signs_it_is_caught_by_an_earlier_checkpoint(path: Path) -> None:
    rewritten = [b"another", *ENTRIES[1:]]
    written(path, rewritten)
    assert verify_file(path, SIGNER.vkey).checkpoint.size == SIZE  # its own signature alone shows nothing
    assert "rewritten after it was shown" in refused(path)


def test_a_gateway_that_cuts_off_the_end_and_signs_it_is_caught_by_an_earlier_checkpoint(path: Path) -> None:
    written(path, ENTRIES[: EARLIER - 1])
    assert verify_file(path, SIGNER.vkey).checkpoint.size == EARLIER - 1
    assert "the end is missing" in refused(path)


def test_a_ledger_of_another_key_is_refused(path: Path) -> None:
    other = LedgerSigner(SIGNER.origin, bytes(32))
    written(path, checkpoint=checkpoint(ENTRIES, other))
    assert verify_file(path, other.vkey).checkpoint.size == SIZE
    assert "not signed by" in refused(path)


def test_an_earlier_checkpoint_must_be_signed_too(path: Path) -> None:
    forged = checkpoint(ENTRIES[:EARLIER], LedgerSigner(SIGNER.origin, bytes(32)))
    with pytest.raises(LedgerDoesNotVerify):
        verify_file(path, SIGNER.vkey, earlier=[forged])


@pytest.mark.parametrize(
    "override",
    [
        {"origin": "log.example/b"},
        {"index": 3},
        {"index": 5},
        {"index": -3},
        {"index": True},
        {"index": "2"},
        {"salt": b64(salt(3))},
        {"salt": b64(salt(2)) + "="},
        {"salt": ""},
        {"leaf_hash": b64(leaf_hash(ENTRIES[3]))},
        {"leaf_hash": ""},
        {"detail": {**detail(2), "categories": []}},
        {"detail": {**detail(2), "extra": 1.5}},
        {"detail": detail(3)},
        {"detail": None},
        {"salt": b64(salt(3)), "detail": detail(3), "leaf_hash": b64(leaf_hash(ENTRIES[3]))},
    ],
)
def test_a_receipt_with_anything_changed_is_refused(path: Path, override: dict[str, Any]) -> None:
    assert verify_file(path, SIGNER.vkey, receipts=[receipt()]).receipts == (2,)
    refused(path, receipts=[receipt(**override)])


def test_a_receipt_without_a_place_or_of_another_request_is_refused(path: Path) -> None:
    refused(path, receipts=[{}])
    assert "another request" in refused(path, receipts=[{**receipt(), "exchange": "exchange-3"}])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"format":1,"checkpoint":1,"entries":[]}',
        b'{"format":"%s","checkpoint":1,"entries":[]}' % FORMAT.encode(),
        b'{"format":"%s","checkpoint":"","entries":[1]}' % FORMAT.encode(),
        b'{"format":"%s","format":"x","checkpoint":"","entries":[]}' % FORMAT.encode(),
        b'{"format":"%s","checkpoint":"","entries":[NaN]}' % FORMAT.encode(),
        b'{"format":"%s","checkpoint":"","entries":[],"more":1}' % FORMAT.encode(),
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
    ],
)
def test_a_file_that_is_no_ledger_is_refused_with_a_sentence(path: Path, content: bytes) -> None:
    assert read_bundle(path).entries == ENTRIES
    path.write_bytes(content)
    assert refused(path).startswith("The file") or "Entry" in refused(path)


def test_a_file_that_is_not_there_is_refused_with_a_sentence(tmp_path: Path) -> None:
    assert refused(tmp_path / "nothing.json") == "The file cannot be read."
