"""Long reads over a real database file."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Generator
from contextlib import aclosing
from pathlib import Path

import pytest

from services.common.snapshots import pages, snapshot
from services.common.sqlite import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    path = tmp_path / "numbers.db"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE numbers (number INTEGER)")
        made.executemany("INSERT INTO numbers VALUES (?)", [(number,) for number in range(10)])
    made.close()
    opened = Database(path)
    await opened.open()
    yield opened
    await opened.close()


async def add(database: Database) -> None:
    await database.write(lambda connection: connection.execute("INSERT INTO numbers VALUES (99)"))


def numbers(connection: sqlite3.Connection) -> Generator[int]:
    for (number,) in connection.execute("SELECT number FROM numbers ORDER BY number"):
        yield number


async def held(database: Database) -> bool:
    """Whether somebody reads an older state."""
    await add(database)
    connection = await database.connect()
    try:
        await connection.run(lambda raw: raw.execute("PRAGMA busy_timeout = 0"))
        ((busy, *_),) = await connection.run(lambda raw: raw.execute("PRAGMA wal_checkpoint(RESTART)").fetchall())
    finally:
        await connection.close()
    return bool(busy)


async def test_a_snapshot_stays_as_it_was_and_takes_no_writes(database: Database) -> None:
    async with snapshot(database) as taken:
        await add(database)
        assert await taken.run(lambda connection: list(numbers(connection))) == list(range(10))
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await taken.run(lambda connection: connection.execute("DELETE FROM numbers"))
        assert await held(database)
    assert not await held(database)


async def test_pages_are_made_when_they_are_asked_for(database: Database) -> None:
    made: list[int] = []

    def counted(connection: sqlite3.Connection) -> Generator[int]:
        for number in numbers(connection):
            made.append(number)
            yield number

    async with snapshot(database) as taken, aclosing(pages(taken, counted, lambda number: number, 5)) as rows:
        assert await anext(rows) == [0, 1, 2, 3]
        assert made == [0, 1, 2, 3]
        assert [page async for page in rows] == [[4, 5], [6], [7], [8], [9]]
    assert not await held(database)


async def test_a_query_ends_with_whoever_waits_for_it(database: Database) -> None:
    running = asyncio.Event()
    loop = asyncio.get_running_loop()

    def begun() -> None:
        loop.call_soon_threadsafe(running.set)

    def endless(connection: sqlite3.Connection) -> Generator[int]:
        yield 1
        connection.create_function("begun", 0, begun)
        query = "WITH RECURSIVE n(x) AS (SELECT begun() UNION ALL SELECT x FROM n) SELECT count(*) FROM n"
        yield from connection.execute(query)

    async def read() -> None:
        async with snapshot(database) as taken, aclosing(pages(taken, endless, lambda _: 1, 1)) as rows:
            async for _ in rows:
                pass

    task = asyncio.create_task(read())
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await held(database)


async def test_whoever_is_cancelled_leaves_nothing_open(database: Database) -> None:
    reading = asyncio.Event()

    async def read() -> None:
        async with snapshot(database) as taken, aclosing(pages(taken, numbers, lambda _: 1, 2)) as rows:
            async for _ in rows:
                reading.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(read())
    await reading.wait()
    assert await held(database)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await held(database)
