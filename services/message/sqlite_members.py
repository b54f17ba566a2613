"""Members of rooms on SQLite: joining and leaving, and the rooms that a user has or could join."""

import sqlite3
from typing import TypeVar

from google.protobuf.message import Message as ProtoMessage
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import Event, MembersAdded, MembersRemoved
from roomline.v1.room_pb2 import Room, RoomKind
from roomline.v1.room_service_pb2 import (
    AddMembersRequest,
    AddMembersResponse,
    JoinRoomRequest,
    JoinRoomResponse,
    LeaveRoomRequest,
    LeaveRoomResponse,
    ListUserRoomsResponse,
    RemoveMembersRequest,
    RemoveMembersResponse,
)

from services.common import limits
from services.common.call import Caller
from services.common.errors import RoomlineError
from services.common.idempotency import remembered, request_key
from services.common.ids import Clock
from services.common.sqlite import Database, Work
from services.message import sqlite_log, sqlite_member_sets, sqlite_purges, sqlite_rooms, sqlite_user_rooms
from services.message.sqlite_membership import add_members, is_member, member_ids, members_by_room
from services.message.sqlite_rooms import COLUMNS, RoomRow, find, find_visible, to_room
from services.message.sqlite_user_rooms import ORDER

M = TypeVar("M", bound=ProtoMessage)

_JOINABLE = (
    f"SELECT {COLUMNS} FROM rooms r WHERE r.instance_id = :instance_id AND r.private = 0 AND NOT EXISTS ("
    " SELECT 1 FROM members m WHERE m.instance_id = r.instance_id AND m.room_key = r.key AND m.user_id = :user_id)"
    f" ORDER BY {ORDER}"
)


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
            row = find_visible(connection, caller, request.room_id)
            remove_members(connection, caller.instance_id, row, [request.user_id], self._clock())
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
            user_ids = list(dict.fromkeys(request.user_ids))
            remove_members(connection, caller.instance_id, row, user_ids, self._clock())
            return RemoveMembersResponse()

        return await self._write(caller, request, RemoveMembersResponse, work)

    async def is_member(self, instance_id: str, room_id: str, user_id: str) -> bool:
        """See `MemberStore`."""

        def work(connection: sqlite3.Connection) -> bool:
            return is_member(connection, instance_id, find(connection, instance_id, room_id).key, user_id)

        return await self._database.read(work)

    async def user_rooms(self, instance_id: str, user_id: str, *, with_last_messages: bool) -> ListUserRoomsResponse:
        """See `MemberStore`."""

        def work(connection: sqlite3.Connection) -> ListUserRoomsResponse:
            now = self._clock()
            rooms = sqlite_user_rooms.user_rooms(
                connection, instance_id, user_id, now, with_last_messages=with_last_messages
            )
            return ListUserRoomsResponse(rooms=rooms, position=sqlite_log.position(connection, instance_id))

        return await self._database.read(work)

    async def joinable(self, instance_id: str, user_id: str) -> list[Room]:
        """See `MemberStore`."""

        def work(connection: sqlite3.Connection) -> list[Room]:
            values = {"instance_id": instance_id, "user_id": user_id}
            rows = [RoomRow(*row) for row in connection.execute(_JOINABLE, values)]
            members = members_by_room(connection, instance_id, [row.key for row in rows])
            return [to_room(row, members.get(row.key, ())) for row in rows]

        return await self._database.read(work)

    async def _write(self, caller: Caller, request: ProtoMessage, response_class: type[M], work: Work[M]) -> M:
        return await self._database.write(remembered(request_key(caller, request), response_class, self._clock, work))

    def _add(
        self, connection: sqlite3.Connection, caller: Caller, row: RoomRow, user_ids: list[str], asked_at: int
    ) -> None:
        """Adds those who are no members yet, and writes the event if there are any (spec §4.6)."""
        sqlite_purges.refuse_purged(connection, caller.instance_id, user_ids, asked_at)
        members = set(member_ids(connection, caller.instance_id, row.key))
        new = [user_id for user_id in user_ids if user_id not in members]
        if not new:
            return
        _require_changeable(row)
        limits.check_members(caller, len(members) + len(new))
        now = self._clock()
        position = sqlite_log.draw(connection, caller.instance_id).position
        add_members(connection, caller.instance_id, row.key, new, position, now)
        sqlite_member_sets.refresh(connection, caller.instance_id, row.kind, row.key)
        added = MembersAdded(room_id=row.id, room_uid=row.uid, user_ids=new)
        sqlite_log.append(connection, caller.instance_id, position, Event(members_added=added), now)


def remove_members(
    connection: sqlite3.Connection, instance_id: str, row: RoomRow, user_ids: list[str], now: int
) -> None:
    """Removes those who are members, and writes the event if there are any. The last one may go (spec §4.6).

    Raises ROOM_MEMBERS_FIXED.
    """
    members = set(member_ids(connection, instance_id, row.key))
    gone = [user_id for user_id in user_ids if user_id in members]
    if not gone:
        return
    _require_changeable(row)
    position = sqlite_log.draw(connection, instance_id).position
    connection.executemany(
        "INSERT INTO past_members SELECT instance_id, user_id, room_key, joined_position, ? FROM members"
        " WHERE instance_id = ? AND room_key = ? AND user_id = ?",
        [(position, instance_id, row.key, user_id) for user_id in gone],
    )
    connection.executemany(
        "DELETE FROM members WHERE instance_id = ? AND room_key = ? AND user_id = ?",
        [(instance_id, row.key, user_id) for user_id in gone],
    )
    connection.execute(
        "UPDATE rooms SET member_count = member_count - ? WHERE instance_id = ? AND key = ?",
        (len(gone), instance_id, row.key),
    )
    sqlite_member_sets.refresh(connection, instance_id, row.kind, row.key)
    removed = MembersRemoved(room_id=row.id, room_uid=row.uid, user_ids=gone)
    sqlite_log.append(connection, instance_id, position, Event(members_removed=removed), now)


def _require_changeable(row: RoomRow) -> None:
    if row.kind == RoomKind.ROOM_KIND_DIRECT:
        raise RoomlineError(ErrorReason.ERROR_REASON_ROOM_MEMBERS_FIXED)
