"""Attachments on SQLite: their rows, and making, reading and removing them."""

import sqlite3
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from typing import NamedTuple

from google.protobuf.struct_pb2 import Value
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2 import (
    DeleteAttachmentRequest,
    DeleteAttachmentResponse,
    ReserveAttachmentRequest,
    ReserveAttachmentResponse,
)

from services.common import timestamps
from services.common.call import Caller
from services.common.errors import RoomlineError
from services.common.idempotency import recall, remembered, request_key
from services.common.ids import Clock
from services.common.sqlite import Database
from services.media import sqlite_usage
from services.media.store import Bounds, Stored, Thumbnail, Use

COLUMNS = (
    "a.id, a.user_id, a.room_id, a.room_uid, a.name, a.content_type, a.caption, a.custom_data, a.size, a.sized,"
    " a.created_at, a.blob, a.uploaded_at, a.detected_type, a.width, a.height, a.digest,"
    " (SELECT group_concat(t.size) FROM thumbnails t WHERE t.instance_id = a.instance_id AND t.attachment_id = a.id)"
)
"""What `to_stored` wants, in a query that calls the attachments table `a`."""

AFTER_ALL = "\U0010ffff"
"""Greater than every id."""


class AttachmentRow(NamedTuple):
    """The columns that `COLUMNS` names."""

    id: str
    user_id: str
    room_id: str | None
    room_uid: str | None
    name: str
    content_type: str
    caption: str | None
    custom_data: bytes | None
    size: int
    sized: int
    created_at: int
    blob: str | None
    uploaded_at: int | None
    detected_type: str
    width: int | None
    height: int | None
    digest: bytes | None
    thumbnails: str | None


def to_stored(instance_id: str, row: AttachmentRow) -> Stored:
    """The attachment of a row."""
    attachment = Attachment(
        id=row.id,
        name=row.name,
        size=row.size,
        custom_data=None if row.custom_data is None else Value.FromString(row.custom_data),
        content_type=row.content_type,
        detected_type=row.detected_type,
        width=row.width,
        height=row.height,
        thumbnails=sorted(int(size) for size in row.thumbnails.split(",")) if row.thumbnails else (),
        room_id=row.room_id,
        user_id=row.user_id,
        created_at=timestamps.to_proto(row.created_at),
        uploaded_at=None if row.uploaded_at is None else timestamps.to_proto(row.uploaded_at),
        caption=row.caption,
        etag=etag(row.blob) if row.blob else "",
    )
    return Stored(instance_id, attachment, row.room_uid, row.blob, bool(row.sized), row.digest)


def etag(key: str) -> str:
    """What names the bytes: every upload has a key of its own."""
    return key.rpartition("/")[2]


def find(connection: sqlite3.Connection, instance_id: str, attachment_id: str) -> Stored:
    """One attachment. Raises ATTACHMENT_NOT_FOUND."""
    row = connection.execute(
        f"SELECT {COLUMNS} FROM attachments a WHERE a.instance_id = ? AND a.id = ?", (instance_id, attachment_id)
    ).fetchone()
    if row is None:
        raise RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
    return to_stored(instance_id, AttachmentRow(*row))


def find_all(connection: sqlite3.Connection, instance_id: str, attachment_ids: Collection[str]) -> list[Stored]:
    """Those of the attachments that are there."""
    marks = ", ".join("?" * len(attachment_ids))
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM attachments a WHERE a.instance_id = ? AND a.id IN ({marks})",
        (instance_id, *attachment_ids),
    )
    return [to_stored(instance_id, AttachmentRow(*row)) for row in rows]


def is_used(connection: sqlite3.Connection, instance_id: str, attachment_id: str) -> bool:
    """Whether a message uses the attachment, as far as anybody knows."""
    row = connection.execute(
        "SELECT 1 FROM uses WHERE instance_id = ? AND attachment_id = ? LIMIT 1", (instance_id, attachment_id)
    ).fetchone()
    return row is not None


