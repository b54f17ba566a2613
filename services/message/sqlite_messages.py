"""Messages on SQLite."""

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import Event, MessageDeleted, MessageEdited, MessageSent
from roomline.v1.message_pb2 import Message
from roomline.v1.message_service_pb2 import (
    DeleteMessageRequest,
    DeleteMessageResponse,
    EditMessageRequest,
    EditMessageResponse,
    ListMessagesRequest,
    MessageOrder,
    SendMessageRequest,
    SendMessageResponse,
)

from services.common import timestamps
from services.common.call import Caller
from services.common.errors import RoomlineError
from services.common.idempotency import remembered, request_key
from services.common.ids import Clock
from services.common.rules import invalid
from services.common.sqlite import Database
from services.message import sqlite_access, sqlite_log
from services.message.sqlite_rooms import COLUMNS, RoomRow, find, find_as_member, find_readable, require_member

_COLUMNS = "x.id, x.uid, x.user_id, x.content, x.created_at, x.updated_at, x.edited_at, x.unsent_at, x.expires_at"


class MessageRow(NamedTuple):
    """The columns that `_COLUMNS` names."""

    id: int
    uid: str
    user_id: str
    content: bytes
    """A serialized `Message` with what the sender said and nothing else; empty after an unsend."""
    created_at: int
    updated_at: int
    edited_at: int | None
    unsent_at: int | None
    expires_at: int | None


def to_message(row: MessageRow, room: RoomRow) -> Message:
    """The message of a row."""
    message = Message.FromString(row.content)
    message.id = row.id
    message.uid = row.uid
    message.user_id = row.user_id
    message.room_id = room.id
    message.room_uid = room.uid
    message.created_at.CopyFrom(timestamps.to_proto(row.created_at))
    message.updated_at.CopyFrom(timestamps.to_proto(row.updated_at))
    if row.edited_at is not None:
        message.edited_at.CopyFrom(timestamps.to_proto(row.edited_at))
    if row.unsent_at is not None:
        message.unsent_at.CopyFrom(timestamps.to_proto(row.unsent_at))
    if row.expires_at is not None:
        message.expires_at.CopyFrom(timestamps.to_proto(row.expires_at))
    return message


