"""One open pipe, seen from the server: calls come in, each runs as a task, results go out in batches."""

import asyncio
from collections import deque
from typing import Any, Protocol

import grpc
import structlog
from google.protobuf.message import DecodeError
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.pipe_service_pb2 import PipeCall, PipeRequest, PipeResponse, PipeResult

from services.common.errors import RoomlineError
from services.common.pipe.context import PipeContext, refusal
from services.common.pipe.deadlines import FOREVER, Deadlines
from services.common.pipe.limits import ITEM_OVERHEAD, MAX_FRAME_BYTES, MAX_FRAME_ITEMS, MAX_METADATA_ITEMS
from services.common.pipe.metadata import Metadatum, unpack

log = structlog.get_logger()
_DEADLINE = ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED
_CANCELLED = ErrorReason.ERROR_REASON_CANCELLED
_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]


class Dispatcher(Protocol):
    """Runs the calls of a pipe."""

    async def unary(self, method: str, request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        """Runs one unary call through the interceptors and returns the serialized response.

        `method` is the full name that the caller sent; one that does not exist is refused like any other call.
        Ends like a handler: it may abort the context (grpc.aio.AbortError is raised) or set a code.
        """


class ServedPipe:
    """One open pipe. `run` it once."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        stream: grpc.aio.ServicerContext[PipeRequest, PipeResponse],
        max_in_flight: int,
        max_message_bytes: int,
    ) -> None:
        self.stream = stream
        self.peer = stream.peer()
        self.closed = asyncio.Event()
        self._unary = dispatcher.unary
        self.loop = asyncio.get_running_loop()
        self._max_in_flight = max_in_flight
        self._max_result_bytes = max_message_bytes - ITEM_OVERHEAD
        # HTTP/2 has the user agent once for the stream; every call has it in gRPC.
        self._user_agent = tuple(
            Metadatum(key, value) for key, value in stream.invocation_metadata() or () if key == "user-agent"
        )
        self._calls: dict[int, PipeContext] = {}
        self._deadlines = Deadlines[PipeContext](lambda context: context.interrupt(_DEADLINE))
        self._results: deque[tuple[int, bytes] | PipeResult] = deque()
        self._end: asyncio.Future[RoomlineError | None] = self.loop.create_future()
        self._opened = asyncio.Event()
        """The first frame is sent."""
        self._write_waiter: asyncio.Future[None] | None = None
        self._read_waiter: asyncio.Future[None] | None = None
        self._half_closed = False
        self._announce_draining = False

    async def run(self) -> None:
        """Carries calls until the caller half-closes or vanishes, or `expire` is called. No handler is left running."""
        pumps = [self.loop.create_task(self._read()), self.loop.create_task(self._write())]
        try:
            error = await self._end
            if error is not None:
                self._interrupt_all()  # first: a caller that does not read keeps `abort` waiting
                await self._opened.wait()  # beside the first frame, gRPC could send no status, and the call would hang
                await self.stream.abort(error.code, error.message, error.trailing_metadata())
        finally:
            self.closed.set()
            self._deadlines.close()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, *self._interrupt_all(), return_exceptions=True)

    def drain(self) -> None:
        """Tells the caller to send no more; the pipe ends when the caller has half-closed and has its results."""
        self._announce_draining = True
        self._wake_writer()

    def expire(self) -> None:
        """Ends the pipe now."""
        self._finish(RoomlineError(ErrorReason.ERROR_REASON_SHUTTING_DOWN))

    def _interrupt_all(self) -> list[asyncio.Task[None]]:
        for context in self._calls.values():
            context.interrupt(_CANCELLED)
        return [context.task for context in self._calls.values()]

    def _finish(self, error: RoomlineError | None) -> None:
        if not self._end.done():
            self._end.set_result(error)

    # Calls

    async def _read(self) -> None:
        try:
            while isinstance(frame := await self.stream.read(), PipeRequest):  # or grpc.aio.EOF
                # Nobody has shown a token yet, and nothing else runs until the whole frame is accepted.
                _check_count("calls", len(frame.calls), MAX_FRAME_ITEMS)
                _check_count("cancelled_ids", len(frame.cancelled_ids), max(self._max_in_flight, MAX_FRAME_ITEMS))
                for call in frame.calls:
                    self._accept(call)
                for call_id in frame.cancelled_ids:
                    if (context := self._calls.get(call_id)) is not None:
                        context.interrupt(_CANCELLED)
                # A caller that sends without reading waits here, instead of piling up results.
                while len(self._results) > self._max_in_flight:
                    self._read_waiter = self.loop.create_future()
                    await self._read_waiter
        except DecodeError:
            self._finish(RoomlineError(ErrorReason.ERROR_REASON_REQUEST_UNDECODABLE))
        except RoomlineError as error:
            self._finish(error)
        except Exception:
            log.exception("pipe_failed")
            self._finish(RoomlineError(ErrorReason.ERROR_REASON_INTERNAL))
        self._half_closed = True
        self._wake_writer()

    def _accept(self, call: PipeCall) -> None:
        call_id = call.id
        calls = self._calls
        if call_id in calls:
            rule = "must be unique among the calls in flight"
            raise RoomlineError(ErrorReason.ERROR_REASON_FIELD_INVALID, field="calls.id", rule=rule)
        if len(calls) + len(self._results) >= self._max_in_flight:
            self._reply(refusal(call_id, RoomlineError(ErrorReason.ERROR_REASON_OVERLOADED)))
            return
        metadata = self._user_agent
        if call.metadata:
            try:
                _check_count("calls.metadata", len(call.metadata), MAX_METADATA_ITEMS)
                metadata = unpack(call.metadata, self._user_agent)
            except grpc.aio.InternalError:
                self._reply(refusal(call_id, RoomlineError(ErrorReason.ERROR_REASON_REQUEST_UNDECODABLE)))
                return
            except RoomlineError as error:
                self._reply(refusal(call_id, error))
                return
        calls[call_id] = context = PipeContext(self, metadata)
        if timeout_us := call.timeout_us:
            seconds = timeout_us / 1_000_000
            if seconds < FOREVER:
                context.deadline = self.loop.time() + seconds
                context.slot = self._deadlines.add(context, context.deadline, seconds)
        # One attribute at a time: a reference to `call` would keep its whole frame in memory while the handler runs.
        context.task = self.loop.create_task(self._run(context, call_id, call.method, call.request))

    async def _run(self, context: PipeContext, call_id: int, method: str, request: bytes) -> None:
        context.started = True
        result: tuple[int, bytes] | PipeResult
        try:
            if context.interrupted is not None:
                raise asyncio.CancelledError
            response = await self._unary(method, request, context)
            if type(response) is not bytes:
                raise TypeError(f"a dispatcher returns bytes, not {type(response)}")
            result = context.result(call_id, response) if context.touched else (call_id, response)
        except (grpc.aio.AbortError, asyncio.CancelledError) as error:
            result = context.failure(call_id, error)
        except Exception as error:
            log.exception("handler_failed", method=method)
            result = context.failure(call_id, error)
        if context.slot is not None:
            context.slot.discard(context)
        del self._calls[call_id]
        self._reply(result)
        try:
            context.end()
        except Exception:
            log.exception("done_callback_failed", method=method)

    # Results

    def _reply(self, result: tuple[int, bytes] | PipeResult) -> None:
        self._results.append(result)
        if self._write_waiter is not None:
            self._wake_writer()

    def _wake_writer(self) -> None:
        waiter, self._write_waiter = self._write_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _write(self) -> None:
        try:
            await self.stream.write(PipeResponse(credits=self._max_in_flight))
            self._opened.set()
            while True:
                if self._results or self._announce_draining:
                    frame = self._next_frame()
                    if self._read_waiter is not None and not self._read_waiter.done():
                        self._read_waiter.set_result(None)
                    await self.stream.write(frame)
                elif self._half_closed and not self._calls:
                    break
                else:
                    self._write_waiter = self.loop.create_future()
                    await self._write_waiter
        except Exception as error:  # noqa: BLE001 - whatever gRPC raises here means that the caller is gone
            log.debug("pipe_write_failed", error=str(error))
        self._opened.set()
        self._finish(None)

    def _next_frame(self) -> PipeResponse:
        frame = PipeResponse(draining=self._announce_draining)
        self._announce_draining = False
        results = self._results
        add = frame.results.add
        size = count = 0
        while results and count < MAX_FRAME_ITEMS:
            result = results[0]
            if isinstance(result, tuple):
                call_id, response = result
                own_size = len(response)
            else:
                call_id, own_size = result.id, result.ByteSize()
            if own_size > self._max_result_bytes:
                # It would end the whole pipe.
                too_large = ErrorReason.ERROR_REASON_RESPONSE_TOO_LARGE
                results[0] = refusal(call_id, RoomlineError(too_large, limit=self._max_result_bytes))
                continue
            size += own_size + ITEM_OVERHEAD
            if size > MAX_FRAME_BYTES and count:
                break
            if isinstance(result, tuple):
                add(id=call_id, response=response)
            else:
                frame.results.append(result)
            results.popleft()
            count += 1
        return frame


def _check_count(field: str, count: int, limit: int) -> None:
    if count > limit:
        raise RoomlineError(ErrorReason.ERROR_REASON_FIELD_INVALID, field=field, rule=f"at most {limit} items")
