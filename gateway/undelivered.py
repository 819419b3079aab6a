"""Count what no source has taken yet although people expect that it has: cancellations."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from adapters.kit import jose
from gateway.storage.tables import outbox


@dataclass(frozen=True, slots=True)
class Undelivered:
    """How many wait, and for how many seconds the oldest does (0 without any)."""

    number: int
    oldest_seconds: int


def cancellations(conn: Connection, now: int) -> Undelivered:
    """Count the cancellations that their source has not confirmed.

    They are sent until it does, whatever it answers: until then it may work for nobody, or answer what
    has lost its ground, which is refused here but has left the source.
    """
    waiting = outbox.c.topic == "cancellation"
    number, first = conn.execute(select(func.count(), func.min(outbox.c.id)).where(waiting)).one()
    body = conn.execute(select(outbox.c.body).where(outbox.c.id == first)).scalar_one_or_none()
    if body is None:
        return Undelivered(0, 0)
    # Ours, and signed when it was queued: it need not be verified to know its age.
    made_at = jose.unverified_payload(body).get("iat")
    return Undelivered(number, max(0, now - made_at) if isinstance(made_at, int) else 0)
