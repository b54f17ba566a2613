"""Archives on SQLite: a snapshot out, short transactions in."""

import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence, Set
from contextlib import aclosing
from typing import Any

from roomline.v1.archive_pb2 import ArchiveRecord
from roomline.v1.archive_service_pb2 import ExportRecordsResponse, ImportResult

from services.common.archive import FRAME_BYTES, frames, size_of
from services.common.ids import Clock
from services.common.snapshots import pages, snapshot
from services.common.sqlite import Database
from services.message import (
    sqlite_export,
    sqlite_import_messages,
    sqlite_import_roles,
    sqlite_import_rooms,
    sqlite_purges,
)
from services.message.sqlite_import import Import

_TAKE: dict[str, Callable[[Import, Any], ImportResult]] = {
    "role": sqlite_import_roles.take_role,
    "room": sqlite_import_rooms.take_room,
    "room_members": sqlite_import_rooms.take_members,
    "assignment": sqlite_import_roles.take_assignment,
    "message": sqlite_import_messages.take_message,
    "message_hidden": sqlite_import_messages.take_hidden,
    "room_read": sqlite_import_rooms.take_read,
}

PIECE_BYTES = 64 * 1024
"""Of records in one transaction: what everybody else has to say waits for it."""
READ_BYTES = PIECE_BYTES // 8
"""What a `room_read` counts for, which makes a cursor for each member."""


class SqliteArchive:
    """Keeps the promises of `ArchiveStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def export(self, instance_id: str, user_id: str) -> AsyncGenerator[ExportRecordsResponse]:
        """See `ArchiveStore`."""
        what = sqlite_export.Scope(instance_id, user_id, self._clock())
        async with snapshot(self._database) as taken:
            total = await taken.run(lambda connection: sqlite_export.total(connection, what))
            rows = pages(taken, lambda connection: sqlite_export.records(connection, what), size_of, FRAME_BYTES)
            async with aclosing(frames(total, rows)) as answers:
                async for answer in answers:
                    yield answer

    async def take(
        self, instance_id: str, records: Sequence[ArchiveRecord], users: Set[str], asked_at: int
    ) -> list[ImportResult]:
        """See `ArchiveStore`."""
        results: list[ImportResult] = []
        for piece in _pieces(records):

            def work(connection: sqlite3.Connection, piece: list[ArchiveRecord] = piece) -> list[ImportResult]:
                purged = sqlite_purges.purged_since(connection, instance_id, asked_at)
                call = Import(connection, instance_id, users - purged, self._clock())
                taken = [_take(call, record) for record in piece]
                sqlite_import_messages.finish(call)
                return taken

            results += await self._database.write(work)
        return results


def _pieces(records: Sequence[ArchiveRecord]) -> Iterator[list[ArchiveRecord]]:
    piece: list[ArchiveRecord] = []
    left = PIECE_BYTES
    for record in records:
        piece.append(record)
        left -= READ_BYTES if record.HasField("room_read") else size_of(record)
        if left <= 0:
            yield piece
            piece, left = [], PIECE_BYTES
    if piece:
        yield piece


def _take(call: Import, record: ArchiveRecord) -> ImportResult:
    kind = record.WhichOneof("kind") or ""
    return _TAKE[kind](call, getattr(record, kind))
