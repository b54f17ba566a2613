"""The media service's stores over a real database, and what the tests do with them."""
# ruff: noqa: S608 - statements are composed of constants

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from roomline.v1.attachment_pb2 import AttachmentUse
from roomline.v1.instance_pb2 import InstanceLimits
from roomline.v1.media_service_pb2 import ClaimAttachmentsRequest, ReserveAttachmentRequest

from services.common.call import DEFAULT_LIMITS, Caller, Level, effective_limits
from services.common.ids import Uuid7
from services.common.sqlite import Database
from services.media.server import MIGRATIONS
from services.media.sqlite_attachments import SqliteAttachments
from services.media.sqlite_avatars import SqliteAvatars
from services.media.sqlite_cleanup import SqliteCleanup
from services.media.sqlite_keys import SqliteKeys
from services.media.sqlite_pictures import SqlitePictures
from services.media.sqlite_uploads import SqliteUploads
from services.media.sqlite_uses import SqliteUses
from services.media.store import (
    AttachmentStore,
    AvatarStore,
    Claimed,
    CleanupStore,
    KeyStore,
    PictureStore,
    Stored,
    UploadStore,
    UseStore,
)
from tests.support.clock import ManualClock
from tests.support.databases import migrate

ROOM, OTHER_ROOM = "uid-of-a-room", "uid-of-another-room"
SERVER = Caller(Level.SERVER, "one")


def user(user_id: str, limits: InstanceLimits | None = None, instance_id: str = "one") -> Caller:
    """A user, of the first instance unless told otherwise."""
    return Caller(Level.USER, instance_id, user_id, effective_limits(limits) if limits else DEFAULT_LIMITS)


@dataclass
class MediaStores:
    """All stores over one database, with a clock that tests move."""

    database: Database
    clock: ManualClock
    new_id: Callable[[], str]
    attachments: AttachmentStore
    uses: UseStore
    uploads: UploadStore
    pictures: PictureStore
    avatars: AvatarStore
    cleanup: CleanupStore
    keys: KeyStore

    async def reserve(
        self,
        caller: Caller,
        *,
        room_uid: str | None = ROOM,
        size: int | None = 10,
        request_id: str = "",
        name: str = "a.txt",
    ) -> Stored:
        """A reservation."""
        room_id = "a room" if room_uid else ""
        request = ReserveAttachmentRequest(
            room_id=room_id, content_type="text/plain", content_length=size, name=name, request_id=request_id
        )
        return await self.attachments.reserve(caller, request, room_uid)

    async def upload(self, stored: Stored, size: int | None = None, detected_type: str = "text/plain") -> Stored:
        """Bytes for a reservation, without any real ones."""
        key = self.new_id()
        await self.uploads.begin(stored, key)
        size = stored.attachment.size if size is None else size
        return await self.uploads.finish(stored, key, size, key.encode(), detected_type)

    async def claim(
        self,
        *stored: Stored,
        by: str = "bob",
        message: str = "m1",
        room_uid: str = ROOM,
        request_id: str = "",
        by_server: bool = False,
        instance_id: str = "one",
    ) -> Claimed:
        """A claim of the attachments."""
        request = ClaimAttachmentsRequest(
            ids=[one.attachment.id for one in stored],
            room_uid=room_uid,
            user_id=by,
            by_server=by_server,
            message_uid=message,
            request_id=request_id,
        )
        return await self.uses.claim(instance_id, request)

    async def release(self, *stored: Stored, message: str = "m1", instance_id: str = "one") -> None:
        """Ends the message's uses of the attachments."""
        uses = [AttachmentUse(message_uid=message, attachment_id=one.attachment.id) for one in stored]
        await self.uses.release(instance_id, uses)

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        """What a query finds."""
        return await self.database.read(lambda connection: connection.execute(query).fetchall())

    async def exists(self, stored: Stored) -> bool:
        """Whether the attachment is there."""
        return bool(await self.attachments.batch(stored.instance_id, [stored.attachment.id]))

    async def usage(self, user_id: str = "", instance_id: str = "one") -> tuple[int, int]:
        """Bytes and files that count, of a user or of the whole instance."""
        found = [row[2:] for row in await self.rows("SELECT * FROM usage") if row[:2] == (instance_id, user_id)]
        return (int(str(found[0][0])), int(str(found[0][1]))) if found else (0, 0)

    async def garbage(self) -> set[str]:
        """The keys of bytes that nothing points to."""
        return {key for key, _ in await self.cleanup.garbage(None, "", 1000)}

    async def check(self) -> None:
        """Holds what must hold whatever happened: rows agree with each other."""
        await self.database.read(check_media)


async def open_stores(folder: Path) -> MediaStores:
    """Stores on SQLite; close the database when done."""
    path = folder / "media.db"
    migrate(path, MIGRATIONS)
    database = Database(path)
    await database.open()
    clock = ManualClock()
    new_id = Uuid7(clock)
    return MediaStores(
        database,
        clock,
        new_id,
        SqliteAttachments(database, clock, new_id),
        SqliteUses(database, clock),
        SqliteUploads(database, clock),
        SqlitePictures(database, clock),
        SqliteAvatars(database, clock),
        SqliteCleanup(database, clock),
        SqliteKeys(database),
    )


def check_media(connection: sqlite3.Connection) -> None:
    """Raises AssertionError unless uses, blobs, thumbnails and usage agree with the attachments and avatars."""

    def rows(query: str) -> list[tuple[object, ...]]:
        return connection.execute(query).fetchall()

    there = "SELECT 1 FROM attachments a WHERE a.instance_id = x.instance_id AND a.id = x.attachment_id"
    assert rows(f"SELECT * FROM uses x WHERE NOT EXISTS ({there})") == []
    assert rows(f"SELECT * FROM thumbnails x WHERE NOT EXISTS ({there})") == []
    used = "SELECT 1 FROM uses u WHERE u.instance_id = a.instance_id AND u.attachment_id = a.id"
    assert rows(f"SELECT * FROM attachments a WHERE (idle_since IS NULL) <> EXISTS ({used})") == []
    pointed_to = (
        "SELECT blob FROM attachments WHERE blob IS NOT NULL UNION ALL SELECT blob FROM thumbnails"
        " UNION ALL SELECT blob FROM avatars"
    )
    in_use = "SELECT key FROM blobs WHERE state = 'in use'"
    assert sorted(rows(pointed_to)) == sorted(rows(in_use))
    counted: dict[tuple[object, object], list[int]] = {}
    for instance_id, user_id, size, files in rows(
        "SELECT instance_id, user_id, size, 1 FROM attachments"
        " UNION ALL SELECT instance_id, user_id, size, 1 FROM avatars"
        " UNION ALL SELECT instance_id, user_id, counted, 0 FROM blobs WHERE counted > 0"
    ):
        for owner in {"", user_id}:
            total = counted.setdefault((instance_id, owner), [0, 0])
            total[0] += int(str(size))
            total[1] += int(str(files))
    assert {(row[0], row[1]): [row[2], row[3]] for row in rows("SELECT * FROM usage")} == counted
