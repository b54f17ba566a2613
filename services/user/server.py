"""The user service, wired."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from argon2 import PasswordHasher
from joserfc.jwk import RSAKey
from roomline.v1.access_service_pb2_grpc import AccessServiceStub
from roomline.v1.account_service_pb2_grpc import add_AccountServiceServicer_to_server
from roomline.v1.archive_service_pb2_grpc import add_ArchiveServiceServicer_to_server
from roomline.v1.instance_service_pb2_grpc import add_InstanceServiceServicer_to_server
from roomline.v1.media_service_pb2_grpc import MediaServiceStub
from roomline.v1.presence_service_pb2_grpc import add_PresenceServiceServicer_to_server
from roomline.v1.room_service_pb2_grpc import RoomServiceStub
from roomline.v1.user_service_pb2_grpc import add_UserServiceServicer_to_server

from services.common.authorizer import RemoteAuthorizer
from services.common.backoff import Backoff
from services.common.channels import connect
from services.common.ids import MICROSECONDS, Clock, Uuid7, wall_clock
from services.common.interceptors import Interceptors
from services.common.server import ServiceServer
from services.common.service import Service, background, stored
from services.common.service_folder import ServiceFolder
from services.common.settings import Settings
from services.common.sqlite import Database
from services.common.sqlite_jobs import SqliteJobs
from services.common.tokens import API_KEY_ISSUER, OPERATOR_ISSUER, SERVICE_ISSUER, ServiceTokens, TokenVerifier
from services.user.account_keys import AccountKeys, new_rsa_key
from services.user.account_servicer import AccountRules, AccountServicer
from services.user.archive_servicer import ArchiveServicer
from services.user.deletions import Deletions, Purges
from services.user.directory import Directory
from services.user.instance_servicer import InstanceServicer
from services.user.maintenance import Maintenance
from services.user.passwords import Passwords, default_hasher
from services.user.presence import Later, PresenceBoard
from services.user.presence_servicer import PresenceServicer
from services.user.session_ends import SessionEnds
from services.user.sessions import Sessions
from services.user.sqlite_account_keys import SqliteAccountKeys
from services.user.sqlite_accounts import SqliteAccounts
from services.user.sqlite_archive import SqliteArchive
from services.user.sqlite_deletions import JOB_IS_LEFT, SqliteDeletions
from services.user.sqlite_instances import SqliteInstances
from services.user.sqlite_sessions import SqliteSessions
from services.user.sqlite_users import SqliteUsers
from services.user.throttle import Throttle
from services.user.user_servicer import UserServicer

MIGRATIONS = Path(__file__).parent / "migrations"


def build_server(
    settings: Settings,
    clock: Clock = wall_clock,
    new_id: Callable[[], str] | None = None,
    backoff: Backoff | None = None,
    hasher: PasswordHasher | None = None,
    new_key: Callable[[], RSAKey] = new_rsa_key,
    later: Later | None = None,
) -> Service:
    """Wires a user service, to be called inside a running loop. `new_id` makes UUIDv7; `later` is the loop's.

    Raises ValueError if a secret is empty, or accounts have the token issuer of others.
    """
    new_id = new_id or Uuid7(clock)
    service_secret = settings.service_secret.get_secret_value()
    operator_secret = settings.operator_secret.get_secret_value()
    if not service_secret or not operator_secret:
        raise ValueError("ROOMLINE_SERVICE_SECRET and ROOMLINE_OPERATOR_SECRET must be set")
    issuer = settings.token_issuer
    if issuer in {SERVICE_ISSUER, OPERATOR_ISSUER} or issuer.startswith(API_KEY_ISSUER):
        raise ValueError(f"ROOMLINE_TOKEN_ISSUER must not be {issuer}: that is the issuer of other tokens")

    def seconds() -> float:
        return clock() / MICROSECONDS

    folder = ServiceFolder(settings.data_dir, "user")
    database = Database(folder.database)
    instances = SqliteInstances(database, clock)
    session_store = SqliteSessions(database, clock)
    directory = Directory(instances, SessionEnds(session_store, seconds), clock, issuer)

    message = connect(settings.message_address, settings, "message")
    media = connect(settings.media_address, settings, "media")
    tokens = ServiceTokens(SERVICE_ISSUER, service_secret, "user", seconds)
    purges = Purges(RoomServiceStub(message), MediaServiceStub(media), tokens)
    presence = PresenceBoard(settings.presence_grace_seconds, clock, later or asyncio.get_running_loop().call_later)

    async def wiped(instance_id: str) -> None:
        presence.reset(instance_id)
        await directory.end_sessions()

    deletions = Deletions(SqliteDeletions(database), purges, backoff or Backoff(), wiped, presence.forget)

    rules = AccountRules(settings.chat_api_instance, settings.registration_open, settings.login_strict)
    keys = AccountKeys(
        rules.instance_id,
        SqliteAccountKeys(database, clock),
        directory,
        issuer=issuer,
        token_seconds=settings.access_token_seconds,
        clock=clock,
        new_id=new_id,
        new_key=new_key,
    )
    sessions = Sessions(
        session_store,
        keys,
        directory,
        token_seconds=settings.access_token_seconds,
        refresh_days=settings.refresh_token_days,
        clock=clock,
        new_id=new_id,
    )
    accounts = SqliteAccounts(database, clock, new_id)
    passwords = Passwords(hasher or default_hasher())
    jobs = SqliteJobs(database, clock, JOB_IS_LEFT)
    maintenance = Maintenance(database, session_store, jobs, keys, clock, settings.idempotency_hours)

    verifier = TokenVerifier(directory, service_secret, operator_secret, seconds)
    authorizer = RemoteAuthorizer(AccessServiceStub(message), tokens)
    server = ServiceServer(settings, Interceptors(verifier, authorizer, new_id))
    users = SqliteUsers(database, clock, new_id)
    server.add(UserServicer(users, jobs, deletions, directory), add_UserServiceServicer_to_server)
    server.add(ArchiveServicer(SqliteArchive(database), deletions), add_ArchiveServiceServicer_to_server)
    server.add(PresenceServicer(presence, users), add_PresenceServiceServicer_to_server)
    server.add(
        AccountServicer(rules, accounts, sessions, keys, directory, passwords, Throttle(seconds), presence),
        add_AccountServiceServicer_to_server,
    )
    server.add(
        InstanceServicer(
            instances,
            directory,
            deletions,
            cluster=settings.cluster,
            clock=clock,
            new_id=new_id,
            prepare=keys.renew,
        ),
        add_InstanceServiceServicer_to_server,
    )
    resources: list[AbstractAsyncContextManager[object]] = [
        stored(folder, database, MIGRATIONS),
        directory,
        _prepared(keys),
        passwords,
        message,
        media,
        background(deletions.run),
        background(maintenance.run),
    ]

    def end_streams() -> None:
        directory.end_watches()
        presence.end()

    return Service(server, resources, before_stop=end_streams)


@asynccontextmanager
async def _prepared(keys: AccountKeys) -> AsyncIterator[None]:
    """Before anybody asks: an instance that has just got accounts has its keys when the others learn of them."""
    await keys.prepare()
    yield
