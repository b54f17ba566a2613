"""A real gRPC server whose answers the tests choose, in place of the user and the message service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import symbol_database
from google.protobuf.descriptor_pool import Default as DescriptorPool
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.common.errors import RoomlineError

Answer = Message | Exception | Callable[[Any], Message]


@dataclass
class Call:
    """What arrived."""

    method: str
    request: Any
    metadata: dict[str, str | bytes]
    seconds: float
    """How long the caller is ready to wait."""


@dataclass
class Backend(grpc.GenericRpcHandler):
    """Serves every method of the contract: with the answer set for it, else with an empty one."""

    answers: dict[str, Answer] = field(default_factory=dict)
    """By the method's short name; an exception refuses the call, a function gets the request."""
    calls: list[Call] = field(default_factory=list)
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

        async def handle(request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Message:
            metadata = dict(context.invocation_metadata() or ())
            self.calls.append(Call(name, request, metadata, context.time_remaining()))
            answer = self.answers.get(name, response_class())
            try:
                if isinstance(answer, Exception):
                    raise answer
                return answer(request) if callable(answer) else answer
            except RoomlineError as error:
                await context.abort(error.code, error.message, error.trailing_metadata())

        return grpc.unary_unary_rpc_method_handler(
            handle,
            request_deserializer=request_class.FromString,
            response_serializer=response_class.SerializeToString,
        )


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
