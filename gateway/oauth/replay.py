"""Let each assertion and each proof count once, over restarts and among any number of copies.

RFC 7523 §3 (jti), RFC 9449 §11.1. One atomic insert decides: never look, then store.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

from sqlalchemy import delete, text

from gateway.storage.tables import replay

if TYPE_CHECKING:
    from gateway.storage.unit_of_work import Transaction

# A key is kept this much longer than it matters, should the clock be set back.
_MARGIN_SECONDS = 600

# The same words on SQLite and PostgreSQL.
_CLAIM = text("INSERT INTO replay (key, expires_at) VALUES (:key, :expires_at) ON CONFLICT DO NOTHING")


class Replayed(Exception):
    """This key was claimed before."""


def key(kind: Literal["assertion", "proof"], holder: str, jti: str) -> str:
    """Name one use: `holder` is whose `jti` it is (a party, or the thumbprint of a proof's key)."""
    # Length-prefixed, so that holder and jti cannot be cut elsewhere; hashed, for jti is the caller's text.
    parts = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in (kind, holder, jti))
    return hashlib.sha256(parts).hexdigest()


def claim(tx: Transaction, key: str, expires_at: int) -> None:
    """Claim a key for good; raise Replayed if anyone did before. Durable when the transaction commits.

    `expires_at` (Unix seconds) is when the thing would be refused for its age anyway.
    """
    claimed = tx.conn.execute(_CLAIM, {"key": key, "expires_at": expires_at})
    if claimed.rowcount != 1:
        raise Replayed


def forget_expired(tx: Transaction, now: int) -> None:
    """Drop the keys whose bearers are refused for their age."""
    tx.conn.execute(delete(replay).where(replay.c.expires_at < now - _MARGIN_SECONDS))
