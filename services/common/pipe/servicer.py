"""Serves `PipeService`."""

import asyncio
from typing import Any

import grpc
from roomline.v1 import pipe_service_pb2_grpc
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.pipe_service_pb2 import DESCRIPTOR, PipeRequest, PipeResponse

from services.common.errors import RoomlineError
from services.common.pipe.limits import GRPC_MESSAGE_BYTES, MAX_FRAME_BYTES, MAX_IN_FLIGHT
from services.common.pipe.served_pipe import Dispatcher, ServedPipe

__all__ = ["PIPE_SERVICE", "Dispatcher", "PipeServicer", "add_pipe"]

PIPE_SERVICE: str = DESCRIPTOR.services_by_name["PipeService"].full_name


class PipeServicer(pipe_service_pb2_grpc.PipeServiceServicer):
    """Serves pipes; `add_pipe` adds it to a server.

    `max_in_flight` is how many calls each pipe may have in flight; more end RESOURCE_EXHAUSTED. `max_message_bytes`
    is the largest message that this end may send and the other accepts: a response above it ends RESOURCE_EXHAUSTED, as
    a plain call's would.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        max_in_flight: int = MAX_IN_FLIGHT,
        max_message_bytes: int = GRPC_MESSAGE_BYTES,
    ) -> None:
        self._dispatcher = dispatcher
        self._max_in_flight = max_in_flight
        self._max_message_bytes = max_message_bytes
        self._pipes: set[ServedPipe] = set()
        self._draining = False

    async def Pipe(self, request_iterator: object, context: Any) -> None:  # type: ignore[override] # noqa: ARG002, N802 - gRPC's
        """Carries calls until the caller half-closes the stream."""
        if self._draining:
            error = RoomlineError(ErrorReason.ERROR_REASON_SHUTTING_DOWN)
            await context.abort(error.code, error.message, error.trailing_metadata())
        pipe = ServedPipe(self._dispatcher, context, self._max_in_flight, self._max_message_bytes)
        self._pipes.add(pipe)
        try:
            await pipe.run()
        finally:
            self._pipes.discard(pipe)

    async def drain(self, grace: float | None) -> None:
        """Ends all pipes: callers are told to go elsewhere, and calls in flight get `grace` seconds to finish.

        New pipes are refused from now on. Call it before or together with `server.stop(grace)`, which by itself would
        wait for open pipes in vain and then break them. Returns when all pipes have ended or been told to.
        """
        self._draining = True
        pipes = list(self._pipes)
        for pipe in pipes:
            pipe.drain()
        closing = [asyncio.create_task(pipe.closed.wait()) for pipe in pipes]
        if closing:
            _, late = await asyncio.wait(closing, timeout=grace or 0)
            for waiting in late:
                waiting.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for pipe in pipes:
            pipe.expire()


def add_pipe(servicer: PipeServicer, server: grpc.aio.Server) -> None:
    """Serves pipes on a server; before it starts. Use it instead of the generated function.

    It refuses a frame that is too large before it is parsed: a large frame of empty calls would take long to parse, and
    much memory, before anybody has shown a token.
    """
    pipe: Any = servicer.Pipe
    handler = grpc.stream_stream_rpc_method_handler(pipe, _parse, PipeResponse.SerializeToString)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(PIPE_SERVICE, {"Pipe": handler}),))


def _parse(frame: bytes) -> PipeRequest:
    if len(frame) > MAX_FRAME_BYTES:
        raise RoomlineError(ErrorReason.ERROR_REASON_REQUEST_TOO_LARGE, limit=MAX_FRAME_BYTES)
    return PipeRequest.FromString(frame)
