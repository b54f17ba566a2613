"""What an archive has of an instance, on SQLite: generators that are run on a snapshot."""

import sqlite3
from collections.abc import Generator
from contextlib import closing
from itertools import zip_longest
from typing import NamedTuple

from roomline.v1.archive_pb2 import (
    ArchiveRecord,
    AssignmentRecord,
    MemberRecord,
    MessageHiddenRecord,
    MessageRecord,
    RoomMembersRecord,
    RoomRecord,
)
from roomline.v1.cursor_pb2 import Cursor
from roomline.v1.role_pb2 import RoleScope

from services.common import archive, timestamps
from services.message import sqlite_message_rows, sqlite_rooms
from services.message.sqlite_cursors import to_cursor
from services.message.sqlite_message_rows import MessageRow, to_message
from services.message.sqlite_roles import find_role
from services.message.sqlite_rooms import RoomRow, to_room
from services.message.sqlite_sight import unexpired


class Scope(NamedTuple):
    """What is to be exported."""

    instance_id: str
    user_id: str
    """Only what is of this user; empty for everything."""
    now: int
    """When it is asked for: what has expired by then is left out."""

    @property
    def values(self) -> dict[str, str | int]:
        """For the statements."""
        return {"instance_id": self.instance_id, "user_id": self.user_id, "now": self.now}


_ALL = ":user_id = ''"
_ROLES = (
    "FROM roles o WHERE o.instance_id = :instance_id AND"
    f" ({_ALL} OR EXISTS (SELECT 1 FROM role_assignments a WHERE a.instance_id = o.instance_id AND a.user_id = :user_id"
    f" AND a.role_name = o.name AND (a.room_id = '') = (o.scope = {RoleScope.ROLE_SCOPE_GLOBAL})))"
)
_ROOMS = (
    f"FROM rooms r WHERE r.instance_id = :instance_id AND ({_ALL} OR r.key IN"
    " (SELECT m.room_key FROM members m WHERE m.instance_id = :instance_id AND m.user_id = :user_id"
    " UNION SELECT x.room_key FROM messages x WHERE x.instance_id = :instance_id AND x.user_id = :user_id))"
)
_ASSIGNMENTS = f"FROM role_assignments a WHERE a.instance_id = :instance_id AND ({_ALL} OR a.user_id = :user_id)"
_MESSAGES = (
    "FROM messages x INDEXED BY messages_by_id"  # in the order of ids, without sorting all of them
    " CROSS JOIN rooms r ON r.instance_id = x.instance_id AND r.key = x.room_key"
    f" WHERE x.instance_id = :instance_id AND ({_ALL} OR x.user_id = :user_id) AND {unexpired('x')}"
)
_MEMBERS = (
    "SELECT m.user_id, m.joined_at, m.archived, m.hidden_before FROM members m WHERE m.instance_id = :instance_id"
    f" AND m.room_key = :room_key AND ({_ALL} OR m.user_id = :user_id) ORDER BY m.joined_position, m.ordinal"
)
_CURSORS = (
    "SELECT c.user_id, c.position, c.updated_at FROM cursors c WHERE c.instance_id = :instance_id"
    f" AND c.room_key = :room_key AND ({_ALL} OR c.user_id = :user_id) ORDER BY c.user_id"
)
_HIDDEN_BY = (
    "SELECT h.user_id FROM hidden h INDEXED BY hidden_by_message WHERE h.instance_id = :instance_id"
    f" AND h.message_id = :message_id AND ({_ALL} OR h.user_id = :user_id) ORDER BY h.user_id"
)
_FURTHER = (
    "coalesce(sum(max(r.member_count - 1, (SELECT count(*) FROM cursors c WHERE c.instance_id = r.instance_id"
    " AND c.room_key = r.key) - 1, 0) / :at_once), 0)"
)
"""How many records rooms need beside their own."""
_FURTHER_HIDDEN = (
    "SELECT coalesce(sum((h.users - 1) / :at_once), 0) FROM (SELECT message_id, count(*) AS users"
    " FROM hidden INDEXED BY hidden_by_message WHERE instance_id = :instance_id GROUP BY message_id"
    f" HAVING users > :at_once) h WHERE EXISTS (SELECT 1 {_MESSAGES} AND x.id = h.message_id)"
)
"""How many records messages need beside their own."""


