"""How far those have come that the log is told to, on SQLite."""

import sqlite3

from services.common.ids import Clock
from services.common.sqlite import Database
from services.message import sqlite_log
from services.message.log_reader_store import Progress

_PROGRESS = (
    "SELECT e.id, p.position, p.batch_end, p.lost, p.told_at, p.failing_since, p.problem"
    " FROM log_readers p CROSS JOIN epochs e WHERE p.instance_id = ? AND p.consumer = ?"
)


def begin(connection: sqlite3.Connection, instance_id: str, consumer: str) -> None:
    """Has the log told to a consumer from here on; nothing changes for one that has begun before."""
    position = sqlite_log.position(connection, instance_id)
    connection.execute(
        "INSERT OR IGNORE INTO log_readers (instance_id, consumer, position) VALUES (?, ?, ?)",
        (instance_id, consumer, position),
    )


def end(connection: sqlite3.Connection, instance_id: str, consumer: str) -> None:
    """Forgets a consumer; fine if there is none."""
    connection.execute("DELETE FROM log_readers WHERE instance_id = ? AND consumer = ?", (instance_id, consumer))


def find(connection: sqlite3.Connection, instance_id: str, consumer: str) -> Progress | None:
    """See `LogReaderStore.progress`."""
    row = connection.execute(_PROGRESS, (instance_id, consumer)).fetchone()
    return None if row is None else Progress(*row)


class SqliteLogReaders:
    """Keeps the promises of `LogReaderStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def progress(self, instance_id: str, consumer: str) -> Progress | None:
        """See `LogReaderStore`."""
        return await self._database.read(lambda connection: find(connection, instance_id, consumer))

    async def telling(self, instance_id: str, consumer: str, after: int, end: int) -> None:
        """See `LogReaderStore`."""
        await self._change(
            "UPDATE log_readers SET lost = lost + max(0, ? - position), position = max(?, position), batch_end = ?"
            " WHERE instance_id = ? AND consumer = ?",
            (after, after, end, instance_id, consumer),
        )

    async def told(self, instance_id: str, consumer: str, end: int, left_out: int = 0) -> None:
        """See `LogReaderStore`."""
        await self._change(
            "UPDATE log_readers SET position = max(?, position), batch_end = 0, lost = lost + ?, told_at = ?,"
            " failing_since = NULL, problem = '' WHERE instance_id = ? AND consumer = ?",
            (end, left_out, self._clock(), instance_id, consumer),
        )

    async def failed(self, instance_id: str, consumer: str, problem: str) -> None:
        """See `LogReaderStore`."""
        await self._change(
            "UPDATE log_readers SET failing_since = coalesce(failing_since, ?), problem = ?"
            " WHERE instance_id = ? AND consumer = ?",
            (self._clock(), problem, instance_id, consumer),
        )

    async def _change(self, statement: str, values: tuple[object, ...]) -> None:
        await self._database.write(lambda connection: connection.execute(statement, values))
