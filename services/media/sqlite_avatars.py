"""The pictures of users, on SQLite."""

import sqlite3

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_pb2 import InstanceLimits

from services.common.errors import RoomlineError
from services.common.ids import Clock
from services.common.sqlite import Database
from services.media import sqlite_usage
from services.media.sqlite_uploads import announce, reject, written
from services.media.store import StoredAvatar


class SqliteAvatars:
    """Keeps the promises of `AvatarStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def get(self, instance_id: str, user_id: str) -> StoredAvatar:
        """See `AvatarStore`."""
        found = await self._database.read(lambda connection: find(connection, instance_id, user_id))
        if found is None:
            raise _not_found()
        return found

    async def begin(self, instance_id: str, user_id: str, key: str) -> None:
        """See `AvatarStore`."""
        await self._database.write(
            lambda connection: announce(connection, instance_id, user_id, key, self._clock()),
        )

    async def put(self, instance_id: str, user_id: str, key: str, size: int, limits: InstanceLimits) -> StoredAvatar:
        """See `AvatarStore`."""

        def work(connection: sqlite3.Connection) -> StoredAvatar:
            now = self._clock()
            earlier = find(connection, instance_id, user_id)
            if earlier is None:
                sqlite_usage.charge(connection, instance_id, user_id, size, limits)
            elif size > earlier.size:
                more = size - earlier.size
                sqlite_usage.take(connection, instance_id, user_id, more, more, limits)
            else:
                sqlite_usage.add(connection, instance_id, user_id, size - earlier.size, 0)
            if not written(connection, key, size, now):
                raise _not_found()
            if earlier is not None:
                _discard(connection, earlier.blob, now)
            return _put(connection, instance_id, StoredAvatar(user_id, key, size, now))

        return await self._database.write(work)

    async def restore(self, instance_id: str, avatar: StoredAvatar) -> bool:
        """See `AvatarStore`."""

        def work(connection: sqlite3.Connection) -> bool:
            if find(connection, instance_id, avatar.user_id) is not None:
                reject(connection, instance_id, avatar.blob, self._clock())
                return False
            if not written(connection, avatar.blob, avatar.size, self._clock()):
                raise _not_found()
            sqlite_usage.add(connection, instance_id, avatar.user_id, avatar.size, 1)
            _put(connection, instance_id, avatar)
            return True

        return await self._database.write(work)

    async def remove(self, instance_id: str, user_id: str) -> None:
        """See `AvatarStore`."""
        await self._database.write(lambda connection: remove(connection, instance_id, user_id, self._clock()))

    async def abandon(self, instance_id: str, key: str) -> None:
        """See `AvatarStore`."""
        await self._database.write(lambda connection: reject(connection, instance_id, key, self._clock()))


def remove(connection: sqlite3.Connection, instance_id: str, user_id: str, now: int) -> None:
    """Removes a user's picture, if there is one; its bytes become garbage and count no longer."""
    row = connection.execute(
        "DELETE FROM avatars WHERE instance_id = ? AND user_id = ? RETURNING blob, size", (instance_id, user_id)
    ).fetchone()
    if row is not None:
        blob, size = row
        _discard(connection, blob, now)
        sqlite_usage.add(connection, instance_id, user_id, -size, -1)


def find(connection: sqlite3.Connection, instance_id: str, user_id: str) -> StoredAvatar | None:
    """A user's picture, if there is one."""
    row = connection.execute(
        "SELECT user_id, blob, size, updated_at FROM avatars WHERE instance_id = ? AND user_id = ?",
        (instance_id, user_id),
    ).fetchone()
    return None if row is None else StoredAvatar(*row)


def _put(connection: sqlite3.Connection, instance_id: str, avatar: StoredAvatar) -> StoredAvatar:
    connection.execute("INSERT OR REPLACE INTO avatars VALUES (?, ?, ?, ?, ?)", (instance_id, *avatar))
    return avatar


def _discard(connection: sqlite3.Connection, blob: str, now: int) -> None:
    connection.execute("UPDATE blobs SET state = 'garbage', since = ? WHERE key = ?", (now, blob))


def _not_found() -> RoomlineError:
    return RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
