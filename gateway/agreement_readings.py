"""Compute what a version says and changes, beside the decisions: in another process, one at a time.

    check        a draft of the caller's     ─┐
    difference   of two versions kept here    ├─▶ python -m gateway.agreement_document
    text         of one of them              ─┘

A difference is thousands of decisions, and a document can be made to be slow to check. In this process, also
in a thread of it, both would hold up every request; so whoever comes while the place is taken comes again.
What was computed of versions is kept, since versions do not change.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from gateway.errors import Unavailable

# Where this program's packages lie, for the other process to find the same ones.
_ROOT: Final = Path(__file__).resolve().parents[1]
# A difference takes two seconds of an idle machine, of a busy one ten times as much.
LONGEST_SECONDS: Final = 25.0
_RETRY_AFTER_SECONDS: Final = 3
_KEPT_BYTES: Final = 16 * 1024 * 1024

_log = structlog.get_logger("gateway.agreements")


class Readings:
    """What was computed of versions, and the places to compute more of it."""

    def __init__(self, *, longest_seconds: float = LONGEST_SECONDS) -> None:
        self._longest_seconds = longest_seconds
        # Texts are for everyone, without a token: they must not keep parties from the rest.
        self._computing, self._writing = asyncio.Lock(), asyncio.Lock()
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()

    async def check(self, document: Mapping[str, object], kinds: Mapping[str, str]) -> dict[str, Any]:
        """Say whether a draft can be an agreement; nothing of it is kept. Raises Unavailable."""
        found = await self._work(self._computing, "check", document=document, kinds=dict(kinds))
        return _read(found)

    async def difference(
        self, old: tuple[str, bytes], new: tuple[str, bytes], policies: Path
    ) -> dict[str, Any]:
        """Say what `new` changes; each is a digest with the canonical document. Raises Unavailable."""
        key = (old[0], new[0])
        if (kept := self._known(key)) is None:
            documents = {"old": json.loads(old[1]), "new": json.loads(new[1])}
            kept = await self._work(self._computing, "difference", **documents, policies=str(policies))
            self._keep(key, kept)
        return _read(kept)

    async def text(
        self, digest: str, document: bytes, *, form: str, language: str, signed_by: list[str], state: str
    ) -> bytes:
        """Write a version as `form` (html or md), as far as it is by now. Raises Unavailable."""
        key = (digest, form, language, tuple(signed_by), state)
        if (kept := self._known(key)) is None:
            how = {"form": form, "language": language, "signed_by": signed_by, "state": state}
            read = json.loads(document)
            found = _read(await self._work(self._writing, "text", document=read, digest=digest, **how))
            self._keep(key, kept := str(found["text"]).encode())
        return kept

    async def _work(self, place: asyncio.Lock, work: str, **arguments: object) -> bytes:
        if place.locked():
            raise Unavailable("overloaded", retry_after_seconds=_RETRY_AFTER_SECONDS)
        async with place:
            asked = json.dumps({"work": work, "with": arguments}).encode()
            # No variable of ours goes along: some hold passphrases.
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway.agreement_document",
                cwd=_ROOT,
                env={},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,  # a traceback may repeat what somebody sent
            )
            try:
                async with asyncio.timeout(self._longest_seconds):
                    found, _ = await process.communicate(asked)
            except TimeoutError:
                _log.warning("agreement.not_computed", work=work, reason="took_too_long")
                raise Unavailable("overloaded", retry_after_seconds=_RETRY_AFTER_SECONDS) from None
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if process.returncode != 0:
            _log.error("agreement.not_computed", work=work, reason="failed")
            raise Unavailable("internal_error")
        return found

    def _known(self, key: Hashable) -> bytes | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def _keep(self, key: Hashable, found: bytes) -> None:
        self._kept[key] = found
        while sum(map(len, self._kept.values())) > _KEPT_BYTES:
            self._kept.popitem(last=False)


def _read(found: bytes) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(found)
    return read
