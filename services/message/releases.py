"""Tells the media service which attachments messages have let go.

What has to be told is written in the transaction that takes an attachment out of a message, and forgotten when the
media service has answered. A crash in between, or a media service that is away, only delays it.
"""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

import grpc
import structlog
from roomline.v1.attachment_pb2 import AttachmentUse
from roomline.v1.media_service_pb2 import ReleaseAttachmentsRequest

from services.common.backoff import Backoff
from services.common.errors import RoomlineError
from services.common.waiting import is_set_within
from services.message.attachments import Attachments
from services.message.store import Owner, ReleaseStore

log = structlog.get_logger()

SOON_SECONDS = 2
"""How long a caller who deletes something waits for the media service."""
INTERVAL_SECONDS = 5.0
"""How often the table is looked at though nothing is known to be left: who wrote into it may have been cancelled."""
AT_ONCE = 500


class Releases:
    """Finishes releases, at once or later."""

    def __init__(self, store: ReleaseStore, attachments: Attachments, backoff: Backoff) -> None:
        self._store = store
        self._attachments = attachments
        self._backoff = backoff
        self._left = asyncio.Event()
        # A lock lives as long as somebody holds or awaits it.
        self._locks: WeakValueDictionary[Owner, asyncio.Lock] = WeakValueDictionary()

    async def finish(self, owner: Owner) -> None:
        """Finishes what is pending of a message or room. Raises SERVICE_UNAVAILABLE; then it is tried again later.

        One at a time for each of them, and never one that is finished: a late release would hit an attachment that an
        edit has taken into the same message again.
        """
        lock = self._locks.setdefault(owner, asyncio.Lock())
        try:
            async with lock:
                attachment_ids = await self._store.of(owner)
                if attachment_ids:
                    await self._attachments.release(owner.instance_id, _request(owner, attachment_ids))
                    await self._store.finished(owner, attachment_ids)
        except BaseException:
            self._left.set()
            raise

    async def finish_soon(self, owner: Owner) -> None:
        """Tries to finish what is pending of a message or room now; if that fails, it is tried again later."""
        try:
            async with asyncio.timeout(SOON_SECONDS):
                await self.finish(owner)
        except (RoomlineError, TimeoutError) as error:
            log.warning("release_left", instance=owner.instance_id, uid=owner.uid, reason=str(error))
        except Exception as error:
            log.error("release_left", instance=owner.instance_id, uid=owner.uid, exc_info=error)

    def more(self) -> None:
        """Says that something was released whose end nobody waits for."""
        self._left.set()

    async def run(self) -> None:
        """Finishes what is left from earlier runs, and whatever fails from now on; until cancelled."""
        pause = self._backoff.first
        while True:
            self._left.clear()
            try:
                complete = await self._finish_all()
            except Exception as error:
                log.error("releases_failed", exc_info=error)
                complete = False
            if complete:
                pause = self._backoff.first
                await is_set_within(self._left, INTERVAL_SECONDS)
            if not complete or self._left.is_set():  # after a failure, here or of whoever said that something is left
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._backoff.longest)

    async def _finish_all(self) -> bool:
        """Whether nothing is left."""
        complete, last = True, Owner("", "")
        while owners := await self._store.owners(last, AT_ONCE):
            for owner in owners:
                try:
                    await self.finish(owner)
                except RoomlineError as error:
                    log.warning("release_failed", instance=owner.instance_id, uid=owner.uid, reason=error.message)
                    complete = False
                    if error.code is grpc.StatusCode.UNAVAILABLE:
                        return False  # the rest would fare no better
            last = owners[-1]
        return complete


def _request(owner: Owner, attachment_ids: list[str]) -> ReleaseAttachmentsRequest:
    request = ReleaseAttachmentsRequest(room_uids=[owner.uid] if "" in attachment_ids else ())
    request.uses.extend(
        AttachmentUse(message_uid=owner.uid, attachment_id=attachment_id)
        for attachment_id in attachment_ids
        if attachment_id
    )
    return request
