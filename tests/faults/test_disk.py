"""What the store asks of a disk: that COMMIT waits for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.storage.unit_of_work import Store
from tests.integration.storing import SIGNER

_FULL = 2


@pytest.mark.asyncio
async def test_the_writer_waits_for_the_disk_at_every_commit(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'gateway.sqlite'}", ledger=SIGNER)
    try:
        asked = await store.write(lambda tx: tx.conn.exec_driver_sql("PRAGMA synchronous").scalar_one())
        mode = await store.write(lambda tx: tx.conn.exec_driver_sql("PRAGMA journal_mode").scalar_one())
    finally:
        store.close()
    assert (asked, mode) == (_FULL, "wal")
