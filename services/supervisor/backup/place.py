"""A folder in which a restore puts new files into the place of old ones."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from services.supervisor.files import sync_folder
from services.supervisor.unfinished import remove

STAGED = ".restoring"
"""New files until they are put in place. Beside the old ones, so that it takes no copying."""
DATA_ENTRY = re.compile(
    r"(user|message|media)\.db(-wal|-shm|-journal)?|operator\.key|dev\.json|doors\.json|tls|run\.json|service\.secret"
)
"""What Roomline has in the data folder, but for its locks and files of attachments."""
MEDIA_ENTRY = re.compile(r"[0-9a-f]{2}")
"""What the media service has in its folder."""


class Place:
    """A folder; `ours` are the names of entries that are exchanged, others stay.

    Steps may be cut off and done again. They raise OSError.
    """

    def __init__(self, path: Path, ours: re.Pattern[str]) -> None:
        self.path = path
        self.staged = path / STAGED
        self._ours = ours

    def entries(self) -> list[str]:
        """What is there of ours."""
        if not self.path.is_dir():
            return []
        return sorted(entry.name for entry in self.path.iterdir() if self._ours.fullmatch(entry.name))

    def stage(self) -> None:
        """Makes an empty folder for what comes; what was left of an earlier one goes."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove(self.staged)
        self.staged.mkdir(mode=0o700)

    def unstage(self) -> None:
        """Gives it up again. What cannot be removed stays, and is in nobody's way."""
        with contextlib.suppress(OSError):
            remove(self.staged)

    def put_aside(self, name: str) -> None:
        """Moves what is there of ours into a folder of that name."""
        entries = self.entries()
        if entries:
            (self.path / name).mkdir(mode=0o700, exist_ok=True)
        for entry in entries:
            (self.path / entry).rename(self.path / name / entry)
        if entries:
            sync_folder(self.path / name)
        sync_folder(self.path)

    def put_in_place(self) -> None:
        """Moves what is staged to where it belongs. The empty folder stays: without it, the volume is another one."""
        for entry in sorted(self.staged.iterdir()):
            entry.rename(self.path / entry.name)
        sync_folder(self.path)
