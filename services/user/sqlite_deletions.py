"""Keeps unfinished deletions in SQLite."""

import sqlite3

from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError
from services.common.sqlite import Database
from services.user.store import Deletion, DeletionKind

WIPE_ROWS = 5000
"""How many rows a wipe removes at once, so that no other writer waits long."""

_WIPE_USERS = (
    "DELETE FROM users WHERE (instance_id, id) IN (SELECT instance_id, id FROM users WHERE instance_id = ? LIMIT ?)"
)
_WIPE_JOBS = (
    "DELETE FROM jobs WHERE (instance_id, id) IN (SELECT instance_id, id FROM jobs WHERE instance_id = ? LIMIT ?)"
)
_WIPE_REQUESTS = (
    "DELETE FROM requests WHERE (instance_id, actor, request_id) IN"
    " (SELECT instance_id, actor, request_id FROM requests WHERE instance_id = ? LIMIT ?)"
)


JOB_IS_LEFT = "EXISTS (SELECT 1 FROM deletions d WHERE d.instance_id = j.instance_id AND d.job_id = j.id)"
"""Of a job `j`, for `SqliteJobs`."""


def add_deletion(connection: sqlite3.Connection, deletion: Deletion, now: int) -> None:
    """Says, inside the transaction that deletes something, that the rest of it has to go too."""
    connection.execute(
        "INSERT INTO deletions (instance_id, kind, id, created_at) VALUES (?, ?, ?, ?)", (*deletion, now)
    )


def add_job(connection: sqlite3.Connection, deletion: Deletion, job_id: str, now: int) -> None:
    """Gives a deletion that was just added a job, which is done when the deletion is finished."""
    connection.execute("INSERT INTO jobs VALUES (?, ?, ?)", (deletion.instance_id, job_id, now))
    connection.execute(
        "UPDATE deletions SET job_id = ? WHERE instance_id = ? AND kind = ? AND id = ?", (job_id, *deletion)
    )


def drop_user_deletions(connection: sqlite3.Connection, instance_id: str) -> None:
    """Forgets the deletions of users, because all of the instance goes."""
    connection.execute("DELETE FROM deletions WHERE instance_id = ? AND kind = ?", (instance_id, DeletionKind.USER))


def refuse_pending(connection: sqlite3.Connection, deletion: Deletion) -> None:
    """Raises DELETION_PENDING if this deletion is not finished."""
    if _is_pending(connection, deletion):
        raise RoomlineError(ErrorReason.ERROR_REASON_DELETION_PENDING, kind=deletion.kind)


def _is_pending(connection: sqlite3.Connection, deletion: Deletion) -> bool:
    row = connection.execute("SELECT 1 FROM deletions WHERE instance_id = ? AND kind = ? AND id = ?", deletion)
    return row.fetchone() is not None


class SqliteDeletions:
    """A `DeletionStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pending(self) -> list[Deletion]:
        """See `DeletionStore`."""

        def work(connection: sqlite3.Connection) -> list[Deletion]:
            rows = connection.execute(
                "SELECT instance_id, kind, id FROM deletions ORDER BY created_at, instance_id, id"
            )
            return [Deletion(instance_id, DeletionKind(kind), id_) for instance_id, kind, id_ in rows]

        return await self._database.read(work)

    async def is_pending(self, deletion: Deletion) -> bool:
        """See `DeletionStore`."""
        return await self._database.read(lambda connection: _is_pending(connection, deletion))

    async def finished(self, deletion: Deletion) -> None:
        """See `DeletionStore`."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM deletions WHERE instance_id = ? AND kind = ? AND id = ?", deletion)

        await self._database.write(work)

    async def wipe(self, instance_id: str) -> None:
        """See `DeletionStore`."""
        for statement in (_WIPE_USERS, _WIPE_JOBS, _WIPE_REQUESTS):
            while await self._database.write(
                lambda connection: connection.execute(statement, (instance_id, WIPE_ROWS)).rowcount  # noqa: B023
            ):
                pass

    async def drop_user_deletions(self, instance_id: str) -> None:
        """See `DeletionStore`."""
        await self._database.write(lambda connection: drop_user_deletions(connection, instance_id))
