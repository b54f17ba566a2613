"""One unary method of a pipe's server, as a stub holds it."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import grpc
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.descriptor_pool import Default as DescriptorPool

from services.common.pipe.call import PipedCall
from services.common.pipe.limits import ITEM_OVERHEAD, MAX_FRAME_BYTES
from services.common.pipe.link import Link
from services.common.pipe.metadata import Packed, pack

Serializer = Callable[[Any], bytes]
Deserializer = Callable[[bytes], Any]


class _UnaryMaker(Protocol):
    """Makes the method's plain gRPC twin."""

    def __call__(
        self, method: str, request_serializer: None, response_deserializer: Deserializer | None
    ) -> grpc.aio.UnaryUnaryMultiCallable[Any, Any]: ...


class PipedMethod(grpc.aio.UnaryUnaryMultiCallable[Any, Any]):
    """Calls a method through the pipe.

    A call that is too large for a frame, or that brings its own call credentials, is made as a plain gRPC call.
    """

    def __init__(
        self,
        link: Link,
        make_unary: _UnaryMaker,
        method: str,
        serializer: Serializer | None,
        deserializer: Deserializer | None,
    ) -> None:
        self._link = link
        self._make_unary = make_unary
        self._unary: grpc.aio.UnaryUnaryMultiCallable[Any, Any] | None = None
        self._method = method
        self._serializer = serializer
        self._deserializer = deserializer
        level, has_request_id = _repeatability(method)
        self._changes_nothing = level == MethodOptions.NO_SIDE_EFFECTS
        self._repeatable = self._changes_nothing or level == MethodOptions.IDEMPOTENT
        self._has_request_id = has_request_id and serializer is not None

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> grpc.aio.UnaryUnaryCall[Any, Any]:
        """Starts a call. `timeout` is in seconds; `compression` is the stream's.

        Raises what the serializer raises, TypeError or grpc.aio.InternalError for illegal metadata, and
        grpc.aio.UsageError if the channel is closed.
        """
        data: bytes = self._serializer(request) if self._serializer is not None else request
        packed: Packed = pack(metadata) if metadata else ()
        size = _size(self._method, data, packed)
        if credentials is not None or size > MAX_FRAME_BYTES:
            if self._unary is None:
                self._unary = self._make_unary(self._method, None, self._deserializer)
            return self._unary(
                data,
                timeout=timeout,
                metadata=tuple(metadata) if metadata else None,
                credentials=credentials,
                wait_for_ready=wait_for_ready,
                compression=compression,
            )
        link = self._link
        call = PipedCall(
            link,
            self._method,
            data,
            packed,
            self._deserializer,
            size=size,
            repeatable=self._repeatable or (self._has_request_id and bool(request.request_id)),
            changes_nothing=self._changes_nothing,
            wait_for_ready=bool(wait_for_ready),
        )
        link.submit(call, timeout)
        return call


def _size(method: str, data: bytes, metadata: Packed) -> int:
    """What a call takes of a frame, at most."""
    size = len(method) + len(data) + ITEM_OVERHEAD
    for key, value in metadata:
        size += len(key) + len(value) + ITEM_OVERHEAD
    return size


def _repeatability(method: str) -> tuple[MethodOptions.IdempotencyLevel.ValueType, bool]:
    """What the contract says of repeating any call of the method, and whether a call of it can have a request id."""
    try:
        descriptor = DescriptorPool().FindMethodByName(method.removeprefix("/").replace("/", "."))
    except KeyError:
        return MethodOptions.IDEMPOTENCY_UNKNOWN, False
    return descriptor.GetOptions().idempotency_level, "request_id" in descriptor.input_type.fields_by_name
