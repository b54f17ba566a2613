"""Messages that go, on SQLite: for one user, for everybody, or by themselves when their time is over."""

import sqlite3

from roomline.v1.event_pb2 import Event, MessageDeleted, MessageHidden
from roomline.v1.message_pb2 import Message
from roomline.v1.message_service_pb2 import (
    HideMessageRequest,
    HideMessageResponse,
    SendMessageRequest,
    UnsendMessageRequest,
    UnsendMessageResponse,
)

from services.common import timestamps
from services.common.call import Caller
from services.common.idempotency import remembered, request_key
from services.common.ids import MICROSECONDS, Clock
from services.common.rules import invalid
from services.common.sqlite import Database
from services.message import sqlite_log, sqlite_message_rows, sqlite_releases, sqlite_rooms, sqlite_sight
from services.message.content import attachment_ids
from services.message.sqlite_membership import is_member
from services.message.sqlite_message_rows import MessageRow
from services.message.sqlite_rooms import RoomRow
from services.message.store import Owner

LAST_MESSAGE_AT = (
    "(SELECT created_at FROM messages x WHERE x.instance_id = rooms.instance_id AND x.room_key = rooms.key"
    " AND x.unsent_at IS NULL ORDER BY x.id DESC LIMIT 1)"
)
"""The column of that name, for an update of `rooms`."""

LONGEST_SECONDS = 366 * 86400
"""A year, whichever it is."""


def expiry_of(request: SendMessageRequest, now: int) -> int | None:
    """When a message that is sent now shall expire; None if never. Raises FIELD_INVALID."""
    field = request.WhichOneof("expiry")
    if field is None:
        return None
    if field == "expires_in":
        expires_at = now + timestamps.from_duration(request.expires_in)
    else:
        expires_at = timestamps.from_proto(request.expires_at)
    if not now < expires_at <= now + LONGEST_SECONDS * MICROSECONDS:
        raise invalid(field, "in the future, at most a year")
    return expires_at


def wipe(connection: sqlite3.Connection, instance_id: str, room: RoomRow, row: MessageRow, now: int) -> Owner | None:
    """Wipes a live message for everybody, leaves its tombstone, and says so in the log.

    Releases the message's attachments; returns it if there were any.
    """
    gone = attachment_ids(Message.FromString(row.content).parts)
    released = sqlite_releases.add(connection, Owner(instance_id, row.uid), gone)
    connection.execute(
        "UPDATE messages SET content = x'', updated_at = ?, unsent_at = ?"
        " WHERE instance_id = ? AND room_key = ? AND id = ?",
        (now, now, instance_id, room.key, row.id),
    )
    connection.execute(
        f"UPDATE rooms SET message_count = message_count - 1, last_message_at = {LAST_MESSAGE_AT}"
        " WHERE instance_id = ? AND id = ?",
        (instance_id, room.id),
    )
    position = sqlite_log.draw(connection, instance_id).position
    deleted = MessageDeleted(
        room_id=room.id, room_uid=room.uid, message_id=row.id, message_uid=row.uid, user_id=row.user_id
    )
    sqlite_log.append(connection, instance_id, position, Event(message_deleted=deleted), now)
    return released


class SqliteRemovals:
    """Keeps the promises of `RemovalStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def hide(self, caller: Caller, user_id: str, request: HideMessageRequest) -> HideMessageResponse:
        """See `RemovalStore`."""
        instance_id = caller.instance_id

        def work(connection: sqlite3.Connection) -> HideMessageResponse:
            now = self._clock()
            room, row = sqlite_message_rows.find_anywhere(connection, instance_id, request.uid, now)
            if not is_member(connection, instance_id, room.key, user_id):
                raise sqlite_message_rows.not_found()
            if sqlite_sight.is_hidden(connection, instance_id, room.key, user_id, row.id):
                return HideMessageResponse()
            connection.execute("INSERT INTO hidden VALUES (?, ?, ?, ?)", (instance_id, room.key, user_id, row.id))
            position = sqlite_log.draw(connection, instance_id).position
            hidden = MessageHidden(
                room_id=room.id, room_uid=room.uid, message_id=row.id, message_uid=row.uid, user_id=user_id
            )
            sqlite_log.append(connection, instance_id, position, Event(message_hidden=hidden), now)
            return HideMessageResponse()

        return await self._database.write(
            remembered(request_key(caller, request), HideMessageResponse, self._clock, work)
        )

    async def unsend(self, caller: Caller, request: UnsendMessageRequest) -> Owner | None:
        """See `RemovalStore`."""
        released: Owner | None = None

        def work(connection: sqlite3.Connection) -> UnsendMessageResponse:
            nonlocal released
            released, now = None, self._clock()
            room, row = sqlite_message_rows.find_authored(connection, caller, request.uid, now)
            if row.unsent_at is None:
                released = wipe(connection, caller.instance_id, room, row, now)
            return UnsendMessageResponse()

        await self._database.write(remembered(request_key(caller, request), UnsendMessageResponse, self._clock, work))
        return released

    async def expire(self, size: int) -> int:
        """See `RemovalStore`."""
        now = self._clock()
        if await self._database.read(lambda connection: connection.execute(_DUE, (now, 1)).fetchone()) is None:
            return 0

        def work(connection: sqlite3.Connection) -> int:
            rows = connection.execute(_DUE, (now, size)).fetchall()
            columns = len(MessageRow._fields)
            for instance_id, *row in rows:
                wipe(connection, instance_id, RoomRow(*row[columns:]), MessageRow(*row[:columns]), now)
            return len(rows)

        return await self._database.write(work)


_DUE = (
    f"SELECT x.instance_id, {sqlite_message_rows.COLUMNS}, {sqlite_rooms.COLUMNS} FROM messages x"
    " JOIN rooms r ON r.instance_id = x.instance_id AND r.key = x.room_key"
    " WHERE x.expires_at <= ? AND x.unsent_at IS NULL ORDER BY x.expires_at LIMIT ?"
)
"""Of rooms that are there: what deleted rooms leave is removed anyway."""
