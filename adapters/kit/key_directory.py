"""Know the keys of other parties that hold now, at most a minute old.

Lists come from the gateway, but are believed only by the identity keys of our own register; what a
gateway could still do is serve an old list, and so a list with a lower serial than one seen is
refused: also after a restart where `newest_serial` remembers.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final

from adapters.kit.register import KeyList, Register, RegisterError, verify_key_list

# DESIGN §7: key changes reach every process within 60 seconds.
MAX_AGE_SECONDS: Final = 60


class KeyDirectory:
    """Fetches, verifies and keeps key lists. Safe for concurrent tasks of one event loop."""

    def __init__(
        self,
        register: Register,
        fetch: Callable[[str], Awaitable[str]],
        clock: Callable[[], int],
        max_age_seconds: int = MAX_AGE_SECONDS,
        *,
        newest_serial: Callable[[str, int], Awaitable[int]] | None = None,
    ) -> None:
        """`fetch` brings a party's list as compact JWS; whatever it raises, the caller sees.

        `newest_serial` keeps the serial of a party's list durably and returns the highest it was given.
        """
        self._newest_serial = newest_serial
        self._register = register
        self._fetch = fetch
        self._clock = clock
        self._max_age_seconds = max_age_seconds
        self._lists: dict[str, tuple[int, KeyList]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def keys(self, party: str, use: str) -> dict[str, dict[str, object]]:
        """Return kid → public JWK of what a party may use now; empty when it has none for this use."""
        return (await self.key_list(party)).keys(use, self._clock())

    async def encryption(self, party: str, thumbprint: str) -> dict[str, object]:
        """Return a party's encryption key by its thumbprint; raise RegisterError `unknown_key`."""
        return (await self.key_list(party)).encryption(thumbprint, self._clock())

    async def key_list(self, party: str) -> KeyList:
        """Return a verified list; an old one is never used in place of one that cannot be fetched."""
        self._register.party(party)  # before the lock: strangers' names must not pile up in memory
        async with self._locks[party]:
            now = self._clock()
            known = self._lists.get(party)
            # Also after a clock that went back: a list from the future is no younger than one from the past.
            if (
                known is not None
                and 0 <= now - known[0] < self._max_age_seconds
                and now < known[1].expires_at
            ):
                return known[1]
            found = verify_key_list(await self._fetch(party), party, self._register, now)
            if known is not None and found.serial < known[1].serial:
                raise RegisterError("rolled_back")
            if self._newest_serial and found.serial < await self._newest_serial(party, found.serial):
                raise RegisterError("rolled_back")
            self._lists[party] = (now, found)
            return found
