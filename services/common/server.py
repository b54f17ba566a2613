"""The gRPC server that every service runs: handlers, pipe, health, reflection, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common import contract
from services.common.errors import RoomlineError
from services.common.interceptors import MAX_METHOD, MAX_RESPONSE_BYTES, Context, Interceptors, ServedMethod
from services.common.pipe.servicer import PIPE_SERVICE, PipeServicer, add_pipe

if TYPE_CHECKING:
    from services.common.settings import Settings

log = structlog.get_logger()

MAX_REQUEST_BYTES = 4 * 1024 * 1024
"""The largest request. gRPC itself refuses a larger one, RESOURCE_EXHAUSTED: it would be held and parsed before anybody
has looked at its token."""
MAX_CONCURRENT_CALLS = 1024
"""How many plain calls a connection may have in progress; gRPC has further ones wait at the caller."""
MIN_PING_SECONDS = 10
"""How often a caller may ask for a sign of life while nothing else is sent. gRPC's own five minutes are too long to
notice a peer that is gone."""
PING_SECONDS = 20
"""How often we ask for a sign of life, as long as calls are open, and how long we wait for it."""
STOP_SECONDS = 1.0
"""How long gRPC may take to end what the grace time has not."""

STREAM_BYTES = 256 * 1024
"""How much of a file's stream may have arrived before somebody takes it."""
SMALL_STREAMS = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", STREAM_BYTES))
"""Options of whoever receives files. Otherwise gRPC lets more arrive the faster the connection is, 30 MiB and more of
each stream: a few clients that send or take nothing more would fill the memory."""

_SERVER_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", MAX_RESPONSE_BYTES),
    ("grpc.max_metadata_size", 64 * 1024),
    ("grpc.max_concurrent_streams", MAX_CONCURRENT_CALLS),
    # Else the core also counts calls that have ended until all of them is gone, and refuses a third of the calls of a
    # caller that keeps to the limit exactly.
    ("grpc.http.overload_protection", 0),
    # A caller whose machine is gone leaves its streams, and with them the users that it keeps online.
    ("grpc.keepalive_time_ms", PING_SECONDS * 1000),
    ("grpc.keepalive_timeout_ms", PING_SECONDS * 1000),
    ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_SECONDS * 1000),
    ("grpc.http2.max_ping_strikes", 2),
)

AddToServer = Callable[[Any, Any], None]
"""A generated `add_…Servicer_to_server`."""


