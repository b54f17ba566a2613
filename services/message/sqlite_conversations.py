"""Conversations on SQLite: rooms that are found by who is in them, and what they are to one member."""

import sqlite3
from collections.abc import Callable

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import Event, RoomDiscarded
from roomline.v1.message_pb2 import Message
from roomline.v1.room_pb2 import RoomKind, UserRoom
from roomline.v1.room_service_pb2 import (
    ArchiveRoomRequest,
    ArchiveRoomResponse,
    DiscardRoomRequest,
    DiscardRoomResponse,
    GetUserRoomResponse,
    OpenRoomRequest,
    OpenRoomResponse,
)

from services.common.call import Caller
from services.common.errors import RoomlineError
from services.common.idempotency import Effect, remembered, request_key
from services.common.ids import Clock
from services.common.sqlite import Database
from services.message import sqlite_log, sqlite_member_sets, sqlite_members, sqlite_message_rows, sqlite_purges
from services.message.sqlite_membership import is_member, require_member
from services.message.sqlite_rooms import RoomRow, create_room, delete_room, find, find_visible
from services.message.sqlite_user_rooms import user_rooms
from services.message.store import Owner

NAMES: dict[int, str] = {
    RoomKind.ROOM_KIND_DIRECT: "direct",
    RoomKind.ROOM_KIND_GROUP: "group",
    RoomKind.ROOM_KIND_CHANNEL: "channel",
}
"""What an opened room is called until somebody renames it: clients of the Chatkit dialect expect a name."""


