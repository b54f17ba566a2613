"""The message service, wired once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from roomline.v1 import (
    access_service_pb2_grpc,
    archive_service_pb2_grpc,
    cursor_service_pb2_grpc,
    event_service_pb2_grpc,
    instance_service_pb2_grpc,
    media_service_pb2_grpc,
    message_service_pb2_grpc,
    push_service_pb2_grpc,
    room_service_pb2_grpc,
    user_service_pb2_grpc,
    webhook_service_pb2_grpc,
)

from services.common.backoff import Backoff
from services.common.channels import connect
from services.common.credentials import CredentialsCopy
from services.common.ids import MICROSECONDS, Clock, Uuid7, wall_clock
from services.common.interceptors import Interceptors
from services.common.outbound import Outbound
from services.common.server import ServiceServer
from services.common.service import Service, background, stored
from services.common.service_folder import ServiceFolder
from services.common.settings import Settings
from services.common.sqlite import Database
from services.common.sqlite_jobs import SqliteJobs
from services.common.tokens import SERVICE_ISSUER, ServiceTokens, TokenVerifier
from services.common.users import Users
from services.message import (
    sqlite_access,
    sqlite_archive,
    sqlite_attachments,
    sqlite_conversations,
    sqlite_cursors,
    sqlite_events,
    sqlite_members,
    sqlite_messages,
    sqlite_names,
    sqlite_purges,
    sqlite_releases,
    sqlite_removals,
    sqlite_requests,
    sqlite_roles,
    sqlite_rooms,
)
from services.message.access_servicer import AccessServicer, LocalAuthorizer
from services.message.archive_servicer import ArchiveServicer
from services.message.attachments import Attachments
from services.message.claims import Claims
from services.message.conversations import Conversations
from services.message.cursor_servicer import CursorServicer
from services.message.event_servicer import EventServicer
from services.message.expiry import Expiry
from services.message.feed import Feed
from services.message.maintenance import Maintenance
from services.message.message_servicer import MessageServicer
from services.message.names import LocalNames
from services.message.releases import Releases
from services.message.room_servicer import RoomServicer
from services.message.web_push import WebPush
from services.message.webhooks import Webhooks

MIGRATIONS = Path(__file__).parent / "migrations"


def build_server(
    settings: Settings,
    clock: Clock = wall_clock,
    new_id: Callable[[], str] | None = None,
    backoff: Backoff | None = None,
) -> Service:
    """Wires a message service, to be called inside a running loop. `new_id` makes UUIDv7.

    Raises ValueError if the service secret is empty.
    """
    new_id = new_id or Uuid7(clock)
    service_secret = settings.service_secret.get_secret_value()
    if not service_secret:
        raise ValueError("ROOMLINE_SERVICE_SECRET must be set")

    def seconds() -> float:
        return clock() / MICROSECONDS

    folder = ServiceFolder(settings.data_dir, "message")
    database = Database(folder.database)

    user_channel = connect(settings.user_address, settings, "user")
    tokens = ServiceTokens(SERVICE_ISSUER, service_secret, "message", seconds)
    credentials = CredentialsCopy(instance_service_pb2_grpc.InstanceServiceStub(user_channel), tokens, seconds)
    media_channel = connect(settings.media_address, settings, "media")
    attachments = Attachments(media_service_pb2_grpc.MediaServiceStub(media_channel), tokens)
    users = Users(user_service_pb2_grpc.UserServiceStub(user_channel), tokens)

    rooms = sqlite_rooms.SqliteRooms(database, clock, new_id)
    members = sqlite_members.SqliteMembers(database, clock)
    messages = sqlite_messages.SqliteMessages(database, clock, new_id)
    removals = sqlite_removals.SqliteRemovals(database, clock)
    cursors = sqlite_cursors.SqliteCursors(database, clock)
    access = sqlite_access.SqliteAccess(database, clock)
    roles = sqlite_roles.SqliteRoles(database, clock)
    purges = sqlite_purges.SqlitePurges(database, clock)
    requests = sqlite_requests.SqliteRequests(database)
    releases = Releases(sqlite_releases.SqliteReleases(database), attachments, backoff or Backoff())
    attached = sqlite_attachments.SqliteAttachments(database, clock)
    claims = Claims(messages, attached, requests, attachments, releases, clock, new_id)
    jobs = SqliteJobs(database, clock, sqlite_rooms.JOB_IS_LEFT)
    maintenance = Maintenance(database, purges, jobs, settings, clock)
    opened = sqlite_conversations.SqliteConversations(database, clock, new_id)
    conversations = Conversations(opened, requests, users, attachments, releases, maintenance, clock)
    names = LocalNames(sqlite_names.SqliteNames(database))
    events = sqlite_events.SqliteEvents(database, clock)
    feed = Feed(events, users, attachments, clock, backoff or Backoff(), settings.watch_heartbeat_seconds)
    # Two, so that endpoints which users choose cannot take the connections and look-ups of webhooks.
    to_webhooks, to_browsers = (Outbound(allow_private=settings.outbound_allow_private) for _ in range(2))
    webhooks = Webhooks(settings, database, feed, requests, to_webhooks, clock, new_id, backoff)
    web_push = WebPush(settings, database, events, to_browsers, users, clock, new_id, backoff)
    database.listen(feed.wake)
    database.listen(webhooks.wake)
    database.listen(web_push.wake)

    verifier = TokenVerifier(credentials, service_secret, settings.operator_secret.get_secret_value(), seconds)
    server = ServiceServer(settings, Interceptors(verifier, LocalAuthorizer(access), new_id, names))
    server.add(
        MessageServicer(messages, removals, attached, attachments, claims, releases),
        message_service_pb2_grpc.add_MessageServiceServicer_to_server,
    )
    server.add(
        RoomServicer(
            rooms,
            members,
            conversations,
            jobs,
            purges,
            requests,
            users,
            attachments,
            releases,
            maintenance,
            clock,
        ),
        room_service_pb2_grpc.add_RoomServiceServicer_to_server,
    )
    server.add(
        CursorServicer(cursors, members, users, clock), cursor_service_pb2_grpc.add_CursorServiceServicer_to_server
    )
    server.add(
        AccessServicer(access, roles, requests, users, clock),
        access_service_pb2_grpc.add_AccessServiceServicer_to_server,
    )
    server.add(
        ArchiveServicer(sqlite_archive.SqliteArchive(database, clock), users, clock),
        archive_service_pb2_grpc.add_ArchiveServiceServicer_to_server,
    )
    server.add(EventServicer(events, feed), event_service_pb2_grpc.add_EventServiceServicer_to_server)
    server.add(webhooks.servicer, webhook_service_pb2_grpc.add_WebhookServiceServicer_to_server)
    server.add(web_push.servicer, push_service_pb2_grpc.add_PushServiceServicer_to_server)
    resources: list[AbstractAsyncContextManager[object]] = [
        stored(folder, database, MIGRATIONS),
        user_channel,
        media_channel,
        to_webhooks,
        to_browsers,
        background(credentials.watch),
        background(maintenance.run),
        background(releases.run),
        background(Expiry(removals, releases, backoff or Backoff()).run),
        *webhooks.resources,
        *web_push.resources,
    ]
    return Service(server, resources, before_stop=feed.stop)
