"""Gives downloads: waits for bytes that are on their way, finds the range, and reads it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import NamedTuple

import structlog
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2 import DownloadAttachmentRequest, DownloadAttachmentResponse, DownloadHead

from services.common.errors import RoomlineError
from services.common.waiting import is_set_within
from services.media.arrivals import Arrivals
from services.media.blobs import Blobs, MissingError
from services.media.pictures import THUMBNAIL_TYPE
from services.media.sqlite_attachments import etag
from services.media.store import AttachmentStore, Stored

log = structlog.get_logger()

HOLD_SECONDS = 10.0
"""How long a download waits for bytes that are not uploaded yet (spec §6.3)."""
POLL_SECONDS = 1.0
TRIES = 3
"""How often the bytes may be replaced between finding them and opening them."""


class _Object(NamedTuple):
    """What is to be sent."""

    key: str
    size: int
    content_type: str


class _Reading:
    """A download in progress."""

    deleted = False


class Downloads:
    """Reads attachments and their thumbnails."""

    def __init__(
        self, store: AttachmentStore, blobs: Blobs, arrivals: Arrivals, hold_seconds: float = HOLD_SECONDS
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._arrivals = arrivals
        self._hold_seconds = hold_seconds
        self._running: dict[tuple[str, str], set[_Reading]] = {}

    async def stream(
        self, stored: Stored, request: DownloadAttachmentRequest
    ) -> AsyncGenerator[DownloadAttachmentResponse]:
        """The metadata, then the bytes. Raises ATTACHMENT_NOT_FOUND, also if it is deleted meanwhile, RANGE_INVALID."""
        # Noted before the row is read: whoever deletes it later finds the download, earlier ones leave no row.
        with self._noted(stored) as reading:
            stored = await self._uploaded(await self._store.get(stored.instance_id, stored.attachment.id))
            async with aclosing(self._stream(stored, request, reading)) as responses:
                async for response in responses:
                    yield response

    async def _stream(
        self, stored: Stored, request: DownloadAttachmentRequest, reading: _Reading
    ) -> AsyncGenerator[DownloadAttachmentResponse]:
        for _ in range(TRIES):
            wanted = await self._object(stored, request.thumbnail)
            offset, length = _range(request, wanted.size)
            try:
                chunks = await self._blobs.get(wanted.key, offset, length)
                break
            except MissingError:
                stored = await self._replaced(stored, wanted)
        else:
            raise _not_found()
        head = DownloadHead(
            attachment=stored.attachment,
            content_type=wanted.content_type,
            size=wanted.size,
            offset=offset,
            length=length,
            etag=etag(wanted.key),
        )
        async with aclosing(chunks):
            yield DownloadAttachmentResponse(head=head)
            try:
                async for chunk in chunks:
                    if reading.deleted:
                        raise _not_found()
                    yield DownloadAttachmentResponse(chunk=chunk)
            except MissingError as error:
                raise _not_found() from error

    def in_progress(self) -> list[tuple[str, str]]:
        """The attachments that are being downloaded, each with its instance before it."""
        return list(self._running)

    async def stop(self, instance_id: str, attachment_id: str) -> None:
        """Ends the downloads of an attachment that was deleted: a folder would go on giving what it has opened."""
        for reading in self._running.get((instance_id, attachment_id), ()):
            reading.deleted = True

    @contextlib.contextmanager
    def _noted(self, stored: Stored) -> Iterator[_Reading]:
        place, reading = (stored.instance_id, stored.attachment.id), _Reading()
        self._running.setdefault(place, set()).add(reading)
        try:
            yield reading
        finally:
            self._running[place].discard(reading)
            if not self._running[place]:
                del self._running[place]

    async def _uploaded(self, stored: Stored) -> Stored:
        """The attachment when it has bytes. Raises ATTACHMENT_NOT_FOUND if none come, or if it is deleted."""
        with contextlib.suppress(TimeoutError), self._arrivals.awaited(stored) as arrived:
            async with asyncio.timeout(self._hold_seconds):
                while stored.blob is None:
                    await is_set_within(arrived, POLL_SECONDS)
                    arrived.clear()
                    stored = await self._store.get(stored.instance_id, stored.attachment.id)
        if stored.blob is None:
            raise _not_found()
        return stored

    async def _object(self, stored: Stored, thumbnail: int) -> _Object:
        if thumbnail:
            found = await self._store.thumbnail(stored.instance_id, stored.attachment.id, thumbnail)
            return _Object(found.blob, found.bytes, THUMBNAIL_TYPE)
        return _Object(stored.blob or "", stored.attachment.size, stored.attachment.content_type)

    async def _replaced(self, stored: Stored, missing: _Object) -> Stored:
        """The attachment after its bytes were found missing. Raises ATTACHMENT_NOT_FOUND if there are no others."""
        now = await self._store.get(stored.instance_id, stored.attachment.id)
        if now.blob == stored.blob:
            log.error("blob_missing", key=missing.key, attachment=stored.attachment.id)
            raise _not_found()
        return now


def _range(request: DownloadAttachmentRequest, size: int) -> tuple[int, int]:
    """Offset and length of what is to be sent. Raises RANGE_INVALID if it begins behind the last byte."""
    offset = request.offset if request.offset >= 0 else max(0, size + request.offset)
    if offset and offset >= size:
        raise RoomlineError(ErrorReason.ERROR_REASON_RANGE_INVALID, size=size)
    length = size - offset
    return offset, min(length, request.length) if request.HasField("length") else length


def _not_found() -> RoomlineError:
    return RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
