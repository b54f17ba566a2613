"""ArchiveService, for what the media service keeps: see proto/roomline/v1/archive_service.proto."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

from roomline.v1 import archive_service_pb2 as pb
from roomline.v1.archive_pb2 import ArchiveRecord
from roomline.v1.archive_service_pb2_grpc import ArchiveServiceServicer
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common import archive
from services.common.call import current_caller
from services.common.errors import RoomlineError
from services.common.interceptors import Context
from services.common.stalls import unless_stalled
from services.common.users import Users
from services.media.archive_file_servicer import object_bytes
from services.media.archive_store import ArchiveStore, Exported
from services.media.blobs import Blobs
from services.media.readers import Readers
from services.media.removals import Removals
from services.media.store import Use

KINDS = frozenset({"attachment", "attachment_uses", "avatar"})


class ArchiveServicer(ArchiveServiceServicer):
    """Attachments and avatars, without their bytes, out and in."""

    def __init__(self, store: ArchiveStore, blobs: Blobs, readers: Readers, users: Users, removals: Removals) -> None:
        self._store = store
        self._blobs = blobs
        self._readers = readers
        self._users = users
        self._removals = removals

    async def ExportRecords(
        self, request: pb.ExportRecordsRequest, context: Context
    ) -> AsyncGenerator[pb.ExportRecordsResponse]:
        instance_id = current_caller().instance_id
        if request.user_id:
            await self._users.require(instance_id, request.user_id)
        async with aclosing(unless_stalled(self._export(instance_id, request.user_id))) as frames:
            async for frame in frames:
                yield frame

    async def ImportRecords(self, request: pb.ImportRecordsRequest, context: Context) -> pb.ImportRecordsResponse:
        instance_id = current_caller().instance_id
        checked = archive.check(request.records, KINDS)
        named = {_owner(record) for record in checked.records} - {""}
        users = await self._users.existing(instance_id, sorted(named))
        live = await self._readers.live(_uses(instance_id, checked.records))
        taken = await self._store.take(instance_id, checked.records, users, live)
        # Whoever was deleted meanwhile may have been purged before the attachments were there.
        for gone in users - await self._users.existing(instance_id, sorted(users)):
            await self._removals.purge(instance_id, gone)
        return pb.ImportRecordsResponse(results=checked.with_taken(taken))

    async def _export(self, instance_id: str, user_id: str) -> AsyncGenerator[pb.ExportRecordsResponse]:
        async with (
            self._store.export(instance_id, user_id) as export,
            aclosing(archive.frames(export.total, self._with_digests(export.pages))) as frames,
        ):
            async for frame in frames:
                yield frame

    async def _with_digests(self, pages: AsyncGenerator[list[Exported]]) -> AsyncGenerator[list[ArchiveRecord]]:
        """The records of the pages, with the digests that nobody has noted; none of bytes that are lost."""
        async for page in pages:
            for one in page:
                if one.blob is not None:
                    kept = one.record.avatar if one.record.HasField("avatar") else one.record.attachment
                    kept.digest = await self._digest(one.blob, one.size)
            yield [one.record for one in page]

    async def _digest(self, blob: str, size: int) -> bytes:
        digest = hashlib.sha256()
        try:
            async with aclosing(object_bytes(self._blobs, blob, size)) as chunks:
                async for chunk in chunks:
                    digest.update(chunk)
        except RoomlineError as error:
            if error.reason == ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND:
                return b""
            raise
        return digest.digest()


def _owner(record: ArchiveRecord) -> str:
    return record.avatar.user_id or record.attachment.user_id


def _uses(instance_id: str, records: list[ArchiveRecord]) -> list[Use]:
    return [
        Use(instance_id, use.message_uid, attachment_id)
        for record in records
        for attachment_id, uses in (
            (record.attachment.id, record.attachment.uses),
            (record.attachment_uses.attachment_id, record.attachment_uses.uses),
        )
        for use in uses
    ]
