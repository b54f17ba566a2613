"""`roomline import`: hands records and bytes to the services, in batches, and keeps account of what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from roomline.v1.archive_pb2 import ArchiveRecord
from roomline.v1.archive_service_pb2 import ImportOutcome, ImportResult

from services.supervisor.archive.at_once import at_once
from services.supervisor.archive.client import Archives, FileRefusedError
from services.supervisor.archive.folder import KINDS_WITH_BYTES, owner_and_digest
from services.supervisor.archive.kinds import KINDS, Kind
from services.supervisor.archive.progress import Steps
from services.supervisor.archive.reader import ArchiveReader
from services.supervisor.archive.report import LOST, OUTCOMES, Report

BATCH_RECORDS = 1000
BATCH_BYTES = 2 * 1024 * 1024
RECORD_BYTES = 4 * 1024 * 1024 - 64 * 1024
"""The largest record: it has to fit into a request."""
FILES_AT_ONCE = 8

_NO_NEWS = {ImportOutcome.IMPORT_OUTCOME_IMPORTED, ImportOutcome.IMPORT_OUTCOME_UNCHANGED}


@dataclass(frozen=True, slots=True)
class Item:
    """A record to import, and where it stands, for the report."""

    record: ArchiveRecord
    where: Mapping[str, str | int] = field(default_factory=dict)
    source: str = ""
    """Where its bytes can be fetched, if they are not in the archive."""


class Importer:
    """Imports records of one kind after the other."""

    def __init__(self, archives: Archives, report: Report, steps: Steps) -> None:
        self._archives = archives
        self._report = report
        self._steps = steps

    async def records(self, kind: Kind, items: Iterable[Item]) -> AsyncIterator[list[tuple[Item, ImportResult]]]:
        """Sends the records in their order; yields what became of each batch, once it is counted.

        While the services work on a batch the next one is read.
        """
        batches = self._batches(kind, items)
        batch = next(batches, None)
        while batch is not None:
            call = asyncio.ensure_future(self._archives.import_records(kind.service, [item.record for item in batch]))
            try:
                await asyncio.sleep(0)  # the call is on its way
                following = next(batches, None)
                results = await call
            finally:
                call.cancel()
            answered = list(zip(batch, results, strict=True))
            for item, result in answered:
                self._account(kind, item, result)
            yield answered
            batch = following

    async def all_records(self, kind: Kind, items: Iterable[Item]) -> None:
        """Sends records that have no bytes."""
        async for answered in self.records(kind, items):
            self._steps.advance(len(answered))

    async def with_bytes(
        self,
        kind: Kind,
        items: Iterable[Item],
        is_there: Callable[[Item], bool],
        send: Callable[[Item], Awaitable[object]],
    ) -> None:
        """Sends records, and the bytes of those that have some and need them, several at once."""

        async def missing() -> AsyncIterator[Item]:
            async for answered in self.records(kind, items):
                for item, result in answered:
                    if result.needs_bytes and is_there(item):
                        yield item
                    else:
                        self._steps.advance()

        async def work(item: Item) -> None:
            await send(item)
            self._steps.advance()

        await at_once(FILES_AT_ONCE, missing(), work)

    async def bytes_of(self, kind: Kind, item: Item, source: BinaryIO) -> None:
        """Sends the bytes of an attachment or avatar."""
        try:
            await self._archives.import_file(item.record, source)
        except (FileRefusedError, OSError) as error:
            self.lost(kind, item, str(error))
        else:
            self._report.count("files", "imported")

    def lost(self, kind: Kind, item: Item, detail: str) -> None:
        """Says that the bytes of an attachment or avatar are not to be had."""
        self._report.add("files", LOST, detail, id=kind.id_of(item.record), **item.where)

    def _batches(self, kind: Kind, items: Iterable[Item]) -> Iterator[list[Item]]:
        batch: list[Item] = []
        room = BATCH_BYTES
        for item in items:
            size = item.record.ByteSize()
            if size > RECORD_BYTES:
                refused = OUTCOMES[ImportOutcome.IMPORT_OUTCOME_REFUSED]
                detail = f"it has {size} bytes, of at most {RECORD_BYTES}"
                self._report.add(kind.plural, refused, detail, id=kind.id_of(item.record), **item.where)
                self._steps.advance()
                continue
            if batch and (len(batch) == BATCH_RECORDS or size > room):
                yield batch
                batch, room = [], BATCH_BYTES
            batch.append(item)
            room -= size
        if batch:
            yield batch

    def _account(self, kind: Kind, item: Item, result: ImportResult) -> None:
        outcome = OUTCOMES.get(result.outcome, "unknown")
        if result.outcome in _NO_NEWS:
            self._report.count(kind.plural, outcome)
        else:
            self._report.add(kind.plural, outcome, result.detail, id=kind.id_of(item.record), **item.where)


async def import_archive(
    reader: ArchiveReader, archives: Archives, report: Report, steps: Steps, *, files: bool
) -> None:
    """Imports a whole archive. Without `files` bytes are left out. Raises CommandError."""
    importer = Importer(archives, report, steps)
    for kind in KINDS:
        if not reader.count(kind):
            continue
        steps.step(kind.plural, reader.count(kind))
        items = (Item(record, {"file": kind.file, "line": line}) for line, record in reader.records(kind))
        if files and kind in KINDS_WITH_BYTES:
            await _with_bytes(importer, reader, kind, items)
        else:
            await importer.all_records(kind, items)


async def _with_bytes(importer: Importer, reader: ArchiveReader, kind: Kind, items: Iterable[Item]) -> None:
    async def send(item: Item) -> None:
        source = await asyncio.to_thread(reader.open_bytes, kind, *owner_and_digest(item.record))
        if source is None:
            importer.lost(kind, item, "the archive does not have these bytes")
            return
        with source:
            await importer.bytes_of(kind, item, source)

    await importer.with_bytes(kind, items, lambda item: bool(owner_and_digest(item.record)[1]), send)
