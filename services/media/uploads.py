"""Takes uploads: counts the bytes, stores them, and points the attachment at them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_pb2 import InstanceLimits
from roomline.v1.media_service_pb2 import UploadAttachmentRequest

from services.common.errors import RoomlineError
from services.common.settings import Settings
from services.media import types
from services.media.blobs import WHOLE_BYTES, Blobs
from services.media.headers import object_headers
from services.media.meter import PATIENCE, Meter, Patience
from services.media.slots import Place, Slots
from services.media.store import Stored, UploadStore

log = structlog.get_logger()

T = TypeVar("T")

AT_ONCE = 512
"""Uploads that are read from; further ones wait. Each takes up to `WHOLE_BYTES` of memory, if it is no large one."""
AT_ONCE_IN_INSTANCE = 256
"""Uploads of one instance that are, so that its slow ones do not keep others waiting."""
AT_ONCE_EACH = 16
"""Uploads of one uploader that are, so that slow ones of his do not keep everybody else waiting."""
LARGE_AT_ONCE = 128
"""Uploads of more than `WHOLE_BYTES` that are read on from. Each takes up to three parts of memory."""
LARGE_AT_ONCE_IN_INSTANCE = 64
"""Those of one instance."""

Limits = Callable[[str], Awaitable[InstanceLimits | None]]
"""The limits of an instance; None if there is no such instance."""
Uploaded = Callable[[Stored], None]
"""Told of an attachment whose bytes have arrived. Returns at once."""


class _Running:
    """An upload in progress."""

    def __init__(self, task: asyncio.Task[Stored]) -> None:
        self.task = task
        self.stopped: ErrorReason.ValueType | None = None

    async def stop(self, reason: ErrorReason.ValueType) -> None:
        """Ends it; returns when nothing of it is left but garbage."""
        self.stopped = reason
        self.task.cancel()
        await asyncio.wait([self.task])


class Uploads:
    """Uploads to attachments; the last one to the same attachment counts, and ends an earlier one in progress."""

    def __init__(
        self,
        store: UploadStore,
        blobs: Blobs,
        limits: Limits,
        new_key: Callable[[], str],
        settings: Settings,
        uploaded: Uploaded,
        left_garbage: Callable[[], None],
        patience: Patience = PATIENCE,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._limits = limits
        self._new_key = new_key
        self._settings = settings
        self._uploaded = uploaded
        self._left_garbage = left_garbage
        self._patience = patience
        self._slots = Slots(AT_ONCE, AT_ONCE_IN_INSTANCE, AT_ONCE_EACH)
        self._large_slots = Slots(LARGE_AT_ONCE, LARGE_AT_ONCE_IN_INSTANCE, AT_ONCE_EACH)
        self._running: dict[tuple[str, str], _Running] = {}
        self._finishing: set[asyncio.Task[Any]] = set()

    async def upload(self, stored: Stored, requests: AsyncIterator[UploadAttachmentRequest]) -> Stored:
        """Stores the bytes; returns when they are safe. If it fails or is cancelled, nothing is stored.

        Raises SIZE_MISMATCH, FILE_TOO_LARGE, QUOTA_EXCEEDED, STORAGE_FULL, ATTACHMENT_NOT_FOUND (deleted meanwhile),
        ATTACHMENT_IN_USE (has other bytes, and a message uses it), CANCELLED (by a later upload), DEADLINE_EXCEEDED
        (silent or slow for too long).
        """
        place = (stored.instance_id, stored.attachment.id)
        earlier = self._running.get(place)
        running = _Running(asyncio.create_task(self._transfer(stored, requests, earlier)))
        self._running[place] = running
        try:
            return await asyncio.shield(running.task)
        except asyncio.CancelledError:
            if running.stopped is not None and running.task.cancelled():
                raise RoomlineError(running.stopped) from None
            await running.stop(ErrorReason.ERROR_REASON_CANCELLED)
            raise
        finally:
            if self._running.get(place) is running:
                del self._running[place]

    def in_progress(self) -> list[tuple[str, str]]:
        """The attachments that are being uploaded, each with its instance before it."""
        return list(self._running)

    async def stop(self, instance_id: str, attachment_id: str) -> None:
        """Ends an upload whose attachment was deleted."""
        running = self._running.get((instance_id, attachment_id))
        if running is not None:
            await running.stop(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)

    async def settled(self) -> None:
        """Returns when no upload is in progress; those whose callers are gone take back what they have stored."""
        while tasks := self._finishing | {
            running.task for running in self._running.values() if not running.task.done()
        }:
            await asyncio.wait(tasks)

    async def _transfer(
        self, stored: Stored, requests: AsyncIterator[UploadAttachmentRequest], earlier: _Running | None
    ) -> Stored:
        if earlier is not None:
            await earlier.stop(ErrorReason.ERROR_REASON_CANCELLED)
        place, large_place = self._slots.place(stored), self._large_slots.place(stored)

        def is_in_the_way() -> bool:
            return place.is_wanted or large_place.is_wanted

        def chunks_of(meter: Meter) -> AsyncIterator[bytes]:
            return meter.chunks(requests, self._settings.idle_timeout_seconds, self._patience, is_in_the_way)

        try:
            await place.take()
            key = self._new_key()
            meter = await self._meter(stored, key)
            headers = object_headers(stored.attachment.content_type, stored.attachment.name)
            try:
                final = await self._store.begin(stored, key)
                if final is None:
                    await self._in_time(self._blobs.put(key, _placed(chunks_of(meter), large_place), headers))
            except BaseException:
                await self._surely(self._abandon(key))
                raise
            if final is not None:
                meter = Meter(self._store, key, final.attachment.size, None, 0)
                await self._in_time(_require_same(final, meter, chunks_of(meter)))
                return final
            return await self._surely(self._finish(stored, key, meter))
        finally:
            large_place.leave()
            place.leave()

    async def _in_time(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(self._patience.seconds):
                await work
        except TimeoutError as error:
            raise RoomlineError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED) from error

    async def _meter(self, stored: Stored, key: str) -> Meter:
        if stored.sized:
            return Meter(self._store, key, stored.attachment.size, None, 0)
        limits = await self._limits(stored.instance_id)
        if limits is None:
            raise RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
        return Meter(self._store, key, None, limits, file_limit(limits, self._settings.media_max_bytes))

    async def _finish(self, stored: Stored, key: str, meter: Meter) -> Stored:
        try:
            detected = types.detect(bytes(meter.head), stored.attachment.name)
            finished = await self._store.finish(stored, key, meter.size, meter.digest, detected)
        except RoomlineError:
            await self._abandon(key)
            raise
        self._left_garbage()
        self._uploaded(finished)
        return finished

    async def _abandon(self, key: str) -> None:
        try:
            await self._store.abandon(key)
        except RoomlineError as error:  # then it is given up at the next start, or after a day
            log.error("upload_not_abandoned", key=key, reason=error.message)
        self._left_garbage()

    async def _surely(self, work: Coroutine[Any, Any, T]) -> T:
        """Awaits work that is done to its end even if whoever awaits it is cancelled: that ends when the work has."""
        task = asyncio.create_task(work)
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            while not task.done():  # else what comes next, such as a later upload, could be overtaken by it
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
            raise


async def _placed(chunks: AsyncIterator[bytes], place: Place) -> AsyncIterator[bytes]:
    """The chunks. Before there are more than a small upload has, the place of a large one is taken."""
    size = 0
    async for chunk in chunks:
        if size <= WHOLE_BYTES < size + len(chunk):
            await place.take()
        size += len(chunk)
        yield chunk


async def _require_same(final: Stored, meter: Meter, chunks: AsyncIterator[bytes]) -> None:
    """Raises ATTACHMENT_IN_USE unless the chunks are the bytes that the attachment has: its uploader had no answer."""
    in_use = RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_IN_USE)
    if final.digest is None:
        raise in_use
    try:
        async for _ in chunks:
            pass
    except RoomlineError as error:
        raise (in_use if error.reason == ErrorReason.ERROR_REASON_SIZE_MISMATCH else error) from error
    if meter.digest != final.digest:
        raise in_use


def file_limit(limits: InstanceLimits, max_bytes: int) -> int:
    """The largest file of an instance."""
    return min(limits.file_bytes or max_bytes, max_bytes)
