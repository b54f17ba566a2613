"""What comes in: counted, measured against what may come, and not waited for without end."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_pb2 import InstanceLimits
from roomline.v1.media_service_pb2 import UploadAttachmentRequest

from services.common.errors import RoomlineError
from services.common.rules import invalid
from services.media import types
from services.media.store import UploadStore

END_SECONDS = 0.05
"""How long the end of an upload of unknown size must last. To a handler, a stream whose caller is gone ends like any
other; that the call was cancelled it learns a moment later."""
FIRST_BYTES = 256 * 1024
STEP_BYTES = 8 * 1024 * 1024
"""How much of the quotas an upload of unknown size takes at first, and at most at a time. In between it takes as much
again as it has, so that a small file does not hold much."""
WRITING_SECONDS = 24 * 3600
"""How long an upload may take."""


class Patience(NamedTuple):
    """How long uploads are waited for."""

    step_bytes: int = 60 * 1024
    step_seconds: float = 60.0
    """In so many seconds of waiting for the client so many bytes have to come, or the end."""
    hurried_seconds: float = 6.0
    """The same, while others in its instance wait for the place that the upload holds."""
    seconds: float = WRITING_SECONDS
    """How long it may take in all."""


PATIENCE = Patience()


class Meter:
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
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> bytes:
        """Of all bytes so far."""
        return self._hash.digest()

    async def chunks(
        self,
        requests: AsyncIterator[UploadAttachmentRequest],
        idle_seconds: float,
        patience: Patience,
        is_in_the_way: Callable[[], bool],
    ) -> AsyncIterator[bytes]:
        """The bytes. Raises as soon as it is known that they will not do, or if they come too slowly."""
        now = asyncio.get_running_loop().time
        waited, due = 0.0, patience.step_bytes
        while True:
            began = now()
            seconds = patience.hurried_seconds if is_in_the_way() else patience.step_seconds
            try:
                async with asyncio.timeout(min(idle_seconds, seconds - waited)):
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
                self._hash.update(request.chunk)
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


def _mismatch(expected: int) -> RoomlineError:
    return RoomlineError(ErrorReason.ERROR_REASON_SIZE_MISMATCH, size=expected)
