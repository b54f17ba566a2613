"""Cursors on SQLite: how far users have read (spec §8)."""

import sqlite3

from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.cursor_service_pb2 import ListRoomCursorsResponse, ListUserCursorsResponse
from roomline.v1.event_pb2 import CursorSet, Event

from services.common import timestamps
from services.common.call import Caller
from services.common.ids import Clock
from services.common.sqlite import Database
from services.message import sqlite_log, sqlite_message_rows, sqlite_purges
from services.message.sqlite_rooms import RoomRow, find_readable
from services.message.sqlite_sight import viewer_of


def to_cursor(user_id: str, room_id: str, position: int, updated_at: int) -> Cursor:
    """The message of a row."""
    return Cursor(user_id=user_id, room_id=room_id, position=position, updated_at=timestamps.to_proto(updated_at))


def _position_of(connection: sqlite3.Connection, caller: Caller, room: RoomRow, message_uid: str, now: int) -> int:
    """The id of a message or tombstone of the room that the caller sees. Raises MESSAGE_NOT_FOUND."""
    viewer = viewer_of(caller)
    row = sqlite_message_rows.find(
        connection, caller.instance_id, room, now, uid=message_uid, viewer=viewer, with_unsent=True
    )
    return row.id


class SqliteCursors:
    """Keeps the promises of `CursorStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def set(
        self, caller: Caller, user_id: str, room_id: str, position: int, asked_at: int, message_uid: str = ""
    ) -> Cursor:
        """See `CursorStore`."""

        def work(connection: sqlite3.Connection) -> Cursor:
            row = find_readable(connection, caller, room_id)
            sqlite_purges.refuse_purged(connection, caller.instance_id, [user_id], asked_at)
            now = self._clock()
            read = _position_of(connection, caller, row, message_uid, now) if message_uid else position
            connection.execute(
                "INSERT OR REPLACE INTO cursors VALUES (?, ?, ?, ?, ?)",
                (caller.instance_id, row.key, user_id, read, now),
            )
            cursor = to_cursor(user_id, room_id, read, now)
            changed = CursorSet(cursor=cursor, room_uid=row.uid)
            place = sqlite_log.draw(connection, caller.instance_id).position
            sqlite_log.append(connection, caller.instance_id, place, Event(cursor_set=changed), now)
            return cursor

        return await self._database.write(work)

    async def get(self, caller: Caller, user_id: str, room_id: str) -> Cursor | None:
        """See `CursorStore`."""

        def work(connection: sqlite3.Connection) -> Cursor | None:
            key = find_readable(connection, caller, room_id).key
            row = connection.execute(
                "SELECT position, updated_at FROM cursors WHERE instance_id = ? AND room_key = ? AND user_id = ?",
                (caller.instance_id, key, user_id),
            ).fetchone()
            return None if row is None else to_cursor(user_id, room_id, *row)

        return await self._database.read(work)

    async def of_room(self, caller: Caller, room_id: str) -> ListRoomCursorsResponse:
        """See `CursorStore`."""

        def work(connection: sqlite3.Connection) -> ListRoomCursorsResponse:
            key = find_readable(connection, caller, room_id).key
            rows = connection.execute(
                "SELECT user_id, position, updated_at FROM cursors WHERE instance_id = ? AND room_key = ?"
                " ORDER BY user_id",
                (caller.instance_id, key),
            )
            cursors = [to_cursor(user_id, room_id, position, updated_at) for user_id, position, updated_at in rows]
            position = sqlite_log.position(connection, caller.instance_id)
            return ListRoomCursorsResponse(cursors=cursors, position=position)

        return await self._database.read(work)

    async def of_user(self, instance_id: str, user_id: str) -> ListUserCursorsResponse:
        """See `CursorStore`."""

        def work(connection: sqlite3.Connection) -> ListUserCursorsResponse:
            rows = connection.execute(
                "SELECT r.id, c.position, c.updated_at FROM cursors c INDEXED BY cursors_by_user"
                " CROSS JOIN rooms r ON r.instance_id = c.instance_id AND r.key = c.room_key"
                " WHERE c.instance_id = ? AND c.user_id = ? ORDER BY r.id",
                (instance_id, user_id),
            )
            cursors = [to_cursor(user_id, room_id, position, updated_at) for room_id, position, updated_at in rows]
            return ListUserCursorsResponse(cursors=cursors, position=sqlite_log.position(connection, instance_id))

        return await self._database.read(work)
