"""Which messages use which attachments, on SQLite."""

import sqlite3
from collections.abc import Sequence

from roomline.v1.attachment_pb2 import AttachmentUse
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2 import ClaimAttachmentsRequest

from services.common.errors import RoomlineError
from services.common.ids import Clock
from services.common.sqlite import Database
from services.media.sqlite_attachments import find_all, is_used, remove
from services.media.store import Claimed, OpenClaim, Stored, Use

PIECE = 500
"""Attachments removed in one unit of work, so that no other writer waits long."""


class SqliteUses:
    """Keeps the promises of `UseStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def claim(self, instance_id: str, request: ClaimAttachmentsRequest) -> Claimed:
        """See `UseStore`."""
        ids = list(dict.fromkeys(request.ids))

        def work(connection: sqlite3.Connection) -> Claimed:
            found = {stored.attachment.id: stored for stored in find_all(connection, instance_id, ids)}
            if len(found) < len(ids):
                raise _unusable()
            message_uid = _earlier_claim(connection, instance_id, request, ids) or request.message_uid
            for stored in found.values():
                _check(connection, stored, request, message_uid)
            now = self._clock()
            known = connection.execute(
                f"SELECT 1 FROM uses WHERE instance_id = ? AND message_uid = ? AND {_among(ids)} LIMIT 1",
                (instance_id, message_uid, *ids),
            ).fetchone()
            use = (message_uid, request.room_uid, request.user_id, request.request_id, now)
            connection.executemany(
                "INSERT INTO uses (instance_id, attachment_id, message_uid, room_uid, user_id, request_id, claimed_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)"
                # It rises in any case: who made the earlier claim must not take this one back.
                " ON CONFLICT DO UPDATE SET claimed_at = max(excluded.claimed_at, claimed_at + 1)",
                [(instance_id, id_, *use) for id_ in ids],
            )
            connection.executemany(
                "UPDATE attachments SET idle_since = NULL WHERE instance_id = ? AND id = ?",
                [(instance_id, id_) for id_ in ids],
            )
            return Claimed(message_uid, [found[id_] for id_ in request.ids], now if known is None else None)

        return await self._database.write(work)

    async def unclaim(self, instance_id: str, message_uid: str, attachment_ids: Sequence[str], claimed_at: int) -> None:
        """See `UseStore`."""
        this = "confirmed = 0 AND instance_id = ? AND message_uid = ? AND attachment_id = ? AND claimed_at = ?"

        def work(connection: sqlite3.Connection) -> None:
            for id_ in attachment_ids:
                self._end_claim(connection, this, Use(instance_id, message_uid, id_), claimed_at)

        await self._database.write(work)

    async def release(self, instance_id: str, uses: Sequence[AttachmentUse]) -> None:
        """See `UseStore`."""

        def work(connection: sqlite3.Connection) -> None:
            for use in uses:
                connection.execute(
                    "DELETE FROM uses WHERE instance_id = ? AND attachment_id = ? AND message_uid = ?",
                    (instance_id, use.attachment_id, use.message_uid),
                )
                # Also if the use has gone before: as a claim whose message was deleted before it was asked after.
                if not is_used(connection, instance_id, use.attachment_id):
                    remove(connection, instance_id, [use.attachment_id], self._clock())

        await self._database.write(work)

    async def release_room(self, instance_id: str, room_uid: str) -> None:
        """See `UseStore`."""
        room = (instance_id, room_uid)

        def reserved(connection: sqlite3.Connection) -> int:
            rows = connection.execute(
                "SELECT id FROM attachments WHERE instance_id = ? AND room_uid = ? LIMIT ?", (*room, PIECE)
            ).fetchall()
            remove(connection, instance_id, [id_ for (id_,) in rows], self._clock())
            return len(rows)

        def used(connection: sqlite3.Connection) -> int:
            rows = connection.execute(
                "DELETE FROM uses WHERE (instance_id, attachment_id, message_uid) IN"
                " (SELECT instance_id, attachment_id, message_uid FROM uses WHERE instance_id = ? AND room_uid = ?"
                " LIMIT ?) RETURNING attachment_id",
                (*room, PIECE),
            ).fetchall()
            unused = [id_ for (id_,) in rows if not is_used(connection, instance_id, id_)]
            remove(connection, instance_id, unused, self._clock())
            return len(rows)

        for piece in (reserved, used):
            while await self._database.write(piece):
                pass

    async def unconfirmed(self, before: int, after: Use | None, size: int) -> list[OpenClaim]:
        """See `UseStore`."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT instance_id, message_uid, attachment_id, room_uid FROM uses"
                " WHERE confirmed = 0 AND claimed_at < ?"
                " AND (instance_id, message_uid, attachment_id) > (?, ?, ?)"
                " ORDER BY instance_id, message_uid, attachment_id LIMIT ?",
                (before, *(after or ("", "", "")), size),
            ).fetchall()
        )
        return [OpenClaim(Use(*row), room_uid) for *row, room_uid in rows]

    async def settle(self, confirmed: Sequence[Use], ended: Sequence[Use], before: int) -> None:
        """See `UseStore`."""
        this = "confirmed = 0 AND instance_id = ? AND message_uid = ? AND attachment_id = ? AND claimed_at < ?"

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(f"UPDATE uses SET confirmed = 1 WHERE {this}", [(*use, before) for use in confirmed])
            for use in ended:
                self._end_claim(connection, this, use, before)

        await self._database.write(work)

    def _end_claim(self, connection: sqlite3.Connection, this: str, use: Use, claimed_at: int) -> None:
        """Ends a claim that came to nothing, if it is still this one: its attachment may be sent again, for a day."""
        gone = connection.execute(f"DELETE FROM uses WHERE {this}", (*use, claimed_at)).rowcount
        if gone and not is_used(connection, use.instance_id, use.attachment_id):
            connection.execute(
                "UPDATE attachments SET idle_since = ? WHERE instance_id = ? AND id = ?",
                (self._clock(), use.instance_id, use.attachment_id),
            )