def newest(connection: sqlite3.Connection, instance_id: str, room: RoomRow) -> Message | None:
    """The newest live message of a room."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM messages x WHERE x.instance_id = ? AND x.room_key = ? AND x.unsent_at IS NULL"
        " ORDER BY x.id DESC LIMIT 1",
        (instance_id, room.key),
    ).fetchone()
    return None if row is None else to_message(MessageRow(*row), room)


class SqliteMessages:
    """Keeps the promises of `MessageStore`."""

    def __init__(self, database: Database, clock: Clock, new_id: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    async def append(self, caller: Caller, sender: str, request: SendMessageRequest) -> Message:
        """See `MessageStore`."""
        instance_id = caller.instance_id
        content = Message(parts=request.parts)
        if request.HasField("custom_data"):
            content.custom_data.CopyFrom(request.custom_data)
        if request.HasField("reply_to"):
            content.reply_to = request.reply_to
        serialized = content.SerializeToString()

        def work(connection: sqlite3.Connection) -> SendMessageResponse:
            sqlite_access.require(connection, caller, "message:create", request.room_id)
            room = find_as_member(connection, instance_id, request.room_id, sender)
            if request.HasField("reply_to"):
                _require_in_room(connection, instance_id, room, request.reply_to)
            now = max(self._clock(), room.last_message_at or 0)  # never backwards inside a room
            numbers = sqlite_log.draw(connection, instance_id, messages=1)
            row = MessageRow(numbers.message_id, self._new_id(), sender, b"", now, now, None, None, None)
            connection.execute(
                "INSERT INTO messages (instance_id, room_key, id, uid, user_id, content, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (instance_id, room.key, row.id, row.uid, sender, serialized, now, now),
            )
            connection.execute(
                "UPDATE rooms SET last_message_at = ?, message_count = message_count + 1"
                " WHERE instance_id = ? AND id = ?",
                (now, instance_id, room.id),
            )
            event = Event(message_sent=MessageSent(message=_ids(row, room)))
            sqlite_log.append(connection, instance_id, numbers.position, event, now)
            return SendMessageResponse(message=to_message(row, room))

        # Answers are remembered without content, which has one home. A repeated request has the same content.
        once = remembered(request_key(caller, request), SendMessageResponse, self._clock, work)
        message = (await self._database.write(once)).message
        message.MergeFrom(content)
        return message

    async def get(self, caller: Caller, room_id: str, message_id: int) -> Message:
        """See `MessageStore`."""

        def work(connection: sqlite3.Connection) -> Message:
            try:
                room = find_readable(connection, caller, room_id)
            except RoomlineError as error:
                if error.reason == ErrorReason.ERROR_REASON_ROOM_NOT_FOUND:
                    raise RoomlineError(ErrorReason.ERROR_REASON_MESSAGE_NOT_FOUND) from error
                raise
            return to_message(_find(connection, caller.instance_id, room, message_id), room)

        return await self._database.read(work)

    async def page(self, caller: Caller, request: ListMessagesRequest, size: int) -> list[Message]:
        """See `MessageStore`."""
        conditions, values = _bounds(request)
        direction = "ASC" if request.order == MessageOrder.MESSAGE_ORDER_OLDEST_FIRST else "DESC"
        query = (
            f"SELECT {_COLUMNS} FROM messages x WHERE x.instance_id = ? AND x.room_key = ? AND x.unsent_at IS NULL"
            f"{conditions} ORDER BY x.id {direction} LIMIT ?"
        )

        def work(connection: sqlite3.Connection) -> list[Message]:
            room = find_readable(connection, caller, request.room_id)
            rows = connection.execute(query, (caller.instance_id, room.key, *values, size))
            return [to_message(MessageRow(*row), room) for row in rows]

        return await self._database.read(work)

    async def edit(self, caller: Caller, request: EditMessageRequest) -> Message:
        """See `MessageStore`."""
        instance_id = caller.instance_id

        def work(connection: sqlite3.Connection) -> EditMessageResponse:
            room = find(connection, instance_id, request.room_id)
            row = _find_own(connection, caller, room, request.id, "message:edit")
            now = max(self._clock(), row.updated_at)
            content = Message.FromString(row.content)
            del content.parts[:]
            content.parts.extend(request.parts)
            connection.execute(
                "UPDATE messages SET content = ?, updated_at = ?, edited_at = ?"
                " WHERE instance_id = ? AND room_key = ? AND id = ?",
                (content.SerializeToString(), now, now, instance_id, room.key, row.id),
            )
            position = sqlite_log.draw(connection, instance_id).position
            event = Event(message_edited=MessageEdited(message=_ids(row, room)))
            sqlite_log.append(connection, instance_id, position, event, now)
            edited = row._replace(content=b"", updated_at=now, edited_at=now)
            return EditMessageResponse(message=to_message(edited, room))

        once = remembered(request_key(caller, request), EditMessageResponse, self._clock, work)
        message = (await self._database.write(once)).message
        message.parts.extend(request.parts)
        return message

    async def delete(self, caller: Caller, request: DeleteMessageRequest) -> DeleteMessageResponse:
        """See `MessageStore`."""
        instance_id = caller.instance_id

        def work(connection: sqlite3.Connection) -> DeleteMessageResponse:
            room = (
                find(connection, instance_id, request.room_id)
                if request.room_id
                else _room_of(connection, instance_id, request.id)
            )
            row = _find_own(connection, caller, room, request.id, "message:delete")
            now = self._clock()
            key = (instance_id, room.key, row.id)
            connection.execute(
                "UPDATE messages SET content = x'', updated_at = ?, unsent_at = ?"
                " WHERE instance_id = ? AND room_key = ? AND id = ?",
                (now, now, *key),
            )
            connection.execute(
                "UPDATE rooms SET message_count = message_count - 1, last_message_at ="
                " (SELECT created_at FROM messages x WHERE x.instance_id = rooms.instance_id AND"
                " x.room_key = rooms.key AND x.unsent_at IS NULL ORDER BY x.id DESC LIMIT 1)"
                " WHERE instance_id = ? AND id = ?",
                (instance_id, room.id),
            )
            position = sqlite_log.draw(connection, instance_id).position
            deleted = MessageDeleted(
                room_id=room.id, room_uid=room.uid, message_id=row.id, message_uid=row.uid, user_id=row.user_id
            )
            sqlite_log.append(connection, instance_id, position, Event(message_deleted=deleted), now)
            return DeleteMessageResponse()

        return await self._database.write(
            remembered(request_key(caller, request), DeleteMessageResponse, self._clock, work)
        )


def _ids(row: MessageRow, room: RoomRow) -> Message:
    """What the log says of a message."""
    return Message(id=row.id, uid=row.uid, room_id=room.id, room_uid=room.uid, user_id=row.user_id)


def _find(connection: sqlite3.Connection, instance_id: str, room: RoomRow, message_id: int) -> MessageRow:
    """The live message in this room. Raises MESSAGE_NOT_FOUND."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM messages x WHERE x.instance_id = ? AND x.room_key = ? AND x.id = ?"
        " AND x.unsent_at IS NULL",
        (instance_id, room.key, message_id),
    ).fetchone()
    if row is None:
        raise RoomlineError(ErrorReason.ERROR_REASON_MESSAGE_NOT_FOUND)
    return MessageRow(*row)


