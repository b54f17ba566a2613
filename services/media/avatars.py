"""The pictures of users: taken in, made small, kept and given."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Collection
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

import structlog
from roomline.v1.avatar_pb2 import Avatar
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common import timestamps
from services.common.errors import RoomlineError
from services.common.rules import invalid
from services.media import types
from services.media.blobs import MissingError
from services.media.headers import object_headers
from services.media.meter import END_SECONDS
from services.media.pictures import PICTURE_TYPES, THUMBNAIL_TYPE, PicturesUnavailableError
from services.media.sqlite_attachments import etag
from services.media.store import StoredAvatar
from services.media.uploads import file_limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from roomline.v1.archive_pb2 import AvatarRecord
    from roomline.v1.media_service_pb2 import SetAvatarRequest

    from services.common.call import Caller
    from services.common.users import Users
    from services.media.blobs import Blobs
    from services.media.pictures import Pictures
    from services.media.store import AvatarStore

log = structlog.get_logger()

T = TypeVar("T")

MAX_BYTES = 8 * 1024**2
"""What is taken in at most: it is held in memory until it has been looked at."""
MAX_SIDE = 512
"""The pixels of the longer side of what is kept (spec §6)."""
MAX_KEPT_BYTES = 1024**2
"""What a picture of that size has at most; noise has a third of it."""
AT_ONCE = 16
"""Pictures that are taken in at once, one of each user; others wait."""
RECEIVE_SECONDS = 120.0
"""How long it may take to send one."""
TRIES = 3
"""How often a picture may be replaced between finding it and opening it."""


class Avatars:
    """One picture for each user; the last one set counts. `max_bytes` is the largest file of this installation."""

    def __init__(
        self,
        store: AvatarStore,
        blobs: Blobs,
        pictures: Pictures,
        users: Users,
        new_key: Callable[[], str],
        left_garbage: Callable[[], None],
        max_bytes: int,
        receive_seconds: float = RECEIVE_SECONDS,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._pictures = pictures
        self._users = users
        self._new_key = new_key
        self._left_garbage = left_garbage
        self._max_bytes = max_bytes
        self._receive_seconds = receive_seconds
        self._slots = asyncio.Semaphore(AT_ONCE)
        # A semaphore lives as long as somebody holds or awaits it.
        self._slots_each: WeakValueDictionary[tuple[str, str], asyncio.Semaphore] = WeakValueDictionary()

    async def set(
        self, caller: Caller, user_id: str, first: bytes, requests: AsyncIterator[SetAvatarRequest]
    ) -> Avatar:
        """Makes the first bytes and those of the requests the user's picture; returns when that is safe.

        Raises PICTURE_UNUSABLE, FILE_TOO_LARGE, DEADLINE_EXCEEDED, USER_NOT_FOUND, QUOTA_EXCEEDED, STORAGE_FULL and,
        if a picture cannot be looked at now, SERVICE_UNAVAILABLE. Then the earlier picture stays.
        """
        own_slot = self._slots_each.setdefault((caller.instance_id, user_id), asyncio.Semaphore(1))
        async with own_slot, self._slots:
            limit = min(MAX_BYTES, file_limit(caller.limits, self._max_bytes))
            chunks = (request.chunk async for request in requests)
            data = await self._small(await self._received(first, chunks, limit))

            async def put(key: str) -> StoredAvatar:
                return await self._store.put(caller.instance_id, user_id, key, len(data), caller.limits)

            return _shown(await self._kept(caller.instance_id, user_id, data, put))

    async def restore(self, instance_id: str, record: AvatarRecord, requests: AsyncIterator[bytes]) -> bool:
        """Makes bytes of an archive the picture of a user who has none, as they are; False if there is one.

        Raises what `set` raises but for quotas, and FIELD_INVALID if they are not those of the record.
        """
        own_slot = self._slots_each.setdefault((instance_id, record.user_id), asyncio.Semaphore(1))
        async with own_slot, self._slots:
            data = await self._received(b"", requests, MAX_KEPT_BYTES)
            if len(data) != record.size:
                raise RoomlineError(ErrorReason.ERROR_REASON_SIZE_MISMATCH, size=record.size)
            if hashlib.sha256(data).digest() != record.digest:
                raise invalid("data", "the bytes with the digest of the record")
            is_ours = types.detect(data[: types.HEAD_BYTES], "") == THUMBNAIL_TYPE
            if not is_ours or not await _available(self._pictures.fits(_whole(data), MAX_SIDE)):
                raise _unusable()
            updated_at = timestamps.from_proto(record.updated_at)

            async def put(key: str) -> bool:
                return await self._store.restore(
                    instance_id, StoredAvatar(record.user_id, key, record.size, updated_at)
                )

            return await self._kept(instance_id, record.user_id, data, put)

    async def get(self, instance_id: str, user_id: str, known_etags: Collection[str]) -> tuple[Avatar, bytes]:
        """A user's picture, and its bytes unless they are known. Raises ATTACHMENT_NOT_FOUND."""
        for _ in range(TRIES):
            stored = await self._store.get(instance_id, user_id)
            avatar = _shown(stored)
            if avatar.etag in known_etags:
                return avatar, b""
            try:
                async with aclosing(await self._blobs.get(stored.blob, 0, stored.size)) as chunks:
                    return avatar, b"".join([chunk async for chunk in chunks])
            except MissingError:
                continue
        raise RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)

    async def _received(self, first: bytes, chunks: AsyncIterator[bytes], limit: int) -> bytes:
        data = bytearray(first)
        try:
            async with asyncio.timeout(self._receive_seconds):
                async for chunk in chunks:
                    data += chunk
                    if len(data) > limit:
                        raise RoomlineError(ErrorReason.ERROR_REASON_FILE_TOO_LARGE, limit=limit)
                await asyncio.sleep(END_SECONDS)  # a caller who is gone has sent no end
        except TimeoutError as error:
            raise RoomlineError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED) from error
        return bytes(data)

    async def _small(self, data: bytes) -> bytes:
        if types.detect(data[: types.HEAD_BYTES], "") not in PICTURE_TYPES:
            raise _unusable()
        small = await _available(self._pictures.shrink(_whole(data), MAX_SIDE))
        if small is None or len(small) > MAX_KEPT_BYTES:
            raise _unusable()
        return small

    async def _kept(self, instance_id: str, user_id: str, data: bytes, put: Callable[[str], Awaitable[T]]) -> T:
        """Writes the bytes, and returns what `put` does, which makes the object with that key the user's picture."""
        key = self._new_key()
        await self._users.require(instance_id, user_id)
        try:
            await self._store.begin(instance_id, user_id, key)
            await self._blobs.put(key, _whole(data), object_headers(THUMBNAIL_TYPE, "avatar.webp"))
            stored = await put(key)
        except BaseException:
            await self._abandon(instance_id, key)
            raise
        self._left_garbage()
        # Whoever was deleted meanwhile may have been purged before the picture was there.
        try:
            await self._users.require(instance_id, user_id)
        except BaseException:
            await self._store.remove(instance_id, user_id)
            self._left_garbage()
            raise
        return stored

    async def _abandon(self, instance_id: str, key: str) -> None:
        try:
            await self._store.abandon(instance_id, key)
        except RoomlineError as error:  # then it is given up at the next start, or after a day
            log.error("upload_not_abandoned", key=key, reason=error.message)
        self._left_garbage()


def _shown(stored: StoredAvatar) -> Avatar:
    return Avatar(
        user_id=stored.user_id,
        content_type=THUMBNAIL_TYPE,
        size=stored.size,
        etag=etag(stored.blob),
        updated_at=timestamps.to_proto(stored.updated_at),
    )


def _unusable() -> RoomlineError:
    return RoomlineError(ErrorReason.ERROR_REASON_PICTURE_UNUSABLE)


async def _available(look: Awaitable[T]) -> T:
    """What a look at a picture returns. Raises SERVICE_UNAVAILABLE if there can be none now."""
    try:
        return await look
    except PicturesUnavailableError as error:
        raise RoomlineError(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE, service="media") from error


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data
