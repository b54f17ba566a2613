"""Messages from archives, on SQLite."""

from collections.abc import Iterable
from typing import cast

from roomline.v1.archive_pb2 import MessageHiddenRecord, MessageRecord
from roomline.v1.archive_service_pb2 import ImportResult
from roomline.v1.event_pb2 import Event, MessagesImported
from roomline.v1.instance_pb2 import InstanceLimits
from roomline.v1.message_pb2 import Message

from services.common import timestamps
from services.common.archive import conflict, imported, listed, refused, time_fault, uid_fault, unchanged
from services.common.call import MAX_USER_ID
from services.common.errors import RoomlineError
from services.common.ids import MICROSECONDS
from services.common.rules import rule_of
from services.message import sqlite_log, sqlite_releases
from services.message.content import check_parts, content_of
from services.message.sqlite_import import Import
from services.message.sqlite_removals import LAST_MESSAGE_AT
from services.message.sqlite_rooms import RoomRow
from services.message.store import Owner

MAX_MESSAGE_ID = 2**52
"""Ids are numbers of JSON, of which clients know 53 bits; as many as there are up to here are left for new messages."""
AHEAD_SECONDS = 3600
"""How far clocks may be apart. A message of the future would hold up the time of its room until then."""

CEILING = InstanceLimits(
    message_bytes=rule_of(InstanceLimits, "message_bytes").maximum,
    message_parts=rule_of(InstanceLimits, "message_parts").maximum,
)
"""What no instance allows more of."""


def take_message(call: Import, record: MessageRecord) -> ImportResult:
    """Adds a message or tombstone to its room; nobody is told of it but by `finish`."""
    message = record.message
    fault = _fault(call, message)
    if fault:
        return refused(fault)
    room = call.room(message.room_id, message.room_uid)
    if isinstance(room, str):
        return refused(room)
    there = _there(call, room, message)
    if there is not None:
        return there
    fault = _other_fault(call, room, message)
    if fault:
        return refused(fault)
    message_id = sqlite_log.draw_message_id(call.connection, call.instance_id, message.id)
    _insert(call, room, message, message_id)
    _, left_out = _hide(call, room.key, message_id, record.hidden_by)
    call.counts[room.key] = call.counts.get(room.key, 0) + 1
    return imported(left_out)


def take_hidden(call: Import, record: MessageHiddenRecord) -> ImportResult:
    """Hides a message from further users."""
    place = call.connection.execute(
        "SELECT x.room_key, x.id FROM messages x JOIN rooms r ON r.instance_id = x.instance_id AND r.key = x.room_key"
        " WHERE x.instance_id = ? AND x.uid = ?",
        (call.instance_id, record.message_uid),
    ).fetchone()
    if place is None:
        return refused(f"there is no message of the uid {record.message_uid}")
    room_key, message_id = place
    added, left_out = _hide(call, room_key, message_id, record.hidden_by)
    if added:
        call.counts.setdefault(room_key, 0)
        return imported(left_out)
    return refused(*left_out) if left_out and call.users.isdisjoint(record.hidden_by) else unchanged()


def finish(call: Import) -> None:
    """Brings the rooms up to date that messages were added to, and says so in the log."""
    for key, count in call.counts.items():
        room_id, room_uid = call.connection.execute(
            f"UPDATE rooms SET last_message_at = {LAST_MESSAGE_AT} WHERE instance_id = ? AND key = ? RETURNING id, uid",
            (call.instance_id, key),
        ).fetchone()
        position = sqlite_log.draw(call.connection, call.instance_id).position
        event = Event(messages_imported=MessagesImported(room_id=room_id, room_uid=room_uid, count=count))
        sqlite_log.append(call.connection, call.instance_id, position, event, call.now)


def _hide(call: Import, room_key: int, message_id: int, hidden_by: Iterable[str]) -> tuple[int, list[str]]:
    """Hides a message from those who exist: how many did not have it hidden, and what is to be said of the others."""
    user_ids = set(hidden_by)
    added = call.connection.executemany(
        "INSERT OR IGNORE INTO hidden VALUES (?, ?, ?, ?)",
        [(call.instance_id, room_key, user_id, message_id) for user_id in sorted(user_ids & call.users)],
    ).rowcount
    unknown = user_ids - call.users
    return max(added, 0), [f"not hidden from users who do not exist: {listed(unknown)}"] if unknown else []


