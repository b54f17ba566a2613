"""Where an export of Chatkit's is put in order before it is imported: a database of SQLite's own, which has no name."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple

from roomline.v1.archive_pb2 import ArchiveRecord, RoomReadRecord

from services.common.timestamps import to_proto
from services.supervisor.chatkit.records import Converted, room_uid

# Ids have no type of their own: numbers come in their order, and before texts.
_SCHEMA = """
CREATE TABLE users (id NOT NULL UNIQUE, created_at INTEGER NOT NULL, place INTEGER NOT NULL, record BLOB NOT NULL);
CREATE TABLE rooms (id NOT NULL UNIQUE, created_at INTEGER NOT NULL, place INTEGER NOT NULL, record BLOB NOT NULL);
CREATE TABLE messages (
    room_id TEXT NOT NULL, id NOT NULL, created_at INTEGER NOT NULL, place INTEGER NOT NULL, record BLOB NOT NULL,
    UNIQUE (room_id, id)
);
CREATE TABLE files (created_at INTEGER NOT NULL, place INTEGER NOT NULL, record BLOB NOT NULL, url TEXT NOT NULL);
"""


class Staged(NamedTuple):
    """A record, in its turn."""

    place: int
    """Its line or index in the file that it comes from."""
    record: ArchiveRecord


class StagedFile(NamedTuple):
    """An attachment, in its turn."""

    place: int
    record: ArchiveRecord
    url: str


class Staging:
    """Holds everything on disk, in the system's folder for temporary files (TMPDIR), for the time of a `with` block.

    However the process ends, nothing is left of it.
    """

    def __init__(self) -> None:
        # An empty name: the file is SQLite's secret, and gone as soon as it is closed.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + _SCHEMA)

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def add_user(self, place: int, user: Converted) -> bool:
        """Whether it is the first one with its id; otherwise it is not taken up."""
        return self._add("INSERT OR IGNORE INTO users VALUES (?, ?, ?, ?)", place, user, user.id)

    def add_room(self, place: int, room: Converted) -> bool:
        """Whether it is the first one with its id; otherwise it is not taken up."""
        return self._add("INSERT OR IGNORE INTO rooms VALUES (?, ?, ?, ?)", place, room, room.id)

    def add_message(self, place: int, message: Converted) -> bool:
        """Whether it is the first one with its id in its room; otherwise neither it nor its files are taken up."""
        command = "INSERT OR IGNORE INTO messages VALUES (?, ?, ?, ?, ?)"
        added = self._add(command, place, message, message.room_id, message.id)
        if added and message.files:
            self._database.executemany(
                "INSERT INTO files VALUES (?, ?, ?, ?)",
                [(message.created_at, place, file.record.SerializeToString(), file.url) for file in message.files],
            )
        return added

    def room_created_at(self, room_id: str) -> int | None:
        """When a room was created, in microseconds; None if there is no such room."""
        row = self._database.execute("SELECT created_at FROM rooms WHERE id = ?", (room_id,)).fetchone()
        return row[0] if row else None

    def count(self, table: str) -> int:
        """How many there are in `users`, `rooms`, `messages` or `files`."""
        (number,) = self._database.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(number)

    def users(self) -> Iterator[Staged]:
        """The users by age."""
        return self._records("SELECT place, record FROM users ORDER BY created_at, id")

    def rooms(self) -> Iterator[Staged]:
        """The rooms by age."""
        return self._records("SELECT place, record FROM rooms ORDER BY created_at, id")

    def messages(self) -> Iterator[Staged]:
        """The messages by age; those of one moment by their ids."""
        return self._records("SELECT place, record FROM messages ORDER BY created_at, id, room_id")

    def files(self) -> Iterator[StagedFile]:
        """The attachments by age."""
        rows = self._database.execute("SELECT place, record, url FROM files ORDER BY created_at, rowid")
        for place, record, url in rows:
            yield StagedFile(place, ArchiveRecord.FromString(record), url)

    def reads(self) -> Iterator[ArchiveRecord]:
        """For each room with messages, that all of them are read."""
        rows = self._database.execute(
            "SELECT rooms.id, rooms.created_at, max(messages.created_at) FROM messages "
            "JOIN rooms ON rooms.id = messages.room_id GROUP BY messages.room_id ORDER BY messages.room_id"
        )
        for room_id, created_at, newest in rows:
            read_until = to_proto(newest)
            read = RoomReadRecord(room_id=room_id, room_uid=room_uid(room_id, created_at), read_until=read_until)
            yield ArchiveRecord(room_read=read)

    def _add(self, command: str, place: int, converted: Converted, *key: str | int) -> bool:
        values = (*key, converted.created_at, place, converted.record.SerializeToString())
        return self._database.execute(command, values).rowcount == 1

    def _records(self, query: str) -> Iterator[Staged]:
        for place, record in self._database.execute(query):
            yield Staged(place, ArchiveRecord.FromString(record))