def _find_own(
    connection: sqlite3.Connection, caller: Caller, room: RoomRow, message_id: int, permission: str
) -> MessageRow:
    """As `_find`; a user may change its own messages only, and only while it is a member (spec §5.2)."""
    if caller.is_user:
        require_member(connection, caller.instance_id, room.key, caller.user_id)
    row = _find(connection, caller.instance_id, room, message_id)
    if caller.is_user and row.user_id != caller.user_id:
        raise RoomlineError(ErrorReason.ERROR_REASON_PERMISSION_MISSING, permission=permission)
    return row


def _require_in_room(connection: sqlite3.Connection, instance_id: str, room: RoomRow, uid: str) -> None:
    """Raises FIELD_INVALID unless the uid names a live message of the room, which is what can be answered."""
    found = connection.execute(
        "SELECT 1 FROM messages WHERE instance_id = ? AND uid = ? AND room_key = ? AND unsent_at IS NULL",
        (instance_id, uid, room.key),
    ).fetchone()
    if found is None:
        raise invalid("reply_to", "the uid of a message of the same room")


def _room_of(connection: sqlite3.Connection, instance_id: str, message_id: int) -> RoomRow:
    """The room that a message is in. Raises MESSAGE_NOT_FOUND."""
    row = connection.execute(
        f"SELECT {COLUMNS} FROM messages x JOIN rooms r ON r.instance_id = x.instance_id AND r.key = x.room_key"
        " WHERE x.instance_id = ? AND x.id = ?",
        (instance_id, message_id),
    ).fetchone()
    if row is None:
        raise RoomlineError(ErrorReason.ERROR_REASON_MESSAGE_NOT_FOUND)
    return RoomRow(*row)


def _bounds(request: ListMessagesRequest) -> tuple[str, list[int]]:
    """The conditions of a list request, as SQL and its values."""
    conditions, values = "", []
    if request.HasField("before_id"):
        conditions += " AND x.id < ?"
        values.append(request.before_id)
    if request.HasField("after_id"):
        conditions += " AND x.id > ?"
        values.append(request.after_id)
    if request.HasField("created_from"):
        conditions += " AND x.created_at >= ?"
        values.append(timestamps.from_proto(request.created_from))
    if request.HasField("created_before"):
        conditions += " AND x.created_at < ?"
        values.append(timestamps.from_proto(request.created_before))
    return conditions, values
