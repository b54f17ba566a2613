"""ArchiveFileService: see proto/roomline/v1/archive_file_service.proto."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from roomline.v1 import archive_file_service_pb2 as pb
from roomline.v1.archive_file_service_pb2_grpc import ArchiveFileServiceServicer
from roomline.v1.archive_pb2 import AvatarRecord
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2 import UploadAttachmentRequest

from services.common.call import current_caller
from services.common.errors import RoomlineError
from services.common.interceptors import Context
from services.common.rules import invalid, required
from services.media.avatars import Avatars
from services.media.blobs import Blobs, MissingError
from services.media.store import AttachmentStore, Stored
from services.media.uploads import Uploads


class ArchiveFileServicer(ArchiveFileServiceServicer):
    """The bytes of attachments and avatars, out and in."""

    def __init__(self, attachments: AttachmentStore, avatars: Avatars, blobs: Blobs, uploads: Uploads) -> None:
        self._attachments = attachments
        self._avatars = avatars
        self._blobs = blobs
        self._uploads = uploads

    async def ExportFile(
        self, request: pb.ExportFileRequest, context: Context
    ) -> AsyncGenerator[pb.ExportFileResponse]:
        instance_id = current_caller().instance_id
        match request.WhichOneof("file"):
            case "attachment_id":
                stored = await self._attachments.get(instance_id, request.attachment_id)
                if stored.blob is None:
                    raise _not_found()
                async with aclosing(object_bytes(self._blobs, stored.blob, stored.attachment.size)) as chunks:
                    async for chunk in chunks:
                        yield pb.ExportFileResponse(data=chunk)
            case "avatar_user_id":
                _, data = await self._avatars.get(instance_id, request.avatar_user_id, ())
                yield pb.ExportFileResponse(data=data)
            case _:
                raise required("attachment_id")

    async def ImportFile(
        self, request_iterator: AsyncIterator[pb.ImportFileRequest], context: Context
    ) -> pb.ImportFileResponse:
        instance_id = current_caller().instance_id
        first = await anext(request_iterator)
        match first.WhichOneof("step"):
            case "attachment_id":
                stored = await self._attachments.get(instance_id, first.attachment_id)
                return pb.ImportFileResponse(unchanged=not await self._upload(stored, request_iterator))
            case "avatar":
                return pb.ImportFileResponse(
                    unchanged=not await self._restore(instance_id, first.avatar, request_iterator)
                )
            case _:
                raise required("attachment_id")

    async def _upload(self, stored: Stored, requests: AsyncIterator[pb.ImportFileRequest]) -> bool:
        """Takes the bytes of an attachment as any upload is taken; False if it has some."""
        if stored.blob is not None:
            return False
        await self._uploads.upload(stored, _verified(_data(requests), stored.attachment.size, stored.digest))
        return True

    async def _restore(
        self, instance_id: str, record: AvatarRecord, requests: AsyncIterator[pb.ImportFileRequest]
    ) -> bool:
        if not record.HasField("updated_at"):
            raise required("avatar.updated_at")
        return await self._avatars.restore(instance_id, record, _data(requests))


async def object_bytes(blobs: Blobs, key: str, size: int) -> AsyncGenerator[bytes]:
    """The bytes of an object. Raises ATTACHMENT_NOT_FOUND if it is gone."""
    try:
        async with aclosing(await blobs.get(key, 0, size)) as chunks:
            async for chunk in chunks:
                yield chunk
    except MissingError as error:
        raise _not_found() from error


async def _data(requests: AsyncIterator[pb.ImportFileRequest]) -> AsyncGenerator[bytes]:
    async for request in requests:
        if request.WhichOneof("step") != "data":
            raise invalid("step", "only data after the first message")
        yield request.data


async def _verified(
    chunks: AsyncIterator[bytes], size: int, expected: bytes | None
) -> AsyncGenerator[UploadAttachmentRequest]:
    """The chunks, as those of an upload, which counts them. Raises FIELD_INVALID after so many without the digest.

    If nobody knows the digest, because the bytes come from elsewhere, any chunks will do.
    """
    digest, left = hashlib.sha256(), size
    async for chunk in chunks:
        digest.update(chunk)
        left -= len(chunk)
        yield UploadAttachmentRequest(chunk=chunk)
    if left == 0 and expected is not None and digest.digest() != expected:
        raise invalid("data", "the bytes with the digest of the record")


def _not_found() -> RoomlineError:
    return RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
