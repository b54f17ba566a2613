"""A real user service, and a message service that remembers what it was asked to purge."""

# ruff: noqa: N802 - the signatures are gRPC's

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from argon2 import PasswordHasher
from pydantic import SecretStr
from roomline.v1 import access_service_pb2_grpc, media_service_pb2_grpc, room_service_pb2_grpc
from roomline.v1.access_service_pb2 import CheckRequest, CheckResponse
from roomline.v1.account_service_pb2_grpc import AccountServiceStub
from roomline.v1.instance_pb2 import Instance, InstanceFlags, InstanceKey
from roomline.v1.instance_service_pb2 import CreateInstanceRequest
from roomline.v1.instance_service_pb2_grpc import InstanceServiceStub
from roomline.v1.media_service_pb2 import PurgeMediaRequest, PurgeMediaResponse
from roomline.v1.presence_service_pb2_grpc import PresenceServiceStub
from roomline.v1.room_service_pb2 import (
    PurgeInstanceRequest,
    PurgeInstanceResponse,
    PurgeUserRequest,
    PurgeUserResponse,
)
from roomline.v1.user_service_pb2 import CreateUserRequest, NewUser
from roomline.v1.user_service_pb2_grpc import UserServiceStub

from services.common.backoff import Backoff
from services.common.call import current_caller
from services.common.channels import connect
from services.common.credentials import CredentialsCopy
from services.common.ids import MICROSECONDS, Uuid7
from services.common.interceptors import Context, Interceptors
from services.common.server import ServiceServer
from services.common.service import Service
from services.common.settings import Settings
from services.common.tokens import OPERATOR_ISSUER, SERVICE_ISSUER, ServiceTokens, TokenVerifier, user_token
from services.user.server import build_server
from tests.support.account_parts import CHEAP_HASHER, pooled_key
from tests.support.clock import ManualClock, ManualTimers
from tests.support.transports import PIPE_AND_PLAIN

if TYPE_CHECKING:
    from roomline.v1.account_service_pb2_grpc import AccountServiceAsyncStub
    from roomline.v1.instance_service_pb2_grpc import InstanceServiceAsyncStub
    from roomline.v1.presence_service_pb2_grpc import PresenceServiceAsyncStub
    from roomline.v1.user_service_pb2_grpc import UserServiceAsyncStub

SERVICE_SECRET = "a secret of the processes"
OPERATOR_SECRET = "a secret of the operator"

Metadata = tuple[tuple[str, str], ...]


class Backend(
    room_service_pb2_grpc.RoomServiceServicer,
    access_service_pb2_grpc.AccessServiceServicer,
    media_service_pb2_grpc.MediaServiceServicer,
):
    """Message and media service in one."""

    def __init__(self, settings: Settings, clock: ManualClock) -> None:
        self._settings = settings
        self.clock = clock
        self._server: ServiceServer | None = None
        self.port = 0
        self.purged: asyncio.Queue[tuple[str, ...]] = asyncio.Queue()
        """Kind, instance and, of a user, id; in the order of the calls."""
        self.permissions = {"user:get", "user:update"}
        self.hold = asyncio.Event()
        """Purges of users wait for it."""
        self.hold.set()

    async def up(self) -> None:
        """Starts, at the same address every time."""
        secret = self._settings.service_secret.get_secret_value()
        nowhere = grpc.aio.insecure_channel("127.0.0.1:1")
        tokens = ServiceTokens(SERVICE_ISSUER, secret, "message")
        copy = CredentialsCopy(InstanceServiceStub(nowhere), tokens)
        verifier = TokenVerifier(copy, secret, "none", lambda: self.clock() / MICROSECONDS)
        self._server = ServiceServer(self._settings, Interceptors(verifier, authorizer=None))  # type: ignore[arg-type]
        self._server.add(self, room_service_pb2_grpc.add_RoomServiceServicer_to_server)
        self._server.add(self, access_service_pb2_grpc.add_AccessServiceServicer_to_server)
        self._server.add(self, media_service_pb2_grpc.add_MediaServiceServicer_to_server)
        await self._server.start(f"127.0.0.1:{self.port}")
        self.port = self._server.port

    async def down(self) -> None:
        """Stops, if it runs."""
        if self._server is not None:
            await self._server.stop()
            self._server = None

    def purges(self) -> list[tuple[str, ...]]:
        """What was purged since the last look."""
        return [self.purged.get_nowait() for _ in range(self.purged.qsize())]

    async def PurgeUser(self, request: PurgeUserRequest, context: Context) -> PurgeUserResponse:
        self.purged.put_nowait(("user", current_caller().instance_id, request.user_id))
        await self.hold.wait()
        return PurgeUserResponse()

    async def PurgeInstance(self, request: PurgeInstanceRequest, context: Context) -> PurgeInstanceResponse:
        self.purged.put_nowait(("instance", current_caller().instance_id))
        return PurgeInstanceResponse()

    async def PurgeMedia(self, request: PurgeMediaRequest, context: Context) -> PurgeMediaResponse:
        self.purged.put_nowait(("media", current_caller().instance_id, *([request.user_id] if request.user_id else [])))
        return PurgeMediaResponse()

    async def Check(self, request: CheckRequest, context: Context) -> CheckResponse:
        return CheckResponse(allowed=request.permission in self.permissions)


