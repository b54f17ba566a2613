"""Group commit: atomic work, one commit for many, nothing acknowledged before it is on disk."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.common import sqlite
from services.common.sqlite import Database, Work, announce
from tests.support.refusals import refuses


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "x.db")
    await opened.open()
    await opened.write(lambda connection: connection.execute("CREATE TABLE t (n INTEGER UNIQUE)"))
    yield opened
    await opened.close()


def insert(number: int) -> Work[int]:
    return lambda connection: connection.execute("INSERT INTO t VALUES (?)", (number,)).rowcount


async def numbers(database: Database) -> list[int]:
    rows = await database.read(lambda connection: connection.execute("SELECT n FROM t ORDER BY n").fetchall())
    return [number for (number,) in rows]


async def test_work_that_arrives_during_a_commit_shares_the_next_one(database: Database) -> None:
    commits = 0

    def count(statement: str) -> None:
        nonlocal commits
        commits += statement == "COMMIT"

    await database.write(lambda connection: connection.set_trace_callback(count))
    before = commits
    await asyncio.gather(*(database.write(insert(n)) for n in range(200)))
    assert await numbers(database) == list(range(200))
    assert commits - before <= 200 // sqlite.MAX_BATCH + 2


async def test_work_that_fails_takes_back_its_own_changes_only(database: Database) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (2)")
        raise LookupError

    results = await asyncio.gather(
        *(database.write(work) for work in (insert(1), half, insert(1), insert(3))),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [int, LookupError, sqlite3.IntegrityError, int]
    assert await numbers(database) == [1, 3]


async def test_a_commit_that_fails_is_told_to_everybody_in_it(database: Database) -> None:
    await database.write(lambda connection: connection.execute("PRAGMA max_page_count = 3").fetchone())

    def large(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE blobs AS SELECT zeroblob(100000)")

    results = await asyncio.gather(*(database.write(work) for work in (insert(1), large)), return_exceptions=True)
    for result in results:
        with refuses("STORAGE_FULL"):
            raise result if isinstance(result, BaseException) else AssertionError
    assert results[0] is not results[1]
    assert await numbers(database) == []
    await database.write(insert(5))
    assert await numbers(database) == [5]


async def test_a_wrong_statement_fails_alone(database: Database) -> None:
    def wrong(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (7)")
        connection.execute("SELECT * FROM nonexistent")

    results = await asyncio.gather(*(database.write(work) for work in (insert(1), wrong)), return_exceptions=True)
    assert [type(result) for result in results] == [int, sqlite3.OperationalError]
    assert await numbers(database) == [1]


async def test_damaged_text_fails_alone_and_is_not_quoted(database: Database) -> None:
    def damaged(connection: sqlite3.Connection) -> object:
        return connection.execute("SELECT CAST(? AS TEXT)", (b"a secret\xff",)).fetchone()

    results = await asyncio.gather(*(database.write(work) for work in (insert(1), damaged)), return_exceptions=True)
    assert [type(result) for result in results] == [int, UnicodeDecodeError]
    assert "secret" not in str(results[1])
    with pytest.raises(UnicodeDecodeError):
        await database.read(damaged)
    assert await numbers(database) == [1]


KEEP = "INSERT OR REPLACE INTO counters VALUES (?, ?)"


def count_up(*, fails: bool = False) -> Work[int]:
    def work(connection: sqlite3.Connection) -> int:
        rows = sqlite.shared_rows(connection)
        kept = rows.get((KEEP, "k")) or connection.execute("SELECT n FROM counters WHERE k = 'k'").fetchone()
        number: int = kept[0] + 1
        rows[KEEP, "k"] = (number,)
        if fails:
            raise LookupError
        return number

    return work


@pytest.fixture
async def counter(database: Database) -> Database:
    await database.write(lambda connection: connection.execute("CREATE TABLE counters (k TEXT PRIMARY KEY, n INTEGER)"))
    await database.write(lambda connection: connection.execute("INSERT INTO counters VALUES ('k', 0)"))
    return database


async def counted(database: Database) -> int:
    (number,) = await database.read(lambda connection: connection.execute("SELECT n FROM counters").fetchone())
    return int(number)


async def test_shared_rows_are_written_once_for_a_group(counter: Database) -> None:
    written = 0

    def count(statement: str) -> None:
        nonlocal written
        written += statement.startswith("INSERT OR REPLACE")

    await counter.write(lambda connection: connection.set_trace_callback(count))
    assert await asyncio.gather(*(counter.write(count_up()) for _ in range(20))) == list(range(1, 21))
    assert await counted(counter) == 20
    assert written <= 2


async def test_work_that_fails_takes_back_what_it_shares(counter: Database) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (7)")
        raise LookupError

    for others in ((), (half,)):
        works = (count_up(), count_up(fails=True), *others, insert(len(others)), count_up())
        before = await counted(counter)
        first, refused, *_, last = await asyncio.gather(
            *(counter.write(work) for work in works), return_exceptions=True
        )
        assert (first, type(refused), last) == (before + 1, LookupError, before + 2)
        assert await counted(counter) == before + 2
    assert await numbers(counter) == [0, 1]


async def test_a_group_that_fails_takes_back_what_it_shares(counter: Database) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        sqlite.shared_rows(connection)["INSERT INTO nonexistent VALUES (?, ?)", "k"] = (1,)

    results = await asyncio.gather(*(counter.write(work) for work in (count_up(), broken)), return_exceptions=True)
    assert all(isinstance(result, Exception) for result in results)
    assert await counter.write(count_up()) == 1
    assert await counted(counter) == 1


async def test_writing_goes_on_after_a_commit_failed_in_any_way(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_connection: object, _works: object) -> None:
        raise ValueError("nobody expected this")

    with monkeypatch.context() as broken, refuses("INTERNAL"):
        broken.setattr(sqlite, "_commit", fail)
        await database.write(insert(1))
    await database.write(insert(2))
    assert await numbers(database) == [2]


async def test_a_caller_that_gives_up_does_not_stop_the_work(database: Database) -> None:
    task = asyncio.create_task(database.write(insert(1)))
    await asyncio.sleep(0)
    task.cancel()
    await database.write(insert(2))
    assert await numbers(database) == [1, 2]


async def test_what_is_acknowledged_survives_a_copy_of_the_files_taken_right_then(
    database: Database, tmp_path: Path
) -> None:
    await database.write(insert(7))
    for suffix in ("", "-wal"):
        (tmp_path / f"copy.db{suffix}").write_bytes((tmp_path / f"x.db{suffix}").read_bytes())
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        assert copy.execute("SELECT n FROM t").fetchall() == [(7,)]
    copy.close()


async def test_writing_is_durable_before_it_is_acknowledged(database: Database) -> None:
    level = await database.write(lambda connection: connection.execute("PRAGMA synchronous").fetchone())
    mode = await database.write(lambda connection: connection.execute("PRAGMA journal_mode").fetchone())
    assert (level, mode) == ((2,), ("wal",))  # 2 is FULL


async def test_what_is_announced_is_told_after_the_commit(database: Database) -> None:
    told: asyncio.Queue[frozenset[str]] = asyncio.Queue()

    def work(number: int) -> Work[None]:
        def announcing(connection: sqlite3.Connection) -> None:
            insert(number)(connection)
            announce(connection, f"number {number}")

        return announcing

    database.listen(told.put_nowait)
    await database.write(insert(1))
    await asyncio.gather(database.write(work(2)), database.write(work(3)))
    await database.write(insert(4))
    news: set[str] = set()
    while not news >= {"number 2", "number 3"}:
        async with asyncio.timeout(30):
            news |= await told.get()
    assert await numbers(database) == [1, 2, 3, 4]
    assert told.empty()
