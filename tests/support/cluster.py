"""The real user, message and media services in this process, on free ports and fresh files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from pydantic import SecretStr
from roomline.v1 import (
    access_service_pb2_grpc,
    account_service_pb2_grpc,
    cursor_service_pb2_grpc,
    event_service_pb2_grpc,
    instance_service_pb2_grpc,
    media_service_pb2_grpc,
    message_service_pb2_grpc,
    room_service_pb2_grpc,
    user_service_pb2_grpc,
)
from roomline.v1.instance_pb2 import Instance, InstanceFlags, InstanceKey, InstanceLimits
from roomline.v1.instance_service_pb2 import CreateInstanceRequest
from roomline.v1.user_service_pb2 import BatchCreateUsersRequest, NewUser

from services.common.backoff import Backoff
from services.common.channels import connect
from services.common.ids import MICROSECONDS, Clock, wall_clock
from services.common.service import Service
from services.common.settings import Settings
from services.common.tokens import OPERATOR_ISSUER, SERVICE_ISSUER, ServiceTokens, user_token
from services.media.maintenance import Pace
from services.media.server import build_server as build_media_server
from services.message.server import build_server as build_message_server
from services.user.presence import Later
from services.user.server import build_server as build_user_server
from tests.support.account_parts import CHEAP_HASHER, pooled_key
from tests.support.ports import free_port

if TYPE_CHECKING:
    from roomline.v1.access_service_pb2_grpc import AccessServiceAsyncStub
    from roomline.v1.account_service_pb2_grpc import AccountServiceAsyncStub
    from roomline.v1.cursor_service_pb2_grpc import CursorServiceAsyncStub
    from roomline.v1.event_service_pb2_grpc import EventServiceAsyncStub
    from roomline.v1.instance_service_pb2_grpc import InstanceServiceAsyncStub
    from roomline.v1.media_service_pb2_grpc import MediaServiceAsyncStub
    from roomline.v1.message_service_pb2_grpc import MessageServiceAsyncStub
    from roomline.v1.room_service_pb2_grpc import RoomServiceAsyncStub
    from roomline.v1.user_service_pb2_grpc import UserServiceAsyncStub

Metadata = tuple[tuple[str, str], ...]

SECRET = "a-secret-of-the-first-instance-key"
SERVICE_SECRET = "a-secret-that-the-services-share"
OPERATOR_SECRET = "a-secret-that-the-operator-keeps"


@dataclass
class Cluster:
    """Stubs of running services, and tokens to call them with."""

    settings: Settings
    clock: Clock
    user_server: Service
    message_server: Service
    media_server: Service
    user_channel: grpc.aio.Channel
    message_channel: grpc.aio.Channel
    media_channel: grpc.aio.Channel
    users: UserServiceAsyncStub
    accounts: AccountServiceAsyncStub
    instances: InstanceServiceAsyncStub
    rooms: RoomServiceAsyncStub
    messages: MessageServiceAsyncStub
    cursors: CursorServiceAsyncStub
    access: AccessServiceAsyncStub
    events: EventServiceAsyncStub
    media: MediaServiceAsyncStub
    service: ServiceTokens
    operator: ServiceTokens

    def token(self, user_id: str = "", *, su: bool = False, instance_id: str = "one") -> str:
        """A token signed with the key of the instance."""
        return user_token(instance_id, "key", SECRET, user_id, self.clock() / MICROSECONDS, 3600, su=su)

    def as_user(self, user_id: str, instance_id: str = "one") -> Metadata:
        """The metadata of a user's call."""
        return (("authorization", "Bearer " + self.token(user_id, instance_id=instance_id)),)

    def as_server(self, user_id: str = "", instance_id: str = "one") -> Metadata:
        """The metadata of a server's call."""
        return (("authorization", "Bearer " + self.token(user_id, su=True, instance_id=instance_id)),)

    async def add_instance(self, instance_id: str, limits: InstanceLimits | None = None) -> None:
        """An instance with the key that `token` signs with."""
        instance = Instance(
            id=instance_id, flags=InstanceFlags(test_token_provider=True, allow_reset=True), limits=limits
        )
        request = CreateInstanceRequest(instance=instance, key=InstanceKey(id="key", secret=SECRET))
        await self.instances.CreateInstance(request, metadata=self.operator.metadata())

    async def add_users(self, *user_ids: str, instance_id: str = "one") -> None:
        """Users whose names are their ids."""
        request = BatchCreateUsersRequest(users=[NewUser(id=user_id, name=user_id) for user_id in user_ids])
        await self.users.BatchCreateUsers(request, metadata=self.as_server(instance_id=instance_id))


@asynccontextmanager
async def running_cluster(
    folder: Path,
    *,
    pipe: bool = True,
    clock: Clock = wall_clock,
    pace: Pace | None = None,
    later: Later | None = None,
    backoff: Backoff | None = None,
    **settings_: Any,
) -> AsyncIterator[Cluster]:
    """A user, a message and a media service with one instance, `one`.

    `pace` is that of the media service, `later` what has users go offline in the user service, `backoff` how the
    message service tries again.
    """
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    user_address, message_address, media_address = addresses
    settings = Settings(
        data_dir=folder,
        user_address=user_address,
        message_address=message_address,
        media_address=media_address,
        pipe=pipe,
        service_secret=SecretStr(SERVICE_SECRET),
        operator_secret=SecretStr(OPERATOR_SECRET),
        shutdown_grace_seconds=1,
        **settings_,
    )
    user_server = build_user_server(settings, clock, hasher=CHEAP_HASHER, new_key=pooled_key, later=later)
    message_server = build_message_server(settings, clock, backoff=backoff)
    media_server = build_media_server(settings, clock, pace=pace)
    servers = (user_server, message_server, media_server)
    user_channel, message_channel, media_channel = (connect(address, settings) for address in addresses)

    def seconds() -> float:
        return clock() / MICROSECONDS

    cluster = Cluster(
        settings,
        clock,
        *servers,
        user_channel,
        message_channel,
        media_channel,
        user_service_pb2_grpc.UserServiceStub(user_channel),
        account_service_pb2_grpc.AccountServiceStub(user_channel),
        instance_service_pb2_grpc.InstanceServiceStub(user_channel),
        room_service_pb2_grpc.RoomServiceStub(message_channel),
        message_service_pb2_grpc.MessageServiceStub(message_channel),
        cursor_service_pb2_grpc.CursorServiceStub(message_channel),
        access_service_pb2_grpc.AccessServiceStub(message_channel),
        event_service_pb2_grpc.EventServiceStub(message_channel),
        media_service_pb2_grpc.MediaServiceStub(media_channel),
        ServiceTokens(SERVICE_ISSUER, SERVICE_SECRET, "test", seconds),
        ServiceTokens(OPERATOR_ISSUER, OPERATOR_SECRET, "operator", seconds),
    )
    async with AsyncExitStack() as starting:
        for server, address in zip(servers, addresses, strict=True):
            await server.start(address)
            starting.push_async_callback(server.stop)
        starting.pop_all()
    try:
        await cluster.add_instance("one")
        yield cluster
    finally:
        for channel in (user_channel, message_channel, media_channel):
            await channel.close()
        for running in (cluster.media_server, cluster.message_server, cluster.user_server):  # tests may replace them
            await running.stop()
