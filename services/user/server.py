"""The user service, wired."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import structlog
from roomline.v1.access_service_pb2_grpc import AccessServiceStub
from roomline.v1.instance_service_pb2_grpc import add_InstanceServiceServicer_to_server
from roomline.v1.media_service_pb2_grpc import MediaServiceStub
from roomline.v1.room_service_pb2_grpc import RoomServiceStub
from roomline.v1.user_service_pb2_grpc import add_UserServiceServicer_to_server

from services.common import idempotency
from services.common.authorizer import RemoteAuthorizer
from services.common.channels import connect
from services.common.ids import MICROSECONDS, Clock, Uuid7, wall_clock
from services.common.interceptors import Interceptors
from services.common.server import ServiceServer
from services.common.service_folder import ServiceFolder
from services.common.settings import Settings
from services.common.sqlite import Database, migrate
from services.common.tasks import cancel
from services.common.tokens import SERVICE_ISSUER, ServiceTokens, TokenVerifier
from services.user.deletions import Backoff, Deletions, Purges
from services.user.directory import Directory
from services.user.instance_servicer import InstanceServicer
from services.user.sqlite_deletions import SqliteDeletions
from services.user.sqlite_instances import SqliteInstances
from services.user.sqlite_users import SqliteUsers
from services.user.user_servicer import UserServicer

log = structlog.get_logger()

MIGRATIONS = Path(__file__).parent / "migrations"
FORGET_SECONDS = 3600


@dataclass(frozen=True)
class _Parts:
    """What the server starts and stops."""

    folder: ServiceFolder
    database: Database
    directory: Directory
    deletions: Deletions
    channels: Sequence[grpc.aio.Channel]
    server: ServiceServer
    clock: Clock
    idempotency_hours: int


class UserServer:
    """A user service; see `build_server`."""

    def __init__(self, parts: _Parts) -> None:
        self._parts = parts
        self._started = contextlib.AsyncExitStack()

    @property
    def port(self) -> int:
        """Where it listens, once started."""
        return self._parts.server.port

    async def start(self, address: str) -> None:
        """Opens the store and listens at `host:port`; port 0 picks a free one. No other service needs to be up.

        Raises RuntimeError if the port is taken or another process works on the data folder.
        """
        parts = self._parts
        async with contextlib.AsyncExitStack() as started:
            await asyncio.to_thread(parts.folder.open)
            started.callback(parts.folder.close)
            await asyncio.to_thread(migrate, parts.folder.database, MIGRATIONS)
            await parts.database.open()
            started.push_async_callback(parts.database.close)
            await parts.directory.load()
            started.push_async_callback(parts.directory.settled)
            for channel in parts.channels:
                started.push_async_callback(channel.close)
            for work in (parts.deletions.run(), self._forget()):
                started.push_async_callback(cancel, asyncio.create_task(work))
            await parts.server.start(address)
            self._started = started.pop_all()

    async def stop(self) -> None:
        """Lets calls in flight finish within the grace time, then closes everything."""
        self._parts.directory.end_watches()
        try:
            await self._parts.server.stop()
        finally:
            await self._started.aclose()

    async def _forget(self) -> None:
        """Forgets old request ids, every hour."""
        while True:
            try:
                await idempotency.forget(self._parts.database, self._parts.clock, self._parts.idempotency_hours)
            except Exception as error:
                log.error("request_ids_not_forgotten", exc_info=error)
            await asyncio.sleep(FORGET_SECONDS)


def build_server(
    settings: Settings,
    clock: Clock = wall_clock,
    new_id: Callable[[], str] | None = None,
    backoff: Backoff | None = None,
) -> UserServer:
    """Wires a user service, to be called inside a running loop. `new_id` makes UUIDv7.

    An empty `media_address` means that there is no media service. Raises ValueError if a secret is empty.
    """
    new_id = new_id or Uuid7(clock)
    service_secret = settings.service_secret.get_secret_value()
    operator_secret = settings.operator_secret.get_secret_value()
    if not service_secret or not operator_secret:
        raise ValueError("ROOMLINE_SERVICE_SECRET and ROOMLINE_OPERATOR_SECRET must be set")

    def seconds() -> float:
        return clock() / MICROSECONDS

    folder = ServiceFolder(settings.data_dir, "user")
    database = Database(folder.database)
    instances = SqliteInstances(database, clock)
    directory = Directory(instances, clock)

    message = connect(settings.message_address, settings)
    media = connect(settings.media_address, settings) if settings.media_address else None
    tokens = ServiceTokens(SERVICE_ISSUER, service_secret, "user", seconds)
    purges = Purges(RoomServiceStub(message), MediaServiceStub(media) if media else None, tokens)
    deletions = Deletions(SqliteDeletions(database), purges, backoff or Backoff())

    verifier = TokenVerifier(directory, service_secret, operator_secret, seconds)
    authorizer = RemoteAuthorizer(AccessServiceStub(message), tokens)
    server = ServiceServer(settings, Interceptors(verifier, authorizer, new_id))
    server.add(UserServicer(SqliteUsers(database, clock, new_id), deletions), add_UserServiceServicer_to_server)
    server.add(
        InstanceServicer(instances, directory, deletions, cluster=settings.cluster, clock=clock, new_id=new_id),
        add_InstanceServiceServicer_to_server,
    )
    channels = [channel for channel in (message, media) if channel]
    return UserServer(
        _Parts(folder, database, directory, deletions, channels, server, clock, settings.idempotency_hours)
    )
