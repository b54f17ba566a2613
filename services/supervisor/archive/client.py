"""The `ArchiveService` of the three services of a running server, for one instance."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import grpc
from roomline.v1 import archive_service_pb2 as pb
from roomline.v1.archive_file_service_pb2 import ExportFileRequest, ImportFileRequest
from roomline.v1.archive_file_service_pb2_grpc import ArchiveFileServiceStub
from roomline.v1.archive_pb2 import ArchiveRecord
from roomline.v1.archive_service_pb2_grpc import ArchiveServiceStub
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.backoff import Backoff
from services.common.channels import connect
from services.common.errors import Failure, failure_of
from services.common.settings import Settings
from services.common.streams import answer_of
from services.common.tokens import SERVICE_ISSUER, ServiceTokens
from services.supervisor.chosen_instance import require_server
from services.supervisor.command_error import CommandError
from services.supervisor.data_folder import DataFolder
from services.supervisor.deployment import SERVICES
from services.supervisor.files import pieces
from services.supervisor.refusals import CallRefusedError, refusal, refusals
from services.supervisor.running import service_secret

if TYPE_CHECKING:
    from roomline.v1.archive_file_service_pb2_grpc import ArchiveFileServiceAsyncStub
    from roomline.v1.archive_service_pb2_grpc import ArchiveServiceAsyncStub

CALL_SECONDS = 120.0
"""How long a call with records may take."""
PATIENCE_SECONDS = 60.0
"""How long a server may be away before the command gives up: time enough for a restart."""
PIECE_BYTES = 256 * 1024

_SERVER = "the server"
_BACKOFF = Backoff(first=0.1, longest=2.0)
_TRANSIENT = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAUTHENTICATED}
"""The last one: a server that was started anew has a new secret."""
_BROKEN_OFF = {grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
"""What gRPC itself says when a server dies in the middle of a call; then there is no reason of ours."""

_ABOUT_FILES = {
    ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND,
    ErrorReason.ERROR_REASON_USER_NOT_FOUND,
    ErrorReason.ERROR_REASON_FILE_TOO_LARGE,
    ErrorReason.ERROR_REASON_SIZE_MISMATCH,
    ErrorReason.ERROR_REASON_PICTURE_UNUSABLE,
    ErrorReason.ERROR_REASON_FIELD_INVALID,
}

T = TypeVar("T")


class FileRefusedError(Exception):
    """The bytes of an attachment or avatar are not to be had, or not taken; the text says why."""


class _Connection:
    """Channels to one run of the server."""

    def __init__(self, folder: DataFolder, settings: Settings) -> None:
        """Raises CommandError if no server runs."""
        _, run = require_server(settings)
        self._tokens = ServiceTokens(SERVICE_ISSUER, service_secret(folder), "archive")
        plain = settings.model_copy(update={"pipe": False})
        self._channels = {
            name: connect(run.grpc[name], plain, f"{name} service", small_streams=True) for name in SERVICES
        }

    def stub(self, service: str) -> ArchiveServiceAsyncStub:
        return ArchiveServiceStub(self._channels[service])

    def file_stub(self) -> ArchiveFileServiceAsyncStub:
        return ArchiveFileServiceStub(self._channels["media"])

    def metadata(self, instance_id: str) -> tuple[tuple[str, str], ...]:
        return self._tokens.metadata(instance_id)

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()


class Archives:
    """Calls for one instance. What can be repeated is, while the server is away; what is refused is a CommandError."""

    def __init__(self, folder: DataFolder, settings: Settings, instance_id: str) -> None:
        self._folder = folder
        self._settings = settings
        self._instance_id = instance_id
        self._connection: _Connection | None = None
        self._stale: list[_Connection] = []

    async def import_records(self, service: str, records: Iterable[ArchiveRecord]) -> Sequence[pb.ImportResult]:
        """What became of each record."""
        request = pb.ImportRecordsRequest(records=records)

        async def work(connection: _Connection) -> Sequence[pb.ImportResult]:
            answer = await connection.stub(service).ImportRecords(
                request, metadata=connection.metadata(self._instance_id), timeout=CALL_SECONDS
            )
            return answer.results

        return await self._lasting(work)

    async def import_file(self, record: ArchiveRecord, source: BinaryIO) -> None:
        """Sends the bytes of an attachment or avatar: all that the file has. Raises FileRefusedError, OSError."""

        async def work(connection: _Connection) -> None:
            metadata = connection.metadata(self._instance_id)
            await answer_of(connection.file_stub().ImportFile(_upload(record, source), metadata=metadata))

        with _about_file():
            await self._lasting(work)

    async def export_records(self, service: str, user_id: str) -> AsyncGenerator[pb.ExportRecordsResponse]:
        """What the service keeps, of one user if one is named."""
        connection = await self._lasting(_unchanged)
        call = connection.stub(service).ExportRecords(
            pb.ExportRecordsRequest(user_id=user_id), metadata=connection.metadata(self._instance_id)
        )
        with refusals(_SERVER):
            async for answer in call:
                yield answer

    async def export_file(self, record: ArchiveRecord) -> AsyncGenerator[bytes]:
        """The bytes of an attachment or avatar. Raises FileRefusedError."""
        connection = await self._lasting(_unchanged)
        if record.HasField("avatar"):
            request = ExportFileRequest(avatar_user_id=record.avatar.user_id)
        else:
            request = ExportFileRequest(attachment_id=record.attachment.id)
        call = connection.file_stub().ExportFile(request, metadata=connection.metadata(self._instance_id))
        with _about_file(), refusals(_SERVER):
            async for answer in call:
                yield answer.data

    async def close(self) -> None:
        """Ends the connections."""
        for connection in (*self._stale, *filter(None, (self._connection,))):
            await connection.close()

    async def _lasting(self, work: Callable[[_Connection], Awaitable[T]]) -> T:
        """Does the work again, with a new connection, until it succeeds, is refused, or our patience ends."""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + PATIENCE_SECONDS, _BACKOFF.first
        while True:
            connection = self._connection
            try:
                if connection is None:
                    connection = self._connection = _Connection(self._folder, self._settings)
                return await work(connection)
            except grpc.aio.AioRpcError as error:
                failure = failure_of(error)
                if not _is_transient(failure) or loop.time() > deadline:
                    raise refusal(failure, _SERVER) from error
                if connection is self._connection and connection is not None:
                    # Others may still use it: it is closed at the end.
                    self._stale.append(connection)
                    self._connection = None
            except CommandError:  # no server, right now
                if loop.time() > deadline:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, _BACKOFF.longest)


@contextlib.asynccontextmanager
async def archives(folder: DataFolder, settings: Settings, instance_id: str) -> AsyncIterator[Archives]:
    """The archives of an instance of the server that runs on the data folder."""
    client = Archives(folder, settings, instance_id)
    try:
        yield client
    finally:
        await client.close()


async def _unchanged(connection: _Connection) -> _Connection:
    return connection


async def _upload(record: ArchiveRecord, source: BinaryIO) -> AsyncIterator[ImportFileRequest]:
    if record.HasField("avatar"):
        yield ImportFileRequest(avatar=record.avatar)
    else:
        yield ImportFileRequest(attachment_id=record.attachment.id)
    source.seek(0)
    for piece in pieces(source, PIECE_BYTES):
        yield ImportFileRequest(data=piece)


def _is_transient(failure: Failure) -> bool:
    return failure.code in _TRANSIENT or (not failure.reason and failure.code in _BROKEN_OFF)


@contextlib.contextmanager
def _about_file() -> Iterator[None]:
    try:
        yield
    except CallRefusedError as error:
        if error.reason in _ABOUT_FILES:
            raise FileRefusedError(str(error)) from error
        raise