def total(connection: sqlite3.Connection, scope: Scope) -> int:
    """How many records there are."""
    counts = [f"SELECT count(*) {kind}" for kind in (_ROLES, _ROOMS, _ASSIGNMENTS, _MESSAGES)]
    if not scope.user_id:
        counts += [f"SELECT {_FURTHER} {_ROOMS}", _FURTHER_HIDDEN]
    values = {**scope.values, "at_once": archive.ITEMS_AT_ONCE}
    return sum(int(connection.execute(count, values).fetchone()[0]) for count in counts)


def records(connection: sqlite3.Connection, scope: Scope) -> Generator[ArchiveRecord]:
    """The records, in the order in which they are to be imported."""
    yield from _roles(connection, scope)
    yield from _rooms(connection, scope)
    yield from _assignments(connection, scope)
    yield from _messages(connection, scope)


def _roles(connection: sqlite3.Connection, scope: Scope) -> Generator[ArchiveRecord]:
    query = f"SELECT o.scope, o.name {_ROLES} ORDER BY o.created_at, o.scope, o.name"
    with closing(connection.execute(query, scope.values)) as rows:
        for role_scope, name in rows:
            yield ArchiveRecord(role=find_role(connection, scope.instance_id, role_scope, name))


def _rooms(connection: sqlite3.Connection, scope: Scope) -> Generator[ArchiveRecord]:
    with closing(connection.execute(f"SELECT {sqlite_rooms.COLUMNS} {_ROOMS} ORDER BY r.key", scope.values)) as rows:
        for row in rows:
            room = RoomRow(*row)._replace(last_message_at=None)
            members, cursors = _members(connection, scope, room), _cursors(connection, scope, room)
            portions = zip_longest(archive.portions(members), archive.portions(cursors))
            first_members, first_cursors = next(portions)
            yield ArchiveRecord(room=RoomRecord(room=to_room(room), members=first_members, cursors=first_cursors))
            for more_members, more_cursors in portions:
                further = RoomMembersRecord(
                    room_id=room.id, room_uid=room.uid, members=more_members, cursors=more_cursors
                )
                yield ArchiveRecord(room_members=further)


def _members(connection: sqlite3.Connection, scope: Scope, room: RoomRow) -> list[MemberRecord]:
    return [
        MemberRecord(
            user_id=user_id,
            joined_at=timestamps.to_proto(joined_at),
            archived_until=archived,
            hidden_before=hidden_before,
        )
        for user_id, joined_at, archived, hidden_before in connection.execute(
            _MEMBERS, {**scope.values, "room_key": room.key}
        )
    ]


def _cursors(connection: sqlite3.Connection, scope: Scope, room: RoomRow) -> list[Cursor]:
    return [
        to_cursor(user_id, "", position, updated_at)
        for user_id, position, updated_at in connection.execute(_CURSORS, {**scope.values, "room_key": room.key})
    ]


def _assignments(connection: sqlite3.Connection, scope: Scope) -> Generator[ArchiveRecord]:
    query = (
        "SELECT a.user_id, a.role_name, a.room_id,"
        " (SELECT r.uid FROM rooms r WHERE r.instance_id = a.instance_id AND r.id = a.room_id)"
        f" {_ASSIGNMENTS} ORDER BY a.user_id, a.room_id"
    )
    with closing(connection.execute(query, scope.values)) as rows:
        for user_id, role_name, room_id, room_uid in rows:
            assignment = AssignmentRecord(
                user_id=user_id, role_name=role_name, room_id=room_id or None, room_uid=room_uid
            )
            yield ArchiveRecord(assignment=assignment)


def _messages(connection: sqlite3.Connection, scope: Scope) -> Generator[ArchiveRecord]:
    query = f"SELECT {sqlite_message_rows.COLUMNS}, {sqlite_rooms.COLUMNS} {_MESSAGES} ORDER BY x.id"
    columns = len(MessageRow._fields)
    with closing(connection.execute(query, scope.values)) as rows:
        for row in rows:
            message = to_message(MessageRow(*row[:columns]), RoomRow(*row[columns:]))
            with closing(connection.execute(_HIDDEN_BY, {**scope.values, "message_id": message.id})) as hidden:
                portions = archive.portions(user_id for (user_id,) in hidden)
                yield ArchiveRecord(message=MessageRecord(message=message, hidden_by=next(portions)))
                for more in portions:
                    yield ArchiveRecord(message_hidden=MessageHiddenRecord(message_uid=message.uid, hidden_by=more))
