"""Reads an export of Chatkit's whole, before anything is imported: what is wrong with it is known then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.supervisor.archive.kinds import MESSAGE, ROOM, USER, Kind
from services.supervisor.archive.progress import Steps
from services.supervisor.archive.report import LEFT_OUT, UNREADABLE, Report, shortened
from services.supervisor.chatkit.fields import DeletedError, UnusableError
from services.supervisor.chatkit.files import Entry, ExportFile
from services.supervisor.chatkit.records import Converted, Converter
from services.supervisor.chatkit.sqlite_staging import Staging
from services.supervisor.command_error import CommandError

REDUCED = "reduced"
UNKNOWN_KEYS = "unknown keys"


@dataclass(frozen=True)
class Files:
    """The three files of an export."""

    users: Path
    rooms: Path
    messages: Path


@dataclass(frozen=True)
class Source:
    """A file that was read, for what is to be said of its values later."""

    file: str
    unit: str

    def where(self, place: int) -> dict[str, str | int]:
        """Where a value stands."""
        return {"file": self.file, self.unit: place}


class Reading:
    """Reads the files of an export into the staging area. What cannot be used is in the report."""

    def __init__(self, staging: Staging, report: Report, steps: Steps) -> None:
        self._staging = staging
        self._report = report
        self._steps = steps
        self.sources: dict[Kind, Source] = {}

    def read(self, files: Files) -> None:
        """Raises CommandError if a file cannot be read to its end, or has nothing of its kind: it may be another."""
        self._read(USER, files.users, Converter.user, self._staging.add_user)
        self._read(ROOM, files.rooms, Converter.room, self._staging.add_room)
        self._read(MESSAGE, files.messages, Converter.message, self._staging.add_message)

    def _read(
        self,
        kind: Kind,
        path: Path,
        convert: Callable[[Converter, Any], Converted],
        add: Callable[[int, Converted], bool],
    ) -> None:
        self._steps.step(f"reading {kind.plural}")
        converter = Converter(self._staging.room_created_at)
        first = ""
        with ExportFile(path) as file:
            source = self.sources[kind] = Source(str(path), file.unit)
            for entry in file.entries():
                where = source.where(entry.place)
                problem = self._take(kind, where, entry, lambda value: convert(converter, value), add)
                first = first or (problem and f"{file.unit} {entry.place}: {problem}")
                self._steps.advance()
        if first and not self._staging.count(kind.plural):
            raise CommandError(f"{path} has nothing that can be used for {kind.plural}: {shortened(first)}")
        for name, times in sorted(converter.unknown.items()):
            self._report.note(kind.plural, UNKNOWN_KEYS, f"{name}: {times} times", file=str(path))

    def _take(
        self,
        kind: Kind,
        where: dict[str, str | int],
        entry: Entry,
        convert: Callable[[Any], Converted],
        add: Callable[[int, Converted], bool],
    ) -> str:
        """What is wrong with the value, if it is none of its kind."""
        try:
            if entry.problem:
                raise UnusableError(entry.problem)
            converted = convert(entry.value)
        except DeletedError as error:
            self._report.add(kind.plural, LEFT_OUT, str(error), **where)
            return ""
        except ValueError as error:  # a text that is no Unicode is one, too
            self._report.add(kind.plural, UNREADABLE, str(error), **where)
            return str(error)
        if not add(entry.place, converted):
            detail = "there is one with this id before it, which counts"
            self._report.add(kind.plural, LEFT_OUT, detail, id=str(converted.id), **where)
            return ""
        for loss in converted.losses:
            self._report.note(kind.plural, REDUCED, loss, id=str(converted.id), **where)
        return ""
