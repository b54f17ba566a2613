"""Looks at pictures after they were uploaded, and keeps what is seen: sizes and thumbnails."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import structlog

from services.common.errors import RoomlineError
from services.common.ids import MICROSECONDS, Clock
from services.common.waiting import is_set_within
from services.media.blobs import Blobs, MissingError
from services.media.headers import object_headers
from services.media.maintenance import Pace
from services.media.pictures import PICTURE_TYPES, THUMBNAIL_TYPE, Picture, Pictures, PicturesUnavailableError
from services.media.store import PictureStore, Stored, Thumbnail

log = structlog.get_logger()

LOOKS = 3
"""How often this process may die over a picture: some systems end a whole container if one process takes too much."""


class Thumbnailer:
    """Work in the background, one picture after the other; cut off at any point, it is taken up again."""

    def __init__(
        self,
        store: PictureStore,
        blobs: Blobs,
        pictures: Pictures,
        new_key: Callable[[], str],
        clock: Clock,
        pace: Pace,
        left_garbage: Callable[[], None],
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._pictures = pictures
        self._new_key = new_key
        self._clock = clock
        self._pace = pace
        self._left_garbage = left_garbage
        self._waiting = asyncio.Event()

    def uploaded(self, stored: Stored) -> None:
        """Says that bytes have arrived, so that they are looked at now if they are a picture."""
        if stored.attachment.detected_type in PICTURE_TYPES:
            self._waiting.set()

    async def work_forever(self) -> None:
        """Looks at all pictures that nobody has looked at, and at those that come, until cancelled."""
        picture: Stored | None = None
        while True:
            self._waiting.clear()
            try:
                while upcoming := await self._store.next(LOOKS, after=picture):
                    picture = upcoming
                    await self._settle(picture)
            except Exception as error:
                log.error("maintenance_failed", step="pictures", exc_info=error)
            await is_set_within(self._waiting, self._pace.sweep)

    async def _settle(self, stored: Stored) -> None:
        """Looks at a picture and keeps what is seen; puts it off if that has to be done again."""
        try:
            await self._keep(stored, await self._look(stored))
        except (RoomlineError, PicturesUnavailableError) as error:
            until = self._clock() + int(self._pace.sweep * MICROSECONDS)
            if await self._store.put_off(stored, until):
                log.warning("picture_put_off", attachment=stored.attachment.id, exc_info=error)
        except asyncio.CancelledError:
            await self._store.put_off(stored, self._clock())
            raise

    async def _look(self, stored: Stored) -> Picture | None:
        length = min(stored.attachment.size, self._pictures.limits.max_bytes)
        try:
            async with aclosing(await self._blobs.get(stored.blob or "", 0, length)) as chunks:
                return await self._pictures.look(chunks)
        except MissingError:
            return None

    async def _keep(self, stored: Stored, picture: Picture | None) -> None:
        """Writes the thumbnails, then says where they are; if that fails, nothing of them is left but garbage."""
        begun: list[Thumbnail] = []
        try:
            for size, data in picture.thumbnails.items() if picture else ():
                begun.append(Thumbnail(size, self._new_key(), len(data)))
                await self._store.begin_thumbnail(stored, begun[-1].blob)
                await self._blobs.put(begun[-1].blob, _whole(data), object_headers(THUMBNAIL_TYPE, f"{size}.webp"))
            width, height = (picture.width, picture.height) if picture else (None, None)
            kept = await self._store.settle(stored, width, height, begun)
        except Exception:
            await self._store.drop(stored, begun)
            self._left_garbage()
            raise
        if not kept:
            self._left_garbage()


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data
