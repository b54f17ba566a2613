"""ArchiveService, for what the user service keeps: see proto/roomline/v1/archive_service.proto."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from roomline.v1 import archive_service_pb2 as pb
from roomline.v1.archive_service_pb2_grpc import ArchiveServiceServicer

from services.common import archive
from services.common.call import current_caller
from services.common.interceptors import Context
from services.common.stalls import unless_stalled
from services.user.archive_store import ArchiveStore
from services.user.deletions import Deletions

KINDS = frozenset({"user"})


class ArchiveServicer(ArchiveServiceServicer):
    """Users and accounts, out and in."""

    def __init__(self, store: ArchiveStore, deletions: Deletions) -> None:
        self._store = store
        self._deletions = deletions

    async def ExportRecords(
        self, request: pb.ExportRecordsRequest, context: Context
    ) -> AsyncGenerator[pb.ExportRecordsResponse]:
        export = self._store.export(current_caller().instance_id, request.user_id)
        async with aclosing(unless_stalled(export)) as frames:
            async for frame in frames:
                yield frame

    async def ImportRecords(self, request: pb.ImportRecordsRequest, context: Context) -> pb.ImportRecordsResponse:
        instance_id = current_caller().instance_id
        checked = archive.check(request.records, KINDS)
        users = [record.user for record in checked.records]
        ids = [record.user.id for record in users]
        taken = await self._deletions.freeing(instance_id, ids, lambda: self._store.take(instance_id, users))
        return pb.ImportRecordsResponse(results=checked.with_taken(taken))
