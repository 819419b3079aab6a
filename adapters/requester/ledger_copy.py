"""Copy the ledger from the gateway, entry by entry, as C2SP tlog-tiles serves it.

A copy proves nothing yet: `poort ledger verify` checks it, offline, against the key that the
register pins. Nothing in it is personal.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from adapters.kit.session import Response
from adapters.requester.errors import GatewayUnreachable

FORMAT = "dossierpoort-ledger/v1"
_PER_TILE = 256


@dataclass(frozen=True, slots=True)
class LedgerCopy:
    """A signed checkpoint, and every entry that it was signed for."""

    checkpoint: str
    entries: tuple[bytes, ...]

    def bundle(self) -> dict[str, object]:
        """Return the copy in the form of a ledger file."""
        return {
            "format": FORMAT,
            "checkpoint": self.checkpoint,
            "entries": [base64.urlsafe_b64encode(one).rstrip(b"=").decode() for one in self.entries],
        }


async def copy_ledger(
    get: Callable[[str], Awaitable[Response]], on_progress: Callable[[int, int], None] | None = None
) -> LedgerCopy:
    """Fetch checkpoint and entries; `on_progress` is told how many of how many entries are here."""
    checkpoint = _bytes(await get("/v1/ledger/checkpoint")).decode()
    lines = checkpoint.split("\n")
    size = int(lines[1]) if len(lines) > 2 and lines[1].isdigit() else -1
    if size < 0:
        raise GatewayUnreachable("The ledger's checkpoint has another form than expected.")
    entries: list[bytes] = []
    for number in range((size + _PER_TILE - 1) // _PER_TILE):
        width = min(_PER_TILE, size - number * _PER_TILE)
        partial = f".p/{width}" if width < _PER_TILE else ""
        entries += _split(_bytes(await get(f"/ledger/tile/entries/{_tile_path(number)}{partial}")))
        if on_progress is not None:
            on_progress(len(entries), size)
    return LedgerCopy(checkpoint, tuple(entries))


def _tile_path(number: int) -> str:
    """Write a tile's number in groups of three digits, all but the last marked `x` (tlog-tiles)."""
    groups = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        groups.append(f"x{number % 1000:03d}")
    return "/".join(reversed(groups))


def _split(bundle: bytes) -> list[bytes]:
    """Take an entry bundle apart: each entry after its length in two bytes, big-endian."""
    entries, position = [], 0
    while position < len(bundle):
        length = int.from_bytes(bundle[position : position + 2])
        entry = bundle[position + 2 : position + 2 + length]
        if len(entry) != length or position + 2 > len(bundle):
            raise GatewayUnreachable("A bundle of ledger entries is cut off.")
        entries.append(entry)
        position += 2 + length
    return entries


def _bytes(response: Response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    raise GatewayUnreachable("The gateway's answer has another form than expected.")
