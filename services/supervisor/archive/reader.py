"""Reads the folder of an archive."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import orjson
from roomline.v1.archive_pb2 import ArchiveRecord

from services.supervisor.archive import folder as names
from services.supervisor.archive.folder import RecordFile
from services.supervisor.archive.kinds import KINDS, Kind
from services.supervisor.archive.lines import read_records
from services.supervisor.command_error import CommandError
from services.supervisor.files import open_file, pieces
from services.supervisor.unfinished import MANIFEST, UNFINISHED

_PIECE_BYTES = 1024 * 1024


class ArchiveReader:
    """An archive that is whole: its manifest and the digests of its files of records were looked at.

    Raises CommandError if the folder is none, or is damaged. What is done with it is the caller's own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = _manifest(path)
        for name, file in self._files.items():
            if _found(path / name) != file:
                raise CommandError(f"{path / name} is damaged: {MANIFEST} describes another file")

    def count(self, kind: Kind) -> int:
        """How many records of a kind there are."""
        file = self._files.get(kind.file)
        return file.records if file else 0

    def records(self, kind: Kind) -> Iterator[tuple[int, ArchiveRecord]]:
        """The records of a kind, each with the number of its line. Raises CommandError for what is no such record."""
        if kind.file not in self._files:
            return
        path = self.path / kind.file
        for number, record in read_records(path):
            if record.WhichOneof("kind") not in kind.fields:
                raise CommandError(f"{path}, line {number} is none of the {kind.plural}")
            yield number, record

    def open_bytes(self, kind: Kind, owner: str, digest: bytes) -> BinaryIO | None:
        """The file with the bytes of an attachment or avatar. None if it is missing or has other bytes."""
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            file = stack.enter_context(open_file(names.bytes_path(self.path, kind, owner)))
            if _digest(file) == digest:
                stack.pop_all()
                return file
        return None


def _manifest(path: Path) -> dict[str, RecordFile]:
    try:
        with open_file(path / MANIFEST) as file:
            content = orjson.loads(file.read(_PIECE_BYTES))
        if content["format"] != names.FORMAT:
            raise ValueError(content["format"])
        version = content["version"]
        files = {name: RecordFile(int(file["records"]), str(file["sha256"])) for name, file in content["files"].items()}
    except FileNotFoundError as error:
        what = "an export that has not come to its end" if (path / UNFINISHED).exists() else "no archive"
        raise CommandError(f"{path} is {what}: there is no {MANIFEST}") from error
    except OSError as error:
        raise CommandError(f"cannot read {path / MANIFEST}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(f"{path / MANIFEST} is no manifest of an archive") from error
    known = {kind.file for kind in KINDS}
    if version != names.VERSION or not known.issuperset(files):
        raise CommandError(f"{path} was written by a newer version of Roomline: use that one to import it")
    return files


def _found(path: Path) -> RecordFile:
    records, digest = 0, hashlib.sha256()
    try:
        with open_file(path) as file:
            for piece in pieces(file, _PIECE_BYTES):
                records += piece.count(b"\n")
                digest.update(piece)
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from error
    return RecordFile(records, digest.hexdigest())


def _digest(file: BinaryIO) -> bytes:
    found = hashlib.sha256()
    for piece in pieces(file, _PIECE_BYTES):
        found.update(piece)
    return found.digest()
