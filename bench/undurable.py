"""The gateway as it would be if COMMIT did not wait for the disk, to know what that costs."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import event
from sqlalchemy.pool import Pool

from gateway.cli import main


def _forget_the_disk(driver: Any, _record: object, _proxy: object) -> None:
    # PostgreSQL is told by the benchmark itself: ALTER DATABASE … SET synchronous_commit.
    if isinstance(driver, sqlite3.Connection):
        driver.execute("PRAGMA synchronous = OFF")


if __name__ == "__main__":
    event.listen(Pool, "checkout", _forget_the_disk)
    main()
