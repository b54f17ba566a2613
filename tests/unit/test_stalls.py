"""Streams whose reader may stop reading, and stay."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from services.common.stalls import unless_stalled
from tests.support.refusals import refuses


class Source:
    """Numbers; its end takes as long as it is kept from it."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.is_ending = asyncio.Event()
        self.ended = 0

    async def numbers(self) -> AsyncGenerator[int]:
        try:
            for number in range(3):
                yield number
        finally:
            self.is_ending.set()
            await self.may_end.wait()
            self.ended += 1


@pytest.fixture
async def source() -> Source:
    return Source()


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.common.stalls.STALLED_SECONDS", 0)


async def test_who_goes_on_gets_everything(source: Source) -> None:
    source.may_end.set()
    assert [number async for number in unless_stalled(source.numbers())] == [0, 1, 2]
    assert source.ended == 1


@pytest.mark.usefixtures("_impatient")
async def test_who_stalls_is_told_when_asking_again(source: Source) -> None:
    stream = unless_stalled(source.numbers())
    assert await anext(stream) == 0
    await source.is_ending.wait()
    source.may_end.set()
    with refuses("EXPORT_STALLED", seconds="0"):
        await anext(stream)
    assert source.ended == 1


@pytest.mark.usefixtures("_impatient")
async def test_who_leaves_while_the_source_ends_waits_for_it(source: Source) -> None:
    async with aclosing(unless_stalled(source.numbers())) as stream:
        assert await anext(stream) == 0
        await source.is_ending.wait()
        asyncio.get_running_loop().call_soon(source.may_end.set)
    assert source.ended == 1
