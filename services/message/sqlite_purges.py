"""What goes when a user, a room or an instance goes, on SQLite; and the trimming of the log."""

import sqlite3

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import Event, UserDeleted

from services.common.errors import RoomlineError
from services.common.ids import MICROSECONDS, Clock
from services.common.sqlite import Database, Work, announce
from services.message import sqlite_log, sqlite_member_sets, sqlite_push_reading
from services.message.webhook_store import WEBHOOKS

PIECE = 2000
"""Rows removed in one unit of work, so that no other writer waits long."""

REMEMBER_PURGED_SECONDS = 3600
"""Far longer than any call takes that asked the user service before a purge and writes after it."""


_OF_USERS = ("members", "past_members", "cursors", "hidden", "role_assignments", "push_subscriptions")

EVERYBODY = ""
"""The mark of an instance that was wiped, in the place of a user id."""


def refuse_purged(connection: sqlite3.Connection, instance_id: str, user_ids: list[str], asked_at: int) -> None:
    """Raises USERS_NOT_FOUND if a user, or everybody, was purged since the user service was asked about the users."""
    marks = ", ".join("?" * (len(user_ids) + 1))
    rows = connection.execute(
        f"SELECT user_id FROM purged_users WHERE instance_id = ? AND purged_at >= ? AND user_id IN ({marks})",
        (instance_id, asked_at, EVERYBODY, *user_ids),
    ).fetchall()
    if rows:
        missing = len(user_ids) if (EVERYBODY,) in rows else len(rows)
        raise RoomlineError(ErrorReason.ERROR_REASON_USERS_NOT_FOUND, missing=missing, total=len(user_ids))


def purged_since(connection: sqlite3.Connection, instance_id: str, asked_at: int) -> set[str]:
    """Who was purged since the user service was asked about users. Raises USERS_NOT_FOUND if everybody was."""
    rows = connection.execute(
        "SELECT user_id FROM purged_users WHERE instance_id = ? AND purged_at >= ?", (instance_id, asked_at)
    )
    purged = {user_id for (user_id,) in rows}
    if EVERYBODY in purged:
        raise RoomlineError(ErrorReason.ERROR_REASON_USERS_NOT_FOUND, missing=1, total=1)
    return purged


def refuse_wiped(connection: sqlite3.Connection, instance_id: str, asked_at: int) -> None:
    """Raises INSTANCE_RESET if the instance was wiped since a call began that has waited for others in between."""
    row = connection.execute(
        "SELECT 1 FROM purged_users WHERE instance_id = ? AND purged_at >= ? AND user_id = ?",
        (instance_id, asked_at, EVERYBODY),
    ).fetchone()
    if row is not None:
        raise RoomlineError(ErrorReason.ERROR_REASON_INSTANCE_RESET)


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
                "SELECT r.id, r.kind, r.key, r.uid FROM members m INDEXED BY members_by_user"
                " CROSS JOIN rooms r ON r.instance_id = m.instance_id AND r.key = m.room_key"
                " WHERE m.instance_id = ? AND m.user_id = ? ORDER BY r.id",
                (instance_id, user_id),
            ).fetchall()
            connection.executemany(
                "UPDATE rooms SET member_count = member_count - 1 WHERE instance_id = ? AND id = ?",
                [(instance_id, room_id) for room_id, *_ in rooms],
            )
            removed = 0
            for table, column in (*((name, "user_id") for name in _OF_USERS), ("requests", "actor")):
                removed += connection.execute(
                    f"DELETE FROM {table} WHERE instance_id = ? AND {column} = ?", (instance_id, user_id)
                ).rowcount
            sqlite_push_reading.end_if_unused(connection, instance_id)
            for _, kind, key, _ in rooms:
                sqlite_member_sets.refresh(connection, instance_id, kind, key)
            known = connection.execute(
                "SELECT 1 FROM purged_users WHERE instance_id = ? AND user_id = ?", (instance_id, user_id)
            ).fetchone()
            connection.execute("INSERT OR REPLACE INTO purged_users VALUES (?, ?, ?)", (instance_id, user_id, now))
            if removed or known is None:  # repeated, it has nothing to tell
                position = sqlite_log.draw(connection, instance_id).position
                ids, uids = [row[0] for row in rooms], [row[3] for row in rooms]
                deleted = UserDeleted(user_id=user_id, room_ids=ids, room_uids=uids)
                sqlite_log.append(connection, instance_id, position, Event(user_deleted=deleted), now)

        await self._database.write(work)

    async def instance(self, instance_id: str, *, for_good: bool = False) -> None:
        """See `PurgeStore`."""

        def work(connection: sqlite3.Connection) -> int:
            now = self._clock()
            connection.execute(
                "INSERT INTO room_remains SELECT instance_id, key FROM rooms WHERE instance_id = ?", (instance_id,)
            )
            for table in ("rooms", *_OF_USERS, "roles", "role_permissions", "purged_users", "releases", "jobs"):
                connection.execute(f"DELETE FROM {table} WHERE instance_id = ?", (instance_id,))
            sqlite_push_reading.end_if_unused(connection, instance_id)
            connection.execute("INSERT INTO purged_users VALUES (?, ?, ?)", (instance_id, EVERYBODY, now))
            position = sqlite_log.draw(connection, instance_id).position
            connection.execute("INSERT OR REPLACE INTO log_trims VALUES (?, ?, ?)", (instance_id, position, position))
            if for_good:
                for table in ("webhooks", "log_readers"):
                    connection.execute(f"DELETE FROM {table} WHERE instance_id = ?", (instance_id,))
                announce(connection, WEBHOOKS + instance_id)
            announce(connection, instance_id)
            return position

        position = await self._database.write(work)
        await self._repeat(lambda connection: _remove_remains(connection, instance_id))
        for statement, *bounds in ((_FORGET_EVENTS, instance_id, position), (_FORGET_REQUESTS, instance_id)):
            await self._repeat(lambda connection: connection.execute(statement, (*bounds, PIECE)).rowcount > 0)  # noqa: B023

    async def remains(self) -> None:
        """See `PurgeStore`."""
        await self._repeat(_remove_remains)

    async def trim(self, days: int, events: int) -> None:
        """See `PurgeStore`."""
        now = self._clock()
        await self._database.write(
            lambda connection: connection.execute(
                "DELETE FROM purged_users WHERE purged_at < ?", (now - REMEMBER_PURGED_SECONDS * MICROSECONDS,)
            )
        )
        logs = await self._database.read(
            lambda connection: connection.execute("SELECT instance_id, position FROM logs").fetchall()
        )
        for instance_id, position in logs:
            bounds = (instance_id, position - events, PIECE, now - days * 86400 * MICROSECONDS)
            await self._repeat(lambda connection: _trim(connection, *bounds))  # noqa: B023

    async def _repeat(self, piece: Work[bool]) -> None:
        """Removes a piece at a time, each in a commit that others share, while there is more."""
        while await self._database.write(piece):
            pass


