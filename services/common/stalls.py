"""Streams whose reader may stop reading, and stay."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

import structlog
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError

log = structlog.get_logger()

STALLED_SECONDS = 300
"""How long an export waits for its caller. Until it ends, the write-ahead log grows: see `snapshots`."""

T = TypeVar("T")


async def unless_stalled(source: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """What the source yields. If nobody asks for the next thing for `STALLED_SECONDS`, the source is closed by then.

    Raises EXPORT_STALLED when somebody asks after all.
    """
    loop = asyncio.get_running_loop()
    seconds = STALLED_SECONDS
    closing: list[asyncio.Task[None]] = []

    def give_up() -> None:
        log.warning("export_stalled", seconds=seconds)
        closing.append(loop.create_task(source.aclose()))

    async with aclosing(source):
        async for item in source:
            timer = loop.call_later(seconds, give_up)
            try:
                yield item
            finally:
                timer.cancel()
                for task in closing:  # a generator cannot be closed twice at the same time
                    await task
            if closing:
                raise RoomlineError(ErrorReason.ERROR_REASON_EXPORT_STALLED, seconds=seconds)
