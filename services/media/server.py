"""The media service, wired once."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from roomline.v1 import (
    access_service_pb2_grpc,
    archive_file_service_pb2_grpc,
    archive_service_pb2_grpc,
    instance_service_pb2_grpc,
    media_service_pb2_grpc,
    message_service_pb2_grpc,
    user_service_pb2_grpc,
)
from roomline.v1.instance_pb2 import InstanceLimits

from services.common.authorizer import RemoteAuthorizer
from services.common.call import effective_limits
from services.common.channels import connect
from services.common.credentials import CredentialsCopy
from services.common.ids import MICROSECONDS, Clock, Uuid7, wall_clock
from services.common.interceptors import Interceptors
from services.common.server import ServiceServer
from services.common.service import Service, background, stored
from services.common.service_folder import ServiceFolder
from services.common.settings import Settings
from services.common.sqlite import Database
from services.common.tokens import SERVICE_ISSUER, ServiceTokens, TokenVerifier
from services.common.users import Users
from services.media import (
    sqlite_archive,
    sqlite_attachments,
    sqlite_avatars,
    sqlite_cleanup,
    sqlite_keys,
    sqlite_pictures,
    sqlite_uploads,
    sqlite_uses,
)
from services.media.archive_file_servicer import ArchiveFileServicer
from services.media.archive_servicer import ArchiveServicer
from services.media.arrivals import Arrivals
from services.media.avatars import Avatars
from services.media.blobs import open_blobs
from services.media.downloads import HOLD_SECONDS, Downloads
from services.media.links import Links
from services.media.maintenance import Maintenance, Pace
from services.media.media_servicer import MediaServicer
from services.media.meter import PATIENCE, Patience
from services.media.pictures import Pictures
from services.media.readers import Readers
from services.media.removals import Removals
from services.media.signatures import Signatures
from services.media.store import Stored
from services.media.thumbnailer import Thumbnailer
from services.media.uploads import Uploads

MIGRATIONS = Path(__file__).parent / "migrations"


def build_server(
    settings: Settings,
    clock: Clock = wall_clock,
    new_id: Callable[[], str] | None = None,
    pace: Pace | None = None,
    hold_seconds: float = HOLD_SECONDS,
    patience: Patience = PATIENCE,
) -> Service:
    """Wires a media service, to be called inside a running loop. `new_id` makes UUIDv7.

    Raises ValueError if the service secret is empty or the setting `media_url` names no store.
    """
    new_id = new_id or Uuid7(clock)
    pace = pace or Pace()
    service_secret = settings.service_secret.get_secret_value()
    if not service_secret:
        raise ValueError("ROOMLINE_SERVICE_SECRET must be set")

    def seconds() -> float:
        return clock() / MICROSECONDS

    folder = ServiceFolder(settings.data_dir, "media")
    database = Database(folder.database)
    attachments = sqlite_attachments.SqliteAttachments(database, clock, new_id)
    uses = sqlite_uses.SqliteUses(database, clock)
    pending = sqlite_uploads.SqliteUploads(database, clock)
    cleanup = sqlite_cleanup.SqliteCleanup(database, clock)
    blobs = open_blobs(settings)

    user_channel = connect(settings.user_address, settings, "user")
    message_channel = connect(settings.message_address, settings, "message")
    tokens = ServiceTokens(SERVICE_ISSUER, service_secret, "media", seconds)
    credentials = CredentialsCopy(instance_service_pb2_grpc.InstanceServiceStub(user_channel), tokens, seconds)
    access = access_service_pb2_grpc.AccessServiceStub(message_channel)
    readers = Readers(access, message_service_pb2_grpc.MessageServiceStub(message_channel), attachments, tokens)

    signatures = Signatures(sqlite_keys.SqliteKeys(database), clock)
    links = Links(signatures, blobs, clock, direct=settings.media_direct)
    maintenance = Maintenance(database, cleanup, uses, blobs, readers, signatures, settings, clock, pace)
    arrivals = Arrivals()

    async def limits(instance_id: str) -> InstanceLimits | None:
        known = await credentials.get(instance_id)
        return None if known is None else effective_limits(known.instance.limits)

    def new_key() -> str:
        """A key for an object; its folder is one of 256, by random digits."""
        name = new_id()
        return f"{name[-2:]}/{name}"

    pictures = Pictures()
    thumbnailer = Thumbnailer(
        sqlite_pictures.SqlitePictures(database, clock),
        blobs,
        pictures,
        new_key,
        clock,
        pace,
        maintenance.left_garbage,
    )

    def uploaded(attachment: Stored) -> None:
        arrivals.arrived(attachment)
        thumbnailer.uploaded(attachment)

    uploads = Uploads(pending, blobs, limits, new_key, settings, uploaded, maintenance.left_garbage, patience)
    downloads = Downloads(attachments, blobs, arrivals, hold_seconds)
    users = Users(user_service_pb2_grpc.UserServiceStub(user_channel), tokens)
    avatars = Avatars(
        sqlite_avatars.SqliteAvatars(database, clock),
        blobs,
        pictures,
        users,
        new_key,
        maintenance.left_garbage,
        settings.media_max_bytes,
    )
    removals = Removals(attachments, uses, cleanup, uploads, downloads, maintenance)

    verifier = TokenVerifier(credentials, service_secret, settings.operator_secret.get_secret_value(), seconds)
    interceptors = Interceptors(verifier, RemoteAuthorizer(access, tokens), new_id, readers)
    server = ServiceServer(settings, interceptors, small_streams=True)
    server.add(
        MediaServicer(
            attachments,
            uses,
            uploads,
            downloads,
            avatars,
            removals,
            readers,
            signatures,
            links,
            settings.media_max_bytes,
        ),
        media_service_pb2_grpc.add_MediaServiceServicer_to_server,
    )
    archive = sqlite_archive.SqliteArchive(database, clock, settings.media_max_bytes)
    server.add(
        ArchiveServicer(archive, blobs, readers, users, removals),
        archive_service_pb2_grpc.add_ArchiveServiceServicer_to_server,
    )
    server.add(
        ArchiveFileServicer(attachments, avatars, blobs, uploads),
        archive_file_service_pb2_grpc.add_ArchiveFileServiceServicer_to_server,
    )
    return Service(
        server,
        [
            stored(folder, database, MIGRATIONS),
            user_channel,
            message_channel,
            _running(maintenance, uploads),
            background(credentials.watch),
            background(maintenance.collect_forever),
            background(lambda: maintenance.sweep_forever(removals.expired)),
            background(thumbnailer.work_forever),
        ],
    )


@contextlib.asynccontextmanager
async def _running(maintenance: Maintenance, uploads: Uploads) -> AsyncIterator[None]:
    await maintenance.start()
    try:
        yield
    finally:
        await uploads.settled()
