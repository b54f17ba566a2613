"""What goes when a user, a room or an instance goes, on SQLite; and the trimming of the log."""

import sqlite3

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import Event, UserDeleted

from services.common.errors import RoomlineError
from services.common.ids import MICROSECONDS, Clock
from services.common.sqlite import Database
from services.message import sqlite_log

PIECE = 2000
"""Rows removed in one unit of work, so that no other writer waits long."""

REMEMBER_PURGED_SECONDS = 3600
"""Far longer than any call takes that asked the user service before a purge and writes after it."""


def refuse_purged(connection: sqlite3.Connection, instance_id: str, user_ids: list[str], asked_at: int) -> None:
    """Raises USERS_NOT_FOUND if a user was purged since the user service was asked about it."""
    marks = ", ".join("?" * len(user_ids))
    (purged,) = connection.execute(
        f"SELECT count(*) FROM purged_users WHERE instance_id = ? AND purged_at >= ? AND user_id IN ({marks})",
        (instance_id, asked_at, *user_ids),
    ).fetchone()
    if purged:
        raise RoomlineError(ErrorReason.ERROR_REASON_USERS_NOT_FOUND, missing=purged, total=len(user_ids))


def remove_room(connection: sqlite3.Connection, instance_id: str, room_id: str, room_key: int) -> None:
    """Removes a room; its messages are out of reach at once, and removed by `remove_remains` later."""
    connection.execute("DELETE FROM rooms WHERE instance_id = ? AND id = ?", (instance_id, room_id))
    connection.execute("DELETE FROM members WHERE instance_id = ? AND room_key = ?", (instance_id, room_key))
    connection.execute("DELETE FROM cursors WHERE instance_id = ? AND room_key = ?", (instance_id, room_key))
    connection.execute("DELETE FROM role_assignments WHERE instance_id = ? AND room_id = ?", (instance_id, room_id))
    connection.execute("INSERT INTO room_remains VALUES (?, ?)", (instance_id, room_key))


class SqlitePurges:
    """Keeps the promises of `PurgeStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def user(self, instance_id: str, user_id: str) -> None:
        """See `PurgeStore`."""

        def work(connection: sqlite3.Connection) -> None:
            now = self._clock()
            rooms = connection.execute(
                "SELECT r.id, r.key FROM members m"
                " JOIN rooms r ON r.instance_id = m.instance_id AND r.key = m.room_key"
                " WHERE m.instance_id = ? AND m.user_id = ? ORDER BY r.id",
                (instance_id, user_id),
            ).fetchall()
            connection.executemany(
                "UPDATE rooms SET member_count = member_count - 1 WHERE instance_id = ? AND id = ?",
                [(instance_id, room_id) for room_id, _ in rooms],
            )
            for table in ("members", "cursors", "role_assignments"):
                connection.execute(
                    f"DELETE FROM {table} WHERE instance_id = ? AND user_id = ?",
                    (instance_id, user_id),
                )
            connection.execute("INSERT OR REPLACE INTO purged_users VALUES (?, ?, ?)", (instance_id, user_id, now))
            position = sqlite_log.draw(connection, instance_id).position
            deleted = UserDeleted(user_id=user_id, room_ids=[room_id for room_id, _ in rooms])
            sqlite_log.append(connection, instance_id, position, Event(user_deleted=deleted), now)

        await self._database.write(work)

    async def instance(self, instance_id: str) -> None:
        """See `PurgeStore`."""

        def work(connection: sqlite3.Connection) -> None:
            tables = (
                "rooms",
                "members",
                "messages",
                "cursors",
                "role_assignments",
                "room_remains",
                "requests",
                "events",
            )
            for table in tables:
                connection.execute(f"DELETE FROM {table} WHERE instance_id = ?", (instance_id,))

        await self._database.write(work)

    async def remains(self) -> None:
        """See `PurgeStore`."""
        while await self._database.write(_remove_piece):
            pass

    async def trim(self, days: int, events: int) -> None:
        """See `PurgeStore`."""
        now = self._clock()
        before = now - days * 86400 * MICROSECONDS

        def work(connection: sqlite3.Connection) -> int:
            connection.execute(
                "DELETE FROM purged_users WHERE purged_at < ?", (now - REMEMBER_PURGED_SECONDS * MICROSECONDS,)
            )
            return connection.execute(
                "DELETE FROM events WHERE (instance_id, position) IN ("
                " SELECT e.instance_id, e.position FROM logs l JOIN events e ON e.instance_id = l.instance_id"
                " WHERE e.position <= l.position - ? AND e.created_at < ? LIMIT ?)",
                (events, before, PIECE),
            ).rowcount

        while await self._database.write(work):
            pass


def _remove_piece(connection: sqlite3.Connection) -> bool:
    """Removes some messages of a deleted room; False if no deleted room is left."""
    row = connection.execute("SELECT instance_id, room_key FROM room_remains LIMIT 1").fetchone()
    if row is None:
        return False
    removed = connection.execute(
        "DELETE FROM messages WHERE (instance_id, room_key, id) IN"
        " (SELECT instance_id, room_key, id FROM messages WHERE instance_id = ? AND room_key = ? LIMIT ?)",
        (*row, PIECE),
    ).rowcount
    if removed < PIECE:
        connection.execute("DELETE FROM room_remains WHERE instance_id = ? AND room_key = ?", row)
    return True
