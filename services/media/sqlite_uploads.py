"""Bytes on their way in, on SQLite."""

import sqlite3

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_pb2 import InstanceLimits

from services.common.errors import RoomlineError
from services.common.ids import Clock
from services.common.sqlite import Database
from services.media import sqlite_usage
from services.media.pictures import PICTURE_TYPES
from services.media.sqlite_attachments import discard, find, is_used
from services.media.store import Stored


class SqliteUploads:
    """Keeps the promises of `UploadStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, upload: Stored, key: str) -> Stored | None:
        """See `UploadStore`."""

        def work(connection: sqlite3.Connection) -> Stored | None:
            found = find(connection, upload.instance_id, upload.attachment.id)
            if _is_final(connection, found):
                return found
            announce(connection, upload.instance_id, upload.attachment.user_id, key, self._clock())
            return None

        return await self._database.write(work)

    async def grow(self, key: str, need: int, wish: int, limits: InstanceLimits) -> int:
        """See `UploadStore`."""

        def work(connection: sqlite3.Connection) -> int:
            row = connection.execute(
                "SELECT instance_id, user_id FROM blobs WHERE key = ? AND state = 'writing'", (key,)
            ).fetchone()
            if row is None:
                raise _not_found()
            instance_id, user_id = row
            taken = sqlite_usage.take(connection, instance_id, user_id, need, wish, limits)
            connection.execute("UPDATE blobs SET counted = counted + ? WHERE key = ?", (taken, key))
            return taken

        return await self._database.write(work)

    async def finish(self, upload: Stored, key: str, size: int, digest: bytes, detected_type: str) -> Stored:
        """See `UploadStore`."""
        owner = (upload.instance_id, upload.attachment.id)

        def work(connection: sqlite3.Connection) -> Stored | RoomlineError:
            now = self._clock()
            try:
                earlier = find(connection, *owner)
            except RoomlineError as error:
                reject(connection, upload.instance_id, key, now)
                return error
            if _is_final(connection, earlier):
                reject(connection, upload.instance_id, key, now)
                return earlier if earlier.digest == digest else _in_use()
            if not written(connection, key, size, now):
                reject(connection, upload.instance_id, key, now)
                return _not_found()
            discard(connection, owner, earlier.blob, now)
            of_user, more = earlier.attachment.user_id, size - earlier.attachment.size
            sqlite_usage.add(connection, upload.instance_id, of_user, more, 0)
            look_at = now if detected_type in PICTURE_TYPES else None
            connection.execute(
                "UPDATE attachments SET blob = ?, size = ?, digest = ?, uploaded_at = ?, detected_type = ?,"
                " width = NULL, height = NULL, look_at = ?, looks = 0, idle_since = iif(idle_since IS NULL, NULL, ?)"
                " WHERE instance_id = ? AND id = ?",
                (key, size, digest, now, detected_type, look_at, now, *owner),
            )
            return find(connection, *owner)

        result = await self._database.write(work)
        if isinstance(result, RoomlineError):  # not raised before: what was done about the object is to stay
            raise result
        return result

    async def abandon(self, key: str) -> None:
        """See `UploadStore`."""
        await self._database.write(lambda connection: reject(connection, "", key, self._clock()))


def announce(connection: sqlite3.Connection, instance_id: str, user_id: str, key: str, now: int) -> None:
    """Notes that an object of a user's is being written."""
    connection.execute(
        "INSERT INTO blobs (key, instance_id, user_id, state, since) VALUES (?, ?, ?, 'writing', ?)",
        (key, instance_id, user_id, now),
    )


def written(connection: sqlite3.Connection, key: str, size: int, now: int) -> bool:
    """Notes that an object is in use, and gives back what it held of the quotas. False if it was given up before."""
    row = connection.execute(
        "SELECT instance_id, user_id, counted FROM blobs WHERE key = ? AND state = 'writing'", (key,)
    ).fetchone()
    if row is None:
        return False
    instance_id, user_id, counted = row
    sqlite_usage.add(connection, instance_id, user_id, -counted, 0)
    connection.execute(
        "UPDATE blobs SET state = 'in use', size = ?, counted = 0, since = ? WHERE key = ?", (size, now, key)
    )
    return True


def reject(connection: sqlite3.Connection, instance_id: str, key: str, now: int) -> None:
    """Makes garbage of an object that is not in use, even if its row is gone: bytes may have come after that."""
    give_up(connection, key, now)
    connection.execute(
        "INSERT OR IGNORE INTO blobs (key, instance_id, user_id, state, since) VALUES (?, ?, '', 'garbage', ?)",
        (key, instance_id, now),
    )


def give_up(connection: sqlite3.Connection, key: str, now: int) -> None:
    """Makes garbage of an object that is being written, and gives back what it held of the quotas."""
    row = connection.execute(
        "SELECT instance_id, user_id, counted FROM blobs WHERE key = ? AND state = 'writing'", (key,)
    ).fetchone()
    if row is not None:
        instance_id, user_id, counted = row
        sqlite_usage.add(connection, instance_id, user_id, -counted, 0)
        connection.execute("UPDATE blobs SET state = 'garbage', counted = 0, since = ? WHERE key = ?", (now, key))


def _is_final(connection: sqlite3.Connection, stored: Stored) -> bool:
    """Whether the bytes can be changed no more: somebody may have read the message that they are a part of."""
    return stored.blob is not None and is_used(connection, stored.instance_id, stored.attachment.id)


def _in_use() -> RoomlineError:
    return RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_IN_USE)


def _not_found() -> RoomlineError:
    return RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
