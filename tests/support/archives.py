"""Archives of running services, over gRPC."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import grpc
from google.protobuf import json_format
from roomline.v1.archive_file_service_pb2_grpc import ArchiveFileServiceStub
from roomline.v1.archive_pb2 import ArchiveRecord
from roomline.v1.archive_service_pb2 import ExportRecordsRequest, ImportOutcome, ImportRecordsRequest, ImportResult
from roomline.v1.archive_service_pb2_grpc import ArchiveServiceStub

from tests.support.cluster import Metadata

if TYPE_CHECKING:
    from roomline.v1.archive_file_service_pb2_grpc import ArchiveFileServiceAsyncStub
    from roomline.v1.archive_service_pb2_grpc import ArchiveServiceAsyncStub

TAKEN = ImportOutcome.IMPORT_OUTCOME_IMPORTED
THERE = ImportOutcome.IMPORT_OUTCOME_UNCHANGED
CONFLICT = ImportOutcome.IMPORT_OUTCOME_CONFLICT
REDUCED = ImportOutcome.IMPORT_OUTCOME_REDUCED
REFUSED = ImportOutcome.IMPORT_OUTCOME_REFUSED


class Archive:
    """What one service keeps of an instance."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Metadata) -> None:
        """`metadata` is that of another process's call, which names the instance."""
        self.stub: ArchiveServiceAsyncStub = ArchiveServiceStub(channel)
        self.files: ArchiveFileServiceAsyncStub = ArchiveFileServiceStub(channel)
        self.metadata = metadata

    async def export(self, user_id: str = "") -> list[ArchiveRecord]:
        """All records; the number that is announced is the right one."""
        records: list[ArchiveRecord] = []
        totals: list[int] = []
        request = ExportRecordsRequest(user_id=user_id)
        async for answer in self.stub.ExportRecords(request, metadata=self.metadata):
            records.extend(answer.records)
            if answer.HasField("total"):
                totals.append(answer.total)
        assert totals == [len(records)]
        return records

    async def take(self, *records: ArchiveRecord) -> list[ImportResult]:
        """Imports records with one call."""
        answer = await self.stub.ImportRecords(ImportRecordsRequest(records=records), metadata=self.metadata)
        return list(answer.results)

    async def outcomes(self, *records: ArchiveRecord) -> list[ImportOutcome.ValueType]:
        """What became of records that are imported with one call."""
        return [result.outcome for result in await self.take(*records)]

    async def take_all(self, records: Sequence[ArchiveRecord]) -> None:
        """Imports records, of which nothing was there before."""
        if records:
            results = await self.take(*records)
            assert {result.outcome for result in results} == {TAKEN}, [result.detail for result in results]


def lines(records: Iterable[ArchiveRecord]) -> list[str]:
    """The lines of an archive's files."""
    return [json_format.MessageToJson(record, indent=None, sort_keys=True) for record in records]
