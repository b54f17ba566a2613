"""SQLite: one writer with group commit, several readers, migrations.

A unit of work is a plain function over a `sqlite3.Connection`. The writer takes whatever units arrived while the last
commit ran and commits them together, with `synchronous=FULL`: what was acknowledged is on disk. No timer is involved.
"""

import asyncio
import contextlib
import os
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

import aiosqlite
import structlog
import yoyo
from roomline.v1.error_reason_pb2 import ErrorReason
from yoyo.backends.core.sqlite3 import SQLiteBackend
from yoyo.connections import default_migration_table, parse_uri

from services.common.errors import RoomlineError

log = structlog.get_logger()

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
_Waiting = tuple[Work[Any], asyncio.Future[Any]]

MAX_BATCH = 32
"""Units in a group: the first are answered, and their callers work, while the next group is committed."""
READERS = 2
BUSY_SECONDS = 30.0

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-65536",
    "PRAGMA wal_autocheckpoint=16000",  # fewer, larger check points: each syncs the database file
    "PRAGMA secure_delete=FAST",  # what is wiped does not stay behind in free space
)


class Connection(sqlite3.Connection):
    """What units of work run on."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.shared_rows: dict[tuple[str, str], tuple[Any, ...]] = {}
        self.news: set[str] = set()


def shared_rows(connection: sqlite3.Connection) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Rows that nearly every unit of a group changes: kept here by statement and key, written once, before the commit.

    The statement takes the key, then the values. What a failed unit has put in is taken back. For writing work only.
    """
    return cast("Connection", connection).shared_rows


def announce(connection: sqlite3.Connection, news: str) -> None:
    """Has the database's listeners told of it after the commit. A hint: of work that failed it may be told too."""
    cast("Connection", connection).news.add(news)


class _Connection(aiosqlite.Connection):
    """An aiosqlite connection that runs a whole function on its thread: one hop for many statements."""

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        result: T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]  # aiosqlite's gap
        return result


class _MigrationBackend(SQLiteBackend):  # type: ignore[misc]  # the tool has no types
    """Does a migration and notes it in one transaction; of itself the tool would note it in a second one."""

    def apply_one(self, migration: yoyo.migrations.Migration, force: bool = False, mark: bool = True) -> None:
        """Applies one migration, whole or not at all."""
        with self.transaction():
            migration.process_steps(self, "apply", force=force)
            if mark:
                self.mark_one(migration)


def _migration_backend(path: Path) -> _MigrationBackend:
    # Quoted, since the tool makes a URI of it for SQLite: a "#", "?" or "%" in the path must not mean another file.
    return _MigrationBackend(parse_uri(f"sqlite:///{quote(os.fsencode(path))}"), default_migration_table)


COMMON_MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(path: Path, migrations: Path) -> None:
    """Brings the database file up to date, and makes it if there is none.

    `migrations` is the service's own folder; tables that every service has come on top. The caller holds the data
    folder's lock: the tool's own lock is a row, which a killed process leaves behind. Killed at any moment, it goes on
    the next time.
    """
    backend = _migration_backend(path)
    try:
        backend.init_database()
        backend.break_lock()
        backend.apply_migrations(backend.to_apply(yoyo.read_migrations(str(COMMON_MIGRATIONS), str(migrations))))
    finally:
        backend.connection.close()


def is_newer(path: Path, migrations: Path) -> bool:
    """Whether the database file has migrations that `migrate` does not know: another version has written it."""
    backend = _migration_backend(path)
    try:
        backend.init_database()
        known = {one.hash for one in yoyo.read_migrations(str(COMMON_MIGRATIONS), str(migrations))}
        return not known.issuperset(backend.get_applied_migration_hashes())
    finally:
        backend.connection.close()