def _among(ids: Sequence[str]) -> str:
    return f"attachment_id IN ({', '.join('?' * len(ids))})"


def _earlier_claim(
    connection: sqlite3.Connection, instance_id: str, request: ClaimAttachmentsRequest, ids: list[str]
) -> str | None:
    """The message for which another try of the same request has claimed one of the attachments."""
    if not request.request_id:
        return None
    row = connection.execute(
        f"SELECT message_uid FROM uses WHERE instance_id = ? AND {_among(ids)} AND confirmed = 0"
        " AND user_id = ? AND request_id = ? AND room_uid = ? ORDER BY claimed_at, message_uid LIMIT 1",
        (instance_id, *ids, request.user_id, request.request_id, request.room_uid),
    ).fetchone()
    return None if row is None else str(row[0])


def _check(connection: sqlite3.Connection, stored: Stored, request: ClaimAttachmentsRequest, message_uid: str) -> None:
    """Raises ATTACHMENT_UNUSABLE unless this message may use the attachment."""
    uploader = stored.attachment.user_id
    if stored.room_uid is None:  # its uploader's, for any number of messages
        if uploader != request.user_id and not (request.by_server and not uploader):
            raise _unusable()
        return
    if stored.room_uid != request.room_uid:
        raise _unusable()
    if uploader not in {request.user_id, ""} and not request.by_server:
        raise _unusable()
    other = connection.execute(
        "SELECT 1 FROM uses WHERE instance_id = ? AND attachment_id = ? AND message_uid <> ?",
        (stored.instance_id, stored.attachment.id, message_uid),
    ).fetchone()
    if other is not None:
        raise _unusable()


def _unusable() -> RoomlineError:
    return RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_UNUSABLE)
