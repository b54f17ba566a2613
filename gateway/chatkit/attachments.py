"""Attachments of v3 and later, and the files of v2 (spec §6). Their bytes go through `gateway/attachments.py`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import grpc
from roomline.v1.media_service_pb2 import (
    DeleteAttachmentRequest,
    RefreshAttachmentRequest,
    ReserveAttachmentRequest,
    UploadAttachmentRequest,
)
from roomline.v1.media_service_pb2_grpc import MediaServiceStub

from gateway.chatkit import dialect, parse, render
from gateway.form_reader import MAX_REST_BYTES
from gateway.multipart import FormFile
from gateway.response import Response, json_response
from gateway.upload import check_size, upload

if TYPE_CHECKING:
    from roomline.v1.media_service_pb2_grpc import MediaServiceAsyncStub

    from gateway.chatkit.routes import Routes
    from gateway.request import Request

FIELD = "file"
"""The form field that holds a v2 file."""


class Attachments:
    """Reservation and refresh."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: MediaServiceAsyncStub = MediaServiceStub(channel)

    def routes(self) -> Routes:
        """Methods and paths, below the instance."""
        return [
            ("POST", "/rooms/{room_id}/attachments", self.reserve),
            ("GET", "/rooms/{room_id}/attachments/{attachment_id}", self.refresh),
        ]

    async def reserve(self, request: Request) -> Response:
        """Says where the bytes go (spec §6.1)."""
        message = parse.new_attachment(request.parameters["room_id"], await request.json())
        message.request_id = request.new_id()
        answer = await request.call(self._stub.ReserveAttachment, message)
        return json_response(render.reservation(answer, request.links), 201)

    async def refresh(self, request: Request) -> Response:
        """The attachment with a new download URL (spec §6.4)."""
        room_id = request.parameters["room_id"]
        message = RefreshAttachmentRequest(room_id=room_id, id=request.parameters["attachment_id"])
        answer = await request.call(self._stub.RefreshAttachment, message)
        return json_response(render.attachment(answer.attachment, room_id, request.links))


class Files:
    """The one call of `chatkit_files` (spec §6.6)."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: MediaServiceAsyncStub = MediaServiceStub(channel)

    def routes(self) -> Routes:
        """Methods and paths, below the instance."""
        return [("POST", "/rooms/{room_id}/users/{user_id}/files/{file_name}", self.upload)]

    async def upload(self, request: Request) -> Response:
        """Stores the form's file under the name in the path; the answer is what a v2 message takes as `attachment`."""
        check_size(request, besides=MAX_REST_BYTES)
        if request.file is None:  # a second look at the path goes on with the file that the first one has opened
            request.file = await FormFile.open(request.header(b"content-type"), request.chunks(), FIELD)
        name = request.parameters["file_name"]
        content_type = dialect.file_type(request.file.content_type, name)
        reservation = ReserveAttachmentRequest(
            room_id=request.parameters["room_id"],
            user_id=request.parameters["user_id"],
            content_type=content_type,
            name=name,
            request_id=request.new_id(),
        )
        answer = await request.call(self._stub.ReserveAttachment, reservation)
        first = UploadAttachmentRequest(id=answer.attachment.id)
        try:
            await upload(request, self._stub.UploadAttachment, first, request.file.chunks())
        except BaseException:
            await self._give_up(request, answer.attachment.id)
            raise
        return json_response(render.file(answer.permanent_url, content_type, request.links), 201)

    async def _give_up(self, request: Request, attachment_id: str) -> None:
        """Frees what a failed upload has reserved at once; else it would be freed after a day."""
        with suppress(grpc.aio.AioRpcError):
            message = DeleteAttachmentRequest(id=attachment_id, request_id=request.new_id())
            await request.call(self._stub.DeleteAttachment, message)