@dataclass
class Tenant:
    """An instance with its key, seen by those who use it."""

    id: str
    key: InstanceKey
    clock: ManualClock

    def server(self, user_id: str = "") -> Metadata:
        """The metadata of a server's call."""
        return self._bearer(user_id, su=True)

    def user(self, user_id: str) -> Metadata:
        """The metadata of a user's call."""
        return self._bearer(user_id, su=False)

    def _bearer(self, user_id: str, *, su: bool) -> Metadata:
        now = self.clock() / MICROSECONDS
        token = user_token(self.id, self.key.id, self.key.secret, user_id, now, lifetime=86_400, su=su)
        return (("authorization", f"Bearer {token}"),)


@dataclass
class House:
    """The user service under test, with stubs and tokens."""

    settings: Settings
    clock: ManualClock
    backend: Backend
    hasher: PasswordHasher = CHEAP_HASHER
    timers: ManualTimers = field(default_factory=ManualTimers)
    server: Service = field(init=False)
    channel: grpc.aio.Channel = field(init=False)
    users: UserServiceAsyncStub = field(init=False)
    accounts: AccountServiceAsyncStub = field(init=False)
    instances: InstanceServiceAsyncStub = field(init=False)
    presence: PresenceServiceAsyncStub = field(init=False)

    def __post_init__(self) -> None:
        def now() -> float:
            return self.clock() / MICROSECONDS

        self._operator = ServiceTokens(OPERATOR_ISSUER, OPERATOR_SECRET, "operator", now)
        self._service = ServiceTokens(SERVICE_ISSUER, SERVICE_SECRET, "message", now)

    @property
    def operator(self) -> Metadata:
        """The metadata of the operator's call."""
        return self._operator.metadata()

    def service(self, instance_id: str = "") -> Metadata:
        """The metadata of another process's call."""
        return self._service.metadata(instance_id)

    async def start(self) -> None:
        """Starts the service, on what an earlier one left."""
        self.server = build_server(
            self.settings,
            self.clock,
            Uuid7(self.clock),
            Backoff(first=0.01, longest=0.05),
            hasher=self.hasher,
            new_key=pooled_key,
            later=self.timers,
        )
        await self.server.start("127.0.0.1:0")
        self.channel = connect(f"127.0.0.1:{self.server.port}", self.settings)
        self.users = UserServiceStub(self.channel)
        self.accounts = AccountServiceStub(self.channel)
        self.instances = InstanceServiceStub(self.channel)
        self.presence = PresenceServiceStub(self.channel)

    async def stop(self) -> None:
        """Stops it."""
        await self.channel.close()
        await self.server.stop()

    async def tenant(self, instance_id: str = "one", **flags: bool) -> Tenant:
        """A new instance."""
        request = CreateInstanceRequest(instance=Instance(id=instance_id, flags=InstanceFlags(**flags)))
        answer = await self.instances.CreateInstance(request, metadata=self.operator)
        return Tenant(answer.instance.id, answer.key, self.clock)

    async def create(self, tenant: Tenant, *user_ids: str) -> None:
        """Creates users."""
        for user_id in user_ids:
            request = CreateUserRequest(user=NewUser(id=user_id, name=user_id))
            await self.users.CreateUser(request, metadata=tenant.server())


@pytest.fixture(params=PIPE_AND_PLAIN)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a service whose data folder is the test's own."""
    return Settings(
        data_dir=tmp_path / "data",
        pipe=request.param,
        service_secret=SecretStr(SERVICE_SECRET),
        operator_secret=SecretStr(OPERATOR_SECRET),
        shutdown_grace_seconds=1,
    )


@pytest.fixture
async def backend(settings: Settings) -> AsyncIterator[Backend]:
    """The running message service."""
    backend = Backend(settings, ManualClock())  # type: ignore[abstract]  # it serves what the user service calls
    await backend.up()
    address = f"127.0.0.1:{backend.port}"
    settings.message_address = settings.media_address = address
    yield backend
    await backend.down()


@pytest.fixture
async def house(settings: Settings, backend: Backend) -> AsyncIterator[House]:
    """The running user service."""
    house = House(settings, backend.clock, backend)
    await house.start()
    yield house
    await house.stop()


@pytest.fixture
async def tenant(house: House) -> Tenant:
    """An instance."""
    return await house.tenant()