class Handlers:
    """The methods of a server, by full name. Generated `add_…Servicer_to_server` functions take it for a server."""

    def __init__(self) -> None:
        self.methods: dict[str, ServedMethod] = {}
        self.services: list[str] = []

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Called by generated code; `add_registered_method_handlers` has what is needed."""

    def add_registered_method_handlers(
        self, service: str, handlers: dict[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        """Called by generated code."""
        self.services.append(service)
        for name, handler in handlers.items():
            method = ServedMethod(contract.METHODS[f"/{service}/{name}"], handler)
            if _is_left_out(handler):
                continue
            self.methods[method.name] = method


class ServiceServer(grpc.GenericRpcHandler):
    """One service process's gRPC server. Handlers see no difference between a plain call and one of the pipe.

    `small_streams` is for receiving files.
    """

    def __init__(self, settings: Settings, interceptors: Interceptors, *, small_streams: bool = False) -> None:
        self._settings = settings
        self._interceptors = interceptors
        self._handlers = Handlers()
        self._health = health.aio.HealthServicer()
        self._pipe = PipeServicer(
            self, max_in_flight=settings.pipe_calls_in_flight, max_message_bytes=MAX_RESPONSE_BYTES
        )
        # Shared only with a supervisor's reservation: else a taken port would be shared with whoever listens there.
        options = [*_SERVER_OPTIONS, ("grpc.so_reuseport", int(settings.ports_reserved))]
        self._server = grpc.aio.server(options=[*options, *(SMALL_STREAMS if small_streams else ())])
        self.port = 0
        """Where it listens, once started."""

    def add(self, servicer: object, add_to_server: AddToServer) -> None:
        """Serves a servicer; before `start`."""
        add_to_server(servicer, self._handlers)

    async def start(self, address: str) -> None:
        """Begins to listen at `host:port`; port 0 picks a free one. Raises RuntimeError if the port is taken."""
        add_pipe(self._pipe, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [*self._handlers.services, PIPE_SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(names, self._server)
        self._server.add_generic_rpc_handlers((self,))  # last: it takes every method that nobody else has
        self.port = self._server.add_insecure_port(address)
        await self._server.start()
        for name in ("", *names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        log.info("serving", address=f"{address.rpartition(':')[0]}:{self.port}")

    async def stop(self) -> None:
        """Ends within the grace time: says so to health checks and pipes, lets calls in flight finish."""
        grace = self._settings.shutdown_grace_seconds
        await self._health.enter_graceful_shutdown()
        # Together: one after the other would take up to twice the time, and the supervisor does not wait that long.
        stopping = asyncio.create_task(self._server.stop(grace))
        await asyncio.gather(self._pipe.drain(grace), asyncio.wait((stopping,), timeout=grace + STOP_SECONDS))
        if not stopping.done():  # the rest is closed all the same
            log.error("server_does_not_stop")

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        """Finds the handler of a plain gRPC call; for gRPC's own use."""
        name = handler_call_details.method
        method = self._handlers.methods.get(name)
        if method is None:
            return self._refusal(name)
        return _plain(method, self._interceptors)

    async def unary(self, method: str, request: bytes, context: Context) -> bytes:
        """Runs one unary call of the pipe.

        A method with a stream ends METHOD_UNKNOWN: there is no unary one of that name, and never will be.
        """
        served = self._handlers.methods.get(method)
        if served is None:
            await self._interceptors.refuse(method, _unserved(method), context)
        if not served.handler.unary_unary:
            error = RoomlineError(ErrorReason.ERROR_REASON_METHOD_UNKNOWN, method=method)
            await self._interceptors.refuse(method, error, context)
        return await self._interceptors.unary(served, request, context)

    def _refusal(self, name: str) -> grpc.RpcMethodHandler[Any, Any]:
        """A handler that fits calls of every shape, and refuses them."""

        async def refuse(_requests: AsyncIterator[bytes], context: Context) -> None:
            await self._interceptors.refuse(name, _unserved(name), context)

        return grpc.stream_stream_rpc_method_handler(refuse)


def _unserved(method: str) -> RoomlineError:
    if method in contract.METHODS:
        return RoomlineError(ErrorReason.ERROR_REASON_METHOD_NOT_SERVED, method=method)
    return RoomlineError(ErrorReason.ERROR_REASON_METHOD_UNKNOWN, method=method[:MAX_METHOD])


def _is_left_out(handler: grpc.RpcMethodHandler[Any, Any]) -> bool:
    """Whether the servicer has nothing but the generated method of its base class: it is not served yet."""
    behavior = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    return str(getattr(behavior, "__module__", "")).endswith("_pb2_grpc")


def _plain(method: ServedMethod, interceptors: Interceptors) -> grpc.RpcMethodHandler[Any, Any]:
    """The handler of a plain gRPC call: bytes in, bytes out, through the same chain as a call of the pipe."""
    if method.handler.response_streaming:

        async def write(responses: AsyncGenerator[bytes], context: Context) -> None:
            # It writes, and does not yield: gRPC does not close a generator whose caller is gone.
            async with aclosing(responses):
                with contextlib.suppress(grpc.aio.InternalError):  # the caller is gone: nobody is left to be told
                    async for response in responses:
                        await context.write(response)

        async def stream(request: bytes, context: Context) -> None:
            await write(interceptors.server_stream(method, request, context), context)

        async def streams(requests: AsyncIterator[bytes], context: Context) -> None:
            await write(interceptors.both_streams(method, requests, context), context)

        if method.handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(streams)
        return grpc.unary_stream_rpc_method_handler(stream)

    if method.handler.request_streaming:

        async def upload(requests: AsyncIterator[bytes], context: Context) -> bytes:
            return await interceptors.client_stream(method, requests, context)

        return grpc.stream_unary_rpc_method_handler(upload)

    async def unary(request: bytes, context: Context) -> bytes:
        return await interceptors.unary(method, request, context)

    return grpc.unary_unary_rpc_method_handler(unary)
