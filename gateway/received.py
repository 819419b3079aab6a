"""Read the JSON that others send without holding up everyone else, in memory that is known beforehand."""

from __future__ import annotations

import asyncio

from adapters.kit import strict_json
from adapters.kit.strict_json import StrictJsonError

# Above this, parsing would hold up everyone else on the event loop for milliseconds.
_ASIDE_BYTES = 64 * 1024
# Above this a message is a source's answer: sealed documents and statements, all of it ASCII.
_ASCII_BYTES = 256 * 1024


async def read_json(data: bytes, *, max_bytes: int) -> object:
    """Parse a JSON text, a large one in another thread; raise StrictJsonError as the parser does."""
    if len(data) <= _ASIDE_BYTES:
        return strict_json.loads(data, max_bytes=max_bytes)
    # One character of four bytes, or the escape of one, makes every character of a text as long in memory.
    if len(data) > _ASCII_BYTES and not (data.isascii() and b"\\u" not in data):
        raise StrictJsonError("malformed_json")
    return await asyncio.to_thread(strict_json.loads, data, max_bytes=max_bytes)