def remove(connection: sqlite3.Connection, instance_id: str, attachment_ids: Iterable[str], now: int) -> None:
    """Removes attachments with their uses and thumbnails; their bytes become garbage and count no longer."""
    for attachment_id in attachment_ids:
        key = (instance_id, attachment_id)
        row = connection.execute(
            "DELETE FROM attachments WHERE instance_id = ? AND id = ? RETURNING user_id, size, blob", key
        ).fetchone()
        if row is None:
            continue
        user_id, size, blob = row
        discard(connection, key, blob, now)
        connection.execute("DELETE FROM uses WHERE instance_id = ? AND attachment_id = ?", key)
        sqlite_usage.add(connection, instance_id, user_id, -size, -1)


def discard(connection: sqlite3.Connection, key: tuple[str, str], blob: str | None, now: int) -> None:
    """Makes garbage of an attachment's present bytes, and of their thumbnails."""
    rows = connection.execute(
        "DELETE FROM thumbnails WHERE instance_id = ? AND attachment_id = ? RETURNING blob", key
    ).fetchall()
    connection.executemany(
        "UPDATE blobs SET state = 'garbage', since = ? WHERE key = ?",
        [(now, blob) for blob in (blob, *(thumbnail for (thumbnail,) in rows)) if blob is not None],
    )


