"""Sign and open the ledger's head: C2SP signed-note and tlog-checkpoint, Ed25519.

origin⏎ size⏎ base64(root)⏎ ⏎ — <key name> base64(key id ‖ signature)⏎
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.ledger import LedgerDoesNotVerify
from gateway.ledger.merkle import HASH_BYTES

_ED25519 = b"\x01"  # signed-note, "Signature types"
_KEY_ID_BYTES = 4
_PUBLIC_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_MAX_SIGNATURES = 100  # signed-note asks to accept at least 16
_MAX_NOTE_CHARACTERS = 65_536
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]{1,255}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How long a ledger is and what stands in it."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the signed text (tlog-checkpoint), without extension lines."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class LogKey:
    """A ledger's public key; its name is the ledger's origin."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> LogKey:
        """Read `name+hex(key id)+base64(type ‖ key)`; raise LedgerDoesNotVerify if it is anything else."""
        name, _, rest = vkey.partition("+")
        key_id, _, encoded = rest.partition("+")
        body = _decode(encoded)
        if not _NAME.fullmatch(name) or body[:1] != _ED25519 or len(body) != 1 + _PUBLIC_KEY_BYTES:
            raise LedgerDoesNotVerify("The ledger's public key is not an Ed25519 key in C2SP form.")
        key = cls(name, body[1:])
        if key_id != key.key_id.hex():
            raise LedgerDoesNotVerify("The ledger's public key and its key id do not belong together.")
        return key

    @property
    def key_id(self) -> bytes:
        """Return the 4 bytes by which a signature names its key. Not unique: a hint, never a proof."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    def open_note(self, unverified_note: str) -> str:
        """Return the text that this key signed; signatures of other keys are passed over.

        Raise LedgerDoesNotVerify if this key signed nothing here, or any signature in its name is false.
        """
        text, signatures = _split_note(unverified_note)
        found = False
        for name, blob in signatures:
            if name != self.name or blob[:_KEY_ID_BYTES] != self.key_id:
                continue
            self._verify(text, blob[_KEY_ID_BYTES:])
            found = True
        if not found:
            raise LedgerDoesNotVerify(f"The checkpoint is not signed by {self.name}.")
        return text

    def open_checkpoint(self, unverified_note: str) -> Checkpoint:
        """Return the checkpoint that this ledger signed; raise LedgerDoesNotVerify otherwise."""
        lines = self.open_note(unverified_note).split("\n")
        # Extension lines are allowed by the format and never written by this ledger: refused.
        if len(lines) != 4 or lines[3]:
            raise LedgerDoesNotVerify("The checkpoint does not have the three lines of a checkpoint.")
        origin, size, encoded_root = lines[:3]
        root = _decode(encoded_root)
        if origin != self.name or not _SIZE.fullmatch(size) or len(root) != HASH_BYTES:
            raise LedgerDoesNotVerify("The checkpoint is of another ledger, or its lines cannot be read.")
        return Checkpoint(origin, int(size), root)

    def _verify(self, text: str, unverified_signature: bytes) -> None:
        try:
            if len(unverified_signature) != _SIGNATURE_BYTES:
                raise InvalidSignature
            Ed25519PublicKey.from_public_bytes(self.public).verify(unverified_signature, text.encode())
        except InvalidSignature:
            raise LedgerDoesNotVerify(f"A signature in the name of {self.name} is false.") from None


class LedgerSigner:
    """The ledger's signing key. Sign nothing but heads of the one ledger: two that differ are a fork."""

    def __init__(self, origin: str, seed: bytes) -> None:
        if not _NAME.fullmatch(origin):
            raise ValueError("an origin has no spaces, control characters or plus signs")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = LogKey(origin, self._private.public_key().public_bytes_raw())

    @property
    def origin(self) -> str:
        """Return the ledger's name."""
        return self.key.name

    @property
    def vkey(self) -> str:
        """Return the public key in C2SP form, as the party register holds it."""
        return str(self.key)

    def sign(self, size: int, root: bytes) -> str:
        """Return the signed note for this head. Durable nowhere: whoever calls stores it, then shows it."""
        text = Checkpoint(self.origin, size, root).text()
        blob = base64.b64encode(self.key.key_id + self._private.sign(text.encode())).decode()
        return f"{text}\n— {self.origin} {blob}\n"


def _split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    if len(note) > _MAX_NOTE_CHARACTERS or re.search(r"[\x00-\x09\x0b-\x1f\x7f]", note):
        raise LedgerDoesNotVerify("The checkpoint is too long or holds control characters.")
    text, blank, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not blank or lines[-1] or not 1 <= len(lines) - 1 <= _MAX_SIGNATURES:
        raise LedgerDoesNotVerify("The checkpoint has no signature lines.")
    return text + "\n", [_signature_line(line) for line in lines[:-1]]


def _signature_line(line: str) -> tuple[str, bytes]:
    dash, name, encoded = [*line.split(" "), "", "", ""][:3]
    blob = _decode(encoded)
    if line != f"{dash} {name} {encoded}" or dash != "—" or not _NAME.fullmatch(name):
        raise LedgerDoesNotVerify("A signature line of the checkpoint cannot be read.")
    if len(blob) <= _KEY_ID_BYTES:
        raise LedgerDoesNotVerify("A signature of the checkpoint is empty.")
    return name, blob


def _decode(encoded: str) -> bytes:
    # One spelling per value: a second one would be a bit that can change without being noticed.
    try:
        raw = base64.b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as malformed:
        raise LedgerDoesNotVerify("The checkpoint or key is not proper base64.") from malformed
    if base64.b64encode(raw).decode() != encoded:
        raise LedgerDoesNotVerify("The checkpoint or key is not proper base64.")
    return raw
