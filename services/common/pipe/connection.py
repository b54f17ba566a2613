"""One open pipe, seen from the client: sends what is queued, ends calls with their results."""

import asyncio
from collections import deque
from collections.abc import Callable

import grpc
import structlog
from roomline.v1.pipe_service_pb2 import PipeRequest, PipeResponse

from services.common.pipe.call import PipedCall
from services.common.pipe.limits import MAX_FRAME_BYTES, MAX_FRAME_ITEMS

log = structlog.get_logger()

Stream = grpc.aio.StreamStreamCall[PipeRequest, PipeResponse]


class Connection:
    """One open pipe, which takes calls from the queue that all connections of a link share.

    `retired` is set when it takes no more calls, because the server drains it or because it is lost; `on_lost` is
    called when it has ended, with the calls that have no result left in `in_flight`.
    """

    def __init__(
        self,
        stream: Stream,
        credits_: int,
        queue: deque[PipedCall],
        on_lost: Callable[["Connection"], None],
    ) -> None:
        self.in_flight: dict[int, PipedCall] = {}
        self.retired = asyncio.Event()
        self.answered = False
        """It has brought at least one result."""
        self._stream = stream
        self._credits = credits_
        self._queue = queue
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._last_id = 0
        self._cancelled_ids: list[int] = []
        self._waiter: asyncio.Future[None] | None = None
        self._task = self._loop.create_task(self._run())

    def wake(self) -> None:
        """Says that there is something to send."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def cancel_call(self, call: PipedCall) -> None:
        """Tells the server that nobody waits for the call any more. Its credit comes back with its result."""
        if call.call_id in self.in_flight:
            self._cancelled_ids.append(call.call_id)
            self.wake()

    async def close(self) -> None:
        """Ends the pipe; handlers of calls in flight are cancelled."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        reader = self._loop.create_task(self._read())
        writer = self._loop.create_task(self._write())
        try:
            await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
            if not reader.done() and writer.exception() is None:  # results are still to come
                await asyncio.wait((reader,))
        finally:
            self.retired.set()
            for task in (reader, writer):
                task.cancel()
            for outcome in await asyncio.gather(reader, writer, return_exceptions=True):
                if isinstance(outcome, Exception):
                    log.error("pipe_failed", exc_info=outcome)
            self._stream.cancel()
            self._on_lost(self)

    async def _read(self) -> None:
        in_flight = self.in_flight
        try:
            # A frame that cannot be parsed comes as None: then this end understands nothing of what follows either.
            while isinstance(frame := await self._stream.read(), PipeResponse):
                for result in frame.results:
                    call = in_flight.pop(result.id, None)
                    if call is not None:
                        self._credits += 1
                        call.conclude(result)
                        self.answered = True
                self._credits += frame.credits
                if frame.draining:
                    self.retired.set()
                if self._waiter is not None and (self._queue or frame.draining):
                    self.wake()
        except grpc.aio.AioRpcError as error:
            log.debug("pipe_lost", code=error.code().name, details=error.details())

    async def _write(self) -> None:
        queue = self._queue
        try:
            while not self._stream.done():  # then calls stay in the queue, and are known not to be sent
                if self._cancelled_ids or (queue and self._credits > 0 and not self.retired.is_set()):
                    frame = self._next_frame()
                    if frame.calls or frame.cancelled_ids:
                        await self._stream.write(frame)
                elif self.retired.is_set():
                    await self._stream.done_writing()
                    return
                else:
                    self._waiter = self._loop.create_future()
                    await self._waiter
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            log.debug("pipe_write_failed", error=str(error))

    def _next_frame(self) -> PipeRequest:
        if self._cancelled_ids:  # on their own, so that they take nothing from the size of calls
            cancelled = self._cancelled_ids[:MAX_FRAME_ITEMS]
            del self._cancelled_ids[:MAX_FRAME_ITEMS]
            return PipeRequest(cancelled_ids=cancelled)
        frame = PipeRequest()
        queue, in_flight = self._queue, self.in_flight
        add = frame.calls.add
        size = count = 0
        call_id = self._last_id
        limit = min(MAX_FRAME_ITEMS, self._credits)
        now = self._loop.time()
        while queue and count < limit:
            call = queue[0]
            if call.ended:
                call.queued = False
                del queue[0]
                continue
            size += call.size
            if size > MAX_FRAME_BYTES and count:
                break
            del queue[0]
            count += 1
            call_id += 1
            call.queued = False
            call.connection = self
            call.call_id = call_id
            call.sends += 1
            in_flight[call_id] = call
            timeout_us = 0
            if call.deadline is not None:
                timeout_us = max(int((call.deadline - now) * 1_000_000), 1)
            item = add(id=call_id, method=call.method, request=call.request, timeout_us=timeout_us)
            if call.metadata:
                add_metadata = item.metadata.add
                for key, value in call.metadata:
                    add_metadata(key=key, value=value)
        self._last_id = call_id
        self._credits -= count
        return frame
