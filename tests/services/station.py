"""A server with handlers of the tests' own."""

# ruff: noqa: N802 - the signatures are gRPC's

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import grpc
from roomline.v1 import (
    instance_service_pb2_grpc,
    media_service_pb2_grpc,
)
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.instance_service_pb2 import (
    GetCredentialsRequest,
    GetCredentialsResponse,
    InstanceCredentials,
    IssueTestTokenRequest,
    IssueTestTokenResponse,
    WatchCredentialsRequest,
    WatchCredentialsResponse,
)
from roomline.v1.media_service_pb2 import UploadAttachmentRequest, UploadAttachmentResponse

from services.common.call import current_caller
from services.common.channels import connect
from services.common.interceptors import Context, Interceptors
from services.common.server import ServiceServer
from services.common.settings import Settings
from services.common.tokens import SERVICE_ISSUER, ServiceTokens, TokenVerifier
from tests.support.cluster import OPERATOR_SECRET, SERVICE_SECRET

if TYPE_CHECKING:
    from roomline.v1.instance_service_pb2_grpc import InstanceServiceAsyncStub

MIB = 1024 * 1024
METHOD = "/roomline.v1.InstanceService/"


class NoInstances:
    """Credentials of nobody."""

    async def get(self, instance_id: str) -> InstanceCredentials | None:
        return None

    def version(self, instance_id: str) -> int:
        return 0

    def is_ended(self, instance_id: str, session_id: str) -> bool:
        return False


class Probe(instance_service_pb2_grpc.InstanceServiceServicer):
    """Does what a test wants."""

    def __init__(self) -> None:
        self.behavior: Callable[[], Awaitable[GetCredentialsResponse]] = self.answer
        self.stream_closed = asyncio.Event()

    async def answer(self) -> GetCredentialsResponse:
        return GetCredentialsResponse()

    async def GetCredentials(self, request: GetCredentialsRequest, context: Context) -> GetCredentialsResponse:
        return await self.behavior()

    async def WatchCredentials(
        self, request: WatchCredentialsRequest, context: Context
    ) -> AsyncIterator[WatchCredentialsResponse]:
        try:
            while True:
                yield WatchCredentialsResponse(complete=True)
                await asyncio.sleep(0.001)
        finally:
            self.stream_closed.set()

    async def IssueTestToken(self, request: IssueTestTokenRequest, context: Context) -> IssueTestTokenResponse:
        return IssueTestTokenResponse(access_token=current_caller().level.name)


class Uploads(media_service_pb2_grpc.MediaServiceServicer):
    """Counts bytes."""

    async def UploadAttachment(
        self, request_iterator: AsyncIterator[UploadAttachmentRequest], context: Context
    ) -> UploadAttachmentResponse:
        size = 0
        async for request in request_iterator:
            size += len(request.chunk)
        return UploadAttachmentResponse(attachment=Attachment(size=size, user_id=current_caller().level.name))


class Station:
    """A server with a probe, and channels to it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.probe = Probe()  # type: ignore[abstract]  # the rest is not served
        self.tokens = ServiceTokens(SERVICE_ISSUER, SERVICE_SECRET, "test")
        verifier = TokenVerifier(NoInstances(), SERVICE_SECRET, OPERATOR_SECRET)
        self.interceptors = Interceptors(verifier, authorizer=None)  # type: ignore[arg-type]  # services need none
        self.server = ServiceServer(settings, self.interceptors)
        self.server.add(self.probe, instance_service_pb2_grpc.add_InstanceServiceServicer_to_server)
        self.server.add(Uploads(), media_service_pb2_grpc.add_MediaServiceServicer_to_server)  # type: ignore[abstract]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def channel(self, *, pipe: bool) -> grpc.aio.Channel:
        return connect(self.address, self.settings.model_copy(update={"pipe": pipe}))

    async def get(self, channel: grpc.aio.Channel, instance_id: str = "one", **metadata: str) -> GetCredentialsResponse:
        stub: InstanceServiceAsyncStub = instance_service_pb2_grpc.InstanceServiceStub(channel)
        all_metadata = (*self.tokens.metadata(), *((key.replace("_", "-"), value) for key, value in metadata.items()))
        return await stub.GetCredentials(GetCredentialsRequest(instance_id=instance_id), metadata=all_metadata)
