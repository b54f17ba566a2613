"""What the media service answers, for tests of the gateway."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2 import DownloadAttachmentRequest, DownloadAttachmentResponse, DownloadHead

from services.common.errors import RoomlineError

ID = "0190a5b0-7c00-7000-8000-000000000001"
PATH = f"/attachments/{ID}?signature=s.i.g"
DATA = bytes(range(256)) * 2000


def download(
    data: bytes = DATA, name: str = "n.bin", content_type: str = "image/png", etag: str = "one", **head: Any
) -> Callable[[DownloadAttachmentRequest], list[DownloadAttachmentResponse]]:
    """What the media service answers, as it understands offset and length."""

    def answer(request: DownloadAttachmentRequest) -> list[DownloadAttachmentResponse]:
        length = request.length if request.HasField("length") else len(data)
        piece = data[request.offset : request.offset + length]
        first = DownloadHead(
            attachment=Attachment(id=ID, name=name),
            content_type=content_type,
            size=len(data),
            offset=request.offset,
            length=len(piece),
            etag=etag,
            **head,
        )
        chunks = [piece[start : start + 100_000] for start in range(0, len(piece), 100_000)]
        return [DownloadAttachmentResponse(head=first), *(DownloadAttachmentResponse(chunk=chunk) for chunk in chunks)]

    return answer


def refusal(name: str, **metadata: object) -> RoomlineError:
    return RoomlineError(ErrorReason.Value(f"ERROR_REASON_{name}"), **metadata)


class Endless:
    """An answer that only the gateway ends."""

    def __init__(self, steps: int = 0) -> None:
        self.steps = steps
        """How many steps of a download come before it stands still."""
        self.sent = 0
        self.began = asyncio.Event()
        self._gone = asyncio.Event()

    async def upload(self, requests: AsyncIterator[Any]) -> Any:
        try:
            async for _ in requests:
                self.began.set()
            await asyncio.Event().wait()
        finally:
            self._gone.set()

    async def download(self, request: DownloadAttachmentRequest) -> AsyncIterator[DownloadAttachmentResponse]:
        data = b"x" * 1024 * 1024
        head = DownloadHead(attachment=Attachment(id=ID), size=1024**4, length=1024**4, etag="one")
        self.began.set()
        try:
            if self.steps:
                yield DownloadAttachmentResponse(head=head)
            while self.sent + 1 < self.steps:
                self.sent += 1
                yield DownloadAttachmentResponse(chunk=data)
            await asyncio.Event().wait()
        finally:
            self._gone.set()

    async def ended(self) -> None:
        """Waits for the end."""
        await asyncio.wait_for(self._gone.wait(), 5)
