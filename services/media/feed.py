"""Bytes on their way from a caller into the object store."""

import asyncio
from collections.abc import AsyncIterator


class StoppedError(Exception):
    """Whoever sent the bytes does so no longer."""


class Feed:
    """Chunks for a reader that is not to be cancelled: `stop` makes its next read fail, and the present one too."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._stopped = False
        self._reading: asyncio.Future[bytes] | None = None

    def stop(self) -> None:
        """Lets every read fail from now on."""
        self._stopped = True
        if self._reading is not None:
            self._reading.cancel()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """The next chunk. Raises StoppedError, and what the chunks raise."""
        if self._stopped:
            raise StoppedError
        self._reading = asyncio.ensure_future(anext(self._chunks))
        try:
            return await self._reading
        except asyncio.CancelledError as error:
            raise StoppedError from error

    async def after(self, first: bytes) -> AsyncIterator[bytes]:
        """What comes first, then the rest."""
        yield first
        del first
        async for chunk in self:
            yield chunk
