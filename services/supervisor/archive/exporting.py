"""`roomline export`: takes everything out of the services, into a folder."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing

from roomline.v1.archive_pb2 import ArchiveRecord

from services.supervisor.archive.at_once import at_once
from services.supervisor.archive.client import Archives, FileRefusedError
from services.supervisor.archive.folder import KINDS_WITH_BYTES, owner_and_digest
from services.supervisor.archive.kinds import KINDS, Kind, kind_of
from services.supervisor.archive.progress import Steps
from services.supervisor.archive.report import LOST, Report
from services.supervisor.archive.writer import ArchiveWriter
from services.supervisor.command_error import CommandError
from services.supervisor.deployment import SERVICES

FILES_AT_ONCE = 4

EXPORTED = "exported"


async def export(
    writer: ArchiveWriter, archives: Archives, report: Report, steps: Steps, *, user_id: str, files: bool
) -> None:
    """Exports everything, or what there is of one user; the folder is whole afterwards. Raises CommandError.

    Without `files` bytes are left out. Bytes that are gone by the time that they are asked for are reported.
    """
    exporter = _Exporter(writer, archives, report, steps)
    await exporter.records(user_id)
    if files:
        for kind in KINDS_WITH_BYTES:
            await exporter.bytes_of(kind)
    writer.finish()


class _LostError(Exception):
    """The bytes of a file are not what the record says."""


class _Exporter:
    def __init__(self, writer: ArchiveWriter, archives: Archives, report: Report, steps: Steps) -> None:
        self._writer = writer
        self._archives = archives
        self._report = report
        self._steps = steps
        self._total = 0

    async def records(self, user_id: str) -> None:
        """All services at once, so that what they keep is of about the same moment."""
        self._steps.step("records")
        for kind in KINDS:
            self._report.count(kind.plural, EXPORTED, 0)
        tasks = [asyncio.ensure_future(self._records_of(service, user_id)) for service in SERVICES]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _records_of(self, service: str, user_id: str) -> None:
        async with aclosing(self._archives.export_records(service, user_id)) as answers:
            async for answer in answers:
                if answer.HasField("total"):
                    self._total += answer.total
                    self._steps.expect(self._total)
                for record in answer.records:
                    kind = kind_of(record)
                    if kind is None:
                        raise CommandError("the server is newer than this command: use its own")
                    self._writer.add(kind, record)
                    self._report.count(kind.plural, EXPORTED)
                self._steps.advance(len(answer.records))

    async def bytes_of(self, kind: Kind) -> None:
        """The bytes of all attachments or avatars."""
        self._steps.step(f"bytes of {kind.plural}", self._report.counts[kind.plural][EXPORTED])

        async def with_bytes() -> AsyncIterator[ArchiveRecord]:
            for record in self._writer.records(kind):
                if owner_and_digest(record)[1]:
                    yield record
                else:
                    self._steps.advance()

        async def fetch(record: ArchiveRecord) -> None:
            try:
                await self._fetch(kind, record)
            except (FileRefusedError, _LostError) as error:
                self._report.add("files", LOST, str(error), id=kind.id_of(record))
            else:
                self._report.count("files", EXPORTED)
            self._steps.advance()

        await at_once(FILES_AT_ONCE, with_bytes(), fetch)

    async def _fetch(self, kind: Kind, record: ArchiveRecord) -> None:
        owner, digest = owner_and_digest(record)
        found = hashlib.sha256()
        with self._writer.bytes_of(kind, owner) as target:
            async with aclosing(self._archives.export_file(record)) as pieces:
                async for piece in pieces:
                    found.update(piece)
                    target.write(piece)
            if found.digest() != digest:
                raise _LostError("its bytes have changed since the export began")
