"""A server whose one behavior answers every method, plainly and over the pipe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import status_pb2
from roomline.v1 import (
    account_service_pb2_grpc,
    cursor_service_pb2_grpc,
    room_service_pb2_grpc,
)
from roomline.v1.cursor_service_pb2 import GetCursorRequest, GetCursorResponse

from services.common.errors import STATUS_DETAILS_KEY, failure_of, reason_name
from services.common.pipe.channel import PipeChannel
from services.common.pipe.limits import RECONNECT_OPTIONS, Patience
from services.common.pipe.servicer import PipeServicer, add_pipe

if TYPE_CHECKING:  # the class exists for type checkers only
    from roomline.v1.cursor_service_pb2_grpc import CursorServiceAsyncStub

    CursorStub = CursorServiceAsyncStub
else:
    CursorStub = object

Context = grpc.aio.ServicerContext[Any, Any]
Behavior = Callable[[Any, Context], Awaitable[Any]]

QUICK = Patience(outage_seconds=0.3, first_backoff_seconds=0.01, max_backoff_seconds=0.05)
PATIENT = Patience(outage_seconds=30, first_backoff_seconds=0.01, max_backoff_seconds=0.05)


class _Servicer:
    """Has every method, with the behavior of its server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __getattr__(self, name: str) -> Behavior:
        async def method(request: Any, context: Context) -> Any:
            return await self._server.behavior(request, context)

        return method


class Captured:
    """A dispatcher for handlers caught from generated `add_…_to_server` functions, without interceptors."""

    def __init__(self) -> None:
        self.handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        self.calls = 0

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        pass

    def add_registered_method_handlers(
        self, service: str, handlers: dict[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        self.handlers |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

    async def unary(self, method: str, request: bytes, context: Context) -> bytes:
        self.calls += 1
        handler: Any = self.handlers.get(method)
        if handler is None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        response = await handler.unary_unary(handler.request_deserializer(request), context)
        if context.code() not in {None, grpc.StatusCode.OK}:
            return b""
        serialized: bytes = handler.response_serializer(response)
        return serialized


class Server:
    """A gRPC server on a port of its own, which can be stopped and started again there."""

    def __init__(self, **pipe_options: int) -> None:
        self.behavior: Behavior = answer
        self.port = 0
        self.pipe: PipeServicer
        self.grpc: grpc.aio.Server
        self.captured: Captured
        self._pipe_options = pipe_options

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.grpc = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        captured = self.captured = Captured()
        servicer: Any = _Servicer(self)
        for target in (self.grpc, captured):
            add_to: Any = target
            cursor_service_pb2_grpc.add_CursorServiceServicer_to_server(servicer, add_to)
            room_service_pb2_grpc.add_RoomServiceServicer_to_server(servicer, add_to)
            account_service_pb2_grpc.add_AccountServiceServicer_to_server(servicer, add_to)
        self.pipe = PipeServicer(captured, **self._pipe_options)
        add_pipe(self.pipe, self.grpc)
        self.port = self.grpc.add_insecure_port(self.address)
        await self.grpc.start()

    async def stop(self, grace: float | None = None) -> None:
        await self.grpc.stop(grace)


async def answer(request: Any, context: Context) -> Any:
    """The behavior unless a test sets another."""
    return GetCursorResponse()


@asynccontextmanager
async def serving(**pipe_options: int) -> AsyncIterator[Server]:
    server = Server(**pipe_options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def pipe_to(server: Server, patience: Patience = QUICK) -> PipeChannel:
    return PipeChannel(server.address, patience=patience)


def plain_to(server: Server) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(server.address, options=RECONNECT_OPTIONS)


def cursors(channel: grpc.aio.Channel) -> CursorStub:
    return cursor_service_pb2_grpc.CursorServiceStub(channel)


def reason(error: grpc.aio.AioRpcError) -> str:
    """The reason of the error's one ErrorInfo."""
    details: list[Any] = [value for key, value in error.trailing_metadata() or () if key == STATUS_DETAILS_KEY]
    assert len(details) == 1
    status = status_pb2.Status.FromString(details[0])
    assert status.code == error.code().value[0]
    assert len(status.details) == 1
    failure = failure_of(error)
    assert failure.message == error.details()
    return reason_name(failure.reason)


async def failure(call: Any) -> grpc.aio.AioRpcError:
    """The error that awaiting the call raises."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


REQUEST = GetCursorRequest(user_id="ann", room_id="r1")
