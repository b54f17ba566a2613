"""How something that lasts is begun: in time, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError


@asynccontextmanager
async def opening(seconds: float, service: str, close: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
    """The block begins something with the help of that service; what has begun is closed if it fails.

    Raises what the block raises, and SERVICE_UNAVAILABLE after so many seconds.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        close()
        raise RoomlineError(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE, service=service) from None
    except BaseException:
        close()
        raise
