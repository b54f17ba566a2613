"""What is to be removed, on SQLite."""

import sqlite3
from collections.abc import Collection

from services.common.ids import Clock
from services.common.sqlite import Database, Work
from services.media import sqlite_avatars, sqlite_usage
from services.media.sqlite_attachments import remove
from services.media.sqlite_uploads import give_up
from services.media.store import Garbage

PIECE = 500
"""Rows removed in one unit of work, so that no other writer waits long."""

_UNUSED = "NOT EXISTS (SELECT 1 FROM uses u WHERE u.instance_id = a.instance_id AND u.attachment_id = a.id)"


class SqliteCleanup:
    """Keeps the promises of `CleanupStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def garbage(self, instance_id: str | None, after_key: str, size: int) -> list[Garbage]:
        """See `CleanupStore`."""
        whose, values = ("", ()) if instance_id is None else (" AND instance_id = ?", (instance_id,))
        rows = await self._database.read(
            lambda connection: connection.execute(
                f"SELECT key, size IS NULL FROM blobs WHERE state = 'garbage'{whose} AND key > ? ORDER BY key LIMIT ?",
                (*values, after_key, size),
            ).fetchall()
        )
        return [Garbage(key, bool(torn)) for key, torn in rows]

    async def gone(self, keys: Collection[str]) -> None:
        """See `CleanupStore`."""
        await self._database.write(
            lambda connection: connection.executemany(
                "DELETE FROM blobs WHERE key = ? AND state = 'garbage'", [(key,) for key in keys]
            )
        )

    async def give_up(self, before: int) -> None:
        """See `CleanupStore`."""

        def piece(connection: sqlite3.Connection) -> int:
            rows = connection.execute(
                "SELECT key FROM blobs WHERE state = 'writing' AND since < ? LIMIT ?", (before, PIECE)
            ).fetchall()
            for (key,) in rows:
                give_up(connection, key, self._clock())
            return len(rows)

        await self._repeat(piece)

    async def expire(self, before: int) -> None:
        """See `CleanupStore`."""
        await self._remove("a.idle_since < ?", before)

    async def purge_instance(self, instance_id: str) -> None:
        """See `CleanupStore`."""
        await self._remove("a.instance_id = ?", instance_id)
        await self._repeat(lambda connection: self._remove_avatars(connection, instance_id))
        await self._forget_requests("instance_id = ?", instance_id)

    async def purge_user(self, instance_id: str, user_id: str) -> None:
        """See `CleanupStore`."""
        await self._database.write(
            lambda connection: sqlite_avatars.remove(connection, instance_id, user_id, self._clock())
        )
        await self._remove(f"a.instance_id = ? AND a.user_id = ? AND {_UNUSED}", instance_id, user_id)

        def disown(connection: sqlite3.Connection) -> int:
            sizes = connection.execute(
                "UPDATE attachments SET user_id = '' WHERE (instance_id, id) IN"
                " (SELECT instance_id, id FROM attachments WHERE instance_id = ? AND user_id = ? LIMIT ?)"
                " RETURNING size",
                (instance_id, user_id, PIECE),
            ).fetchall()
            total = sum(size for (size,) in sizes)
            sqlite_usage.add(connection, instance_id, user_id, -total, -len(sizes))
            sqlite_usage.add(connection, instance_id, sqlite_usage.WHOLE, total, len(sizes))
            return len(sizes)

        await self._repeat(disown)
        await self._forget_requests("instance_id = ? AND actor = ?", instance_id, user_id)

    async def _remove(self, condition: str, *values: object) -> None:
        def piece(connection: sqlite3.Connection) -> int:
            rows = connection.execute(
                f"SELECT a.instance_id, a.id FROM attachments a WHERE {condition} LIMIT ?", (*values, PIECE)
            ).fetchall()
            for instance_id, attachment_id in rows:
                remove(connection, instance_id, [attachment_id], self._clock())
            return len(rows)

        await self._repeat(piece)

    async def _forget_requests(self, condition: str, *values: object) -> None:
        """Answers to later users of the same ids must not be those of earlier ones."""
        query = (
            "DELETE FROM requests WHERE (instance_id, actor, request_id) IN"
            f" (SELECT instance_id, actor, request_id FROM requests WHERE {condition} LIMIT ?)"
        )
        await self._repeat(lambda connection: connection.execute(query, (*values, PIECE)).rowcount)

    def _remove_avatars(self, connection: sqlite3.Connection, instance_id: str) -> int:
        rows = connection.execute(
            "SELECT user_id FROM avatars WHERE instance_id = ? LIMIT ?", (instance_id, PIECE)
        ).fetchall()
        for (user_id,) in rows:
            sqlite_avatars.remove(connection, instance_id, user_id, self._clock())
        return len(rows)

    async def _repeat(self, piece: Work[int]) -> None:
        """Works a piece at a time, each in a commit that others share, while there is more."""
        while await self._database.write(piece):
            pass
