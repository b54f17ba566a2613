"""Attachments and avatars of archives, on SQLite."""

import hashlib
import sqlite3
from collections.abc import AsyncIterator, Generator, Sequence, Set
from contextlib import aclosing, asynccontextmanager, closing
from typing import Any

from google.protobuf.struct_pb2 import Value
from roomline.v1.archive_pb2 import (
    ArchiveRecord,
    AttachmentRecord,
    AttachmentUseRecord,
    AttachmentUsesRecord,
    AvatarRecord,
)
from roomline.v1.archive_service_pb2 import ImportResult

from services.common import archive
from services.common.archive import (
    FRAME_BYTES,
    conflict,
    imported,
    listed,
    refused,
    size_of,
    time_fault,
    uid_fault,
    unchanged,
)
from services.common.ids import Clock
from services.common.snapshots import pages, snapshot
from services.common.sqlite import Database
from services.common.timestamps import from_proto, to_proto
from services.media import sqlite_avatars, sqlite_usage
from services.media.archive_store import Export, Exported
from services.media.store import Use

DIGEST_BYTES = hashlib.sha256().digest_size

_COLUMNS = (
    "a.id, a.user_id, a.room_id, a.room_uid, a.name, a.content_type, a.caption, a.custom_data, a.size, a.created_at,"
    " a.digest, a.blob"
)
_OF_ATTACHMENT = "FROM uses u WHERE u.instance_id = a.instance_id AND u.attachment_id = a.id"
_ATTACHMENTS = (
    "FROM attachments a WHERE a.instance_id = :instance_id"
    f" AND (a.blob IS NOT NULL OR a.digest IS NOT NULL OR EXISTS (SELECT 1 {_OF_ATTACHMENT}))"
    " AND (:user_id = '' OR a.user_id = :user_id"
    f" OR EXISTS (SELECT 1 {_OF_ATTACHMENT} AND u.user_id = :user_id))"
)
_USES = (
    "SELECT u.message_uid, u.room_uid, u.user_id FROM uses u WHERE u.instance_id = :instance_id"
    " AND u.attachment_id = :attachment_id AND (:user_id = '' OR u.user_id = :user_id) ORDER BY u.message_uid"
)
_FURTHER_USES = (
    "SELECT coalesce(sum((held - 1) / :at_once), 0) FROM (SELECT count(*) AS held FROM uses u"
    " WHERE u.instance_id = :instance_id AND (:user_id = '' OR u.user_id = :user_id) GROUP BY u.attachment_id)"
)
"""How many records attachments need beside their own."""
_AVATARS = "FROM avatars v WHERE v.instance_id = :instance_id AND (:user_id = '' OR v.user_id = :user_id)"

_Values = dict[str, str | int]