class SqliteAttachments:
    """Keeps the promises of `AttachmentStore`."""

    def __init__(self, database: Database, clock: Clock, new_id: Callable[[], str]) -> None:
        self._database = database
        self._clock = clock
        self._new_id = new_id

    async def reserve(self, caller: Caller, request: ReserveAttachmentRequest, room_uid: str | None) -> Stored:
        """See `AttachmentStore`."""
        instance_id = caller.instance_id
        user_id, size = caller.user_id, request.content_length

        def work(connection: sqlite3.Connection) -> ReserveAttachmentResponse:
            sqlite_usage.charge(connection, instance_id, user_id, size, caller.limits)
            attachment_id, now = self._new_id(), self._clock()
            row = {
                "instance_id": instance_id,
                "id": attachment_id,
                "user_id": user_id,
                "room_id": request.room_id or None,
                "room_uid": room_uid,
                "name": request.name or attachment_id,
                "content_type": request.content_type,
                "caption": request.caption if request.HasField("caption") else None,
                "custom_data": request.custom_data.SerializeToString() if request.HasField("custom_data") else None,
                "size": size,
                "sized": request.HasField("content_length"),
                "created_at": now,
                "idle_since": now,
            }
            columns, marks = ", ".join(row), ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO attachments ({columns}) VALUES ({marks})", tuple(row.values()))
            return ReserveAttachmentResponse(attachment=find(connection, instance_id, attachment_id).attachment)

        once = remembered(request_key(caller, request), ReserveAttachmentResponse, self._clock, work)
        response = await self._database.write(once)
        return Stored(instance_id, response.attachment, room_uid, None, request.HasField("content_length"))

    async def reserved(self, caller: Caller, request: ReserveAttachmentRequest) -> Stored | None:
        """See `AttachmentStore`."""
        first = await recall(self._database, request_key(caller, request), ReserveAttachmentResponse)
        if first is None:
            return None
        now = await self.batch(caller.instance_id, [first.attachment.id])
        room_uid = now[0].room_uid if now else None
        return Stored(caller.instance_id, first.attachment, room_uid, None, request.HasField("content_length"))

    async def get(self, instance_id: str, attachment_id: str) -> Stored:
        """See `AttachmentStore`."""
        return await self._database.read(lambda connection: find(connection, instance_id, attachment_id))

    async def batch(self, instance_id: str, attachment_ids: Collection[str]) -> list[Stored]:
        """See `AttachmentStore`."""
        return await self._database.read(lambda connection: find_all(connection, instance_id, attachment_ids))

    async def of_user(self, instance_id: str, user_id: str, bounds: Bounds) -> list[Stored]:
        """See `AttachmentStore`."""
        query = (
            f"SELECT {COLUMNS} FROM attachments a WHERE a.instance_id = ? AND a.user_id = ? AND a.id < ?"
            " AND a.created_at < ? ORDER BY a.id DESC LIMIT ?"
        )
        return await self._list(query, instance_id, user_id, bounds)

    async def in_room(self, instance_id: str, room_uid: str, bounds: Bounds) -> list[Stored]:
        """See `AttachmentStore`."""
        query = (
            f"SELECT DISTINCT {COLUMNS} FROM uses u"
            " JOIN attachments a ON a.instance_id = u.instance_id AND a.id = u.attachment_id"
            " WHERE u.instance_id = ? AND u.room_uid = ? AND u.attachment_id < ? AND a.created_at < ?"
            " ORDER BY u.attachment_id DESC LIMIT ?"
        )
        return await self._list(query, instance_id, room_uid, bounds)

    async def uses(self, instance_id: str, attachment_id: str, before_message_uid: str, size: int) -> list[str]:
        """See `AttachmentStore`."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT message_uid FROM uses WHERE instance_id = ? AND attachment_id = ? AND message_uid < ?"
                " ORDER BY message_uid DESC LIMIT ?",
                (instance_id, attachment_id, before_message_uid or AFTER_ALL, size),
            ).fetchall()
        )
        return [message_uid for (message_uid,) in rows]

    async def uses_in_room(self, instance_id: str, room_uid: str, attachment_ids: Collection[str]) -> list[Use]:
        """See `AttachmentStore`."""
        marks = ", ".join("?" * len(attachment_ids))
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT instance_id, message_uid, attachment_id FROM uses WHERE instance_id = ? AND room_uid = ?"
                f" AND attachment_id IN ({marks})",
                (instance_id, room_uid, *attachment_ids),
            ).fetchall()
        )
        return [Use(*row) for row in rows]

    async def delete(self, caller: Caller, request: DeleteAttachmentRequest) -> DeleteAttachmentResponse:
        """See `AttachmentStore`."""
        key = (caller.instance_id, request.id)

        def work(connection: sqlite3.Connection) -> DeleteAttachmentResponse:
            owner = find(connection, *key).attachment.user_id
            if caller.is_user and owner != caller.user_id:
                raise RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
            if is_used(connection, *key):
                raise RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_IN_USE)
            remove(connection, caller.instance_id, [request.id], self._clock())
            return DeleteAttachmentResponse()

        once = remembered(request_key(caller, request), DeleteAttachmentResponse, self._clock, work)
        return await self._database.write(once)

    async def thumbnail(self, instance_id: str, attachment_id: str, size: int) -> Thumbnail:
        """See `AttachmentStore`."""
        row = await self._database.read(
            lambda connection: connection.execute(
                "SELECT t.size, t.blob, b.size FROM thumbnails t JOIN blobs b ON b.key = t.blob"
                " WHERE t.instance_id = ? AND t.attachment_id = ? AND t.size = ?",
                (instance_id, attachment_id, size),
            ).fetchone()
        )
        if row is None:
            raise RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
        return Thumbnail(*row)

    async def _list(self, query: str, instance_id: str, value: str, bounds: Bounds) -> list[Stored]:
        values = (instance_id, value, bounds.before_id or AFTER_ALL, bounds.created_before, bounds.size)

        def work(connection: sqlite3.Connection) -> list[Stored]:
            found: list[Stored] = []
            size = 0
            with closing(connection.execute(query, values)) as rows:
                for row in rows:
                    found.append(to_stored(instance_id, AttachmentRow(*row)))
                    size += found[-1].attachment.ByteSize()
                    if size > bounds.bytes:
                        break
            return found

        return await self._database.read(work)
