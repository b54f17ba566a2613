"""Members of rooms on SQLite: joining and leaving, and the rooms that a user has or could join."""

import sqlite3
from typing import NamedTuple, TypeVar

from google.protobuf.message import Message as ProtoMessage
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import Event, MembersAdded, MembersRemoved
from roomline.v1.room_pb2 import Room, UserRoom
from roomline.v1.room_service_pb2 import (
    AddMembersRequest,
    AddMembersResponse,
    JoinRoomRequest,
    JoinRoomResponse,
    LeaveRoomRequest,
    LeaveRoomResponse,
    RemoveMembersRequest,
    RemoveMembersResponse,
)

from services.common import limits, timestamps
from services.common.call import Caller
from services.common.errors import RoomlineError
from services.common.idempotency import remembered, request_key
from services.common.ids import MICROSECONDS, Clock
from services.common.sqlite import Database, Work
from services.message import sqlite_cursors, sqlite_log, sqlite_messages, sqlite_purges, sqlite_rooms
from services.message.sqlite_rooms import COLUMNS, RoomRow, add_members, find, find_visible, is_member, to_room

M = TypeVar("M", bound=ProtoMessage)

_UNREAD = (
    "CASE WHEN c.position IS NULL THEN r.message_count ELSE (SELECT count(*) FROM messages x"
    " WHERE x.instance_id = r.instance_id AND x.room_key = r.key AND x.id > c.position AND x.unsent_at IS NULL) END"
)
"""Live messages after the user's cursor; without a cursor all of them (spec §4.9)."""

_ORDER = f"r.created_at / {MICROSECONDS}, r.id"
"""By creation time as clients see it, in whole seconds, then by id (spec §3.5)."""

_USER_ROOMS = (
    f"SELECT {_UNREAD}, c.position, c.updated_at, m.joined_at, m.archived, {COLUMNS} FROM members m"
    " JOIN rooms r ON r.instance_id = m.instance_id AND r.key = m.room_key"
    " LEFT JOIN cursors c ON c.instance_id = m.instance_id AND c.room_key = m.room_key AND c.user_id = m.user_id"
    f" WHERE m.instance_id = ? AND m.user_id = ? ORDER BY {_ORDER}"
)

_JOINABLE = (
    f"SELECT {COLUMNS} FROM rooms r WHERE r.instance_id = :instance_id AND r.private = 0 AND NOT EXISTS ("
    " SELECT 1 FROM members m WHERE m.instance_id = r.instance_id AND m.room_key = r.key AND m.user_id = :user_id)"
    f" ORDER BY {_ORDER}"
)


class _Membership(NamedTuple):
    unread_count: int
    position: int | None
    cursor_updated_at: int | None
    joined_at: int
    archived: int


