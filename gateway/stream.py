"""A body that goes out piece by piece, in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from starlette.types import Send

PIECE_BYTES = 64 * 1024
"""How much goes out at once: a client has the idle time to take it."""


class Stream(NamedTuple):
    """The body of a response whose size is known and which nobody holds as a whole."""

    length: int
    chunks: AsyncIterator[bytes]
    close: Callable[[], object]
    """Ends it, at any time; what makes the chunks is told."""


class BrokenStreamError(Exception):
    """The chunks ended before the length that was announced, or went on after it."""


async def send_stream(send: Send, stream: Stream, idle_seconds: float) -> None:
    """Sends the body, not faster than the client takes it.

    Raises TimeoutError if the client takes nothing for the idle time, and whatever the chunks raise.
    """
    left = stream.length
    async for chunk in stream.chunks:
        left -= len(chunk)
        if left < 0:
            break
        for start in range(0, len(chunk), PIECE_BYTES):
            piece = chunk[start : start + PIECE_BYTES]
            async with asyncio.timeout(idle_seconds):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
    if left:
        raise BrokenStreamError(f"{left} bytes are missing")
    await send({"type": "http.response.body", "body": b""})