_FORGET_EVENTS = (
    "DELETE FROM events WHERE (instance_id, position) IN"
    " (SELECT instance_id, position FROM events WHERE instance_id = ? AND position <= ? LIMIT ?)"
)
_FORGET_REQUESTS = (
    "DELETE FROM requests WHERE (instance_id, actor, request_id) IN"
    " (SELECT instance_id, actor, request_id FROM requests WHERE instance_id = ? LIMIT ?)"
)
_OLDEST = "SELECT position, created_at FROM events WHERE instance_id = ? AND position <= ? ORDER BY position LIMIT ?"


def _trim(connection: sqlite3.Connection, instance_id: str, newest: int, size: int, before: int) -> bool:
    """Removes some of the events up to that one that are older; False if there are no more.

    Reads the oldest events only, up to the first that stays: the log has no holes.
    """
    last = None
    oldest = connection.execute(_OLDEST, (instance_id, newest, size)).fetchall()
    for position, created_at in oldest:
        if created_at >= before:
            break
        last = position
    if last is None:
        return False
    connection.execute("DELETE FROM events WHERE instance_id = ? AND position <= ?", (instance_id, last))
    connection.execute("DELETE FROM past_members WHERE instance_id = ? AND left_position <= ?", (instance_id, last))
    connection.execute(
        "INSERT INTO log_trims (instance_id, position) VALUES (?, ?)"
        " ON CONFLICT (instance_id) DO UPDATE SET position = max(position, excluded.position)",
        (instance_id, last),
    )
    return len(oldest) == size and last == oldest[-1][0]


def _remove_remains(connection: sqlite3.Connection, instance_id: str | None = None) -> bool:
    """Removes some of what a deleted room leaves, of any instance or of this one; False if no such room is left."""
    row = connection.execute(
        "SELECT instance_id, room_key FROM room_remains WHERE ? IS NULL OR instance_id = ? LIMIT 1",
        (instance_id, instance_id),
    ).fetchone()
    if row is None:
        return False
    for table, key in (("hidden", "user_id, message_id"), ("messages", "id")):
        removed = connection.execute(
            f"DELETE FROM {table} WHERE (instance_id, room_key, {key}) IN"
            f" (SELECT instance_id, room_key, {key} FROM {table} WHERE instance_id = ? AND room_key = ? LIMIT ?)",
            (*row, PIECE),
        ).rowcount
        if removed == PIECE:
            break
    else:
        connection.execute("DELETE FROM room_remains WHERE instance_id = ? AND room_key = ?", row)
    return True
