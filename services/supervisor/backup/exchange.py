"""The last part of a restore: all places get their new files, or are found half-done and are finished.

What is to be done is noted in the data folder before anything is moved. While the note is there, nothing else uses the
folder (`DataFolder.lock`), and the next restore does the rest.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from services.supervisor.backup.place import DATA_ENTRY, MEDIA_ENTRY, Place
from services.supervisor.command_error import CommandError
from services.supervisor.data_folder import DataFolder
from services.supervisor.files import sync_folder
from services.supervisor.private_file import read_private_file, write_private_file


@dataclass(frozen=True)
class Exchange:
    """What the note says."""

    backup: str
    """Which backup it is: the `sha256sums` of its manifest."""
    taken_at: str
    """Of when."""
    aside: str
    """The folder, in each place, where the former files go."""
    media: str
    """The folder of files that is a place, too; empty if there is none."""
    is_aside: bool = False
    """The former files are out of the way."""

    @classmethod
    def noted(cls, folder: DataFolder) -> Self | None:
        """The one that was interrupted in this data folder, if there is one. Raises CommandError."""
        text = read_private_file(folder.restoring_file)
        if text is None:
            return None
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise CommandError(f"{folder.restoring_file} is damaged") from error

    def places(self, folder: DataFolder) -> Sequence[Place]:
        """Where files are exchanged."""
        data = Place(folder.path, DATA_ENTRY)
        return (data, Place(Path(self.media), MEDIA_ENTRY)) if self.media else (data,)

    def carry_out(self, folder: DataFolder) -> None:
        """Does all of it, or what is left of it; the caller holds the folder's lock. Raises CommandError.

        Everything that is staged has to be on disk.
        """
        places = self.places(folder)
        try:
            if not self.is_aside:
                self._note(folder)
                for place in places:
                    place.put_aside(self.aside)
                dataclasses.replace(self, is_aside=True)._note(folder)  # noqa: SLF001 - our own
            for place in places:
                place.put_in_place()
            folder.restoring_file.unlink()
            sync_folder(folder.path)
        except OSError as error:
            raise CommandError(
                f"cannot put the files in place: {error}; start the same `roomline restore` again to finish it"
            ) from error
        for place in places:
            place.unstage()

    def _note(self, folder: DataFolder) -> None:
        write_private_file(folder.restoring_file, json.dumps(dataclasses.asdict(self)))
        sync_folder(folder.path)
