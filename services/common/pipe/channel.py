"""The channel that runs unary calls over the pipe."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import grpc
from roomline.v1 import pipe_service_pb2_grpc

from services.common.pipe.limits import RECONNECT_OPTIONS, Patience
from services.common.pipe.link import Link
from services.common.pipe.method import Deserializer, PipedMethod, Serializer


class PipeChannel(grpc.aio.Channel):
    """A channel for generated stubs whose unary methods go through the pipe; streaming methods go as they are.

    `channel` is the channel under it, or the address (`host:port`) of one to make, with TLS if `credentials` are given;
    either way it is closed with this one. A given channel should have `limits.RECONNECT_OPTIONS`. `service` is what
    errors, which callers see, call the server. Connects with the first call, and again when needed.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel | str,
        *,
        service: str = "backend",
        credentials: grpc.ChannelCredentials | None = None,
        options: Sequence[tuple[str, Any]] = (),
        patience: Patience | None = None,
    ) -> None:
        if isinstance(channel, str):
            options = (*RECONNECT_OPTIONS, *options)
            if credentials is None:
                channel = grpc.aio.insecure_channel(channel, options=options)
            else:
                channel = grpc.aio.secure_channel(channel, credentials, options=options)
        self._channel = channel
        self._link = Link(pipe_service_pb2_grpc.PipeServiceStub(channel).Pipe, service, patience or Patience())

    def unary_unary(
        self,
        method: str,
        request_serializer: Serializer | None = None,
        response_deserializer: Deserializer | None = None,
        _registered_method: bool | None = False,
    ) -> grpc.aio.UnaryUnaryMultiCallable[Any, Any]:
        """A method that runs over the pipe."""
        return PipedMethod(self._link, self._channel.unary_unary, method, request_serializer, response_deserializer)

    def unary_stream(self, *args: Any, **kwargs: Any) -> grpc.aio.UnaryStreamMultiCallable[Any, Any]:
        """A method of the channel under the pipe."""
        return self._channel.unary_stream(*args, **kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> grpc.aio.StreamUnaryMultiCallable[Any, Any]:
        """A method of the channel under the pipe."""
        return self._channel.stream_unary(*args, **kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> grpc.aio.StreamStreamMultiCallable[Any, Any]:
        """A method of the channel under the pipe."""
        return self._channel.stream_stream(*args, **kwargs)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """The state of the channel under the pipe."""
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Waits for the channel under the pipe to be in another state."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Waits for the channel under the pipe to be connected."""
        await self._channel.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        """Lets calls in flight finish for `grace` seconds, cancels the rest and closes the channel under the pipe."""
        await self._link.close(grace)
        await self._channel.close(grace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