class SqliteArchive:
    """Keeps the promises of `ArchiveStore`. `max_bytes` is the largest file of this installation."""

    def __init__(self, database: Database, clock: Clock, max_bytes: int) -> None:
        self._database = database
        self._clock = clock
        self._max_bytes = max_bytes

    @asynccontextmanager
    async def export(self, instance_id: str, user_id: str) -> AsyncIterator[Export]:
        """See `ArchiveStore`."""
        values: _Values = {"instance_id": instance_id, "user_id": user_id, "at_once": archive.ITEMS_AT_ONCE}
        async with snapshot(self._database) as taken:
            total = await taken.run(lambda connection: _total(connection, values))
            rows = pages(
                taken, lambda connection: _records(connection, values), lambda one: size_of(one.record), FRAME_BYTES
            )
            async with aclosing(rows):
                yield Export(total, rows)

    async def take(
        self, instance_id: str, records: Sequence[ArchiveRecord], users: Set[str], live: Set[Use]
    ) -> list[ImportResult]:
        """See `ArchiveStore`."""

        def work(connection: sqlite3.Connection) -> list[ImportResult]:
            return [self._take(connection, instance_id, record, users, live) for record in records]

        return await self._database.write(work)

    def _take(
        self, connection: sqlite3.Connection, instance_id: str, record: ArchiveRecord, users: Set[str], live: Set[Use]
    ) -> ImportResult:
        match record.WhichOneof("kind"):
            case "attachment":
                return self._take_attachment(connection, instance_id, record.attachment, users, live)
            case "attachment_uses":
                return _take_uses(connection, instance_id, record.attachment_uses, live, self._clock())
            case _:
                return _take_avatar(connection, instance_id, record.avatar, users)

    def _take_attachment(
        self,
        connection: sqlite3.Connection,
        instance_id: str,
        record: AttachmentRecord,
        users: Set[str],
        live: Set[Use],
    ) -> ImportResult:
        fault = _fault(record)
        if fault:
            return refused(fault)
        if record.size > self._max_bytes:
            return refused(f"it is larger than {self._max_bytes} bytes")
        uses = [use for use in record.uses if Use(instance_id, use.message_uid, record.id) in live]
        now = self._clock()
        there = connection.execute(
            "SELECT blob IS NULL FROM attachments WHERE instance_id = ? AND id = ?", (instance_id, record.id)
        ).fetchone()
        if there is not None:
            # A message that could not be taken up the first time may be there by now.
            added = _add_uses(connection, instance_id, record.id, uses, now)
            return _with_bytes(imported() if added else unchanged(), needed=bool(there[0]))
        if record.uses and not uses and len(record.uses) < archive.ITEMS_AT_ONCE:  # else further records may have some
            return refused("none of the messages that hold it is there")
        left_out = _gone(record.uses, uses)
        user_id = record.user_id
        if user_id and user_id not in users:
            left_out.append(f"without its uploader, who does not exist: {user_id}")
            user_id = ""
        _insert(connection, instance_id, record, user_id, idle_since=now)
        _add_uses(connection, instance_id, record.id, uses, now)
        return _with_bytes(imported(left_out), needed=True)


def _total(connection: sqlite3.Connection, values: _Values) -> int:
    counts = (f"SELECT count(*) {_ATTACHMENTS}", _FURTHER_USES, f"SELECT count(*) {_AVATARS}")
    return sum(int(connection.execute(count, values).fetchone()[0]) for count in counts)


def _records(connection: sqlite3.Connection, values: _Values) -> Generator[Exported]:
    with closing(connection.execute(f"SELECT {_COLUMNS} {_ATTACHMENTS} ORDER BY a.id", values)) as rows:
        for row in rows:
            *columns, digest, blob = row
            record = _attachment(columns)
            record.digest = digest or b""
            with closing(connection.execute(_USES, {**values, "attachment_id": record.id})) as uses:
                portions = archive.portions(
                    AttachmentUseRecord(message_uid=message_uid, room_uid=room_uid, user_id=user_id)
                    for message_uid, room_uid, user_id in uses
                )
                record.uses.extend(next(portions))
                yield Exported(ArchiveRecord(attachment=record), blob if digest is None else None, record.size)
                for more in portions:
                    further = AttachmentUsesRecord(attachment_id=record.id, uses=more)
                    yield Exported(ArchiveRecord(attachment_uses=further))
    query = f"SELECT v.user_id, v.size, v.updated_at, v.blob {_AVATARS} ORDER BY v.user_id"
    with closing(connection.execute(query, values)) as rows:
        for user_id, size, updated_at, blob in rows:
            avatar = AvatarRecord(user_id=user_id, size=size, updated_at=to_proto(updated_at))
            yield Exported(ArchiveRecord(avatar=avatar), blob, size)


def _attachment(columns: Sequence[Any]) -> AttachmentRecord:
    id_, user_id, room_id, room_uid, name, content_type, caption, custom_data, size, created_at = columns
    return AttachmentRecord(
        id=id_,
        user_id=user_id,
        room_id=room_id,
        room_uid=room_uid,
        name=name,
        content_type=content_type,
        caption=caption,
        custom_data=None if custom_data is None else Value.FromString(custom_data),
        size=size,
        created_at=to_proto(created_at),
    )


