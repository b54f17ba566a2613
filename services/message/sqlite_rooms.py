"""Rooms on SQLite: their rows, and creating, reading, changing and deleting them."""

import sqlite3
from collections.abc import Callable, Iterable
from typing import NamedTuple

from google.protobuf.struct_pb2 import Struct
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_pb2 import Event, RoomCreated, RoomDeleted, RoomUpdated
from roomline.v1.room_pb2 import Room, RoomKind
from roomline.v1.room_service_pb2 import (
    CreateRoomRequest,
    CreateRoomResponse,
    DeleteRoomRequest,
    DeleteRoomResponse,
    GetRoomResponse,
    StartRoomDeletionRequest,
    StartRoomDeletionResponse,
    UpdateRoomRequest,
    UpdateRoomResponse,
)

from services.common import timestamps
from services.common.call import Caller
from services.common.errors import RoomlineError
from services.common.idempotency import remembered, request_key
from services.common.ids import Clock
from services.common.jobs import new_job
from services.common.sqlite import Database
from services.message import sqlite_log, sqlite_purges, sqlite_releases
from services.message.sqlite_membership import add_members, is_member, member_ids, require_member
from services.message.store import Owner

COLUMNS = (
    "r.key, r.id, r.uid, r.name, r.created_by_id, r.private, r.custom_data, r.push_notification_title_override,"
    " r.created_at, r.updated_at, r.last_message_at, r.kind"
)
"""What `to_room` wants, in a query that calls the rooms table `r`."""


JOB_IS_LEFT = (
    "(EXISTS (SELECT 1 FROM room_remains m WHERE m.instance_id = j.instance_id AND m.room_key = j.room_key)"
    " OR EXISTS (SELECT 1 FROM releases l WHERE l.instance_id = j.instance_id AND l.uid = j.room_uid))"
)
"""Of a job `j`, for `SqliteJobs`: something of the deleted room is still there, here or in the media service."""


class RoomRow(NamedTuple):
    """The columns that `COLUMNS` names."""

    key: int
    id: str
    uid: str
    name: str
    created_by_id: str
    private: int
    custom_data: bytes | None
    push_notification_title_override: str | None
    created_at: int
    updated_at: int
    last_message_at: int | None
    kind: int
    """A `RoomKind`."""


def to_room(row: RoomRow, member_user_ids: Iterable[str] = ()) -> Room:
    """The message of a row."""
    room = Room(
        id=row.id,
        uid=row.uid,
        name=row.name,
        created_by_id=row.created_by_id,
        private=bool(row.private),
        custom_data=None if row.custom_data is None else Struct.FromString(row.custom_data),
        push_notification_title_override=row.push_notification_title_override,
        created_at=timestamps.to_proto(row.created_at),
        updated_at=timestamps.to_proto(row.updated_at),
        member_user_ids=member_user_ids,
        kind=row.kind,  # type: ignore[arg-type]  # written as `RoomKind`
    )
    if row.last_message_at is not None:
        room.last_message_at.CopyFrom(timestamps.to_proto(row.last_message_at))
    return room


def find(connection: sqlite3.Connection, instance_id: str, room_id: str) -> RoomRow:
    """The row of a room. Raises ROOM_NOT_FOUND."""
    row = connection.execute(
        f"SELECT {COLUMNS} FROM rooms r WHERE r.instance_id = ? AND r.id = ?",
        (instance_id, room_id),
    ).fetchone()
    if row is None:
        raise RoomlineError(ErrorReason.ERROR_REASON_ROOM_NOT_FOUND)
    return RoomRow(*row)


def find_visible(connection: sqlite3.Connection, caller: Caller, room_id: str) -> RoomRow:
    """The row of a room that the caller may know of: a stranger's private room is not found (spec §4.2)."""
    row = find(connection, caller.instance_id, room_id)
    if row.private and caller.is_user and not is_member(connection, caller.instance_id, row.key, caller.user_id):
        raise RoomlineError(ErrorReason.ERROR_REASON_ROOM_NOT_FOUND)
    return row


