"""Rooms as one of their members sees them, on SQLite: any number of them in two queries."""

import sqlite3
from typing import Any, NamedTuple

from roomline.v1.room_pb2 import UserRoom

from services.common import timestamps
from services.common.ids import MICROSECONDS
from services.message import sqlite_message_rows, sqlite_rooms
from services.message.sqlite_cursors import to_cursor
from services.message.sqlite_membership import members_by_room
from services.message.sqlite_message_rows import MessageRow, to_message
from services.message.sqlite_rooms import RoomRow, to_room
from services.message.sqlite_sight import live, unhidden

ORDER = f"r.created_at / {MICROSECONDS}, r.id"
"""By creation time as clients see it, in whole seconds, then by id (spec §3.5)."""

_IN_ROOM = "x.instance_id = r.instance_id AND x.room_key = r.key"

_READ = "max(coalesce(c.position, 0), m.hidden_before)"

_UNREAD = (
    # Who has read nothing needs no count: the room has one, of what is there and what waits for being wiped.
    f"CASE {_READ} WHEN 0 THEN r.message_count - (SELECT count(*) FROM messages x WHERE {_IN_ROOM}"
    " AND x.unsent_at IS NULL AND x.expires_at <= :now)"
    f" ELSE (SELECT count(*) FROM messages x WHERE {_IN_ROOM} AND x.id > {_READ} AND {live('x')}) END"
    " - (SELECT count(*) FROM hidden h CROSS JOIN messages x ON x.instance_id = h.instance_id"
    " AND x.room_key = h.room_key AND x.id = h.message_id WHERE h.instance_id = m.instance_id"
    f" AND h.room_key = m.room_key AND h.user_id = m.user_id AND h.message_id > {_READ} AND {live('x')})"
)
"""Messages after the user's cursor that it sees; without a cursor all of them (spec §4.9)."""

_ARCHIVED = (
    "CASE m.archived WHEN 0 THEN 0 ELSE m.archived >="
    f" coalesce((SELECT x.id FROM messages x WHERE {_IN_ROOM} ORDER BY x.id DESC LIMIT 1), 0) END"
)
"""The user's mark, until there is a newer message, whatever becomes of that one."""

_LAST = (
    "l.instance_id = r.instance_id AND l.room_key = r.key AND l.id = (SELECT x.id FROM messages x"
    f" WHERE {_IN_ROOM} AND x.id > m.hidden_before AND {live('x')} AND {unhidden('x')} ORDER BY x.id DESC LIMIT 1)"
)
"""The newest message that the user sees."""

_LAST_COLUMNS = ", " + sqlite_message_rows.COLUMNS.replace("x.", "l.")

_ROOMS = (
    f"SELECT {_UNREAD}, c.position, c.updated_at, m.joined_at, {_ARCHIVED}, l.created_at,"
    f" {sqlite_rooms.COLUMNS}{{last}}"
    # Of itself SQLite would look at all memberships of the instance.
    " FROM members m INDEXED BY members_by_user"
    " CROSS JOIN rooms r ON r.instance_id = m.instance_id AND r.key = m.room_key"
    " LEFT JOIN cursors c ON c.instance_id = m.instance_id AND c.room_key = m.room_key AND c.user_id = m.user_id"
    f" LEFT JOIN messages l ON {_LAST}"
    f" WHERE m.instance_id = :instance_id AND m.user_id = :viewer{{only}} ORDER BY {ORDER}"
)


class _Membership(NamedTuple):
    unread_count: int
    position: int | None
    cursor_updated_at: int | None
    joined_at: int
    archived: int
    last_message_at: int | None


_MEMBERSHIP = len(_Membership._fields)
_ROOM = _MEMBERSHIP + len(RoomRow._fields)


def user_rooms(
    connection: sqlite3.Connection,
    instance_id: str,
    user_id: str,
    now: int,
    *,
    with_last_messages: bool,
    room_key: int | None = None,
) -> list[UserRoom]:
    """The rooms that the user is a member of, or this one, with their members, in `ORDER`."""
    values = {"instance_id": instance_id, "viewer": user_id, "now": now, "room_key": room_key}
    last = _LAST_COLUMNS if with_last_messages else ""
    only = "" if room_key is None else " AND m.room_key = :room_key"
    rows = connection.execute(_ROOMS.format(last=last, only=only), values).fetchall()
    members = members_by_room(connection, instance_id, [RoomRow(*row[_MEMBERSHIP:_ROOM]).key for row in rows])
    return [_to_user_room(row, user_id, members) for row in rows]


def _to_user_room(row: tuple[Any, ...], user_id: str, members: dict[int, list[str]]) -> UserRoom:
    membership, room, last = _Membership(*row[:_MEMBERSHIP]), RoomRow(*row[_MEMBERSHIP:_ROOM]), row[_ROOM:]
    room = room._replace(last_message_at=membership.last_message_at)
    user_room = UserRoom(
        room=to_room(room, members.get(room.key, ())),
        unread_count=membership.unread_count,
        joined_at=timestamps.to_proto(membership.joined_at),
        archived=bool(membership.archived),
    )
    if membership.position is not None and membership.cursor_updated_at is not None:
        cursor = to_cursor(user_id, room.id, membership.position, membership.cursor_updated_at)
        user_room.cursor.CopyFrom(cursor)
    if last and membership.last_message_at is not None:
        user_room.last_message.CopyFrom(to_message(MessageRow(*last), room))
    return user_room
