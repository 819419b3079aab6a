"""The gateway as it would be if COMMIT did not wait for the disk, to know what that costs."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import event
from sqlalchemy.pool import Pool

from gateway.cli import main

_DONE = "bench.forgets"


def forget_the_disk(driver: Any, record: Any, _proxy: object) -> None:
    """Do it once per connection, after the gateway has set it up and found that it would not forget."""
    if record.info.get(_DONE):
        return
    record.info[_DONE] = True
    if isinstance(driver, sqlite3.Connection):
        driver.execute("PRAGMA synchronous = OFF")
        return
    cursor = driver.cursor()
    cursor.execute("SET synchronous_commit = off")
    cursor.close()
    driver.commit()


if __name__ == "__main__":
    event.listen(Pool, "checkout", forget_the_disk)
    main()
