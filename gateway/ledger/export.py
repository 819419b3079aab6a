"""Write the whole ledger as one file that an auditor checks alone (`gateway.ledger.verify` reads it)."""

from __future__ import annotations

import base64
from typing import TypedDict

from sqlalchemy import Connection, select

from gateway.ledger.proofs import latest_checkpoint, ledger_size
from gateway.storage.tables import ledger_entries

FORMAT = "dossierpoort-ledger/v1"


class Bundle(TypedDict):
    """The file: nothing in it is personal (promise 11)."""

    format: str
    checkpoint: str
    entries: list[str]


def export(conn: Connection) -> Bundle:
    """Return every entry under the newest checkpoint, as of one moment; about 90 bytes per entry."""
    index = ledger_entries.c.index
    entries = conn.execute(select(ledger_entries.c.entry).where(index < ledger_size(conn)).order_by(index))
    return Bundle(
        format=FORMAT,
        checkpoint=latest_checkpoint(conn),
        entries=[base64.urlsafe_b64encode(bytes(entry)).rstrip(b"=").decode() for entry in entries.scalars()],
    )
