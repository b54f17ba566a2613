"""Rooms by other names than their ids, on SQLite."""

import sqlite3

from services.common.call import Caller
from services.common.sqlite import Database
from services.message import sqlite_sight

_MAY_KNOW = (
    "(:viewer = '' OR r.private = 0 OR EXISTS (SELECT 1 FROM members m WHERE m.instance_id = r.instance_id"
    " AND m.room_key = r.key AND m.user_id = :viewer) OR EXISTS (SELECT 1 FROM role_assignments a"
    " WHERE a.instance_id = r.instance_id AND a.user_id = :viewer AND a.room_id = r.id))"
)

_BY_UID = f"SELECT r.id FROM rooms r WHERE r.instance_id = :instance_id AND r.uid = :uid AND {_MAY_KNOW}"

_BY_MESSAGE = (
    "SELECT r.id FROM messages x JOIN rooms r ON r.instance_id = x.instance_id AND r.key = x.room_key"
    f" WHERE x.instance_id = :instance_id AND x.uid = :uid AND {_MAY_KNOW}"
)


class SqliteNames:
    """Keeps the promises of `NameStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def room_id(self, caller: Caller, room_uid: str) -> str | None:
        """See `NameStore`."""
        return await self._database.read(lambda connection: find_room(connection, caller, room_uid))

    async def room_id_of_message(self, caller: Caller, message_uid: str) -> str | None:
        """See `NameStore`."""
        return await self._database.read(lambda connection: _one(connection, _BY_MESSAGE, caller, message_uid))


def find_room(connection: sqlite3.Connection, caller: Caller, room_uid: str) -> str | None:
    """The id of the room with this uid, if the caller may know of it."""
    return _one(connection, _BY_UID, caller, room_uid)


def _one(connection: sqlite3.Connection, query: str, caller: Caller, uid: str) -> str | None:
    values = {"instance_id": caller.instance_id, "uid": uid, "viewer": sqlite_sight.viewer_of(caller)}
    row = connection.execute(query, values).fetchone()
    return None if row is None else row[0]
