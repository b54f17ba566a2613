"""The event log on SQLite, as it is read."""

import json
import sqlite3
import uuid
from collections.abc import Sequence

import structlog
from google.protobuf.message import DecodeError
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import Event, UserTyped
from roomline.v1.event_service_pb2 import WatchTopic
from roomline.v1.message_pb2 import Message
from roomline.v1.room_pb2 import RoomKind

from services.common.call import Caller
from services.common.errors import RoomlineError
from services.common.ids import Clock
from services.common.sqlite import Database
from services.message import sqlite_access, sqlite_log, sqlite_message_rows, sqlite_names, sqlite_rooms
from services.message.entries import bury, empty, entry_of, lose
from services.message.event_store import Access, Batch, Entry, InstanceAccess, Opened, RoomAccess, Spans, UserAccess
from services.message.sqlite_membership import is_member, require_member
from services.message.sqlite_message_rows import MessageRow, to_message
from services.message.sqlite_rooms import RoomRow, find_readable, find_visible
from services.message.sqlite_sight import viewer_of

log = structlog.get_logger()

PERMISSION = "room:messages:get"

_MESSAGES = (
    f"SELECT {sqlite_message_rows.COLUMNS}, {sqlite_rooms.COLUMNS} FROM json_each(:ids) i"
    " CROSS JOIN messages x ON x.instance_id = :instance_id AND x.id = i.value"
    " JOIN rooms r ON r.instance_id = x.instance_id AND r.key = x.room_key"
)
"""Messages of deleted rooms are gone, though their rows may still be there."""
_COLUMNS = len(MessageRow._fields)

_HIDDEN = (
    "SELECT h.message_id, h.user_id FROM json_each(:ids) i"
    " CROSS JOIN hidden h ON h.instance_id = :instance_id AND h.message_id = i.value"
)
_HISTORIES = (
    "SELECT m.room_key, m.user_id, m.hidden_before FROM json_each(:keys) k"
    " CROSS JOIN members m ON m.instance_id = :instance_id AND m.room_key = k.value WHERE m.hidden_before > 0"
)
_SPANS = (
    "SELECT r.uid, m.joined_position, NULL FROM members m INDEXED BY members_by_user"
    " CROSS JOIN rooms r ON r.instance_id = m.instance_id AND r.key = m.room_key"
    " WHERE m.instance_id = :instance_id AND m.user_id = :user_id UNION ALL"
    " SELECT r.uid, p.joined_position, p.left_position FROM past_members p"
    " CROSS JOIN rooms r ON r.instance_id = p.instance_id AND r.key = p.room_key"
    " WHERE p.instance_id = :instance_id AND p.user_id = :user_id"
)


class SqliteEvents:
    """Keeps the promises of `EventStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def open(self, caller: Caller, topics: Sequence[WatchTopic]) -> Opened:
        """See `EventStore`."""

        def work(connection: sqlite3.Connection) -> Opened:
            found = [_access(connection, caller, topic) for topic in topics]
            ((epoch,),) = connection.execute("SELECT id FROM epochs").fetchall()
            position = sqlite_log.position(connection, caller.instance_id)
            return Opened(epoch, _trims(connection, caller.instance_id)[0], position, found)

        return await self._database.read(work)

    async def read(self, instance_id: str, after: int, size: int, max_bytes: int) -> Batch:
        """See `EventStore`."""

        def work(connection: sqlite3.Connection) -> Batch:
            trimmed, reset = _trims(connection, instance_id)
            start = max(after, trimmed)
            as_of = sqlite_log.position(connection, instance_id)
            rows = connection.execute(
                "SELECT position, event FROM events WHERE instance_id = ? AND position > ? ORDER BY position LIMIT ?",
                (instance_id, start, size),
            ).fetchall()
            entries = _entries(rows)
            _fill(connection, instance_id, entries, self._clock())
            end = rows[-1][0] if rows and len(rows) == size else max(start, as_of)
            left = max_bytes
            for index, entry in enumerate(entries):
                entry.size = entry.event.ByteSize()
                left -= entry.size
                if left < 0 and index:
                    del entries[index:]
                    end = entries[-1].position
                    break
            return Batch(entries, start, end, as_of, after < reset)

        return await self._database.read(work)

    async def typed(self, caller: Caller, user_id: str, room_id: str) -> UserTyped:
        """See `EventStore`."""

        def work(connection: sqlite3.Connection) -> UserTyped:
            row = find_visible(connection, caller, room_id)
            require_member(connection, caller.instance_id, row.key, user_id)
            return UserTyped(room_id=row.id, room_uid=row.uid, user_id=user_id)

        return await self._database.read(work)

    async def renew_epoch(self, lost_seconds: int) -> None:
        """See `EventStore`."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE epochs SET id = ?", (uuid.uuid4().hex,))
            sqlite_log.skip_message_ids(connection, lost_seconds)

        await self._database.write(work)


def _trims(connection: sqlite3.Connection, instance_id: str) -> tuple[int, int]:
    """Up to where the log has been trimmed, and where the instance was reset last."""
    row = connection.execute(
        "SELECT position, reset_position FROM log_trims WHERE instance_id = ?", (instance_id,)
    ).fetchone()
    return row or (0, 0)


