"""What has to be known of messages with attachments, on SQLite."""

import sqlite3
from collections.abc import Sequence

from roomline.v1.attachment_pb2 import AttachmentUse
from roomline.v1.message_pb2 import Message
from roomline.v1.message_service_pb2 import EditMessageRequest, SendMessageRequest

from services.common.call import Caller
from services.common.ids import Clock
from services.common.sqlite import Database
from services.message import sqlite_access, sqlite_releases, sqlite_sight
from services.message.content import attachment_ids
from services.message.sqlite_membership import is_member
from services.message.sqlite_messages import find_to_edit, require_in_room
from services.message.sqlite_removals import expiry_of
from services.message.store import Editable, Owner

_LIVE = (
    "SELECT x.content, r.id, r.private, r.key, x.id FROM messages x JOIN rooms r ON r.instance_id = x.instance_id"
    " AND r.key = x.room_key WHERE x.instance_id = ? AND x.uid = ? AND x.unsent_at IS NULL"
    " AND (x.expires_at IS NULL OR x.expires_at > ?)"
)

_EXPIRED = "SELECT content FROM messages WHERE instance_id = ? AND uid = ? AND unsent_at IS NULL AND expires_at <= ?"


class SqliteAttachments:
    """Keeps the promises of `AttachmentStore`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def room_to_send_to(self, caller: Caller, sender: str, request: SendMessageRequest) -> str:
        """See `AttachmentStore`."""

        def work(connection: sqlite3.Connection) -> str:
            room = sqlite_access.find_as_sender(connection, caller, request.room_id, sender)
            if request.HasField("reply_to"):
                require_in_room(connection, caller, room, request.reply_to, self._clock())
            expiry_of(request, self._clock())
            return room.uid

        return await self._database.read(work)

    async def editable(self, caller: Caller, request: EditMessageRequest) -> Editable:
        """See `AttachmentStore`."""

        def work(connection: sqlite3.Connection) -> Editable:
            room, row = find_to_edit(connection, caller, request, self._clock())
            owner = Owner(caller.instance_id, row.uid)
            ids = frozenset(attachment_ids(Message.FromString(row.content).parts))
            releasing = sqlite_releases.are_pending(connection, owner)
            return Editable(owner, row.user_id, room.uid, row.updated_at, ids, releasing)

        return await self._database.read(work)

    async def live_uses(
        self, instance_id: str, uses: Sequence[AttachmentUse], user_id: str, *, members_only: bool = False
    ) -> list[AttachmentUse]:
        """See `AttachmentStore`."""

        def work(connection: sqlite3.Connection) -> list[AttachmentUse]:
            now = self._clock()
            held: dict[str, frozenset[str]] = {}
            for use in uses:
                if use.message_uid not in held:
                    message = Owner(instance_id, use.message_uid)
                    held[use.message_uid] = _held(connection, message, user_id, now, members_only=members_only)
            return [use for use in uses if use.attachment_id in held[use.message_uid]]

        return await self._database.read(work)

    async def releasing(
        self, instance_id: str, uses: Sequence[AttachmentUse], room_uids: Sequence[str]
    ) -> tuple[list[AttachmentUse], list[str]]:
        """See `AttachmentStore`."""

        def work(connection: sqlite3.Connection) -> tuple[list[AttachmentUse], list[str]]:
            now = self._clock()

            def is_releasing(use: AttachmentUse) -> bool:
                message = Owner(instance_id, use.message_uid)
                if sqlite_releases.is_pending(connection, message, use.attachment_id):
                    return True
                row = connection.execute(_EXPIRED, (*message, now)).fetchone()
                return row is not None and use.attachment_id in attachment_ids(Message.FromString(row[0]).parts)

            rooms = [uid for uid in room_uids if sqlite_releases.is_pending(connection, Owner(instance_id, uid), "")]
            return [use for use in uses if is_releasing(use)], rooms

        return await self._database.read(work)


def _held(
    connection: sqlite3.Connection, message: Owner, user_id: str, now: int, *, members_only: bool
) -> frozenset[str]:
    """The attachments of a message; none if it is not live or, if a user is named, not readable (spec §5.2)."""
    row = connection.execute(_LIVE, (*message, now)).fetchone()
    if row is None:
        return frozenset()
    content, room_id, private, room_key, message_id = row
    if user_id:
        if (private or members_only) and not is_member(connection, message.instance_id, room_key, user_id):
            return frozenset()
        if not sqlite_access.permits(connection, message.instance_id, user_id, "room:messages:get", room_id):
            return frozenset()
        if sqlite_sight.is_hidden(connection, message.instance_id, room_key, user_id, message_id):
            return frozenset()
    return frozenset(attachment_ids(Message.FromString(content).parts))
