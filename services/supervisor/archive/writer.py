"""Writes the folder of an archive."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from roomline.v1.archive_pb2 import ArchiveRecord

from services.supervisor.archive import folder as names
from services.supervisor.archive.folder import KINDS_WITH_BYTES, RecordFile
from services.supervisor.archive.kinds import KINDS, Kind
from services.supervisor.archive.lines import read_records, to_line
from services.supervisor.files import open_private, sync, sync_folder, unwritable
from services.supervisor.unfinished import UnfinishedFolder


class _Records:
    """A file of records that grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_private(path)
        self._hash = hashlib.sha256()
        self._count = 0

    def add(self, record: ArchiveRecord) -> None:
        line = to_line(record)
        self._hash.update(line)
        self._file.write(line)
        self._count += 1

    def flush(self) -> None:
        self._file.flush()

    def finish(self) -> RecordFile:
        sync(self._file)
        self.close()
        return RecordFile(self._count, self._hash.hexdigest())

    def close(self) -> None:
        self._file.close()


class ArchiveWriter:
    """An archive in the making, for the time of its `with` block; `finish` makes it whole.

    Takes a folder that is not there or empty, and one in which an export has not come to its end, which is begun anew.
    All else is refused with a CommandError, as is a disk that is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = UnfinishedFolder(path, "an archive", "export", (names.FILES, *names.RECORD_FILES))
        self._stack = contextlib.ExitStack()
        self._records: dict[str, _Records] = {}

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack, self._failures():
            self._folder.claim(stack)
            for kind in KINDS_WITH_BYTES:
                (self.path / names.FILES / kind.plural).mkdir(mode=0o700, parents=True)
            (self.path / names.FILES).chmod(0o700)
            for kind in KINDS:
                records = _Records(self.path / kind.file)
                stack.callback(records.close)
                self._records[kind.file] = records
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._failures():  # what is left in buffers may be too much for the disk
            self._stack.close()

    def add(self, kind: Kind, record: ArchiveRecord) -> None:
        """Takes a record up, after all others of its kind."""
        with self._failures():
            self._records[kind.file].add(record)

    def records(self, kind: Kind) -> Iterator[ArchiveRecord]:
        """The records that it has of a kind, once the last of them was added."""
        with self._failures():
            self._records[kind.file].flush()
        for _, record in read_records(self.path / kind.file):
            yield record

    @contextlib.contextmanager
    def bytes_of(self, kind: Kind, owner: str) -> Iterator[BinaryIO]:
        """A file for the bytes of an attachment or avatar. It is gone again if the block fails."""
        path = names.bytes_path(self.path, kind, owner)
        with self._failures(), open_private(path) as file:
            try:
                yield file
                sync(file)
            except BaseException:
                path.unlink(missing_ok=True)
                raise

    def finish(self) -> None:
        """Makes the archive whole: everything is on disk before the manifest is."""
        with self._failures():
            files = {name: records.finish() for name, records in self._records.items()}
            for kind in KINDS_WITH_BYTES:
                sync_folder(self.path / names.FILES / kind.plural)
            sync_folder(self.path / names.FILES)
            self._folder.finish(names.manifest(files))

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(self.path, error) from error
