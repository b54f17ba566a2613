"""Finishes deletions: what is gone from this service has to go from the others too.

A deletion is stored with the row that it removes, and forgotten when the other services have done their part. A crash
in between, or a service that is away, only delays it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

import grpc
import structlog
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2 import PurgeMediaRequest
from roomline.v1.room_service_pb2 import PurgeInstanceRequest, PurgeUserRequest

from services.common.backoff import Backoff
from services.common.errors import RoomlineError, reraise
from services.common.tokens import ServiceTokens
from services.user.store import Deletion, DeletionKind, DeletionStore

if TYPE_CHECKING:
    from roomline.v1.media_service_pb2_grpc import MediaServiceAsyncStub
    from roomline.v1.room_service_pb2_grpc import RoomServiceAsyncStub

log = structlog.get_logger()

T = TypeVar("T")

PURGE_USER_SECONDS = 5
PURGE_INSTANCE_SECONDS = 60


class Purges:
    """Has the other services remove what they keep of users and instances."""

    def __init__(self, rooms: RoomServiceAsyncStub, media: MediaServiceAsyncStub, tokens: ServiceTokens) -> None:
        self._rooms = rooms
        self._media = media
        self._tokens = tokens

    async def user(self, instance_id: str, user_id: str) -> None:
        """Removes memberships, cursors and role assignments, and uploads that no message uses.

        Raises RoomlineError, such as SERVICE_UNAVAILABLE.
        """
        request, metadata = PurgeUserRequest(user_id=user_id), self._tokens.metadata(instance_id)
        await _answer(self._rooms.PurgeUser(request, metadata=metadata, timeout=PURGE_USER_SECONDS))
        await self._purge_media(instance_id, user_id, PURGE_USER_SECONDS)

    async def instance(self, instance_id: str, *, for_good: bool) -> None:
        """Removes rooms, messages, roles and media, and what was set up for an instance that is deleted for good.

        Raises RoomlineError, such as SERVICE_UNAVAILABLE.
        """
        request, metadata = PurgeInstanceRequest(for_good=for_good), self._tokens.metadata(instance_id)
        await _answer(self._rooms.PurgeInstance(request, metadata=metadata, timeout=PURGE_INSTANCE_SECONDS))
        await self._purge_media(instance_id, "", PURGE_INSTANCE_SECONDS)

    async def _purge_media(self, instance_id: str, user_id: str, seconds: float) -> None:
        request, metadata = PurgeMediaRequest(user_id=user_id), self._tokens.metadata(instance_id)
        await _answer(self._media.PurgeMedia(request, metadata=metadata, timeout=seconds))


async def _answer(call: Awaitable[object]) -> None:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        raise reraise(error) from error


async def _wiped(_instance_id: str) -> None:
    pass


def _deleted(_instance_id: str, _user_id: str) -> None:
    pass


class Deletions:
    """Finishes deletions, at once or later.

    `wiped` is called with an instance whose users are gone all at once, `deleted` with instance and user before what
    the other services keep of the user is purged, perhaps more than once; nobody has the user's id again by then.
    """

    def __init__(
        self,
        store: DeletionStore,
        purges: Purges,
        backoff: Backoff,
        wiped: Callable[[str], Awaitable[None]] = _wiped,
        deleted: Callable[[str, str], None] = _deleted,
    ) -> None:
        self._store = store
        self._purges = purges
        self._backoff = backoff
        self._wiped = wiped
        self._deleted = deleted
        self._left = asyncio.Event()
        # A lock lives as long as somebody holds or awaits it.
        self._locks: WeakValueDictionary[Deletion, asyncio.Lock] = WeakValueDictionary()

    async def finish(self, deletion: Deletion) -> None:
        """Finishes a deletion if it is pending. Raises RoomlineError if that fails; then it is tried again later.

        One at a time for each deletion, and never one that is finished: a late purge would hit whatever was created
        under the same id since.
        """
        lock = self._locks.setdefault(deletion, asyncio.Lock())
        try:
            async with lock:
                if await self._store.is_pending(deletion):
                    if deletion.kind is DeletionKind.USER:
                        self._deleted(deletion.instance_id, deletion.id)
                        await self._purges.user(deletion.instance_id, deletion.id)
                    else:
                        await self.clear(deletion.instance_id, for_good=True)
                    await self._store.finished(deletion)
        except BaseException:
            self._left.set()
            raise

    async def finish_soon(self, deletion: Deletion) -> None:
        """Tries to finish a deletion now; if that fails, it is tried again later."""
        try:
            await self.finish(deletion)
        except RoomlineError as error:
            log.warning("deletion_left", kind=deletion.kind, instance=deletion.instance_id, reason=error.message)

    def more(self) -> None:
        """Says that something was deleted whose end nobody waits for."""
        self._left.set()

    async def finish_before_reuse(self, deletion: Deletion) -> None:
        """Finishes a deletion if it is pending, so that its id is free. Raises DELETION_PENDING if that fails."""
        try:
            await self.finish(deletion)
        except RoomlineError as error:
            raise RoomlineError(ErrorReason.ERROR_REASON_DELETION_PENDING, kind=deletion.kind) from error

    async def freeing(self, instance_id: str, user_ids: Iterable[str], create: Callable[[], Awaitable[T]]) -> T:
        """What `create` returns, which makes users of these ids; deletions that it meets are finished before it.

        Raises DELETION_PENDING if that fails, and what `create` raises.
        """
        try:
            return await create()
        except RoomlineError as error:
            if error.reason != ErrorReason.ERROR_REASON_DELETION_PENDING:
                raise
        for user_id in user_ids:
            await self.finish_before_reuse(Deletion(instance_id, DeletionKind.USER, user_id))
        return await create()

    async def clear(self, instance_id: str, *, for_good: bool = False) -> None:
        """Removes everything in an instance, here and elsewhere. Raises RoomlineError if that fails.

        What was set up for it, such as webhooks, goes only if the instance itself is deleted.
        """
        # Users first: who is asked about them from now on says no, and what was asked before is refused by the purge.
        try:
            await self._store.wipe(instance_id)
        finally:
            await self._wiped(instance_id)
        await self._purges.instance(instance_id, for_good=for_good)
        await self._store.drop_user_deletions(instance_id)
        # A purge still on its way would hit users that are created next.
        for deletion, lock in list(self._locks.items()):
            if deletion.instance_id == instance_id and deletion.kind is DeletionKind.USER:
                async with lock:
                    pass

    async def run(self) -> None:
        """Finishes what is left from earlier runs, and whatever fails from now on; until cancelled."""
        pause = self._backoff.first
        while True:
            self._left.clear()
            try:
                complete = await self._finish_all()
            except Exception as error:
                log.error("deletions_failed", exc_info=error)
                complete = False
            if complete:
                pause = self._backoff.first
                await self._left.wait()
            await asyncio.sleep(pause)  # after a failure, here or of whoever said that something is left
            pause = min(pause * 2, self._backoff.longest)

    async def _finish_all(self) -> bool:
        """Whether nothing is left."""
        complete = True
        for deletion in await self._store.pending():
            try:
                await self.finish(deletion)
            except RoomlineError as error:
                log.warning("deletion_failed", kind=deletion.kind, instance=deletion.instance_id, reason=error.message)
                complete = False
                if error.code is grpc.StatusCode.UNAVAILABLE:
                    break  # the rest would fare no better
            except Exception as error:  # such as one deletion's own trouble: the younger ones shall not wait for it
                log.error("deletion_failed", kind=deletion.kind, instance=deletion.instance_id, exc_info=error)
                complete = False
        return complete
