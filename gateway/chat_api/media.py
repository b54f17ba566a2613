"""Files: uploaded as forms, read by id with the reader's token (spec §6). Avatars are in `avatars.py`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import grpc
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2 import (
    DeleteAttachmentRequest,
    DownloadAttachmentRequest,
    DownloadHead,
    ListAttachmentsRequest,
    ReserveAttachmentRequest,
    UploadAttachmentRequest,
)
from roomline.v1.media_service_pb2_grpc import MediaServiceStub

from gateway.chat_api import parse, render
from gateway.chat_api.endpoint import Kind
from gateway.chat_api.errors import FORM, InputError
from gateway.chat_api.form import MAX_FILES, FileHead, Form
from gateway.download import Shown, download
from gateway.form_reader import MAX_REST_BYTES
from gateway.response import Header, Response, json_response
from gateway.upload import check_size, upload
from services.common import file_headers
from services.common.errors import RoomlineError

if TYPE_CHECKING:
    from roomline.v1.attachment_pb2 import Attachment
    from roomline.v1.media_service_pb2_grpc import MediaServiceAsyncStub

    from gateway.chat_api.membership import Membership
    from gateway.chat_api.routes import Routes
    from gateway.request import Request

INLINE_TYPES = {
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "video/mp4",
    "video/webm",
    "audio/mp4",
    "audio/webm",
    "audio/ogg",
    "video/ogg",
    "application/ogg",
    "application/pdf",
}
"""What a browser may show in place: nothing of it runs, and the answer's CSP holds it in a sandbox."""

REVALIDATED = b"private, no-cache"
"""Kept by the reader's browser, but asked about each time: an unsent message's file is gone at once (fault 23)."""
OWN_PAGES: tuple[Header, ...] = ((b"cross-origin-resource-policy", b"same-site"),)
"""The cookie opens files, so pages of others may not show them."""


class Media:
    """Uploads, downloads and lists."""

    def __init__(self, channel: grpc.aio.Channel, membership: Membership) -> None:
        self._stub: MediaServiceAsyncStub = MediaServiceStub(channel)
        self._membership = membership

    def routes(self) -> Routes:
        """Methods, paths and what is special about them."""
        return [
            ("POST", "/media/content", self.upload, Kind.FORM),
            ("GET", "/media/content/{media_id}", self.download, Kind.FILE),
            ("GET", "/media.list", self.page, Kind.PLAIN),
        ]

    async def upload(self, request: Request) -> Response:
        """Stores the files of a form, all or none."""
        check_size(request, besides=(MAX_FILES - 1) * request.limits.file_bytes + MAX_REST_BYTES)
        form = Form(request.header(b"content-type"), request.chunks())
        stored: list[Attachment] = []
        reserved: list[str] = []
        try:
            async for head in form.files():
                reserved.append(await self._reserve(request, head))
                first = UploadAttachmentRequest(id=reserved[-1])
                answer = await upload(request, self._stub.UploadAttachment, first, form.chunks())
                stored.append(answer.attachment)
            if not stored:
                raise InputError(FORM, "missing field `file`")
        except BaseException:
            for media_id in reserved:
                await self._give_up(request, media_id)
            raise
        return json_response([render.media_block(one) for one in stored])

    async def _reserve(self, request: Request, head: FileHead) -> str:
        message = ReserveAttachmentRequest(
            content_type=file_headers.content_type(head.content_type),
            name=head.name,
            caption=head.caption,
            request_id=request.new_id(),
        )
        answer = await request.call(self._stub.ReserveAttachment, message)
        return answer.attachment.id

    async def _give_up(self, request: Request, media_id: str) -> None:
        """Frees what a failed upload has stored at once; else it would be freed after a day."""
        with suppress(grpc.aio.AioRpcError):
            message = DeleteAttachmentRequest(id=media_id, request_id=request.new_id())
            await request.call(self._stub.DeleteAttachment, message)

    async def download(self, request: Request) -> Response:
        """The file; whole, or a range. Whoever may not read it is told that there is none."""
        media_id = parse.path_uuid(request, "media_id")
        if media_id is None:
            raise RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
        show = _as_it_is if request.query_value("thumbnail") in {None, "0"} else _thumbnail
        message = DownloadAttachmentRequest(id=media_id, members_only=True)
        return await download(request, self._stub.DownloadAttachment, message, show)

    async def page(self, request: Request) -> Response:
        """The caller's uploads, or the files in a conversation of his; newest first."""
        limit = parse.limit(request)
        message = ListAttachmentsRequest()
        before = parse.query_time(request, "before")
        if before is not None:
            message.created_before.CopyFrom(before)
        cid = parse.query_optional_uuid(request, "cid")
        if cid is not None:
            await self._membership.require(request, cid)
            message.room_uid = cid
        found: list[Attachment] = []
        while True:
            message.page_size = parse.DEFAULT_LIMIT  # few calls, and answers that fit (ours: 16 MiB)
            answer = await request.call(self._stub.ListAttachments, message)
            found.extend(one for one in answer.attachments if one.HasField("uploaded_at"))
            message.page_token = answer.next_page_token
            if len(found) >= limit or not message.page_token:
                return json_response([render.media_block(one) for one in found[:limit]])


def _as_it_is(head: DownloadHead) -> Shown:
    return _shown(render.media_type(head.attachment))


def _thumbnail(head: DownloadHead) -> Shown:
    return _shown(head.content_type)


def _shown(media_type: str) -> Shown:
    inline = media_type.partition(";")[0].strip().lower() in INLINE_TYPES
    return Shown(media_type, "inline" if inline else "attachment", REVALIDATED, OWN_PAGES)
