"""A real gRPC server whose answers the tests choose, in place of the services."""

from __future__ import annotations

import inspect
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import symbol_database
from google.protobuf.descriptor_pool import Default as DescriptorPool
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from roomline.v1.user_service_pb2 import BatchGetUsersRequest

from services.common.errors import RoomlineError

Context = grpc.aio.ServicerContext[Any, Any]
Answer = Message | Exception | Sequence[Message] | Callable[[Any], Any]


@dataclass
class Call:
    """What arrived."""

    method: str
    request: Any
    """Of a call that takes a stream: the list of its messages so far."""
    metadata: dict[str, str | bytes]
    seconds: float
    """How long the caller is ready to wait."""


@dataclass
class Backend(grpc.GenericRpcHandler):
    """Serves every method of the contract: with the answer set for it, else with an empty one."""

    answers: dict[str, Answer] = field(default_factory=dict)
    """By the method's short name; an exception refuses the call, a function gets the request.

    A call that answers with a stream has several messages, or an async generator function. A call that takes a stream
    is answered at its end, except by a coroutine function, which gets the stream, and by an exception. A call that does
    both has an async generator function, which gets the stream.
    """
    calls: list[Call] = field(default_factory=list)
    """Those that handlers make."""
    inquiries: list[Call] = field(default_factory=list)
    """Those that the gateway makes beside them (`gateway/inquiry.py`)."""
    health: Any = field(default_factory=health.aio.HealthServicer)
    port: int = 0

    @property
    def last(self) -> Call:
        """The newest call."""
        return self.calls[-1]

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Makes the handler of a method; for gRPC's own use."""
        service, _, name = handler_call_details.method.removeprefix("/").partition("/")
        if not service.startswith("roomline."):
            return None
        method = DescriptorPool().FindServiceByName(service).methods_by_name[name]
        request_class = symbol_database.Default().GetSymbol(method.input_type.full_name)
        response_class = symbol_database.Default().GetSymbol(method.output_type.full_name)
        classes: dict[str, Any] = {
            "request_deserializer": request_class.FromString,
            "response_serializer": response_class.SerializeToString,
        }

        async def unary(request: Message, context: Context) -> Any:
            self._note(name, request, context)
            async with _refusals(context):
                return await self._answer(name, request, response_class())

        async def upload(requests: AsyncIterator[Message], context: Context) -> Any:
            received: list[Message] = []
            self._note(name, received, context)
            noted = _noted(requests, received)
            async with _refusals(context):
                answer = self.answers.get(name)
                if not (isinstance(answer, Exception) or inspect.iscoroutinefunction(answer)):
                    async for _ in noted:
                        pass
                return await self._answer(name, noted, response_class())

        async def download(request: Message, context: Context) -> None:
            self._note(name, request, context)
            async with _refusals(context):
                answer = await self._answer(name, request, ())
                async with aclosing(answer if inspect.isasyncgen(answer) else _each(answer)) as steps:
                    async for step in steps:
                        await context.write(step)

        async def talk(requests: AsyncIterator[Message], context: Context) -> None:
            received: list[Message] = []
            self._note(name, received, context)
            async with _refusals(context):
                answer = await self._answer(name, _noted(requests, received), ())
                async with aclosing(answer if inspect.isasyncgen(answer) else _each(answer)) as steps:
                    async for step in steps:
                        await context.write(step)

        if method.server_streaming and method.client_streaming:
            return grpc.stream_stream_rpc_method_handler(talk, **classes)
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(download, **classes)
        if method.client_streaming:
            return grpc.stream_unary_rpc_method_handler(upload, **classes)
        return grpc.unary_unary_rpc_method_handler(unary, **classes)

    def _note(self, name: str, request: Any, context: Context) -> None:
        metadata = dict(context.invocation_metadata() or ())
        is_inquiry = isinstance(request, BatchGetUsersRequest) and request.ids_only
        calls = self.inquiries if is_inquiry else self.calls
        calls.append(Call(name, request, metadata, context.time_remaining() or math.inf))

    async def _answer(self, name: str, request: Any, default: Any) -> Any:
        answer: Any = self.answers.get(name, default)
        if isinstance(answer, Exception):
            raise answer
        result = answer(request) if callable(answer) else answer
        return await result if inspect.isawaitable(result) else result


@asynccontextmanager
async def _refusals(context: Context) -> AsyncIterator[None]:
    try:
        yield
    except RoomlineError as error:
        await context.abort(error.code, error.message, error.trailing_metadata())


async def _noted(requests: AsyncIterator[Message], received: list[Message]) -> AsyncIterator[Message]:
    async for request in requests:
        received.append(request)
        yield request


async def _each(messages: Sequence[Message]) -> AsyncGenerator[Message]:
    for message in messages:
        yield message


@asynccontextmanager
async def running_backend() -> AsyncIterator[Backend]:
    """A backend on a free port."""
    backend = Backend()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((backend,))
    health_pb2_grpc.add_HealthServicer_to_server(backend.health, server)
    backend.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await backend.health.set("", health_pb2.HealthCheckResponse.SERVING)
    try:
        yield backend
    finally:
        await server.stop(None)
