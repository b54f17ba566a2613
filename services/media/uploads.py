"""Takes uploads: counts the bytes, stores them, and points the attachment at them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, NamedTuple, TypeVar
from weakref import WeakValueDictionary

import structlog
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_pb2 import InstanceLimits
from roomline.v1.media_service_pb2 import UploadAttachmentRequest

from services.common.errors import RoomlineError
from services.common.rules import invalid
from services.common.settings import Settings
from services.media import types
from services.media.blobs import Blobs
from services.media.headers import object_headers
from services.media.store import Stored, UploadStore

log = structlog.get_logger()

T = TypeVar("T")

AT_ONCE = 128
"""Uploads that are read from; further ones wait. Each takes up to three parts of memory."""
AT_ONCE_IN_INSTANCE = 64
"""Uploads of one instance that are, so that its slow ones do not keep others waiting."""
AT_ONCE_EACH = 16
"""Uploads of one uploader that are, so that slow ones of his do not keep everybody else waiting."""
WRITING_SECONDS = 24 * 3600
"""How long an upload may take."""
END_SECONDS = 0.05
"""How long the end of an upload of unknown size must last. To a handler, a stream whose caller is gone ends like any
other; that the call was cancelled it learns a moment later."""
FIRST_BYTES = 256 * 1024
STEP_BYTES = 8 * 1024 * 1024
"""How much of the quotas an upload of unknown size takes at first, and at most at a time. In between it takes as much
again as it has, so that a small file does not hold much."""

Limits = Callable[[str], Awaitable[InstanceLimits | None]]
"""The limits of an instance; None if there is no such instance."""
Uploaded = Callable[[Stored], None]
"""Told of an attachment whose bytes have arrived. Returns at once."""


class Patience(NamedTuple):
    """How long uploads are waited for."""

    step_bytes: int = 60 * 1024
    step_seconds: float = 60.0
    """In so many seconds of waiting for the client so many bytes have to come, or the end."""
    seconds: float = WRITING_SECONDS
    """How long it may take in all."""


PATIENCE = Patience()


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
        self._slots = asyncio.Semaphore(AT_ONCE)
        # A semaphore lives as long as somebody holds or awaits it.
        self._slots_in: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._slots_each: WeakValueDictionary[tuple[str, str], asyncio.Semaphore] = WeakValueDictionary()
        self._running: dict[tuple[str, str], _Running] = {}
        self._finishing: set[asyncio.Task[Any]] = set()

    async def upload(self, stored: Stored, requests: AsyncIterator[UploadAttachmentRequest]) -> Stored:
        """Stores the bytes; returns when they are safe. If it fails or is cancelled, nothing is stored.

        Raises SIZE_MISMATCH, FILE_TOO_LARGE, QUOTA_EXCEEDED, STORAGE_FULL, ATTACHMENT_NOT_FOUND (deleted meanwhile),
        ATTACHMENT_IN_USE (has bytes, and a message uses it), CANCELLED (by a later upload), DEADLINE_EXCEEDED (silent
        or slow for too long).
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
        async with self._share_of_uploader(stored), self._share_of_instance(stored), self._slots:
            key = self._new_key()
            meter = await self._meter(stored, key)
            headers = object_headers(stored.attachment.content_type, stored.attachment.name)
            try:
                await self._store.begin(stored, key)
                chunks = meter.chunks(requests, self._settings.idle_timeout_seconds, self._patience)
                await self._in_time(self._blobs.put(key, chunks, headers))
            except BaseException:
                await self._surely(self._abandon(key))
                raise
            return await self._surely(self._finish(stored, key, meter))

    def _share_of_uploader(self, stored: Stored) -> asyncio.Semaphore:
        uploader = (stored.instance_id, stored.attachment.user_id)
        return self._slots_each.setdefault(uploader, asyncio.Semaphore(AT_ONCE_EACH))

    def _share_of_instance(self, stored: Stored) -> asyncio.Semaphore:
        return self._slots_in.setdefault(stored.instance_id, asyncio.Semaphore(AT_ONCE_IN_INSTANCE))

    async def _in_time(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(self._patience.seconds):
                await work
        except TimeoutError as error:
            raise RoomlineError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED) from error

    async def _meter(self, stored: Stored, key: str) -> _Meter:
        if stored.sized:
            return _Meter(self._store, key, stored.attachment.size, None, 0)
        limits = await self._limits(stored.instance_id)
        if limits is None:
            raise RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
        return _Meter(self._store, key, None, limits, file_limit(limits, self._settings.media_max_bytes))

    async def _finish(self, stored: Stored, key: str, meter: _Meter) -> Stored:
        try:
            detected = types.detect(bytes(meter.head), stored.attachment.name)
            finished = await self._store.finish(stored, key, meter.size, detected)
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
        """Awaits work that is done to its end even if whoever awaits it is cancelled."""
        task = asyncio.create_task(work)
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        return await asyncio.shield(task)


class _Meter:
    """Counts what comes in, and refuses what is too much."""

    def __init__(
        self, store: UploadStore, key: str, expected: int | None, limits: InstanceLimits | None, limit: int
    ) -> None:
        self._store = store
        self._key = key
        self._expected = expected
        self._limits = limits
        self._limit = limit
        self._taken = 0
        self.size = 0
        self.head = bytearray()
        """The first bytes, enough to find out the media type."""

    async def chunks(
        self, requests: AsyncIterator[UploadAttachmentRequest], idle_seconds: float, patience: Patience
    ) -> AsyncIterator[bytes]:
        """The bytes. Raises as soon as it is known that they will not do, or if they come too slowly."""
        now = asyncio.get_running_loop().time
        waited, due = 0.0, patience.step_bytes
        while True:
            began = now()
            try:
                async with asyncio.timeout(min(idle_seconds, patience.step_seconds - waited)):
                    request = await anext(requests, None)
            except TimeoutError as error:
                raise RoomlineError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED) from error
            waited += now() - began  # and not what the store takes
            if request is None:
                break
            if request.WhichOneof("step") != "chunk":
                raise invalid("step", "only chunks after the first message")
            if request.chunk:
                self.size += len(request.chunk)
                if self.size >= due:
                    waited, due = 0.0, self.size + patience.step_bytes
                await self._admit()
                self.head += request.chunk[: types.HEAD_BYTES - len(self.head)]
                yield request.chunk
        if self._expected is None:
            await asyncio.sleep(END_SECONDS)
        elif self.size != self._expected:
            raise _mismatch(self._expected)

    async def _admit(self) -> None:
        if self._expected is not None:
            if self.size > self._expected:
                raise _mismatch(self._expected)
            return
        if self.size > self._limit:
            raise RoomlineError(ErrorReason.ERROR_REASON_FILE_TOO_LARGE, limit=self._limit)
        need = self.size - self._taken
        if need > 0 and self._limits is not None:
            wish = max(need, min(max(self._taken, FIRST_BYTES), STEP_BYTES))
            self._taken += await self._store.grow(self._key, need, wish, self._limits)


def file_limit(limits: InstanceLimits, max_bytes: int) -> int:
    """The largest file of an instance."""
    return min(limits.file_bytes or max_bytes, max_bytes)


def _mismatch(expected: int) -> RoomlineError:
    return RoomlineError(ErrorReason.ERROR_REASON_SIZE_MISMATCH, size=expected)