def _fault(call: Import, message: Message) -> str:
    """What is wrong with a message by itself, beside field rules; empty if nothing is."""
    if not 0 < len(message.user_id) <= MAX_USER_ID:
        return f"user_id: 1 to {MAX_USER_ID} characters"
    if message.id and not sqlite_log.FIRST_MESSAGE_ID <= message.id <= MAX_MESSAGE_ID:
        return f"id {message.id} is not between {sqlite_log.FIRST_MESSAGE_ID} and {MAX_MESSAGE_ID}"
    fault = uid_fault(message.uid) or time_fault(message, "created_at", "updated_at")
    if fault:
        return fault
    if message.HasField("reply_to") and uid_fault(message.reply_to):
        return "reply_to: " + uid_fault(message.reply_to)
    if timestamps.from_proto(message.created_at) > call.now + AHEAD_SECONDS * MICROSECONDS:
        return "it is of the future"
    if message.HasField("unsent_at"):
        return ""
    if not message.parts:
        return "it has no parts"
    try:
        check_parts(CEILING, message.parts)
    except RoomlineError as error:
        return error.message
    return ""


def _there(call: Import, room: RoomRow, message: Message) -> ImportResult | None:
    """What there is of the message's `uid` or id; None if there is nothing.

    What is left of deleted rooms is nothing: it is removed.
    """
    rows = call.connection.execute(
        "SELECT x.room_key, x.id, x.uid, r.id FROM messages x LEFT JOIN rooms r ON r.instance_id = x.instance_id"
        " AND r.key = x.room_key WHERE x.instance_id = ? AND (x.uid = ? OR x.id = ?)"
        " ORDER BY x.uid = ? DESC",
        (call.instance_id, message.uid, message.id, message.uid),
    ).fetchall()
    for key, message_id, uid, room_id in rows:
        if room_id is None:
            place = (call.instance_id, key, message_id)
            call.connection.execute("DELETE FROM messages WHERE instance_id = ? AND room_key = ? AND id = ?", place)
            call.connection.execute(
                "DELETE FROM hidden WHERE instance_id = ? AND room_key = ? AND message_id = ?", place
            )
        elif uid != message.uid:
            return conflict(f"there is another message of this id: its uid is {uid}")
        elif key != room.key:
            return conflict(f"there is a message of this uid in the room {room_id!r}")
        else:
            return unchanged()
    return None


def _other_fault(call: Import, room: RoomRow, message: Message) -> str:
    """Why the message has no place in its room; empty if it has one."""
    if message.HasField("expires_at") and timestamps.from_proto(message.expires_at) <= call.now:
        return "it has expired"
    if sqlite_releases.are_pending(call.connection, Owner(call.instance_id, message.uid)):
        return "it was deleted a moment ago, and its files are still being removed: try again later"
    created_at = timestamps.from_proto(message.created_at)
    before, after = _neighbours(call, room, message.id)
    if created_at < before:
        return "the room has newer messages with smaller ids" if message.id else "the room has newer messages"
    if after is not None and after < created_at:
        return "the room has older messages with greater ids"
    return ""


def _neighbours(call: Import, room: RoomRow, message_id: int) -> tuple[int, int | None]:
    """When the messages before and after the id, or its end for 0, were sent, of which time must follow the order."""
    place = (call.instance_id, room.key)
    before = call.connection.execute(
        "SELECT created_at FROM messages WHERE instance_id = ? AND room_key = ? AND id < ? ORDER BY id DESC LIMIT 1",
        (*place, message_id or MAX_MESSAGE_ID + 1),
    ).fetchone()
    after = call.connection.execute(
        "SELECT created_at FROM messages WHERE instance_id = ? AND room_key = ? AND id > ? ORDER BY id LIMIT 1",
        (*place, message_id or MAX_MESSAGE_ID),
    ).fetchone()
    return cast("int", before[0]) if before else -(2**62), after[0] if after else None


def _insert(call: Import, room: RoomRow, message: Message, message_id: int) -> None:
    unsent_at = timestamps.from_proto(message.unsent_at) if message.HasField("unsent_at") else None
    call.connection.execute(
        "INSERT INTO messages (instance_id, room_key, id, uid, user_id, content, created_at, updated_at, edited_at,"
        " unsent_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(call.instance_id, room.key, message_id, message.uid, message.user_id),
            content_of(message).SerializeToString() if unsent_at is None else b"",
            timestamps.from_proto(message.created_at),
            timestamps.from_proto(message.updated_at),
            timestamps.from_proto(message.edited_at) if message.HasField("edited_at") else None,
            unsent_at,
            timestamps.from_proto(message.expires_at) if message.HasField("expires_at") else None,
        ),
    )
    if unsent_at is None:
        call.connection.execute(
            "UPDATE rooms SET message_count = message_count + 1 WHERE instance_id = ? AND key = ?",
            (call.instance_id, room.key),
        )
