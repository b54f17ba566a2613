"""Writes the folder of a backup."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from services.supervisor.backup.copies import Copies
from services.supervisor.backup.folder import DATA, MEDIA, SUMS, Manifest, Sum
from services.supervisor.files import open_private, sha256_of, sync, sync_folder, unwritable
from services.supervisor.unfinished import UnfinishedFolder


class BackupWriter:
    """A backup in the making, for the time of its `with` block; `finish` makes it whole.

    Takes what an `UnfinishedFolder` takes. Methods raise CommandError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.files = 0
        self.size = 0
        self._folder = UnfinishedFolder(self.path, "a backup", "backup", (SUMS, DATA, MEDIA))
        self._stack = contextlib.ExitStack()
        self._digest = hashlib.sha256()
        self._folders: set[Path] = set()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack, self._failures():
            self._folder.claim(stack)
            self._copies = stack.enter_context(Copies())
            self._sums = stack.enter_context(open_private(self.path / SUMS))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._failures():  # what is left in buffers may be too much for the disk
            self._stack.close()

    def place(self, name: str) -> Path:
        """Where a file of this name goes, in a folder that is there."""
        path = self.path / name
        with self._failures():
            for folder in reversed(path.relative_to(self.path).parents[:-1]):
                if self.path / folder not in self._folders:
                    (self.path / folder).mkdir(mode=0o700, exist_ok=True)
                    self._folders.add(self.path / folder)
        return path

    def add(self, name: str, content: bytes) -> None:
        """Adds a small file."""
        path = self.place(name)
        with self._failures(), open_private(path) as file:
            file.write(content)
            sync(file)
        self._note(name, len(content), hashlib.sha256(content).hexdigest())

    def take(self, name: str) -> None:
        """Adds a file that was written to its place already."""
        path = self.path / name
        with self._failures(), path.open("rb") as file:
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        self._note(name, size, sha256_of(path))

    def copy(self, folder: str, source: Path, names: Iterable[str]) -> Iterator[tuple[str, bool]]:
        """Adds copies of files in `source`, under their names there; tells each, and whether it was there."""
        copied, wanted = itertools.tee(names)
        files = ((source / name, self.place(f"{folder}/{name}")) for name in wanted)
        for name, copy in zip(copied, self._copies.of(files), strict=True):
            if copy is not None:
                self._note(f"{folder}/{name}", *copy)
            yield name, copy is not None

    def finish(self, roomline: str, taken_at: str, attachments: str, missing: int) -> None:
        """Makes the backup whole: everything is on disk before the manifest is. See `Manifest`."""
        with self._failures():
            sync(self._sums)
            for folder in self._folders:
                sync_folder(folder)
            manifest = Manifest(
                roomline, taken_at, self.files, self.size, attachments, missing, self._digest.hexdigest()
            )
            self._folder.finish(manifest.to_json())

    def _note(self, name: str, size: int, sha256: str) -> None:
        line = Sum(name, sha256).line().encode()
        with self._failures():
            self._sums.write(line)
        self._digest.update(line)
        self.files += 1
        self.size += size

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(self.path, error) from error
