"""Pauses of work in the background."""

import asyncio

import pytest

from services.common.service import background
from services.common.waiting import is_set_within

LONG = 3600.0


async def test_an_event_that_is_set_meanwhile() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    assert await is_set_within(event, LONG)
    assert await is_set_within(event, None)


async def test_one_that_is_not() -> None:
    assert not await is_set_within(asyncio.Event(), 0.001)


@pytest.mark.parametrize("turns", range(4))
async def test_work_that_is_woken_while_it_is_ended_ends(turns: int) -> None:
    woken = asyncio.Event()

    async def work() -> None:
        while True:
            woken.clear()
            await is_set_within(woken, LONG)

    async with asyncio.timeout(10) as limit, background(work):
        await asyncio.sleep(0)
        woken.set()
        for _ in range(turns):
            await asyncio.sleep(0)
    assert not limit.expired()
