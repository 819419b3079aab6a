"""What the store needs of a database, whichever it is: transactions, reads, and a name for each failure.

`engine` is SQLite's, `postgresql` is PostgreSQL's. Nothing else of the gateway knows which one it has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine, event

from gateway.errors import Unavailable

T = TypeVar("T")

_MAY_COMMIT = "the store commits"


class Database(Protocol):
    """One database of one gateway. All but `read` and `look_up` is for threads that run no loop."""

    # Of the connection that writes; for who listens to what is done with it.
    write_engine: Engine
    read_engine: Engine
    # A caller is told that the database does not answer after this long at the latest; None: the
    # database cannot hang, for it is a file.
    answers_within_seconds: float | None

    def prepare(self, work: Callable[[Connection], None]) -> None:
        """Do as `transact` does, before anything else is done, and take as long as it needs."""
        ...

    def transact(self, work: Callable[[Connection], None]) -> None:
        """Run `work` in one transaction and commit it: durable on return. One at a time.

        Raise what the work raised, then nothing of it remains; or whatever the database raised, then
        after a lost COMMIT it may turn out to be stored. After an error the connection is closed.
        """
        ...

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` over one moment, not older than this call; writing MUST fail. Of any loop."""
        ...

    async def look_up(self, work: Callable[[Connection], T]) -> T:
        """Do as `read` does, for a work that may hold up the caller's loop: a few rows, by their keys."""
        ...

    def in_transaction(self, conn: Connection) -> bool:
        """Ask the database itself: it ends a transaction on its own when disk or connection fail."""
        ...

    def is_outage(self, error: BaseException) -> bool:
        """Tell a database that fails from a work that asks for what its constraints forbid."""
        ...

    def unavailable(self, error: BaseException) -> Unavailable:
        """Translate what database or ledger raised; `cause` is for operators and holds no stored value."""
        ...

    def close(self) -> None:
        """Let go of everything, when no transaction or read is under way."""
        ...


def commit_after(conn: Connection, work: Callable[[Connection], None]) -> None:
    """Run a work in a transaction of this connection and commit, which the work itself cannot do."""
    with conn.begin() as begun:
        work(conn)
        conn.info[_MAY_COMMIT] = True
        begun.commit()


def only_the_store_commits(engine: Engine) -> None:
    """Make every COMMIT fail that does not come from `commit_after`."""
    event.listen(engine, "commit", _refuse_others)


def _refuse_others(conn: Connection) -> None:
    # A work that committed by itself would make its writes durable without their ledger entries.
    if not conn.info.pop(_MAY_COMMIT, False):
        raise RuntimeError("a work does not commit: the store does, for the whole group")