class Database:
    """One SQLite file. This process must be the only one that writes to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: _Connection
        self._readers: asyncio.LifoQueue[_Connection] = asyncio.LifoQueue()
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._committer: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[frozenset[str]], None]] = []

    def listen(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Has this called too, in the loop, after each commit, with what units of work have announced."""
        self._listeners.append(listener)

    async def open(self) -> None:
        """Connects; `migrate` comes first."""
        self._writer = await self.connect()
        for _ in range(READERS):
            self._readers.put_nowait(await self.connect())
        self._committer = asyncio.create_task(self._commit_forever())

    async def close(self) -> None:
        """Commits what is waiting, then closes."""
        if self._committer is not None and not self._committer.done():
            await self.write(lambda _: None)  # comes after everything that waits
            self._committer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._committer
        await self._writer.close()
        for _ in range(READERS):
            await (await self._readers.get()).close()

    async def read(self, work: Work[T]) -> T:
        """Runs reading work against one snapshot."""

        def in_transaction(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                connection.execute("COMMIT")

        async with self._reader() as reader:
            return await reader.run(in_transaction)

    async def write(self, work: Work[T]) -> T:
        """Runs writing work in the next group commit; returns when it is on disk.

        Work that raises is rolled back by itself and leaves the rest of its group alone. Once queued it runs, even if
        the caller is cancelled: whether it happened is then unknown to the caller, as with any lost reply.
        Work may be run twice before it is committed; only its last run counts. Raises STORAGE_FULL if the disk is full.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, future))
        self._arrived.set()
        return await future

    async def connect(self) -> _Connection:
        """A connection beside those that the database has itself, for `snapshots` alone. Close it."""

        def connector() -> sqlite3.Connection:
            connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, isolation_level=None, cached_statements=512, factory=Connection
            )
            # Of text that is damaged, sqlite3's own error would quote the whole of it, and so would the log.
            connection.text_factory = bytes.decode
            for pragma in _PRAGMAS:
                connection.execute(pragma)
            return connection

        opened = _Connection(connector, iter_chunk_size=64)
        _ = await opened.__aenter__()
        return opened

    @contextlib.asynccontextmanager
    async def _reader(self) -> AsyncIterator[_Connection]:
        reader = await self._readers.get()
        try:
            yield reader
        finally:
            self._readers.put_nowait(reader)

    async def _commit_forever(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()  # first: what arrives from here on sets it again
            loop = asyncio.get_running_loop()
            try:
                # Shielded: a cancelled committer must not leave callers waiting for a commit that did happen.
                await asyncio.shield(self._writer.run(lambda connection: self._commit_all(connection, loop)))  # noqa: B023
            except Exception as error:  # noqa: BLE001 - the writer itself failed: everybody who waits is told
                batch = self._next_batch(len(self._waiting))
                _tell(batch, [(None, _refusal(error)) for _ in batch], error)

    def _commit_all(self, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop) -> None:
        """Commits group after group while work is waiting. Runs on the writer's thread, without a hop."""
        while batch := self._next_batch(MAX_BATCH):
            failure: Exception | None = None
            try:
                outcomes = _commit(connection, [work for work, _ in batch])
            except Exception as error:  # noqa: BLE001 - the whole group failed: each of its callers is told
                failure = error
                outcomes = [(None, _refusal(error)) for _ in batch]
            loop.call_soon_threadsafe(_tell, batch, outcomes, failure)
            news = cast("Connection", connection).news
            if news:
                for listener in self._listeners:
                    loop.call_soon_threadsafe(listener, frozenset(news))
                news.clear()

    def _next_batch(self, most: int) -> list[_Waiting]:
        """Takes up to so many from the queue; safe on any thread."""
        batch: list[_Waiting] = []
        with contextlib.suppress(IndexError):
            while len(batch) < most:
                batch.append(self._waiting.popleft())
        return batch


_Outcome = tuple[Any, Exception | None]


def _tell(batch: Sequence[_Waiting], outcomes: Sequence[_Outcome], failure: Exception | None) -> None:
    """Tells each caller how its work ended."""
    for (_, future), (result, refused) in zip(batch, outcomes, strict=True):
        if future.done():
            continue
        if refused is None:
            future.set_result(result)
        else:
            future.set_exception(refused)
    if failure is not None:
        with contextlib.suppress(OSError):  # a log that nobody reads must not end all writing
            log.error("commit_failed", exc_info=failure)


_OF_THE_DATABASE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
}
"""Errors that no unit of work is to blame for: its whole group fails."""


class _NeedsSavepointsError(Exception):
    """A unit failed after it had changed something, and there is no savepoint to go back to."""


def _commit(connection: sqlite3.Connection, works: Sequence[Work[Any]]) -> list[_Outcome]:
    """Commits the units together. Raises if none of them could be committed.

    Units nearly always refuse before they change anything, so the first try does without savepoints; if one does not,
    all of it is taken back and run again with them.
    """
    try:
        return _attempt(connection, works, _run_alone)
    except _NeedsSavepointsError:
        return _attempt(connection, works, _run_in_savepoint)


def _attempt(
    connection: sqlite3.Connection,
    works: Sequence[Work[Any]],
    run: Callable[[sqlite3.Connection, Work[Any]], _Outcome],
) -> list[_Outcome]:
    rows = shared_rows(connection)
    rows.clear()
    connection.execute("BEGIN IMMEDIATE")
    try:
        outcomes = [run(connection, work) for work in works]
        for (statement, key), values in rows.items():
            connection.execute(statement, (key, *values))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return outcomes


def _run_alone(connection: sqlite3.Connection, work: Work[Any]) -> _Outcome:
    changes, rows = connection.total_changes, dict(shared_rows(connection))
    try:
        return work(connection), None
    except Exception as error:
        _raise_if_of_the_database(connection, error)
        if connection.total_changes != changes or shared_rows(connection) != rows:
            raise _NeedsSavepointsError from error
        return None, error


def _run_in_savepoint(connection: sqlite3.Connection, work: Work[Any]) -> _Outcome:
    rows = dict(shared_rows(connection))
    connection.execute("SAVEPOINT work")
    try:
        result = work(connection)
    except Exception as error:  # noqa: BLE001 - handed to the caller of this work
        _raise_if_of_the_database(connection, error)
        connection.execute("ROLLBACK TO work")
        connection.execute("RELEASE work")
        shared_rows(connection).clear()
        shared_rows(connection).update(rows)
        return None, error
    connection.execute("RELEASE work")
    return result, None


def _raise_if_of_the_database(connection: sqlite3.Connection, error: Exception) -> None:
    code = error.sqlite_errorcode & 0xFF if isinstance(error, sqlite3.OperationalError) else None
    if code in _OF_THE_DATABASE or not connection.in_transaction:
        raise error


def _refusal(error: Exception) -> RoomlineError:
    """What each caller of a failed group is told; one of its own, since raising changes an exception."""
    code = error.sqlite_errorcode & 0xFF if isinstance(error, sqlite3.OperationalError) else None
    if code == sqlite3.SQLITE_FULL:
        return RoomlineError(ErrorReason.ERROR_REASON_STORAGE_FULL)
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return RoomlineError(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE, service="database")
    return RoomlineError(ErrorReason.ERROR_REASON_INTERNAL)
