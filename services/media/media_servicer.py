"""MediaService: see proto/roomline/v1/media_service.proto."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import aclosing

from roomline.v1 import media_service_pb2 as pb
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2_grpc import MediaServiceServicer

from services.common import limits, pagination, timestamps
from services.common.call import Caller, Level, current_caller
from services.common.errors import RoomlineError
from services.common.interceptors import Context
from services.common.rules import required
from services.media.avatars import Avatars
from services.media.downloads import Downloads
from services.media.links import Links
from services.media.readers import Readers
from services.media.removals import Removals
from services.media.signatures import Signatures, Signed
from services.media.store import PAGE_BYTES, AttachmentStore, Bounds, Stored, UseStore
from services.media.uploads import Uploads, file_limit

PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000


class MediaServicer(MediaServiceServicer):
    """Reserves, takes, gives and deletes files."""

    def __init__(
        self,
        attachments: AttachmentStore,
        uses: UseStore,
        uploads: Uploads,
        downloads: Downloads,
        avatars: Avatars,
        removals: Removals,
        readers: Readers,
        signatures: Signatures,
        links: Links,
        max_bytes: int,
    ) -> None:
        self._attachments = attachments
        self._uses = uses
        self._uploads = uploads
        self._downloads = downloads
        self._avatars = avatars
        self._removals = removals
        self._readers = readers
        self._signatures = signatures
        self._links = links
        self._max_bytes = max_bytes

    async def ReserveAttachment(
        self, request: pb.ReserveAttachmentRequest, context: Context
    ) -> pb.ReserveAttachmentResponse:
        caller = _uploader(current_caller(), request.user_id)
        limits.check_custom_data(caller, request)
        most = file_limit(caller.limits, self._max_bytes)
        if request.content_length > most:
            raise RoomlineError(ErrorReason.ERROR_REASON_FILE_TOO_LARGE, limit=most)
        stored = await self._attachments.reserved(caller, request)
        if stored is None:
            room_uid = await self._readers.member_room(caller, request.room_id) if request.room_id else None
            stored = await self._attachments.reserve(caller, request, room_uid)
        return pb.ReserveAttachmentResponse(
            attachment=await self._links.complete_one(stored),
            upload_url=self._links.upload_url(stored),
            permanent_url=self._links.permanent_url(stored),
        )

    async def UploadAttachment(
        self, request_iterator: AsyncIterator[pb.UploadAttachmentRequest], context: Context
    ) -> pb.UploadAttachmentResponse:
        first = await anext(request_iterator)
        if first.WhichOneof("step") == "signature":
            signed = self._signatures.verify(first.signature, "PUT")
            if first.attachment_id not in {"", signed.attachment_id}:
                raise RoomlineError(ErrorReason.ERROR_REASON_SIGNATURE_INVALID)
            stored = await self._named(signed)
        else:
            stored = await self._own(first.id)
        uploaded = await self._uploads.upload(stored, request_iterator)
        return pb.UploadAttachmentResponse(attachment=await self._links.complete_one(uploaded))

    async def DownloadAttachment(
        self, request: pb.DownloadAttachmentRequest, context: Context
    ) -> AsyncIterator[pb.DownloadAttachmentResponse]:
        expires = None
        if request.WhichOneof("source") == "signature":
            signed = self._signatures.verify(request.signature, "GET")
            expires, stored = signed.expires, await self._named(signed)
        else:
            caller = _with_token(request.id)
            await self._require_permission(caller, "file:get", request.id)
            stored = await self._readable(caller, request.id, members_only=request.members_only)
        async with aclosing(self._downloads.stream(stored, request)) as responses:
            async for response in responses:
                if expires is not None and response.HasField("head"):
                    response.head.expiration.seconds = expires
                yield response

    async def GetAttachment(self, request: pb.GetAttachmentRequest, context: Context) -> pb.GetAttachmentResponse:
        caller = current_caller()
        await self._require_permission(caller, "file:get", request.id)
        stored = await self._readable(caller, request.id)
        return pb.GetAttachmentResponse(attachment=await self._links.complete_one(stored))

    async def BatchGetAttachments(
        self, request: pb.BatchGetAttachmentsRequest, context: Context
    ) -> pb.BatchGetAttachmentsResponse:
        found = await self._attachments.batch(current_caller().instance_id, request.ids)
        return pb.BatchGetAttachmentsResponse(attachments=await self._links.complete(found))

    async def RefreshAttachment(
        self, request: pb.RefreshAttachmentRequest, context: Context
    ) -> pb.RefreshAttachmentResponse:
        caller = current_caller()
        room_uid = await self._readers.readable_room(caller, request.room_id)
        stored = await self._readable(caller, request.id)
        if stored.room_uid != room_uid and (
            stored.room_uid is not None
            or not await self._attachments.uses_in_room(stored.instance_id, room_uid, [request.id])
        ):
            raise RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
        return pb.RefreshAttachmentResponse(attachment=await self._links.complete_one(stored))

    async def ListAttachments(self, request: pb.ListAttachmentsRequest, context: Context) -> pb.ListAttachmentsResponse:
        caller = current_caller()
        size = pagination.page_size(request.page_size, default=PAGE_SIZE, maximum=MAX_PAGE_SIZE)
        bounds = Bounds(size=size + 1)
        if request.page_token:
            (before,) = pagination.decode_page_token(request.page_token, str)
            bounds = bounds._replace(before_id=before)
        if request.HasField("created_before"):
            bounds = bounds._replace(created_before=timestamps.from_proto(request.created_before))
        if request.room_id:
            room_uid = await self._readers.readable_room(caller, request.room_id)
            found = await self._attachments.in_room(caller.instance_id, room_uid, bounds)
        else:
            found = await self._attachments.of_user(caller.instance_id, caller.actor(), bounds)
        page = found[: _fitting(found, size)]
        token = pagination.encode_page_token(page[-1].attachment.id) if len(found) > len(page) else ""
        if request.room_id:
            page = await self._live(caller, room_uid, page)
        return pb.ListAttachmentsResponse(attachments=await self._links.complete(page), next_page_token=token)

    async def DeleteAttachment(
        self, request: pb.DeleteAttachmentRequest, context: Context
    ) -> pb.DeleteAttachmentResponse:
        caller = current_caller()
        await self._require_permission(caller, "file:create", request.id)
        return await self._removals.delete(caller, request)

    async def ClaimAttachments(
        self, request: pb.ClaimAttachmentsRequest, context: Context
    ) -> pb.ClaimAttachmentsResponse:
        claimed = await self._uses.claim(current_caller().instance_id, request)
        return pb.ClaimAttachmentsResponse(
            attachments=await self._links.complete(claimed.attachments),
            message_uid=claimed.message_uid,
            claimed_at=claimed.claimed_at or 0,
        )

    async def UnclaimAttachments(
        self, request: pb.UnclaimAttachmentsRequest, context: Context
    ) -> pb.UnclaimAttachmentsResponse:
        instance_id = current_caller().instance_id
        await self._uses.unclaim(instance_id, request.message_uid, request.ids, request.claimed_at)
        return pb.UnclaimAttachmentsResponse()

    async def ReleaseAttachments(
        self, request: pb.ReleaseAttachmentsRequest, context: Context
    ) -> pb.ReleaseAttachmentsResponse:
        await self._removals.release(current_caller().instance_id, request)
        return pb.ReleaseAttachmentsResponse()

    async def PurgeMedia(self, request: pb.PurgeMediaRequest, context: Context) -> pb.PurgeMediaResponse:
        await self._removals.purge(current_caller().instance_id, request.user_id)
        return pb.PurgeMediaResponse()

    async def SetAvatar(
        self, request_iterator: AsyncIterator[pb.SetAvatarRequest], context: Context
    ) -> pb.SetAvatarResponse:
        caller = current_caller()
        first = await anext(request_iterator)
        if not first.user_id:
            raise required("user_id")
        return pb.SetAvatarResponse(
            avatar=await self._avatars.set(caller, first.user_id, first.chunk, request_iterator)
        )

    async def GetAvatar(self, request: pb.GetAvatarRequest, context: Context) -> pb.GetAvatarResponse:
        avatar, data = await self._avatars.get(current_caller().instance_id, request.user_id, request.known_etags)
        return pb.GetAvatarResponse(avatar=avatar, data=data)

    async def _named(self, signed: Signed) -> Stored:
        """What a signature gives. Raises ATTACHMENT_NOT_FOUND if it is gone."""
        stored = await self._attachments.get(signed.instance_id, signed.attachment_id)
        if stored.room_uid != signed.room_uid:
            raise RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
        return stored

    async def _own(self, attachment_id: str) -> Stored:
        """An upload of the caller's, or any one for a server. Raises ATTACHMENT_NOT_FOUND."""
        caller = _with_token(attachment_id)
        await self._require_permission(caller, "file:create", attachment_id)
        stored = await self._attachments.get(caller.instance_id, attachment_id)
        if caller.is_user and stored.attachment.user_id != caller.user_id:
            raise RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
        return stored

    async def _require_permission(self, caller: Caller, permission: str, attachment_id: str) -> None:
        """Raises PERMISSION_MISSING for a user without it in the attachment's room, or anywhere if there is none.

        Permission comes before existence: who lacks it does not learn what is there.
        """
        if caller.is_user:
            found = await self._attachments.batch(caller.instance_id, [attachment_id])
            await self._readers.require_permission(caller, permission, found[0].attachment.room_id if found else "")

    async def _readable(self, caller: Caller, attachment_id: str, *, members_only: bool = False) -> Stored:
        stored = await self._attachments.get(caller.instance_id, attachment_id)
        await self._readers.require_readable(caller, stored, members_only=members_only)
        return stored

    async def _live(self, caller: Caller, room_uid: str, page: list[Stored]) -> list[Stored]:
        """Those that are part of a message of the room that exists, and that the caller can read."""
        uses = await self._attachments.uses_in_room(
            caller.instance_id, room_uid, [stored.attachment.id for stored in page]
        )
        ids = await self._readers.live_attachments(uses, caller.user_id if caller.is_user else "")
        return [stored for stored in page if stored.attachment.id in ids]


def _fitting(found: list[Stored], most: int) -> int:
    """How many of the first ones make a page: as many as fit into the bytes, and at least one if there is any."""
    size = 0
    for index, stored in enumerate(found[:most]):
        size += stored.attachment.ByteSize()
        if size > PAGE_BYTES and index:
            return index
    return min(most, len(found))


def _uploader(caller: Caller, user_id: str) -> Caller:
    """The caller as the user whose upload it is. Raises SUBJECT_MISMATCH if a user names somebody else."""
    if user_id in {"", caller.user_id}:
        return caller
    if caller.is_user:
        raise RoomlineError(ErrorReason.ERROR_REASON_SUBJECT_MISMATCH)
    return dataclasses.replace(caller, user_id=user_id)


def _with_token(attachment_id: str) -> Caller:
    """The caller of a method that takes a signature instead of a token, and got an id."""
    if not attachment_id:
        raise required("id")
    caller = current_caller()
    if caller.level is Level.PUBLIC:
        raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_MISSING)
    if caller.level is Level.OPERATOR:
        raise RoomlineError(ErrorReason.ERROR_REASON_CALLER_NOT_ALLOWED, level="user")
    return caller
