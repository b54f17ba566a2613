"""Several things at once, and never too many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def at_once(limit: int, things: AsyncIterator[T], work: Callable[[T], Awaitable[object]]) -> None:
    """Does the work for each thing, for `limit` of them at the same time; no further thing is taken before.

    What one of them raises ends all, and is raised.
    """
    one_takes = asyncio.Lock()

    async def worker() -> None:
        while True:
            async with one_takes:
                try:
                    thing = await anext(things)
                except StopAsyncIteration:
                    return
            await work(thing)

    workers = [asyncio.create_task(worker()) for _ in range(limit)]
    try:
        await asyncio.gather(*workers)
    finally:
        for one in workers:
            one.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
