"""The test hook that wipes an instance (spec §12.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomline.v1.instance_service_pb2 import ResetInstanceRequest
from roomline.v1.instance_service_pb2_grpc import InstanceServiceStub

from gateway.response import NO_CONTENT, Response

if TYPE_CHECKING:
    import grpc
    from roomline.v1.instance_service_pb2_grpc import InstanceServiceAsyncStub

    from gateway.chatkit.routes import Routes
    from gateway.request import Request


class Resources:
    """DELETE `/resources`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: InstanceServiceAsyncStub = InstanceServiceStub(channel)

    def routes(self) -> Routes:
        """Methods and paths, below the instance."""
        return [("DELETE", "/resources", self.delete)]

    async def delete(self, request: Request) -> Response:
        """Everything is gone when it answers."""
        await request.call(self._stub.ResetInstance, ResetInstanceRequest())
        return NO_CONTENT