class SqliteConversations:
    """Keeps the promises of `ConversationStore`."""

    def __init__(self, database: Database, clock: Clock, new_id: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    async def open(
        self, caller: Caller, actor: str, request: OpenRoomRequest, members: list[str], asked_at: int
    ) -> OpenRoomResponse:
        """See `ConversationStore`."""
        instance_id = caller.instance_id

        def work(connection: sqlite3.Connection) -> OpenRoomResponse:
            sqlite_purges.refuse_purged(connection, instance_id, members, asked_at)
            key = sqlite_member_sets.find(connection, instance_id, members)
            created = key is None
            if key is None:
                key = self._create(connection, instance_id, members)
            room = self._user_room(connection, instance_id, actor, key)
            if room.HasField("last_message"):  # answers are remembered without content, which has one home
                last = room.last_message
                room.last_message.CopyFrom(Message(id=last.id, uid=last.uid))
            return OpenRoomResponse(room=room, created=created)

        response = await self._database.write(
            remembered(request_key(caller, request), OpenRoomResponse, self._clock, work)
        )
        if response.room.HasField("last_message"):
            await self._fill_last(instance_id, actor, response.room)
        return response

    async def match(self, instance_id: str, actor: str, members: list[str]) -> UserRoom | None:
        """See `ConversationStore`."""

        def work(connection: sqlite3.Connection) -> UserRoom | None:
            key = sqlite_member_sets.find(connection, instance_id, members)
            return None if key is None else self._user_room(connection, instance_id, actor, key)

        return await self._database.read(work)

    async def user_room(self, instance_id: str, user_id: str, room_id: str) -> GetUserRoomResponse:
        """See `ConversationStore`."""

        def work(connection: sqlite3.Connection) -> GetUserRoomResponse:
            row = find(connection, instance_id, room_id)
            if not is_member(connection, instance_id, row.key, user_id):
                raise RoomlineError(ErrorReason.ERROR_REASON_ROOM_NOT_FOUND)
            room = self._user_room(connection, instance_id, user_id, row.key)
            return GetUserRoomResponse(room=room, position=sqlite_log.position(connection, instance_id))

        return await self._database.read(work)

    async def archive(self, caller: Caller, actor: str, request: ArchiveRoomRequest) -> ArchiveRoomResponse:
        """See `ConversationStore`."""

        def work(connection: sqlite3.Connection) -> ArchiveRoomResponse:
            row = _find_own(connection, caller, actor, request.room_id)
            newest = _newest(connection, caller.instance_id, row.key) if request.archived else 0
            connection.execute(
                "UPDATE members SET archived = ? WHERE instance_id = ? AND room_key = ? AND user_id = ?",
                (newest, caller.instance_id, row.key, actor),
            )
            return ArchiveRoomResponse()

        return await self._database.write(
            remembered(request_key(caller, request), ArchiveRoomResponse, self._clock, work)
        )

    async def discard(self, caller: Caller, actor: str, request: DiscardRoomRequest) -> Owner | None:
        """See `ConversationStore`."""
        instance_id, effect = caller.instance_id, Effect(caller, request)
        deleted: Owner | None = None

        def work(connection: sqlite3.Connection) -> DiscardRoomResponse:
            nonlocal deleted
            deleted = None
            try:
                row = _find_own(connection, caller, actor, request.room_id)
            except RoomlineError:
                if effect.is_done(connection):
                    return DiscardRoomResponse()
                raise
            if row.kind == RoomKind.ROOM_KIND_DIRECT:
                newest = _newest(connection, instance_id, row.key)
                connection.execute(
                    "UPDATE members SET hidden_before = ?, archived = ?"
                    " WHERE instance_id = ? AND room_key = ? AND user_id = ?",
                    (newest, newest, instance_id, row.key, actor),
                )
                position = sqlite_log.draw(connection, instance_id).position
                hidden = RoomDiscarded(room_id=row.id, room_uid=row.uid, user_id=actor, message_id=newest)
                sqlite_log.append(connection, instance_id, position, Event(room_discarded=hidden), self._clock())
            elif row.created_by_id == actor:
                deleted = delete_room(connection, instance_id, row, self._clock())
            else:
                sqlite_members.remove_members(connection, instance_id, row, [actor], self._clock())
            effect.note(connection, self._clock())
            return DiscardRoomResponse()

        await self._database.write(remembered(request_key(caller, request), DiscardRoomResponse, self._clock, work))
        return deleted

    def _create(self, connection: sqlite3.Connection, instance_id: str, members: list[str]) -> int:
        """Makes a room with these members, the first of whom is its creator; returns its key."""
        uid, now, kind = self._new_id(), self._clock(), sqlite_member_sets.kind_of(members)
        numbers = sqlite_log.draw(connection, instance_id, rooms=1)
        row = RoomRow(
            key=numbers.room_key,
            id=uid,
            uid=uid,
            name=NAMES[kind],
            created_by_id=members[0],
            private=int(kind != RoomKind.ROOM_KIND_CHANNEL),
            custom_data=None,
            push_notification_title_override=None,
            created_at=now,
            updated_at=now,
            last_message_at=None,
            kind=kind,
        )
        create_room(connection, instance_id, row, members, numbers.position)
        sqlite_member_sets.refresh(connection, instance_id, kind, row.key)
        return row.key

    def _user_room(self, connection: sqlite3.Connection, instance_id: str, user_id: str, key: int) -> UserRoom:
        (room,) = user_rooms(connection, instance_id, user_id, self._clock(), with_last_messages=True, room_key=key)
        return room

    async def _fill_last(self, instance_id: str, user_id: str, room: UserRoom) -> None:
        """Puts in the last message as it is now, or none if the user does not see it any more."""

        def work(connection: sqlite3.Connection) -> None:
            try:
                row = find(connection, instance_id, room.room.id)
                require_member(connection, instance_id, row.key, user_id)
                last = sqlite_message_rows.find(
                    connection, instance_id, row, self._clock(), uid=room.last_message.uid, viewer=user_id
                )
            except RoomlineError:
                room.ClearField("last_message")
            else:
                room.last_message.CopyFrom(sqlite_message_rows.to_message(last, row))

        await self._database.read(work)


def _find_own(connection: sqlite3.Connection, caller: Caller, actor: str, room_id: str) -> RoomRow:
    """The row of a room that the actor is a member of. Raises ROOM_NOT_FOUND, NOT_A_MEMBER."""
    row = find_visible(connection, caller, room_id)
    require_member(connection, caller.instance_id, row.key, actor)
    return row


def _newest(connection: sqlite3.Connection, instance_id: str, room_key: int) -> int:
    """The id of the newest message or tombstone of the room; 1, which no message has, if there is none."""
    row = connection.execute(
        "SELECT id FROM messages WHERE instance_id = ? AND room_key = ? ORDER BY id DESC LIMIT 1",
        (instance_id, room_key),
    ).fetchone()
    return 1 if row is None else row[0]
