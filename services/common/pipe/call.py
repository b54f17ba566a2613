"""One unary call through the pipe, as its caller holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.pipe_service_pb2 import PipeResult

from services.common.errors import RoomlineError
from services.common.pipe.metadata import Packed, unpack

if TYPE_CHECKING:
    from services.common.pipe.connection import Connection
    from services.common.pipe.link import Link

log = structlog.get_logger()
_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
_CANCELLED = grpc.StatusCode.CANCELLED.value[0]
_INTERNAL = grpc.StatusCode.INTERNAL.value[0]
_PENDING = object()
_SETTLING = frozenset(
    code.value[0]
    for code in (
        # Decided by the request alone, or in the transaction that looks for the request id first.
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        # These leave the outcome open themselves.
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    )
)
"""Codes of refusals that stand, whatever became of an earlier try."""


class PipedCall(grpc.aio.UnaryUnaryCall[Any, Any]):
    """A call with the behaviour of gRPC's own: await it for the response, cancel it or the task that awaits it.

    What few calls need lives on the class until it is set.
    """

    connection: Connection | None = None
    """Where it was sent last."""
    call_id = 0
    sends = 0
    queued = False
    deadline: float | None = None
    """On the loop's clock."""
    slot: set[PipedCall] | None = None
    """Where the deadline is watched."""
    ended = False

    _waiter: asyncio.Future[None] | None = None
    _watchers: list[asyncio.Future[None]] | None = None
    _callbacks: list[Callable[[Any], object]] | None = None
    _response: Any = _PENDING
    _result: PipeResult
    _locally_cancelled = False

    def __init__(
        self,
        link: Link,
        method: str,
        request: bytes,
        metadata: Packed,
        deserializer: Callable[[bytes], Any] | None,
        *,
        size: int,
        repeatable: bool,
        changes_nothing: bool,
        wait_for_ready: bool,
    ) -> None:
        self.method = method
        self.request = request
        self.metadata = metadata
        self.size = size
        self.repeatable = repeatable
        self.changes_nothing = changes_nothing
        self.wait_for_ready = wait_for_ready
        self._link = link
        self._deserializer = deserializer

    # What the link does with it

    def conclude(self, result: PipeResult) -> None:
        """Ends the call with the result of its last try, unless that would deny what an earlier one may have done.

        A call is sent again when the answer to a try was lost, and that try may have been carried out. A server that
        refuses the next one before it has looked says nothing of that: it starts or stops, is too busy, does not take
        the token any longer, or the caller has lost a permission, perhaps by this very call. Then the call ends
        CONNECTION_LOST. A refusal stands if it would have met the first try too, if it comes after the look whether the
        request id was carried out, or if it leaves the outcome open itself. Any refusal stands of the first try, and of
        a method without side effects.
        """
        if self.sends > 1 and result.code and result.code not in _SETTLING and not self.changes_nothing:
            self.fail(RoomlineError(ErrorReason.ERROR_REASON_CONNECTION_LOST))
        else:
            self.end(result)

    def end(self, result: PipeResult) -> None:
        """Ends the call, unless it has ended."""
        if self.ended:
            return
        self.ended = True
        self._result = result
        if self.slot is not None:
            self.slot.discard(self)
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        for watcher in self._watchers or ():
            if not watcher.done():
                watcher.set_result(None)
        for callback in self._callbacks or ():
            self._call_back(callback)

    def fail(self, error: RoomlineError) -> None:
        """Ends the call with an error made on this side."""
        result = PipeResult(code=error.code.value[0], details=error.message)
        for key, value in error.trailing_metadata():
            result.trailing_metadata.add(key=key, value=value)
        self.end(result)

    # What the caller does with it

    def __await__(self) -> Generator[Any, None, Any]:
        """The response. Raises grpc.aio.AioRpcError, or asyncio.CancelledError after `cancel`."""
        if not self.ended:
            if self._waiter is None:
                self._waiter = self._link.loop.create_future()
            try:
                yield from self._waiter
            except asyncio.CancelledError:
                self.cancel()
                raise
        result = self._result
        if result.code == 0:
            if self._response is _PENDING:
                self._response = self._deserialize(result.response)
            return self._response
        if self._locally_cancelled:
            raise asyncio.CancelledError
        raise self._error(result)

    def cancel(self) -> bool:
        """Ends the call and tells the server; False if it has ended already."""
        if self.ended:
            return False
        self._locally_cancelled = True
        self.end(PipeResult(code=_CANCELLED, details="Locally cancelled by application!"))
        self._link.abandon(self)
        return True

    def cancelled(self) -> bool:
        """Whether the call ended CANCELLED."""
        return self.ended and self._result.code == _CANCELLED

    def done(self) -> bool:
        """Whether the call has ended."""
        return self.ended

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Has the callback called with this call once it has ended; now, if it has."""
        if self.ended:
            callback(self)
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    def time_remaining(self) -> float | None:
        """Seconds until the deadline; None without one."""
        if self.deadline is None:
            return None
        return max(self.deadline - self._link.loop.time(), 0)

    async def initial_metadata(self) -> grpc.aio.Metadata:
        """What the server sent before the response; waits for the call's end."""
        await self._wait()
        return grpc.aio.Metadata(*unpack(self._result.initial_metadata))

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        """What the server sent with the status; waits for the call's end."""
        await self._wait()
        return grpc.aio.Metadata(*unpack(self._result.trailing_metadata))

    async def code(self) -> grpc.StatusCode:
        """The status code; waits for the call's end."""
        await self._wait()
        return _code_of(self._result)

    async def details(self) -> str:
        """The status message; waits for the call's end."""
        await self._wait()
        return self._result.details

    async def debug_error_string(self) -> str:
        """Code and message in one; waits for the call's end."""
        await self._wait()
        return _debug_string(self._result)

    async def wait_for_connection(self) -> None:
        """Waits for the call's end, as gRPC's own unary calls do. Raises like awaiting the call."""
        await self

    def __repr__(self) -> str:
        if not self.ended:
            return f"<PipedCall {self.method}>"
        return f"<PipedCall {self.method}: {_code_of(self._result).name} {self._result.details!r}>"

    async def _wait(self) -> None:
        if self.ended:
            return
        watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._watchers is None:
            self._watchers = []
        self._watchers.append(watcher)
        await watcher

    def _deserialize(self, response: bytes) -> Any:
        if self._deserializer is None:
            return response
        try:
            return self._deserializer(response)
        except Exception as error:
            # gRPC's aio stack logs and returns None here, which looks like success; its sync stack does this.
            raise self._error(PipeResult(code=_INTERNAL, details="Exception deserializing response!")) from error

    def _error(self, result: PipeResult) -> grpc.aio.AioRpcError:
        return grpc.aio.AioRpcError(
            _code_of(result),
            grpc.aio.Metadata(*unpack(result.initial_metadata)),
            grpc.aio.Metadata(*unpack(result.trailing_metadata)),
            result.details,
            _debug_string(result),
        )

    def _call_back(self, callback: Callable[[Any], object]) -> None:
        try:
            callback(self)
        except Exception:
            log.exception("done_callback_failed", method=self.method)


def _code_of(result: PipeResult) -> grpc.StatusCode:
    return _CODES.get(result.code, grpc.StatusCode.UNKNOWN)


def _debug_string(result: PipeResult) -> str:
    if result.code == 0:
        return ""
    name = _code_of(result).name
    return f"{name}:{result.details}" if result.details else name
