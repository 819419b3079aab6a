"""Signed notes and checkpoints: the published examples, and everything that must not pass for one."""

import base64
import json
from pathlib import Path

import pytest

from gateway.ledger import LedgerDoesNotVerify
from gateway.ledger.checkpoint import Checkpoint, LedgerSigner, LogKey
from gateway.ledger.merkle import EMPTY_ROOT

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "c2sp_notes.json").read_text())
ORIGIN = VECTORS["checkpoint"]["origin"]
ROOT = bytes.fromhex(VECTORS["checkpoint"]["root"])
SIGNER = LedgerSigner(ORIGIN, bytes(range(32)))
STRANGER = LedgerSigner("witness.example/w1", bytes(32))


def note_of(text: str, *lines: str) -> str:
    return text + "\n" + "".join(line + "\n" for line in lines)


def signature_line(note: str) -> str:
    return note.rstrip("\n").rpartition("\n")[2]


def signed_text(text: str, signer: LedgerSigner = SIGNER) -> str:
    blob = signer.key.key_id + signer._private.sign(text.encode())
    return note_of(text, f"— {signer.origin} {base64.b64encode(blob).decode()}")


def test_the_example_of_the_standard_verifies() -> None:
    example = VECTORS["signed_note"]
    key = LogKey.parse(example["vkey"])
    assert str(key) == example["vkey"]
    note = note_of(example["text"], f"— example.com/foo {example['signature']}")
    assert key.open_note(note) == example["text"]


def test_a_checkpoint_is_signed_byte_for_byte_as_in_the_vector() -> None:
    assert SIGNER.vkey == VECTORS["checkpoint"]["vkey"]
    note = SIGNER.sign(8, ROOT)
    assert signature_line(note) == f"— {ORIGIN} {VECTORS['checkpoint']['signature']}"
    assert LogKey.parse(SIGNER.vkey).open_checkpoint(note) == Checkpoint(ORIGIN, 8, ROOT)


def test_an_empty_ledger_has_a_checkpoint_too() -> None:
    assert SIGNER.key.open_checkpoint(SIGNER.sign(0, EMPTY_ROOT)).size == 0


def test_every_changed_byte_of_a_checkpoint_is_refused() -> None:
    note = SIGNER.sign(8, ROOT).encode()
    SIGNER.key.open_checkpoint(note.decode())
    for at in range(len(note)):
        for bit in range(8):
            changed = bytearray(note)
            changed[at] ^= 1 << bit
            try:
                unverified_note = changed.decode()
            except UnicodeDecodeError:
                continue
            with pytest.raises(LedgerDoesNotVerify):
                SIGNER.key.open_checkpoint(unverified_note)


def test_signatures_of_others_are_passed_over_but_a_false_one_in_our_name_is_not() -> None:
    note = SIGNER.sign(8, ROOT)
    text = note.rpartition("\n\n")[0] + "\n"
    ours = signature_line(note)
    theirs = [f"— witness.example/w{at} {base64.b64encode(bytes(76)).decode()}" for at in range(20)]
    false = f"— {ORIGIN} {base64.b64encode(SIGNER.key.key_id + bytes(64)).decode()}"
    assert SIGNER.key.open_checkpoint(note_of(text, *theirs, ours)).size == 8
    for lines in ([], theirs, [false], [ours, false], [false, ours]):
        with pytest.raises(LedgerDoesNotVerify):
            SIGNER.key.open_checkpoint(note_of(text, *lines))


def test_a_checkpoint_of_another_key_or_ledger_is_refused() -> None:
    text = Checkpoint(ORIGIN, 8, ROOT).text()
    assert SIGNER.key.open_checkpoint(signed_text(text)).root == ROOT
    for unverified_note in [
        signed_text(text, STRANGER),
        LedgerSigner(ORIGIN, bytes(32)).sign(8, ROOT),
        signed_text(Checkpoint("log.example/b", 8, ROOT).text()),
    ]:
        with pytest.raises(LedgerDoesNotVerify):
            SIGNER.key.open_checkpoint(unverified_note)


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n08\n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n-8\n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n٨\n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n8\n{base64.b64encode(ROOT[:31]).decode()}\n",
        f"{ORIGIN}\n8\n{base64.b64encode(ROOT).decode()}\nextension\n",
        f"{ORIGIN}\n8\n",
        "\n8\n\n",
    ],
)
def test_a_signed_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    signed = signed_text(text)
    assert SIGNER.key.open_note(signed) == text
    with pytest.raises(LedgerDoesNotVerify):
        SIGNER.key.open_checkpoint(signed)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "log.example/a",
        SIGNER.vkey.replace("d870bab6", "d870bab7"),
        SIGNER.vkey.replace("log.example/a", "log.example/b"),
        SIGNER.vkey.replace("+AQ", "+Ag"),
        SIGNER.vkey[:-1],
        SIGNER.vkey + "\n",
    ],
)
def test_a_public_key_that_does_not_fit_its_own_id_is_refused(vkey: str) -> None:
    assert LogKey.parse(SIGNER.vkey) == SIGNER.key
    with pytest.raises(LedgerDoesNotVerify):
        LogKey.parse(vkey)


@pytest.mark.parametrize("origin", ["", "two words", "a+b", "line\nbreak"])
def test_a_name_that_would_break_a_note_is_refused(origin: str) -> None:
    with pytest.raises(ValueError):
        LedgerSigner(origin, bytes(32))
