"""What a handler sees of a call that came through the pipe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.pipe_service_pb2 import PipeResult

from services.common.errors import RoomlineError
from services.common.pipe.metadata import Metadatum, Packed, pack

if TYPE_CHECKING:
    from services.common.pipe.served_pipe import ServedPipe

_Metadata = Iterable[tuple[str, str | bytes]]
_Callback = Callable[[Any], object]

_CODES = {code.value[0]: code.value[0] for code in grpc.StatusCode}
_INTERNAL = grpc.StatusCode.INTERNAL.value[0]
_UNKNOWN = grpc.StatusCode.UNKNOWN.value[0]
_CANCELLED = grpc.StatusCode.CANCELLED.value[0]


class PipeContext(grpc.aio.ServicerContext[Any, Any]):
    """The context of one call, with the behaviour of gRPC's own, its oddities included.

    Most handlers touch little of it, so what is rarely set lives on the class until it is.
    """

    task: asyncio.Task[None]
    deadline: float | None = None
    """On the loop's clock."""
    slot: set[PipeContext] | None = None
    """Where the deadline is watched."""
    callbacks: list[_Callback] | None = None
    started = False
    """The handler runs; a task that is cancelled before would never run at all, not even to report it."""
    touched = False
    """The result is more than the response."""
    interrupted: ErrorReason.ValueType | None = None
    """Why the handler was cancelled."""

    _code: Any = None
    _status = 0
    _details = ""
    _trailing: tuple[tuple[str, str | bytes], ...] = ()
    _initial: Packed | None = None
    _aborted: grpc.aio.AbortError | None = None
    _ended = False

    def __init__(self, pipe: ServedPipe, metadata: tuple[Metadatum, ...]) -> None:
        self._pipe = pipe
        self._metadata = metadata

    # What the pipe does with it

    def interrupt(self, reason: ErrorReason.ValueType) -> None:
        """Cancels the handler; the call ends with the reason whatever the handler does now, unless it has aborted."""
        if self.interrupted is not None:
            return
        self.interrupted = reason
        self.touched = True
        if self.started:
            self.task.cancel()

    def end(self) -> None:
        """Marks the call as done and runs the callbacks."""
        self._ended = True
        if self._aborted is not None:
            self._aborted.__traceback__ = None  # it leads back here: garbage that only the collector would find
        for callback in self.callbacks or ():
            callback(self)

    def result(self, call_id: int, response: bytes) -> PipeResult:
        """The result of a call whose handler has returned."""
        if self._aborted is None and self.interrupted is not None:
            return refusal(call_id, RoomlineError(self.interrupted))
        if self._status:
            return self._build(call_id, self._status, self._details)
        return self._build(call_id, 0, "", response)

    def failure(self, call_id: int, error: BaseException) -> PipeResult:
        """The result of a call whose handler has raised."""
        if self._aborted is not None:
            return self._build(call_id, self._status, self._details)
        if isinstance(error, asyncio.CancelledError) or self.interrupted is not None:
            reason = self.interrupted or ErrorReason.ERROR_REASON_CANCELLED
            return refusal(call_id, RoomlineError(reason))
        if isinstance(error, grpc.aio.AbortError):
            error = AssertionError("Abort error has been replaced!")
        return self._build(call_id, self._status or _UNKNOWN, f"Unexpected {type(error)}: {error}")

    def _build(self, call_id: int, status: int, details: str, response: bytes = b"") -> PipeResult:
        try:
            trailing = pack(self._trailing)
        except (TypeError, grpc.aio.InternalError):
            return PipeResult(id=call_id, code=_INTERNAL, details="Invalid metadata")
        result = PipeResult(id=call_id, code=status, details=details, response=response)
        for key, value in self._initial or ():
            result.initial_metadata.add(key=key, value=value)
        for key, value in trailing:
            result.trailing_metadata.add(key=key, value=value)
        return result

    # What the handler does with it

    def invocation_metadata(self) -> tuple[Metadatum, ...]:  # type: ignore[override]
        """The caller's metadata; a tuple, as gRPC's own context has it."""
        return self._metadata

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        """Ends the call with a status other than OK by raising grpc.aio.AbortError."""
        if type(trailing_metadata) is not tuple:
            found = type(trailing_metadata).__name__
            raise TypeError(f"Argument 'trailing_metadata' has incorrect type (expected tuple, got {found})")
        if self._aborted is not None:
            raise grpc.aio.UsageError("Abort already called!")
        status = _status_of(code)
        if status == 0:
            raise AssertionError("Expecting non-ok status code.")
        if trailing_metadata or not self._trailing:
            _check_trailing(trailing_metadata)
            self._trailing = trailing_metadata
        self._details = details or self._details
        self._code, self._status = code, status
        self.touched = self._ended = True
        self._aborted = grpc.aio.AbortError("Locally aborted.")
        raise self._aborted

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """Ends the call with the status by raising grpc.aio.AbortError."""
        await self.abort(status.code, status.details, status.trailing_metadata)

    def set_code(self, code: grpc.StatusCode) -> None:
        """Sets the code; with one other than OK, the response is dropped."""
        if self._aborted is None:
            self._status = _status_of(code)
        self._code = code
        self.touched = True

    def code(self) -> grpc.StatusCode:
        """The code that the handler has set, or None."""
        return self._code  # type: ignore[no-any-return]

    def set_details(self, details: str) -> None:
        """Sets the status message, for a code other than OK."""
        if self._aborted is None:
            self._details = details
        self.touched = True

    def details(self) -> str:
        """The status message that the handler has set."""
        return self._details

    def set_trailing_metadata(self, trailing_metadata: _Metadata) -> None:
        """Sets what is sent with the status. Raises TypeError if it is no metadata."""
        _check_trailing(trailing_metadata)
        if self._aborted is None:
            self._trailing = tuple(trailing_metadata)
        self.touched = True

    def trailing_metadata(self) -> tuple[tuple[str, str | bytes], ...]:  # type: ignore[override]
        """What the handler has set; a tuple, as gRPC's own context has it."""
        return self._trailing

    async def send_initial_metadata(self, initial_metadata: _Metadata) -> None:
        """Sets what is sent before the response. Raises grpc.aio.UsageError the second time."""
        self._raise_for_termination()
        if self._initial is not None:
            raise grpc.aio.UsageError("Send initial metadata failed: already sent")
        self._initial = pack(initial_metadata)
        self.touched = True

    async def read(self) -> Any:
        """Always grpc.aio.EOF: a unary call has one request, and the handler has it."""
        self._raise_for_termination()
        return grpc.aio.EOF

    async def write(self, message: Any) -> None:  # noqa: ARG002 - the signature is gRPC's
        """Raises grpc.aio.UsageError: a unary call has one response, which the handler returns."""
        self._raise_for_termination()
        raise grpc.aio.UsageError("A unary handler returns its response")

    def time_remaining(self) -> float:
        """Seconds until the deadline, or None without one."""
        if self.deadline is None:
            return None  # type: ignore[return-value] # as gRPC's own context does
        return max(self.deadline - self._pipe.loop.time(), 0)

    def peer(self) -> str:
        """The address of the pipe's other end."""
        return self._pipe.peer

    def peer_identities(self) -> Iterable[bytes] | None:
        """The identities of the pipe's other end."""
        return self._pipe.stream.peer_identities()

    def peer_identity_key(self) -> str | None:
        """The kind of `peer_identities`."""
        return self._pipe.stream.peer_identity_key()

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """What the transport knows about the pipe's other end."""
        return self._pipe.stream.auth_context()

    def set_compression(self, compression: grpc.Compression) -> None:
        """Does nothing: frames are compressed as the stream is."""

    def disable_next_message_compression(self) -> None:
        """Does nothing: frames are compressed as the stream is."""

    def add_done_callback(self, callback: _Callback) -> None:
        """Has the callback called with this context once the call has ended."""
        if self.callbacks is None:
            self.callbacks = []
        self.callbacks.append(callback)

    def cancelled(self) -> bool:
        """Whether the handler has set the code CANCELLED; as in gRPC, nothing else counts."""
        return self._status == _CANCELLED

    def done(self) -> bool:
        """Whether the status stands: the handler has aborted or returned."""
        return self._ended

    def _raise_for_termination(self) -> None:
        if self._aborted is not None:
            raise self._aborted
        if self._ended:
            raise grpc.aio.UsageError("RPC already finished.")


def refusal(call_id: int, error: RoomlineError) -> PipeResult:
    """The result of a call that the pipe itself ends."""
    result = PipeResult(id=call_id, code=error.code.value[0], details=error.message)
    for key, value in error.trailing_metadata():
        result.trailing_metadata.add(key=key, value=value)
    return result


def _status_of(code: Any) -> int:
    number = code if isinstance(code, int) else getattr(code, "value", (_UNKNOWN,))[0]
    return _CODES.get(number, _UNKNOWN)


def _check_trailing(metadata: Any) -> None:
    is_metadata = isinstance(metadata, Iterable) and not isinstance(metadata, dict)
    for item in metadata if is_metadata else ():
        match item:
            case (str(), str() | bytes()) if isinstance(item, tuple):
                continue
        is_metadata = False
    if not is_metadata:
        expected = "Tuple[Tuple[str, Union[str, bytes]]...]"
        raise TypeError(f"Invalid trailing metadata type, expected {expected}: {metadata}")
