"""The media service, wired once.

Its servicer is not served yet: every `MediaService` method answers METHOD_NOT_SERVED.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import grpc
from roomline.v1 import access_service_pb2_grpc, instance_service_pb2_grpc

from services.common.authorizer import RemoteAuthorizer
from services.common.channels import connect
from services.common.credentials import CredentialsCopy
from services.common.ids import Uuid7
from services.common.interceptors import Interceptors
from services.common.server import ServiceServer
from services.common.settings import Settings
from services.common.tokens import SERVICE_ISSUER, ServiceTokens, TokenVerifier


class MediaServer:
    """A media service that can be started and stopped."""

    def __init__(
        self, server: ServiceServer, credentials: CredentialsCopy, channels: Sequence[grpc.aio.Channel]
    ) -> None:
        self._server = server
        self._credentials = credentials
        self._channels = channels
        self._watch: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Where it listens, once started."""
        return self._server.port

    async def start(self, address: str) -> None:
        """Listens at `host:port`; port 0 picks a free one."""
        self._watch = asyncio.create_task(self._credentials.watch())
        await self._server.start(address)

    async def stop(self) -> None:
        """Lets calls in flight finish within the grace time."""
        await self._server.stop()
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        for channel in self._channels:
            await channel.close()


def build_server(settings: Settings, new_id: Callable[[], str] | None = None) -> MediaServer:
    """Wires a media service. It serves the pipe, health and reflection."""
    service_secret = settings.service_secret.get_secret_value()
    user_channel = connect(settings.user_address, settings)
    message_channel = connect(settings.message_address, settings)
    tokens = ServiceTokens(SERVICE_ISSUER, service_secret, "media")
    credentials = CredentialsCopy(instance_service_pb2_grpc.InstanceServiceStub(user_channel), tokens)
    verifier = TokenVerifier(credentials, service_secret, settings.operator_secret.get_secret_value())
    authorizer = RemoteAuthorizer(access_service_pb2_grpc.AccessServiceStub(message_channel), tokens)
    server = ServiceServer(settings, Interceptors(verifier, authorizer, new_id or Uuid7()))
    return MediaServer(server, credentials, (user_channel, message_channel))