def _fault(record: AttachmentRecord) -> str:
    """What is wrong with a record, beside field rules; empty if nothing is."""
    fault = uid_fault(record.id) or time_fault(record, "created_at")
    if fault:
        return fault
    if len(record.digest) not in {0, DIGEST_BYTES}:
        return f"digest: {DIGEST_BYTES} bytes, or none"
    if record.HasField("room_id") != record.HasField("room_uid"):
        return "room_id and room_uid belong together"
    if not record.digest and not record.uses:
        return "it has neither bytes nor messages that hold it"
    return ""


def _gone(wanted: Sequence[AttachmentUseRecord], uses: Sequence[AttachmentUseRecord]) -> list[str]:
    """What is to be said of the uses that are wanted and are not there."""
    gone = {use.message_uid for use in wanted} - {use.message_uid for use in uses}
    return [f"without uses by messages that are not there: {listed(gone)}"] if gone else []


def _take_uses(
    connection: sqlite3.Connection, instance_id: str, record: AttachmentUsesRecord, live: Set[Use], now: int
) -> ImportResult:
    """Adds further uses to an attachment."""
    place = (instance_id, record.attachment_id)
    if not connection.execute("SELECT 1 FROM attachments WHERE instance_id = ? AND id = ?", place).fetchone():
        return refused(f"there is no attachment {record.attachment_id}")
    uses = [use for use in record.uses if Use(instance_id, use.message_uid, record.attachment_id) in live]
    if not uses:
        return refused("none of the messages that hold it is there")
    added = _add_uses(connection, *place, uses, now)
    return imported(_gone(record.uses, uses)) if added else unchanged()


def _insert(
    connection: sqlite3.Connection, instance_id: str, record: AttachmentRecord, user_id: str, idle_since: int
) -> None:
    """Writes an attachment without bytes and uses."""
    row = {
        "instance_id": instance_id,
        "id": record.id,
        "user_id": user_id,
        "room_id": record.room_id if record.HasField("room_id") else None,
        "room_uid": record.room_uid if record.HasField("room_uid") else None,
        "name": record.name or record.id,
        "content_type": record.content_type,
        "caption": record.caption if record.HasField("caption") else None,
        "custom_data": record.custom_data.SerializeToString() if record.HasField("custom_data") else None,
        "size": record.size,
        "sized": True,
        "created_at": from_proto(record.created_at),
        "digest": record.digest or None,
        "idle_since": idle_since,
    }
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO attachments ({columns}) VALUES ({marks})", tuple(row.values()))
    sqlite_usage.add(connection, instance_id, user_id, record.size, 1)


def _add_uses(
    connection: sqlite3.Connection,
    instance_id: str,
    attachment_id: str,
    uses: Sequence[AttachmentUseRecord],
    now: int,
) -> int:
    """Writes those uses that are not there, as claims; returns how many."""
    added = connection.executemany(
        "INSERT OR IGNORE INTO uses"
        " (instance_id, attachment_id, message_uid, room_uid, user_id, request_id, claimed_at)"
        " VALUES (?, ?, ?, ?, ?, '', ?)",
        [(instance_id, attachment_id, use.message_uid, use.room_uid, use.user_id, now) for use in uses],
    ).rowcount
    if added > 0:
        connection.execute(
            "UPDATE attachments SET idle_since = NULL WHERE instance_id = ? AND id = ?", (instance_id, attachment_id)
        )
    return max(added, 0)


def _take_avatar(
    connection: sqlite3.Connection, instance_id: str, record: AvatarRecord, users: Set[str]
) -> ImportResult:
    fault = time_fault(record, "updated_at")
    if fault or len(record.digest) != DIGEST_BYTES:
        return refused(fault or f"digest: {DIGEST_BYTES} bytes")
    if record.user_id not in users:
        return refused(f"there is no user {record.user_id!r}")
    there = sqlite_avatars.find(connection, instance_id, record.user_id)
    if there is None:
        return _with_bytes(imported(), needed=True)
    if (there.updated_at, there.size) == (from_proto(record.updated_at), record.size):
        return unchanged()
    return conflict("the user has another picture")


def _with_bytes(result: ImportResult, *, needed: bool) -> ImportResult:
    """The result, saying whether bytes are to follow."""
    result.needs_bytes = needed
    return result
