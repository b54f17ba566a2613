"""A folder that a command writes: it is whole once it has a manifest, which is written last."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from services.supervisor.command_error import CommandError
from services.supervisor.files import sync, sync_folder

MANIFEST = "manifest.json"
UNFINISHED = "manifest.json.part"
"""Is there while the folder is written. Its writer holds a lock on it."""


class UnfinishedFolder:
    """A folder in the making. `what` it is, and `making` it, are for people; `names` are those that it may have.

    Takes a folder that is not there or empty, and one that has not come to its end, which is begun anew. Methods raise
    OSError if the disk fails.
    """

    def __init__(self, path: Path, what: str, making: str, names: Collection[str]) -> None:
        self.path = path
        self._what = what
        self._making = making
        self._names = {UNFINISHED, *names}

    def claim(self, stack: contextlib.ExitStack) -> None:
        """Makes the folder ours alone until the stack closes, and empty. Raises CommandError if it is not for us."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._look()  # before anything is changed in it
        self.path.chmod(0o700)
        marker = os.open(self.path / UNFINISHED, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, marker)
        try:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(f"another {self._making} writes to {self.path}") from None
        found = self._look()  # another one may have come to its end, and others were free to write until now
        os.ftruncate(marker, 0)
        for name in found - {UNFINISHED}:
            remove(self.path / name)

    def finish(self, manifest: bytes) -> None:
        """Makes it whole. Everything else has to be on disk, but for the names in the folder itself."""
        unfinished = self.path / UNFINISHED
        with unfinished.open("r+b") as file:
            file.write(manifest)
            sync(file)
        sync_folder(self.path)
        unfinished.rename(self.path / MANIFEST)
        sync_folder(self.path)
        with contextlib.suppress(PermissionError):  # the folder itself may be new, in one that is not ours to read
            sync_folder(self.path.parent)

    def _look(self) -> set[str]:
        """The names in the folder. Raises CommandError if it is not for us."""
        found = {entry.name for entry in self.path.iterdir()}
        if found and not (UNFINISHED in found and found <= self._names):
            what = f"has {self._what} already" if MANIFEST in found else "is not empty"
            raise CommandError(f"{self.path} {what}: name a new folder")
        return found


def remove(path: Path) -> None:
    """Removes a file, or a folder with all that it has. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