def _access(connection: sqlite3.Connection, caller: Caller, topic: WatchTopic) -> "Access | ErrorReason.ValueType":
    kind = topic.WhichOneof("topic")
    if kind == "instance":
        return ErrorReason.ERROR_REASON_CALLER_NOT_ALLOWED if caller.is_user else InstanceAccess()
    if kind == "user_id" and caller.is_user and caller.user_id != topic.user_id:
        return ErrorReason.ERROR_REASON_SUBJECT_MISMATCH
    try:
        if kind == "user_id":
            sqlite_access.require(connection, caller, PERMISSION, "")  # the rooms are many: no room's role counts
            return UserAccess(_spans(connection, caller.instance_id, topic.user_id))
        return _room_access(connection, caller, topic)
    except RoomlineError as refusal:
        return refusal.reason


def _room_access(connection: sqlite3.Connection, caller: Caller, topic: WatchTopic) -> RoomAccess:
    """As `ListMessages` decides it, permission before existence."""
    room_id = topic.room_id
    if topic.HasField("room_uid"):
        room_id = sqlite_names.find_room(connection, caller, topic.room_uid) or ""
    sqlite_access.require(connection, caller, PERMISSION, room_id)
    row = find_readable(connection, caller, room_id)
    viewer = viewer_of(caller)
    member = bool(viewer) and is_member(connection, caller.instance_id, row.key, viewer)
    return RoomAccess(row.uid, bool(row.private), member)


def _spans(connection: sqlite3.Connection, instance_id: str, user_id: str) -> Spans:
    spans: Spans = {}
    for room_uid, joined, left in connection.execute(_SPANS, {"instance_id": instance_id, "user_id": user_id}):
        spans.setdefault(room_uid, []).append((joined, left))
    return spans


def _entries(rows: Sequence[tuple[int, bytes]]) -> list[Entry]:
    """The events that can be read."""
    entries = []
    for position, data in rows:
        try:
            event = Event.FromString(data)
        except DecodeError as error:
            log.error("event_unreadable", position=position, exc_info=error)
            continue
        event.position = position
        entries.append(entry_of(event))
    return entries


def _fill(connection: sqlite3.Connection, instance_id: str, entries: list[Entry], now: int) -> None:
    """Puts in the messages as they are now, and who has hidden them. Without what cannot be read (fault 24)."""
    about = [(entry, message) for entry in entries if (message := entry.message) is not None]
    traces = [(entry, trace) for entry in entries if (trace := entry.trace) is not None]
    ids = {*(message.id for _, message in about), *(trace.message_id for _, trace in traces)}
    if not ids:
        return
    values = {"instance_id": instance_id, "ids": json.dumps(sorted(ids))}
    found: dict[int, tuple[MessageRow, RoomRow, Message]] = {}
    damaged: set[int] = set()
    for columns in connection.execute(_MESSAGES, values):
        row, room = MessageRow(*columns[:_COLUMNS]), RoomRow(*columns[_COLUMNS:])
        try:
            found[row.id] = row, room, to_message(row, room)
        except DecodeError as error:
            log.error("message_unreadable", instance=instance_id, message=row.id, exc_info=error)
            damaged.add(row.id)
    hidden: dict[int, set[str]] = {}
    for message_id, user_id in connection.execute(_HIDDEN, values):
        hidden.setdefault(message_id, set()).add(user_id)
    histories = _histories(connection, instance_id, [room for _, room, _ in found.values()])

    def hidden_from(message_id: int, room: RoomRow) -> set[str]:
        earlier = (user_id for user_id, newest in histories.get(room.key, ()) if message_id <= newest)
        return {*hidden.get(message_id, ()), *earlier}

    for entry, message in about:
        if message.id in damaged:
            entries.remove(entry)
            continue
        if message.id not in found:
            lose(entry)
            continue
        row, room, content = found[message.id]
        message.CopyFrom(content)
        if row.unsent_at is None and row.expires_at is not None and row.expires_at <= now:
            bury(message, row.expires_at)
        entry.hidden_from = hidden_from(message.id, room)
    for entry, trace in traces:
        if trace.message_id not in found:
            continue
        _, room, content = found[trace.message_id]
        trace.message.CopyFrom(content)
        empty(trace.message)
        if entry.event.HasField("message_deleted"):  # nobody is told of the end of what he has hidden
            entry.hidden_from = hidden_from(trace.message_id, room)


def _histories(
    connection: sqlite3.Connection, instance_id: str, rooms: Sequence[RoomRow]
) -> dict[int, list[tuple[str, int]]]:
    """Of the direct rooms, which others never have: who has hidden the messages up to which one, by the rooms' keys."""
    keys = {room.key for room in rooms if room.kind == RoomKind.ROOM_KIND_DIRECT}
    histories: dict[int, list[tuple[str, int]]] = {}
    if keys:
        values = {"instance_id": instance_id, "keys": json.dumps(list(keys))}
        for key, user_id, newest in connection.execute(_HISTORIES, values):
            histories.setdefault(key, []).append((user_id, newest))
    return histories
