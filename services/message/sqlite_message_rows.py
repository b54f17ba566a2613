"""The rows of messages on SQLite: what they hold, and how one is found."""

import sqlite3
from typing import NamedTuple

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.message_pb2 import Message

from services.common import timestamps
from services.common.call import Caller
from services.common.errors import RoomlineError
from services.message import sqlite_rooms, sqlite_sight
from services.message.sqlite_membership import is_member, require_member
from services.message.sqlite_rooms import RoomRow

COLUMNS = "x.id, x.uid, x.user_id, x.content, x.created_at, x.updated_at, x.edited_at, x.unsent_at, x.expires_at"
"""What `to_message` wants, in a query that calls the messages table `x`."""


class MessageRow(NamedTuple):
    """The columns that `COLUMNS` names."""

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
    fill(message, row, room)
    return message


def fill(message: Message, row: MessageRow, room: RoomRow) -> None:
    """Sets all of a message but what the sender said."""
    fill_ids(message, row, room)
    timestamps.fill(message.created_at, row.created_at)
    timestamps.fill(message.updated_at, row.updated_at)
    if row.edited_at is not None:
        timestamps.fill(message.edited_at, row.edited_at)
    if row.unsent_at is not None:
        timestamps.fill(message.unsent_at, row.unsent_at)
    if row.expires_at is not None:
        timestamps.fill(message.expires_at, row.expires_at)


def fill_ids(message: Message, row: MessageRow, room: RoomRow) -> None:
    """Sets what the log says of a message."""
    message.id = row.id
    message.uid = row.uid
    message.user_id = row.user_id
    message.room_id = room.id
    message.room_uid = room.uid


def not_found() -> RoomlineError:
    """MESSAGE_NOT_FOUND."""
    return RoomlineError(ErrorReason.ERROR_REASON_MESSAGE_NOT_FOUND)


def find(
    connection: sqlite3.Connection,
    instance_id: str,
    room: RoomRow,
    now: int,
    *,
    message_id: int = 0,
    uid: str = "",
    viewer: str = "",
    with_unsent: bool = False,
) -> MessageRow:
    """The message of this room with the uid or, if that is empty, the id, as the viewer sees it.

    Raises MESSAGE_NOT_FOUND.
    """
    row = connection.execute(
        f"SELECT {COLUMNS} FROM messages x WHERE x.instance_id = :instance_id AND x.room_key = :room_key"
        f" AND {'x.uid = :uid' if uid else 'x.id = :id'} AND {sqlite_sight.seen(viewer, with_unsent=with_unsent)}",
        {
            "instance_id": instance_id,
            "room_key": room.key,
            "id": message_id,
            "uid": uid,
            "now": now,
            "viewer": viewer,
        },
    ).fetchone()
    if row is None:
        raise not_found()
    return MessageRow(*row)


def find_anywhere(connection: sqlite3.Connection, instance_id: str, uid: str, now: int) -> tuple[RoomRow, MessageRow]:
    """The message or tombstone with this uid, unless it has expired, and its room. Raises MESSAGE_NOT_FOUND."""
    row = connection.execute(
        f"SELECT {COLUMNS}, {sqlite_rooms.COLUMNS} FROM messages x"
        " JOIN rooms r ON r.instance_id = x.instance_id AND r.key = x.room_key"
        f" WHERE x.instance_id = :instance_id AND x.uid = :uid AND {sqlite_sight.unexpired('x')}",
        {"instance_id": instance_id, "uid": uid, "now": now},
    ).fetchone()
    if row is None:
        raise not_found()
    columns = len(MessageRow._fields)
    return RoomRow(*row[columns:]), MessageRow(*row[:columns])


def find_authored(connection: sqlite3.Connection, caller: Caller, uid: str, now: int) -> tuple[RoomRow, MessageRow]:
    """As `find_anywhere`; a user finds its own messages only, and only in rooms that it is a member of."""
    room, row = find_anywhere(connection, caller.instance_id, uid, now)
    if caller.is_user and (
        row.user_id != caller.user_id or not is_member(connection, caller.instance_id, room.key, caller.user_id)
    ):
        raise not_found()
    return room, row


def find_own(
    connection: sqlite3.Connection, caller: Caller, room: RoomRow, message_id: int, permission: str, now: int
) -> MessageRow:
    """A live message of this room; a user may change its own ones only, and only while it is a member (spec §5.2).

    Raises NOT_A_MEMBER, MESSAGE_NOT_FOUND, PERMISSION_MISSING.
    """
    if caller.is_user:
        require_member(connection, caller.instance_id, room.key, caller.user_id)
    row = find(connection, caller.instance_id, room, now, message_id=message_id)
    if caller.is_user and row.user_id != caller.user_id:
        raise RoomlineError(ErrorReason.ERROR_REASON_PERMISSION_MISSING, permission=permission)
    return row
