"""How work in the background pauses."""

import asyncio


async def is_set_within(event: asyncio.Event, seconds: float | None) -> bool:
    """Whether the event is set, which is waited for so long at most; None waits as long as it takes.

    `asyncio.wait_for` will not do: before Python 3.12 it drops a cancellation that comes together with what it waits
    for. Work that is woken while it is ended would then go on, and whoever ends it wait for ever.
    """
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
