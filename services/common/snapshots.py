"""Long reads: what a database held at one moment, a page at a time."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from typing import Protocol, TypeVar

from services.common.sqlite import Database, Work

T = TypeVar("T")

CACHE_KIBIBYTES = 4096
"""What is read once is not worth the memory that the database's own connections have."""


class Snapshot(Protocol):
    """What was committed when it was taken, and nothing later."""

    async def run(self, work: Work[T]) -> T:
        """Runs reading work, away from the event loop."""


class _Connection(Snapshot, Protocol):
    async def interrupt(self) -> None:
        """Ends the query that is running."""


class _Taken:
    """A `Snapshot` on a connection that nobody else uses."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    async def run(self, work: Work[T]) -> T:
        try:
            return await self._connection.run(work)
        except asyncio.CancelledError:
            await self._connection.interrupt()  # else the end of the process waits for a query that nobody does
            raise


@contextlib.asynccontextmanager
async def snapshot(database: Database) -> AsyncIterator[Snapshot]:
    """Takes a snapshot for the time of the block. While there is one, SQLite cannot shorten its write-ahead log.

    It has a connection of its own, so that no other reader waits for it.
    """
    connection = await database.connect()
    try:
        await connection.run(_begin)
        yield _Taken(connection)
    finally:
        await connection.close()


def _begin(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
    connection.execute("BEGIN")
    connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()  # only a read takes the snapshot


async def pages(
    taken: Snapshot, rows: Callable[[sqlite3.Connection], Generator[T]], size: Callable[[T], int], most: int
) -> AsyncGenerator[list[T]]:
    """What the generator `rows` yields, in lists that end with the item with which they have the `most` size.

    It is run a list at a time, so that memory is that of one list. Close this: that closes `rows`, and their queries.
    """
    iterator = await taken.run(rows)

    def following(_connection: sqlite3.Connection) -> list[T]:
        page: list[T] = []
        left = most
        for item in iterator:
            page.append(item)
            left -= size(item)
            if left <= 0:
                break
        return page

    try:
        while page := await taken.run(following):
            yield page
    finally:
        await taken.run(lambda _: iterator.close())
