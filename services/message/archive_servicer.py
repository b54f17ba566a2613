"""ArchiveService, for what the message service keeps: see proto/roomline/v1/archive_service.proto."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from roomline.v1 import archive_service_pb2 as pb
from roomline.v1.archive_pb2 import ArchiveRecord
from roomline.v1.archive_service_pb2_grpc import ArchiveServiceServicer

from services.common import archive
from services.common.call import MAX_USER_ID, current_caller
from services.common.ids import Clock
from services.common.interceptors import Context
from services.common.stalls import unless_stalled
from services.common.users import Users
from services.message.archive_store import ArchiveStore

KINDS = frozenset({"role", "room", "room_members", "assignment", "message", "message_hidden", "room_read"})


class ArchiveServicer(ArchiveServiceServicer):
    """Rooms, members, roles, messages and cursors, out and in."""

    def __init__(self, store: ArchiveStore, users: Users, clock: Clock) -> None:
        self._store = store
        self._users = users
        self._clock = clock

    async def ExportRecords(
        self, request: pb.ExportRecordsRequest, context: Context
    ) -> AsyncGenerator[pb.ExportRecordsResponse]:
        instance_id = current_caller().instance_id
        if request.user_id:
            await self._users.require(instance_id, request.user_id)
        async with aclosing(unless_stalled(self._store.export(instance_id, request.user_id))) as frames:
            async for frame in frames:
                yield frame

    async def ImportRecords(self, request: pb.ImportRecordsRequest, context: Context) -> pb.ImportRecordsResponse:
        instance_id = current_caller().instance_id
        checked = archive.check(request.records, KINDS)
        asked_at = self._clock()
        # Nobody has another id, and the user service would refuse to look for it.
        named = {user_id for record in checked.records for user_id in _named(record) if len(user_id) <= MAX_USER_ID}
        users = await self._users.existing(instance_id, sorted(named))
        taken = await self._store.take(instance_id, checked.records, users, asked_at)
        return pb.ImportRecordsResponse(results=checked.with_taken(taken))


def _named(record: ArchiveRecord) -> Iterator[str]:
    """The users who must exist to be part of what is taken up. Who created a room, or sent a message, may be gone."""
    for members in (record.room, record.room_members):
        yield from (member.user_id for member in members.members)
        yield from (cursor.user_id for cursor in members.cursors)
    if record.HasField("assignment"):
        yield record.assignment.user_id
    yield from record.message.hidden_by
    yield from record.message_hidden.hidden_by
