"""Pictures that nobody has looked at yet, on SQLite."""

import sqlite3
from collections.abc import Sequence

from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError
from services.common.ids import Clock
from services.common.sqlite import Database
from services.media.sqlite_attachments import discard, find
from services.media.sqlite_uploads import announce, reject, written
from services.media.store import Stored, Thumbnail

_THESE_BYTES = "instance_id = ? AND id = ? AND blob = ?"
_BEFORE_ALL = ("", "")
_NEXT = (
    "UPDATE attachments SET looks = looks + 1 WHERE (instance_id, id) ="
    " (SELECT instance_id, id FROM attachments INDEXED BY attachments_unseen_by_user"
    " WHERE look_at <= ? AND looks < ? AND (instance_id, user_id) > (?, ?)"
    " ORDER BY instance_id, user_id, look_at LIMIT 1) RETURNING instance_id, id"
)
"""The next uploader's."""


class SqlitePictures:
    """Keeps the promises of `PictureStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def next(self, most: int, after: Stored | None = None) -> Stored | None:
        """See `PictureStore`."""
        last = (after.instance_id, after.attachment.user_id) if after else _BEFORE_ALL

        def work(connection: sqlite3.Connection) -> Stored | None:
            connection.execute(  # given up: nobody has to pass over them for ever
                "UPDATE attachments SET look_at = NULL WHERE look_at <= ? AND looks >= ?", (self._clock(), most)
            )
            for uploader in (last, _BEFORE_ALL):
                row = connection.execute(_NEXT, (self._clock(), most, *uploader)).fetchone()
                if row is not None:
                    return find(connection, *row)
            return None

        return await self._database.write(work)

    async def put_off(self, picture: Stored, until: int) -> bool:
        """See `PictureStore`."""
        changed = await self._database.write(
            lambda connection: (
                connection.execute(
                    "UPDATE attachments SET looks = looks - 1, look_at = ?"
                    f" WHERE {_THESE_BYTES} AND look_at IS NOT NULL",
                    (until, *_these_bytes(picture)),
                ).rowcount
            )
        )
        return changed > 0

    async def begin_thumbnail(self, picture: Stored, key: str) -> None:
        """See `PictureStore`."""

        def work(connection: sqlite3.Connection) -> None:
            if find(connection, picture.instance_id, picture.attachment.id).blob != picture.blob:
                raise RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
            announce(connection, picture.instance_id, picture.attachment.user_id, key, self._clock())

        await self._database.write(work)

    async def settle(
        self, picture: Stored, width: int | None, height: int | None, thumbnails: Sequence[Thumbnail]
    ) -> bool:
        """See `PictureStore`."""
        owner = (picture.instance_id, picture.attachment.id)

        def work(connection: sqlite3.Connection) -> bool:
            now = self._clock()
            settled = connection.execute(
                f"UPDATE attachments SET width = ?, height = ?, look_at = NULL WHERE {_THESE_BYTES}",
                (width, height, *_these_bytes(picture)),
            ).rowcount
            if not settled:
                _drop(connection, picture, thumbnails, now)
                return False
            discard(connection, owner, None, now)
            for thumbnail in thumbnails:
                if written(connection, thumbnail.blob, thumbnail.bytes, now):
                    connection.execute("INSERT INTO thumbnails VALUES (?, ?, ?, ?)", (*owner, *thumbnail[:2]))
            return True

        return await self._database.write(work)

    async def drop(self, picture: Stored, thumbnails: Sequence[Thumbnail]) -> None:
        """See `PictureStore`."""
        await self._database.write(lambda connection: _drop(connection, picture, thumbnails, self._clock()))


def _drop(connection: sqlite3.Connection, picture: Stored, thumbnails: Sequence[Thumbnail], now: int) -> None:
    for thumbnail in thumbnails:
        reject(connection, picture.instance_id, thumbnail.blob, now)


def _these_bytes(picture: Stored) -> tuple[str, str, str | None]:
    return picture.instance_id, picture.attachment.id, picture.blob
