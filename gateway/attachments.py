"""Where the bytes of attachments go in and come out: `/attachments/{id}?signature=…`.

Whoever has the URL needs no token. Belongs to no dialect: each hands such URLs out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2 import DownloadAttachmentRequest, DownloadHead, UploadAttachmentRequest
from roomline.v1.media_service_pb2_grpc import MediaServiceStub

from gateway.download import Shown, download
from gateway.response import Header, Response
from gateway.upload import check_size, upload
from services.common.errors import RoomlineError
from services.common.interceptors import REQUEST_ID_KEY

if TYPE_CHECKING:
    import grpc
    from roomline.v1.media_service_pb2_grpc import MediaServiceAsyncStub

    from gateway.request import Request
    from gateway.router import Router

PATH = "/attachments/{attachment_id}"
MAX_AGE_SECONDS = 300
"""How long a browser may show what it has without asking: so long it may still show what is deleted."""

_ANY_PAGE: tuple[Header, ...] = ((b"cross-origin-resource-policy", b"cross-origin"),)
"""Every page may show it."""


class Attachments:
    """PUT stores the bytes, GET and HEAD give them."""

    def __init__(self, channel: grpc.aio.Channel, now: Callable[[], float] = time.time) -> None:
        self._stub: MediaServiceAsyncStub = MediaServiceStub(channel)
        self._now = now

    def add_routes(self, router: Router) -> None:
        """Adds the path."""
        router.add("PUT", PATH, self.upload)
        router.add("GET", PATH, self.download)

    async def upload(self, request: Request) -> Response:
        """Answers 200 when the bytes are safe (spec §6.2)."""
        first = UploadAttachmentRequest(
            signature=_signature(request), attachment_id=request.parameters["attachment_id"]
        )
        check_size(request)
        request.metadata = ((REQUEST_ID_KEY, request.request_id),)
        await upload(request, self._stub.UploadAttachment, first, request.chunks())
        return Response(200)

    async def download(self, request: Request) -> Response:
        """The file or, with `thumbnail`, a small picture of it; whole, or a range (spec §6.3)."""
        request.metadata = ((REQUEST_ID_KEY, request.request_id),)
        message = DownloadAttachmentRequest(signature=_signature(request))

        def show(head: DownloadHead) -> Shown:
            if head.attachment.id != request.parameters["attachment_id"]:
                raise RoomlineError(ErrorReason.ERROR_REASON_SIGNATURE_INVALID)
            return Shown(head.content_type, "attachment", b"private, max-age=%d" % self._max_age(head), _ANY_PAGE)

        return await download(request, self._stub.DownloadAttachment, message, show)

    def _max_age(self, head: DownloadHead) -> int:
        if not head.HasField("expiration"):
            return MAX_AGE_SECONDS
        return max(0, min(MAX_AGE_SECONDS, int(head.expiration.seconds - self._now())))


def _signature(request: Request) -> str:
    signature = request.query_value("signature")
    if signature is None:
        raise RoomlineError(ErrorReason.ERROR_REASON_SIGNATURE_INVALID)
    return signature
