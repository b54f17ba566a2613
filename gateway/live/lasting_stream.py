"""A stream from a service that is wanted for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import grpc
import structlog
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.backoff import Backoff
from services.common.errors import failure_of

log = structlog.get_logger()


class LastingStream:
    """Begins a stream anew whenever it ends, after pauses that grow as long as the service does not answer.

    Without a pause if the token has expired, as it does every few minutes, on a stream that has been answered.
    """

    def __init__(self, name: str, instance_id: str, backoff: Backoff) -> None:
        """`name` is for the log."""
        self._name = name
        self._instance_id = instance_id
        self._backoff = backoff
        self._answered = False

    def answered(self) -> None:
        """The service has answered on the present stream, and the answer has been taken."""
        self._answered = True

    async def run(self, read: Callable[[], Awaitable[bool]]) -> NoReturn:
        """Works until cancelled. `read` takes one stream's answers; True if the next one may begin at once."""
        pause = self._backoff.first
        while True:
            self._answered = False
            at_once = await self._read(read)
            if self._answered:
                pause = self._backoff.first
                if at_once:
                    continue
            await asyncio.sleep(pause)
            pause = min(pause * 2, self._backoff.longest)

    async def _read(self, read: Callable[[], Awaitable[bool]]) -> bool:
        try:
            return await read()
        except grpc.aio.AioRpcError as error:
            if failure_of(error).reason == ErrorReason.ERROR_REASON_TOKEN_EXPIRED:
                return True
            log.warning("stream_lost", stream=self._name, instance=self._instance_id, code=error.code().name)
        except Exception as error:  # nobody else would begin the stream anew
            log.error("stream_failed", stream=self._name, instance=self._instance_id, exc_info=error)
        return False