class SqliteMembers:
    """Keeps the promises of `MemberStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def join(self, caller: Caller, request: JoinRoomRequest, asked_at: int) -> JoinRoomResponse:
        """See `MemberStore`."""

        def work(connection: sqlite3.Connection) -> JoinRoomResponse:
            row = find(connection, caller.instance_id, request.room_id)
            if not is_member(connection, caller.instance_id, row.key, request.user_id):
                if row.private and caller.is_user:
                    raise RoomlineError(ErrorReason.ERROR_REASON_ROOM_PRIVATE)
                self._add(connection, caller, row, [request.user_id], asked_at)
            return JoinRoomResponse(room=sqlite_rooms.with_members(connection, caller.instance_id, row))

        return await self._write(caller, request, JoinRoomResponse, work)

    async def leave(self, caller: Caller, request: LeaveRoomRequest) -> LeaveRoomResponse:
        """See `MemberStore`."""

        def work(connection: sqlite3.Connection) -> LeaveRoomResponse:
            self._remove(connection, caller, find_visible(connection, caller, request.room_id), [request.user_id])
            return LeaveRoomResponse()

        return await self._write(caller, request, LeaveRoomResponse, work)

    async def add(self, caller: Caller, request: AddMembersRequest, asked_at: int) -> AddMembersResponse:
        """See `MemberStore`."""

        def work(connection: sqlite3.Connection) -> AddMembersResponse:
            row = find_visible(connection, caller, request.room_id)
            self._add(connection, caller, row, list(dict.fromkeys(request.user_ids)), asked_at)
            return AddMembersResponse()

        return await self._write(caller, request, AddMembersResponse, work)

    async def remove(self, caller: Caller, request: RemoveMembersRequest) -> RemoveMembersResponse:
        """See `MemberStore`."""

        def work(connection: sqlite3.Connection) -> RemoveMembersResponse:
            row = find_visible(connection, caller, request.room_id)
            self._remove(connection, caller, row, list(dict.fromkeys(request.user_ids)))
            return RemoveMembersResponse()

        return await self._write(caller, request, RemoveMembersResponse, work)

    async def is_member(self, instance_id: str, room_id: str, user_id: str) -> bool:
        """See `MemberStore`."""

        def work(connection: sqlite3.Connection) -> bool:
            return is_member(connection, instance_id, find(connection, instance_id, room_id).key, user_id)

        return await self._database.read(work)

    async def user_rooms(self, instance_id: str, user_id: str, *, with_last_messages: bool) -> list[UserRoom]:
        """See `MemberStore`."""

        def work(connection: sqlite3.Connection) -> list[UserRoom]:
            rows = connection.execute(_USER_ROOMS, (instance_id, user_id)).fetchall()
            members = _members_by_room(connection, instance_id, [RoomRow(*row[5:]).key for row in rows])
            rooms = [_to_user_room(_Membership(*row[:5]), RoomRow(*row[5:]), user_id, members) for row in rows]
            if with_last_messages:
                for row, room in zip(rows, rooms, strict=True):
                    last = sqlite_messages.newest(connection, instance_id, RoomRow(*row[5:]))
                    if last is not None:
                        room.last_message.CopyFrom(last)
            return rooms

        return await self._database.read(work)

    async def joinable(self, instance_id: str, user_id: str) -> list[Room]:
        """See `MemberStore`."""

        def work(connection: sqlite3.Connection) -> list[Room]:
            values = {"instance_id": instance_id, "user_id": user_id}
            rows = [RoomRow(*row) for row in connection.execute(_JOINABLE, values)]
            members = _members_by_room(connection, instance_id, [row.key for row in rows])
            return [to_room(row, members.get(row.key, ())) for row in rows]

        return await self._database.read(work)

    async def _write(self, caller: Caller, request: ProtoMessage, response_class: type[M], work: Work[M]) -> M:
        return await self._database.write(remembered(request_key(caller, request), response_class, self._clock, work))

    def _add(
        self, connection: sqlite3.Connection, caller: Caller, row: RoomRow, user_ids: list[str], asked_at: int
    ) -> None:
        """Adds those who are no members yet, and writes the event if there are any (spec §4.6)."""
        sqlite_purges.refuse_purged(connection, caller.instance_id, user_ids, asked_at)
        members = set(sqlite_rooms.member_ids(connection, caller.instance_id, row.key))
        new = [user_id for user_id in user_ids if user_id not in members]
        if not new:
            return
        limits.check_members(caller, len(members) + len(new))
        now = self._clock()
        position = sqlite_log.draw(connection, caller.instance_id).position
        add_members(connection, caller.instance_id, row.key, new, position, now)
        event = Event(members_added=MembersAdded(room_id=row.id, user_ids=new))
        sqlite_log.append(connection, caller.instance_id, position, event, now)

    def _remove(self, connection: sqlite3.Connection, caller: Caller, row: RoomRow, user_ids: list[str]) -> None:
        """Removes those who are members, and writes the event if there are any. The last one may go (spec §4.6)."""
        members = set(sqlite_rooms.member_ids(connection, caller.instance_id, row.key))
        gone = [user_id for user_id in user_ids if user_id in members]
        if not gone:
            return
        connection.executemany(
            "DELETE FROM members WHERE instance_id = ? AND room_key = ? AND user_id = ?",
            [(caller.instance_id, row.key, user_id) for user_id in gone],
        )
        connection.execute(
            "UPDATE rooms SET member_count = member_count - ? WHERE instance_id = ? AND key = ?",
            (len(gone), caller.instance_id, row.key),
        )
        position = sqlite_log.draw(connection, caller.instance_id).position
        event = Event(members_removed=MembersRemoved(room_id=row.id, user_ids=gone))
        sqlite_log.append(connection, caller.instance_id, position, event, self._clock())


def _members_by_room(connection: sqlite3.Connection, instance_id: str, keys: list[int]) -> dict[int, list[str]]:
    members: dict[int, list[str]] = {}
    marks = ", ".join("?" * len(keys))
    rows = connection.execute(
        f"SELECT room_key, user_id FROM members WHERE instance_id = ? AND room_key IN ({marks})"
        " ORDER BY room_key, joined_position, ordinal",
        (instance_id, *keys),
    )
    for key, user_id in rows:
        members.setdefault(key, []).append(user_id)
    return members


def _to_user_room(membership: _Membership, row: RoomRow, user_id: str, members: dict[int, list[str]]) -> UserRoom:
    room = UserRoom(
        room=to_room(row, members.get(row.key, ())),
        unread_count=membership.unread_count,
        joined_at=timestamps.to_proto(membership.joined_at),
        archived=bool(membership.archived),
    )
    if membership.position is not None and membership.cursor_updated_at is not None:
        cursor = sqlite_cursors.to_cursor(user_id, row.id, membership.position, membership.cursor_updated_at)
        room.cursor.CopyFrom(cursor)
    return room
