"""Hold the ledger to what it showed before: one history, which only grows (promise 11).

    kept checkpoint ── consistency proof ──▶ checkpoint of this receipt ──▶ kept from now on

The last verified checkpoint lies in a file of the party's own, as the ledger signed it: `poort ledger
verify --earlier` reads it too. A gateway that shows two histories cannot answer with a proof.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.kit.register import Register
from adapters.kit.strict_json import NotBase64Url, decode_base64url
from adapters.kit.transparency import (
    Checkpoint,
    TransparencyError,
    verify_checkpoint,
    verify_consistency,
)
from adapters.requester.errors import GatewayRefused, LedgerForked, ProofRefused, RequesterError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adapters.kit.session import Response

_PROOFS = "/v1/ledger/consistency-proofs"
_MAX_NOTE_BYTES = 16_384


class KeptCheckpoint:
    """The last checkpoint of one ledger that this party verified. Safe to share between processes."""

    def __init__(self, register: Register, folder: Path | None) -> None:
        """Keep it in `folder`; without one, only as long as this object lives."""
        self._register, self._folder = register, folder
        self._note: str | None = None

    @property
    def file(self) -> Path | None:
        """Where it lies; named by the ledger's key, for another ledger is no fork of this one."""
        if self._folder is None:
            return None
        name = hashlib.sha256(self._register.ledger_vkey.encode()).hexdigest()[:16]
        return self._folder / f"ledger-{name}.checkpoint"

    def read(self) -> tuple[str, Checkpoint] | None:
        """Return note and checkpoint; raise ProofRefused if what is kept is not what the ledger signed."""
        note = self._note if self.file is None else self._read_file(self.file)
        if note is None:
            return None
        register = self._register
        try:
            return note, verify_checkpoint(note, vkey=register.ledger_vkey, origin=register.ledger_origin)
        except TransparencyError as damaged:
            raise ProofRefused(
                "kept_checkpoint_invalid", f"The checkpoint that was kept in {self.file} is damaged."
            ) from damaged

    def replace(self, before: str | None, note: str) -> bool:
        """Keep `note` instead of `before`, durably; return False if another is kept meanwhile."""
        if self.file is None:
            if self._note != before:
                return False
            self._note = note
            return True
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(self.file):
            if self._read_file(self.file) != before:
                return False
            _write_whole(self.file, note)
        return True

    def keep_evidence(self, note: str) -> Path | None:
        """Put the checkpoint that does not fit beside the kept one: both signatures are one key's."""
        if self.file is None:
            return None
        evidence = self.file.with_suffix(".forked")
        _write_whole(evidence, note)
        return evidence

    def _read_file(self, file: Path) -> str | None:
        try:
            with file.open("rb") as opened:
                return opened.read(_MAX_NOTE_BYTES + 1).decode("utf-8", errors="replace")
        except FileNotFoundError:
            return None


class _ConsistencyProof(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    first_size: int
    second_size: int
    hashes: list[str]


async def require_continuity(
    kept: KeptCheckpoint,
    note: str,
    shown: Checkpoint,
    get: Callable[[str], Awaitable[Response]],
) -> None:
    """Return once the ledger was proven to continue what this party saw; keep the larger checkpoint.

    `note` is `shown` as it was signed; `get` calls the gateway. Raises LedgerForked where the gateway has
    no such proof, and what `get` raises where it does not answer: then nothing was proven, or kept.
    """
    try:
        await _require_continuity(kept, note, shown, get)
    except OSError as trouble:
        raise RequesterError(
            "checkpoint_not_kept",
            f"The ledger's checkpoint cannot be read or written in {trouble.filename}.",
            "Let this party have a folder of its own that it may write to: without one, nobody here would"
            " notice that the ledger was rewritten.",
        ) from trouble


async def _require_continuity(
    kept: KeptCheckpoint, note: str, shown: Checkpoint, get: Callable[[str], Awaitable[Response]]
) -> None:
    while True:
        before = kept.read()
        if before is not None:
            known_note, known = before
            older, newer = sorted((known, shown), key=lambda one: one.size)
            try:
                verify_consistency(older, newer, await _proof(older, newer, get))
            except TransparencyError as forked:
                raise LedgerForked(known.size, shown.size, kept.keep_evidence(note)) from forked
            # An answer may have been overtaken by one to another process of ours.
            if shown.size <= known.size:
                return
        if kept.replace(None if before is None else known_note, note):
            return


async def _proof(
    older: Checkpoint, newer: Checkpoint, get: Callable[[str], Awaitable[Response]]
) -> list[bytes]:
    if older.size == newer.size:
        return []
    try:
        response = await get(f"{_PROOFS}?firstSize={older.size}&secondSize={newer.size}")
    except GatewayRefused as refused:
        # It signed both sizes, so it can say how one became the other.
        if refused.status in (400, 404):
            raise TransparencyError("ledger_forked") from refused
        raise
    try:
        proof = _ConsistencyProof.model_validate(response.body)
        return [decode_base64url(hash_) for hash_ in proof.hashes]
    except (ValidationError, NotBase64Url) as malformed:
        raise TransparencyError("ledger_forked") from malformed


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Let one process at a time read and replace a file; the lock ends with the process."""
    import fcntl

    descriptor = os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write_whole(file: Path, text: str) -> None:
    """Replace a file so that a reader, or a crash, finds the old text or the new one."""
    descriptor, half_made = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        Path(half_made).replace(file)
    except BaseException:
        Path(half_made).unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