def find_readable(connection: sqlite3.Connection, caller: Caller, room_id: str) -> RoomRow:
    """The row of a room whose content the caller may read. Raises NOT_A_MEMBER for a stranger's private room (§5.2)."""
    row = find(connection, caller.instance_id, room_id)
    if row.private and caller.is_user:
        require_member(connection, caller.instance_id, row.key, caller.user_id)
    return row


def with_members(connection: sqlite3.Connection, instance_id: str, row: RoomRow) -> Room:
    """The message of a row, with the room's members."""
    return to_room(row, member_ids(connection, instance_id, row.key))


class SqliteRooms:
    """Keeps the promises of `RoomStore`."""

    def __init__(self, database: Database, clock: Clock, new_id: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    async def create(
        self, caller: Caller, creator: str, request: CreateRoomRequest, members: list[str], asked_at: int
    ) -> CreateRoomResponse:
        """See `RoomStore`."""

        def work(connection: sqlite3.Connection) -> CreateRoomResponse:
            sqlite_purges.refuse_purged(connection, caller.instance_id, members, asked_at)
            uid = self._new_id()
            room_id = request.id or uid
            if _taken(connection, caller.instance_id, room_id):
                raise RoomlineError(ErrorReason.ERROR_REASON_ROOM_ALREADY_EXISTS, id=room_id)
            now = self._clock()
            numbers = sqlite_log.draw(connection, caller.instance_id, rooms=1)
            title = request.push_notification_title_override
            row = RoomRow(
                numbers.room_key,
                room_id,
                uid,
                request.name,
                creator,
                int(request.private),
                request.custom_data.SerializeToString() if request.HasField("custom_data") else None,
                title if request.HasField("push_notification_title_override") else None,
                now,
                now,
                None,
                RoomKind.ROOM_KIND_UNSPECIFIED,
            )
            return CreateRoomResponse(room=create_room(connection, caller.instance_id, row, members, numbers.position))

        return await self._database.write(
            remembered(request_key(caller, request), CreateRoomResponse, self._clock, work)
        )

    async def get(self, caller: Caller, room_id: str) -> GetRoomResponse:
        """See `RoomStore`."""

        def work(connection: sqlite3.Connection) -> GetRoomResponse:
            room = with_members(connection, caller.instance_id, find_visible(connection, caller, room_id))
            return GetRoomResponse(room=room, position=sqlite_log.position(connection, caller.instance_id))

        return await self._database.read(work)

    async def page(self, caller: Caller, after_room_id: str, size: int, *, include_private: bool) -> list[Room]:
        """See `RoomStore`."""
        private = "" if include_private else " AND r.private = 0"
        query = f"SELECT {COLUMNS} FROM rooms r WHERE r.instance_id = ? AND r.id > ?{private} ORDER BY r.id LIMIT ?"
        rows = await self._database.read(
            lambda connection: connection.execute(query, (caller.instance_id, after_room_id, size)).fetchall()
        )
        return [to_room(RoomRow(*row)) for row in rows]

    async def update(self, caller: Caller, request: UpdateRoomRequest, paths: frozenset[str]) -> UpdateRoomResponse:
        """See `RoomStore`."""

        def work(connection: sqlite3.Connection) -> UpdateRoomResponse:
            row = find(connection, caller.instance_id, request.room.id)
            if not paths:
                return UpdateRoomResponse(room=_as_seen(connection, caller, row))
            now = self._clock()
            row = _changed(row, request.room, paths)._replace(updated_at=now)
            connection.execute(
                "UPDATE rooms SET name = ?, private = ?, custom_data = ?, push_notification_title_override = ?,"
                " updated_at = ? WHERE instance_id = ? AND id = ?",
                (
                    *(row.name, row.private, row.custom_data, row.push_notification_title_override, now),
                    *(caller.instance_id, row.id),
                ),
            )
            position = sqlite_log.draw(connection, caller.instance_id).position
            event = Event(room_updated=RoomUpdated(room=to_room(row)))
            sqlite_log.append(connection, caller.instance_id, position, event, now)
            return UpdateRoomResponse(room=_as_seen(connection, caller, row))

        return await self._database.write(
            remembered(request_key(caller, request), UpdateRoomResponse, self._clock, work)
        )

    async def delete(self, caller: Caller, request: DeleteRoomRequest) -> Owner | None:
        """See `RoomStore`."""
        released: Owner | None = None

        def work(connection: sqlite3.Connection) -> DeleteRoomResponse:
            nonlocal released
            row = find(connection, caller.instance_id, request.room_id)
            released = delete_room(connection, caller.instance_id, row, self._clock())
            return DeleteRoomResponse()

        await self._database.write(remembered(request_key(caller, request), DeleteRoomResponse, self._clock, work))
        return released

    async def start_deletion(self, caller: Caller, request: StartRoomDeletionRequest) -> StartRoomDeletionResponse:
        """See `RoomStore`."""

        def work(connection: sqlite3.Connection) -> StartRoomDeletionResponse:
            row, now, job_id = find(connection, caller.instance_id, request.room_id), self._clock(), self._new_id()
            delete_room(connection, caller.instance_id, row, now)
            connection.execute(
                "INSERT INTO jobs VALUES (?, ?, ?, ?, ?)", (caller.instance_id, job_id, row.key, row.uid, now)
            )
            return StartRoomDeletionResponse(job=new_job(job_id))

        return await self._database.write(
            remembered(request_key(caller, request), StartRoomDeletionResponse, self._clock, work)
        )


def _as_seen(connection: sqlite3.Connection, caller: Caller, row: RoomRow) -> Room:
    """The room with its members, which a stranger does not see of a private room, whatever it may change."""
    hidden = row.private and caller.is_user
    if hidden and not is_member(connection, caller.instance_id, row.key, caller.user_id):
        return to_room(row)
    return with_members(connection, caller.instance_id, row)


def _taken(connection: sqlite3.Connection, instance_id: str, room_id: str) -> bool:
    try:
        find(connection, instance_id, room_id)
    except RoomlineError:
        return False
    return True


def create_room(
    connection: sqlite3.Connection, instance_id: str, row: RoomRow, members: list[str], position: int
) -> Room:
    """Writes a room, its members and the event."""
    insert_room(connection, instance_id, row)
    add_members(connection, instance_id, row.key, members, position, row.created_at)
    room = to_room(row, members)
    sqlite_log.append(connection, instance_id, position, Event(room_created=RoomCreated(room=room)), row.created_at)
    return room


def insert_room(connection: sqlite3.Connection, instance_id: str, row: RoomRow) -> None:
    """Writes a room, which has no members yet."""
    connection.execute(
        "INSERT INTO rooms (instance_id, key, id, uid, name, created_by_id, private, custom_data,"
        " push_notification_title_override, created_at, updated_at, last_message_at, kind)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (instance_id, *row),
    )


def delete_room(connection: sqlite3.Connection, instance_id: str, row: RoomRow, now: int) -> Owner:
    """Removes a room, releases its attachments and writes the event; returns what has to be told of the release."""
    members = member_ids(connection, instance_id, row.key)
    sqlite_purges.remove_room(connection, instance_id, row.id, row.key)
    released = Owner(instance_id, row.uid)
    sqlite_releases.add_room(connection, released)
    position = sqlite_log.draw(connection, instance_id).position
    deleted = RoomDeleted(room_id=row.id, room_uid=row.uid, member_user_ids=members)
    sqlite_log.append(connection, instance_id, position, Event(room_deleted=deleted), now)
    return released


def _changed(row: RoomRow, room: Room, paths: frozenset[str]) -> RoomRow:
    """The row with the fields that the mask names taken from the message; named and unset means cleared."""
    if "name" in paths:
        row = row._replace(name=room.name)
    if "private" in paths:
        row = row._replace(private=int(room.private))
    if "custom_data" in paths:
        row = row._replace(custom_data=room.custom_data.SerializeToString() if room.HasField("custom_data") else None)
    if "push_notification_title_override" in paths:
        given = room.HasField("push_notification_title_override")
        row = row._replace(push_notification_title_override=room.push_notification_title_override if given else None)
    return row
