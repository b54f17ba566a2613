"""When a stream that is wanted for ever begins anew."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from roomline.v1.error_reason_pb2 import ErrorReason

from gateway.live.lasting_stream import LastingStream
from services.common.backoff import Backoff
from services.common.errors import RoomlineError

SECONDS = 30
NEVER = Backoff(first=3600.0, longest=3600.0)
TURNS = 100
"""Of the event loop: enough for a stream that does not pause to begin many times."""


def expired() -> grpc.aio.AioRpcError:
    error = RoomlineError(ErrorReason.ERROR_REASON_TOKEN_EXPIRED)
    return grpc.aio.AioRpcError(error.code, grpc.aio.Metadata(), grpc.aio.Metadata(*error.trailing_metadata()))


class Reading:
    """Streams that end with an expired token; the first ones after an answer."""

    def __init__(self, answered: int) -> None:
        self.begun = 0
        self.lasting = LastingStream("tests", "one", NEVER)
        self.waits = asyncio.Event()
        self._answered = answered

    async def read(self) -> bool:
        self.begun += 1
        if self.begun > self._answered:
            self.waits.set()
        else:
            self.lasting.answered()
        raise expired()


@asynccontextmanager
async def running(reading: Reading) -> AsyncIterator[None]:
    work = asyncio.create_task(reading.lasting.run(reading.read))
    async with asyncio.timeout(SECONDS):
        await reading.waits.wait()
    yield
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def test_an_expired_token_is_renewed_at_once_on_a_stream_that_was_answered() -> None:
    reading = Reading(answered=3)
    async with running(reading):
        assert reading.begun == 4


async def test_a_stream_that_was_never_answered_pauses_whatever_it_ends_with() -> None:
    reading = Reading(answered=0)
    async with running(reading):
        for _ in range(TURNS):
            await asyncio.sleep(0)
        assert reading.begun == 1
