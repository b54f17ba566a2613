"""Messages on SQLite."""

import sqlite3
from collections.abc import Callable

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import Event
from roomline.v1.message_pb2 import Message
from roomline.v1.message_service_pb2 import (
    DeleteMessageRequest,
    DeleteMessageResponse,
    EditMessageRequest,
    EditMessageResponse,
    ListMessagesRequest,
    ListMessagesResponse,
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
from services.message import sqlite_access, sqlite_claims, sqlite_log, sqlite_message_rows, sqlite_releases
from services.message.content import attachment_ids, content_of
from services.message.sqlite_membership import require_member
from services.message.sqlite_message_rows import (
    MessageRow,
    fill,
    fill_ids,
    find_authored,
    find_own,
    not_found,
    to_message,
)
from services.message.sqlite_removals import expiry_of, wipe
from services.message.sqlite_rooms import COLUMNS, RoomRow, find, find_readable
from services.message.sqlite_sight import seen, viewer_of
from services.message.store import PAGE_BYTES, Claim, Edited, Owner


class SqliteMessages:
    """Keeps the promises of `MessageStore`."""

    def __init__(self, database: Database, clock: Clock, new_id: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    async def append(
        self, caller: Caller, sender: str, request: SendMessageRequest, claim: Claim | None = None
    ) -> Message:
        """See `MessageStore`."""
        instance_id = caller.instance_id
        content = content_of(request)
        serialized = content.SerializeToString()

        def work(connection: sqlite3.Connection) -> SendMessageResponse:
            room = sqlite_access.find_as_sender(connection, caller, request.room_id, sender)
            if request.HasField("reply_to"):
                require_in_room(connection, caller, room, request.reply_to, self._clock())
            now = max(self._clock(), _newest_time(connection, instance_id, room))  # never backwards inside a room
            expires_at = expiry_of(request, now)
            if claim is not None:
                sqlite_claims.check_new(connection, instance_id, room.uid, claim, self._clock())
            numbers = sqlite_log.draw(connection, instance_id, messages=1)
            uid = self._new_id() if claim is None else claim.message_uid
            row = MessageRow(numbers.message_id, uid, sender, b"", now, now, None, None, expires_at)
            connection.execute(
                "INSERT INTO messages"
                " (instance_id, room_key, id, uid, user_id, content, created_at, updated_at, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (instance_id, room.key, row.id, row.uid, sender, serialized, now, now, expires_at),
            )
            connection.execute(
                "UPDATE rooms SET last_message_at = ?, message_count = message_count + 1"
                " WHERE instance_id = ? AND id = ?",
                (now, instance_id, room.id),
            )
            event = Event()
            fill_ids(event.message_sent.message, row, room)
            sqlite_log.append(connection, instance_id, numbers.position, event, now)
            response = SendMessageResponse()
            fill(response.message, row, room)
            return response

        # Answers are remembered without content, which has one home. A repeated request has the same content.
        once = remembered(request_key(caller, request), SendMessageResponse, self._clock, work)
        message = (await self._database.write(once)).message
        message.MergeFrom(content)
        return message

    async def get(self, caller: Caller, room_id: str, message_id: int, uid: str = "") -> Message:
        """See `MessageStore`."""

        def work(connection: sqlite3.Connection) -> Message:
            try:
                room = find_readable(connection, caller, room_id)
            except RoomlineError as error:
                if error.reason == ErrorReason.ERROR_REASON_ROOM_NOT_FOUND:  # what Chatkit's own suites expect (A.4)
                    raise not_found() from error
                raise
            now, viewer = self._clock(), viewer_of(caller)
            row = sqlite_message_rows.find(
                connection, caller.instance_id, room, now, message_id=message_id, uid=uid, viewer=viewer
            )
            return to_message(row, room)

        return await self._database.read(work)

    async def page(
        self, caller: Caller, request: ListMessagesRequest, size: int, max_bytes: int = PAGE_BYTES
    ) -> ListMessagesResponse:
        """See `MessageStore`."""
        viewer = viewer_of(caller)
        direction = "ASC" if request.order == MessageOrder.MESSAGE_ORDER_OLDEST_FIRST else "DESC"
        bounds, values = _bounds(request)
        query = (
            f"SELECT {sqlite_message_rows.COLUMNS} FROM messages x"
            f" WHERE x.instance_id = :instance_id AND x.room_key = :room_key{bounds}"
            f" AND {seen(viewer, with_unsent=request.with_unsent)} ORDER BY x.id {direction} LIMIT :size"
        )

        def work(connection: sqlite3.Connection) -> ListMessagesResponse:
            room = find_readable(connection, caller, request.room_id)
            if request.members_only and viewer:
                require_member(connection, caller.instance_id, room.key, viewer)
            sight = {"instance_id": caller.instance_id, "room_key": room.key, "now": self._clock(), "viewer": viewer}
            page = ListMessagesResponse(position=sqlite_log.position(connection, caller.instance_id))
            left = max_bytes
            for row in connection.execute(query, {**values, **sight, "size": size}):
                message = MessageRow(*row)
                page.messages.append(to_message(message, room))
                left -= len(message.content)
                if left < 0:
                    break
            return page

        return await self._database.read(work)

    async def edit(self, caller: Caller, request: EditMessageRequest, claim: Claim | None = None) -> Edited:
        """See `MessageStore`."""
        instance_id = caller.instance_id
        released: Owner | None = None

        def work(connection: sqlite3.Connection) -> EditMessageResponse:
            nonlocal released
            room, row = find_to_edit(connection, caller, request, self._clock())
            if claim is not None:
                sqlite_claims.check_edit(row.updated_at, claim, self._clock())
            now = max(self._clock(), row.updated_at + 1)  # tells one edit from the next
            content = Message.FromString(row.content)
            gone = set(attachment_ids(content.parts)).difference(attachment_ids(request.parts))
            released = sqlite_releases.add(connection, Owner(instance_id, row.uid), gone)
            del content.parts[:]
            content.parts.extend(request.parts)
            connection.execute(
                "UPDATE messages SET content = ?, updated_at = ?, edited_at = ?"
                " WHERE instance_id = ? AND room_key = ? AND id = ?",
                (content.SerializeToString(), now, now, instance_id, room.key, row.id),
            )
            position = sqlite_log.draw(connection, instance_id).position
            event = Event()
            fill_ids(event.message_edited.message, row, room)
            sqlite_log.append(connection, instance_id, position, event, now)
            edited = row._replace(content=b"", updated_at=now, edited_at=now)
            return EditMessageResponse(message=to_message(edited, room))

        once = remembered(request_key(caller, request), EditMessageResponse, self._clock, work)
        message = (await self._database.write(once)).message
        message.parts.extend(request.parts)
        return Edited(message, released)

    async def delete(self, caller: Caller, request: DeleteMessageRequest) -> Owner | None:
        """See `MessageStore`."""
        instance_id = caller.instance_id
        released: Owner | None = None

        def work(connection: sqlite3.Connection) -> DeleteMessageResponse:
            nonlocal released
            now = self._clock()
            room = (
                find(connection, instance_id, request.room_id)
                if request.room_id
                else _room_of(connection, instance_id, request.id)
            )
            row = find_own(connection, caller, room, request.id, "message:delete", now)
            released = wipe(connection, instance_id, room, row, now)
            return DeleteMessageResponse()

        await self._database.write(remembered(request_key(caller, request), DeleteMessageResponse, self._clock, work))
        return released


def find_to_edit(
    connection: sqlite3.Connection, caller: Caller, request: EditMessageRequest, now: int
) -> tuple[RoomRow, MessageRow]:
    """The live message that the caller may edit. Raises what `MessageStore.edit` does."""
    if request.uid:
        room, row = find_authored(connection, caller, request.uid, now)
        if row.unsent_at is not None:
            raise not_found()
        return room, row
    sqlite_access.require(connection, caller, "message:edit", request.room_id)
    room = find(connection, caller.instance_id, request.room_id)
    return room, find_own(connection, caller, room, request.id, "message:edit", now)


def require_in_room(connection: sqlite3.Connection, caller: Caller, room: RoomRow, uid: str, now: int) -> None:
    """Raises FIELD_INVALID unless the uid names a message of the room that the caller sees, and can answer."""
    try:
        sqlite_message_rows.find(connection, caller.instance_id, room, now, uid=uid, viewer=viewer_of(caller))
    except RoomlineError as error:
        raise invalid("reply_to", "the uid of a message of the same room") from error


def _newest_time(connection: sqlite3.Connection, instance_id: str, room: RoomRow) -> int:
    """When the newest message of the room was sent, also if only its tombstone is left; 0 if there is none."""
    row = connection.execute(
        "SELECT created_at FROM messages WHERE instance_id = ? AND room_key = ? ORDER BY id DESC LIMIT 1",
        (instance_id, room.key),
    ).fetchone()
    return 0 if row is None else row[0]


def _room_of(connection: sqlite3.Connection, instance_id: str, message_id: int) -> RoomRow:
    """The room that a message is in. Raises MESSAGE_NOT_FOUND."""
    row = connection.execute(
        f"SELECT {COLUMNS} FROM messages x JOIN rooms r ON r.instance_id = x.instance_id AND r.key = x.room_key"
        " WHERE x.instance_id = ? AND x.id = ?",
        (instance_id, message_id),
    ).fetchone()
    if row is None:
        raise not_found()
    return RoomRow(*row)


def _bounds(request: ListMessagesRequest) -> tuple[str, dict[str, int]]:
    """The conditions of a list request, as SQL and its values."""
    conditions, values = "", {}
    if request.HasField("before_id"):
        conditions += " AND x.id < :before_id"
        values["before_id"] = request.before_id
    if request.HasField("after_id"):
        conditions += " AND x.id > :after_id"
        values["after_id"] = request.after_id
    if request.HasField("created_from"):
        conditions += " AND x.created_at >= :created_from"
        values["created_from"] = timestamps.from_proto(request.created_from)
    if request.HasField("created_before"):
        conditions += " AND x.created_at < :created_before"
        values["created_before"] = timestamps.from_proto(request.created_before)
    return conditions, values
