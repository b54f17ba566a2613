"""The user service, wired."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

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
from services.common.service import Service, background, stored
from services.common.service_folder import ServiceFolder
from services.common.settings import Settings
from services.common.sqlite import Database
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


def build_server(
    settings: Settings,
    clock: Clock = wall_clock,
    new_id: Callable[[], str] | None = None,
    backoff: Backoff | None = None,
) -> Service:
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

    message = connect(settings.message_address, settings, "message")
    media = connect(settings.media_address, settings, "media") if settings.media_address else None
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
    resources: list[AbstractAsyncContextManager[object]] = [
        stored(folder, database, MIGRATIONS),
        directory,
        message,
        background(deletions.run),
        background(lambda: _forget(database, clock, settings.idempotency_hours)),
    ]
    if media is not None:
        resources.append(media)
    return Service(server, resources, before_stop=directory.end_watches)


async def _forget(database: Database, clock: Clock, hours: int) -> None:
    """Forgets old request ids, every hour."""
    while True:
        try:
            await idempotency.forget(database, clock, hours)
        except Exception as error:
            log.error("request_ids_not_forgotten", exc_info=error)
        await asyncio.sleep(FORGET_SECONDS)
